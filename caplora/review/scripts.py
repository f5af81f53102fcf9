"""A widget's script, as a front end loads it: one text, because it can import nothing from beside it."""

from pathlib import Path

NODE = Path(__file__).with_name("node.js")


def script_of(path: Path) -> str:
    """The script of a widget behind `node.js`, which all widgets build their elements with."""
    return NODE.read_text(encoding="utf-8") + path.read_text(encoding="utf-8")
