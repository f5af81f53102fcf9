"""A path → the adapter's file, its tensors and metadata; no pickle is ever loaded, and any other file is named.

What is wrong with a file is told by its first bytes and by the sizes that its header states.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from caplora.lora.formats import DIFFUSERS
from caplora.study import disk_errors_name

PEFT = "adapter_model.safetensors"  # as peft calls the file in a folder of its own
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PICKLE = (
    "is a pickle, which can run any code when it is loaded, so caplora never loads one: ask for the adapter as"
    " .safetensors, or make that where you trust the file, with torch.load(…, weights_only=True) and"
    " safetensors.torch.save_file"
)
STARTS = {  # how files begin that are called adapters and are none
    b"PK\x03\x04": PICKLE,
    b"\x80": PICKLE,
    b"version https://git-lfs": "is a pointer of Git LFS and not the file itself: fetch that with git lfs pull",
    b"<": "is a page of the web and not the file: download it from the address behind the page's button",
}
LARGEST = 100_000_000  # bytes of a header, the format's own limit
AGAIN = "copy or download it again"


def adapter_file(path: Path) -> Path:
    """The adapter's file at a path: itself, or in a folder the one that diffusers, peft or this project leaves there.

    Raises ValueError where there is none, or several.
    """
    if not path.is_dir():
        return path
    if named := [path / name for name in (DIFFUSERS, PEFT) if (path / name).is_file()]:
        return named[0]
    files = sorted(path.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    inside = sorted(file.parent.name for file in path.glob(f"*/{PEFT}"))
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLED)
    hint = f"; one lies in each of {', '.join(inside)}" if inside else ""
    hint += f"; {pickles[0]} {PICKLE}" if pickles and not files else ""
    raise ValueError(f"{path} holds {len(files)} adapters (.safetensors), and one is needed{hint}")


def opened(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; ValueError says what any other file is, and what to do."""
    try:
        with disk_errors_name(path, "read"), safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (TypeError, RuntimeError) as error:  # a shape that no tensor of torch can have
        raise ValueError(f"{path} holds a tensor that cannot be made: {str(error).splitlines()[0]}") from error
    except SafetensorError as error:
        raise ValueError(f"{path} {what_it_is(path, error)}") from error


def what_it_is(path: Path, error: Exception) -> str:
    """Why a file is not read as safetensors, as the end of a sentence."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return f"is empty: {AGAIN}"
    size, stated = path.stat().st_size, stated_size(path)
    if stated > size:
        return f"is cut off, {size:,} of at least {stated:,} bytes are there: {AGAIN}"
    if said := next((said for begin, said in STARTS.items() if start.startswith(begin)), ""):
        return said
    return PICKLE if path.suffix in PICKLED else f"is no safetensors file ({error}): {AGAIN}"


def stated_size(path: Path) -> int:
    """How many bytes a safetensors file should have by its header; 0 where there is no such header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(min(size, LARGEST))
    if header[:1] != b"{" or size > LARGEST:
        return 0
    return 8 + size + (last_end(header) if len(header) == size else 0)


def last_end(header: bytes) -> int:
    """Where the last tensor ends after a header; 0 where that is not said as the format has it."""
    try:
        entries = json.loads(header)
        ends = [int(entry["data_offsets"][1]) for key, entry in entries.items() if key != "__metadata__"]
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError):
        return 0
    return end if (end := max(ends, default=0)) < 2**63 else 0
