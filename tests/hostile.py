"""What tests hand to code that must not run it: a pickle and a module that leave a file behind when they are loaded."""

from pathlib import Path


class Trap:
    """Pickled, it makes the file `sprung` when it is loaded."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple:
        return Path.touch, (self.sprung,)


def lay_code(folder: Path, ran: Path) -> None:
    """Lay evil.py into a folder, whose import makes the file `ran`."""
    folder.mkdir(exist_ok=True)
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n", encoding="utf-8")
