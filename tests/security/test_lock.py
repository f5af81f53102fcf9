"""What is known to be unsafe is not taken: the lock holds versions in which it is mended.

The services that pip-audit asks need a network. So the versions stand here, each with the advisory that names it, and
whoever reads of a new one adds a line. Where there is a network, `pip-audit -r requirements.lock` asks for all.
"""

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.test_project import CORE, EXTRA, pins

MENDED = {  # package → the first version without the fault, and who says so
    "torch": ("2.10", "CVE-2026-24747: pickles run in spite of weights_only"),
    "transformers": ("5.3", "CVE-2026-4372: code runs without trust_remote_code"),
    "pyyaml": ("5.4", "CVE-2020-14343: full_load runs code"),
    "jinja2": ("3.1.6", "CVE-2025-27516: a template leaves the sandbox"),
    "opencv-python-headless": ("4.8.1.78", "CVE-2023-4863: WebP writes beyond its memory"),
    "pillow": ("11.3", "CVE-2025-48379: DDS writes beyond its memory"),
    "filelock": ("3.20.1", "CVE-2025-68146: a lock follows a link"),
    "requests": ("2.32.4", "CVE-2024-47081: .netrc is sent to another host"),
    "urllib3": ("2.6.0", "CVE-2025-66471: a small answer fills the memory"),
    "tornado": ("6.5", "CVE-2025-47287: a form stops the server"),
    "jupyterlab": ("4.4.8", "CVE-2025-59842: links lack noopener"),
    "jupyter-core": ("5.8.1", "CVE-2025-30167: settings are taken from a folder of others"),
}
ASKED = ("torch", "transformers", "pyyaml", "opencv-python-headless")  # of whom the package asks no earlier version


@pytest.mark.parametrize("name", MENDED)
def test_the_lock_holds_what_is_mended(name: str) -> None:
    first, why = MENDED[name]
    assert pins().get(name), f"{name} is not in requirements.lock: take its line out of this table"
    assert [v for v in pins()[name] if Version(v) < Version(first)] == [], why


@pytest.mark.parametrize("name", ASKED)
def test_the_package_asks_for_what_is_mended(name: str) -> None:
    [asked] = [r for r in CORE + EXTRA if canonicalize_name(r.name) == name]
    assert min(Version(s.version) for s in asked.specifier) >= Version(MENDED[name][0]), MENDED[name][1]
