"""Whether what a study was made from, and what it has made, is still as it was when its report was written.

`manifest` has settings, versions and the hash of every file, and says what depends on what; `checking` compares.
"""

from caplora.verifying.checking import Difference, differences, other_versions, verified
from caplora.verifying.manifest import Manifest, dependent, manifest_of, manifest_path, read_manifest, write_manifest

__all__ = [
    "Difference", "Manifest", "dependent", "differences", "manifest_of", "manifest_path", "other_versions",
    "read_manifest", "verified", "write_manifest",
]  # fmt: skip
