"""A folder that was published, as somebody downloaded it → which of its files are not those that were sent.

Its `SHA256SUMS` tells a download that was damaged or touched. It does not tell who made it: for that compare the list's
own hash with what the maker says.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from caplora.publishing import CARD, SUMS
from caplora.study import file_hash
from caplora.verifying.checking import SHORT, Difference


def is_shared(folder: Path) -> bool:
    """Whether a path is a folder that says the hashes of its files."""
    return (folder / SUMS).is_file()


def shared_differences(folder: Path) -> Iterator[Difference]:
    """What in a published folder is not as its list says; hidden files, which a hub's client leaves, are no part of it.

    Raises ValueError for a list that is none, or that leads out of the folder.
    """
    listed = read_sums(folder / SUMS)
    for name, expected in listed.items():
        path = folder / name
        found = file_hash(path) if path.is_file() else ""
        if found != expected:
            is_now = f"has the hash {found[:SHORT]}" if found else ""
            yield Difference(kind_of(name), name, expected[:SHORT], is_now, depends_on(name))
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inside = path.relative_to(folder)
        name = inside.as_posix()
        if name not in {*listed, SUMS} and not any(part.startswith(".") for part in inside.parts):
            yield Difference(kind_of(name), name, "no such file", "is new", ())


def read_sums(path: Path) -> dict[str, str]:
    """File → its hash, of a list as `sha256sum` writes it."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition("  ")
        own = PurePosixPath(name)
        if len(digest) != 64 or not name or own.is_absolute() or ".." in own.parts:
            raise ValueError(
                f"{path}, line {number}: a SHA-256, two spaces and a file of this folder, got {line[:90]!r}"
            )
        found[name] = digest
    return found


def kind_of(name: str) -> str:
    """What a file of a published folder is."""
    if name.endswith(".safetensors"):
        return "adapter"
    return "card" if name == CARD else "picture" if name.endswith(".png") else "file"


def depends_on(name: str) -> tuple[str, ...]:
    """What is not to be believed any more where a file differs."""
    return ("what the card says was measured", "its pictures") if kind_of(name) == "adapter" else ()
