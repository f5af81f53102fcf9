"""Whether a study is still as its report says, and whether it comes out the same when it is run again.

`manifest` has settings, versions, machine and the hash of every file, and says what depends on what; `checking`
compares. `repeating` runs the study of a manifest again in a fresh folder, and `comparing` says what came out the same.
`sharing` checks a folder that was published, by its list of hashes.
"""

from caplora.verifying.checking import Difference, differences, other_machine, other_versions, verified
from caplora.verifying.comparing import Compared, adapters_apart, as_json, compared, summary, tables_apart
from caplora.verifying.manifest import Manifest, dependent, manifest_of, manifest_path, read_manifest, write_manifest
from caplora.verifying.repeating import OtherInputsError, begin, other_surroundings, refuse_other_inputs, repeat
from caplora.verifying.sharing import is_shared, shared_differences

__all__ = [
    "Compared", "Difference", "Manifest", "OtherInputsError", "adapters_apart", "as_json", "begin", "compared",
    "dependent", "differences", "is_shared", "manifest_of", "manifest_path", "other_machine", "other_surroundings",
    "other_versions", "read_manifest", "refuse_other_inputs", "repeat", "shared_differences", "summary", "tables_apart",
    "verified", "write_manifest",
]  # fmt: skip
