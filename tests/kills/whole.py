"""Whether a file is whole, by what its kind must have at its end."""

import csv
import json
from pathlib import Path

from PIL import Image
from safetensors import safe_open

ENDS = {".html": b"</html>", ".svg": b"</svg>"}


def broken(path: Path) -> str:
    """Why a file is not whole; empty if it is, or if its kind does not tell."""
    try:
        return _broken(path)
    except Exception as error:
        return f"{path.name} is damaged: {error!r}"


def _broken(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix in ENDS:
        return "" if content.rstrip().endswith(ENDS[path.suffix]) else f"{path.name} has no end"
    if path.suffix == ".csv":
        rows = list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True))
        even = len({len(row) for row in rows}) == 1 and content.endswith(b"\n")
        return "" if even else f"{path.name} is cut off"
    if path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
    return "" if content or path.suffix not in (".json", ".png", ".safetensors") else f"{path.name} is empty"
