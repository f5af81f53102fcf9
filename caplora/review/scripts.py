"""A widget's script, as a front end loads it: one text, because it can import nothing from beside it."""

from pathlib import Path

NODE = Path(__file__).with_name("node.js")


def script_of(*paths: Path) -> str:
    """The scripts of a widget behind `node.js`, which all widgets build their elements with."""
    return "".join(path.read_text(encoding="utf-8") for path in (NODE, *paths))
