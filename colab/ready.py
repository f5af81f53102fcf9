"""Makes caplora ready on Colab: installs what its core needs and Colab lacks, never another torch, and mounts Drive.

The set-up cell of every notebook runs this file, with the notebook's parameter `drive` as its argument. A second run
finds everything there and changes nothing.
"""

import importlib
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parents[1]  # the project
STAY = ("torch", "torchvision", "numpy")  # built for Colab's GPU and for each other: never replaced


def core_requirements(project: Path = HERE) -> list[Requirement]:
    """The core dependencies of pyproject.toml."""
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return [Requirement(line) for line in content["project"]["dependencies"]]


def installed() -> dict[str, str]:
    """Package → its version, of everything that is installed."""
    return {canonicalize_name(found.name): found.version for found in distributions() if found.name}


def lacking(requirements: Iterable[Requirement], has: Mapping[str, str]) -> list[str]:
    """The requirements that the installed versions do not meet; raises RuntimeError if one of `STAY` is among them."""
    unmet = [r for r in requirements if not _met(r, has)]
    for r in unmet:
        if r.name in STAY:
            raise RuntimeError(
                f"caplora needs {r}, and this runtime has {has.get(r.name, 'none')}, which is never replaced: choose a"
                " newer one (Runtime → Change runtime type → Runtime version)"
            )
    return [str(r) for r in unmet]


def _met(requirement: Requirement, has: Mapping[str, str]) -> bool:
    version = has.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def pip_install(*words: str) -> None:
    """Run `pip install`, and show what it says if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"pip install {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def install(project: Path = HERE) -> list[str]:
    """Install what lacks and the project itself; what had to be installed."""
    has = installed()
    needed = lacking(core_requirements(project), has)
    with tempfile.TemporaryDirectory() as folder:
        stay = Path(folder) / "stay.txt"
        stay.write_text("".join(f"{name}=={has[name]}\n" for name in STAY), encoding="utf-8")
        if needed:
            pip_install("--constraint", str(stay), *needed)
    if "caplora" not in has:
        pip_install("--no-deps", "--editable", str(project))
    if str(project) not in sys.path:  # an editable install is seen by the next Python, not by this one
        sys.path.insert(0, str(project))
    importlib.invalidate_caches()
    return needed


def main(folder: str = "") -> None:
    """Install, let the studio draw on Colab, and mount Drive where a folder in it is named."""
    needed = install()
    print(f"caplora is ready in {HERE}. Installed now: {', '.join(needed) or 'nothing'}; torch {installed()['torch']}")
    if "google.colab" in sys.modules:
        from google.colab import drive, output

        output.enable_custom_widget_manager()
        if folder:
            drive.mount("/content/drive")


if __name__ == "__main__":
    main(*sys.argv[1:])
