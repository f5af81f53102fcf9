"""Writes where the project is cloned from into the badges and set-up cells of the notebooks, and into the README.

    python colab/address.py OWNER/NAME    a repository of GitHub; `make repository REPOSITORY=OWNER/NAME` does the same
    python colab/address.py ""            none: the notebooks then ask for a zip of the project

The setting is `[tool.caplora] repository` in pyproject.toml. Everything else is written from it.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]  # the project
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
ZIP = "On Colab: File → Upload notebook takes this file; its set-up cell asks for a zip of the project (`make zip`)."
CLONE = """\
        !git clone -q https://github.com/{repository} /content/caplora"""
UPLOAD = """\
        from google.colab import files

        files.upload_file("/content/caplora.zip")
        !cd /content && unzip -qo caplora.zip -d zip && mv "$(dirname "$(find zip -name pyproject.toml)")" caplora"""
CELL = """\
import sys
from pathlib import Path

if "google.colab" in sys.modules:
    if not Path("/content/caplora").is_dir():
{get}
    %run /content/caplora/colab/ready.py "{{drive}}\""""
SETUP = "google.colab"  # in the one cell of a notebook that sets Colab up
LINE = re.compile(r'^repository = ".*?"', re.M)  # of pyproject.toml
TABLE = re.compile(r"^\| notebook \| does \|.*?\n\n", re.M | re.S)  # of the README


def setting(project: Path = HERE) -> str:
    """The repository of pyproject.toml, OWNER/NAME; empty for none."""
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["caplora"]["repository"]


def badge(repository: str, notebook: str, words: str = "Open in Colab") -> str:
    """The link that opens a notebook on Colab."""
    page = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{notebook}.ipynb"
    return f"[![{words}]({BADGE})]({page})"


def cell(repository: str) -> str:
    """The set-up cell: the same in every notebook."""
    return CELL.format(get=CLONE.format(repository=repository) if repository else UPLOAD)


def in_notebook(text: str, name: str, repository: str) -> str:
    """The text of a notebook with its badge and set-up cell written anew."""
    notebook = json.loads(text)
    title = "".join(notebook["cells"][0]["source"]).split("\n")
    title[1] = badge(repository, name) if repository else ZIP
    notebook["cells"][0]["source"] = "\n".join(title).splitlines(keepends=True)
    (setup,) = (c for c in notebook["cells"] if c["cell_type"] == "code" and SETUP in "".join(c["source"]))
    setup["source"] = cell(repository).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def in_readme(text: str, repository: str) -> str:
    """The text of the README, its table of notebooks with a column of badges, or without."""

    def row(line: str) -> str:
        _, name, does, *_ = line.split("|")
        opens = {" notebook ": " open ", "---": "---"}.get(name) or f" {badge(repository, name.strip(' `'), 'Colab')} "
        return "|".join(["", name, does, *([opens] if repository else []), ""])

    return TABLE.sub(lambda table: "\n".join(map(row, table[0].strip().split("\n"))) + "\n\n", text)


def write(repository: str, project: Path = HERE) -> None:
    """Write the setting, and everything that follows from it."""
    if repository and not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise SystemExit(f"REPOSITORY must be OWNER/NAME, as on GitHub, got {repository!r}")
    _rewrite(project / "pyproject.toml", lambda text: LINE.sub(f'repository = "{repository}"', text))
    for path in sorted((project / "notebooks").glob("*.ipynb")):
        _rewrite(path, lambda text, name=path.stem: in_notebook(text, name, repository))
    _rewrite(project / "README.md", lambda text: in_readme(text, repository))


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    write(sys.argv[1])
