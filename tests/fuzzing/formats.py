"""Files with a structure of bytes, taken apart, changed and put together again: PNG and safetensors."""

import json
import struct
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzzing.mutations import Mutate, as_json, bytes_mutated, json_mutated, odd, tree_mutated, words_mutated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
DTYPES = (*SIZES, "I16", "U16", "U32", "U64", "I8", "F8_E8M0", "F4", "F6_E2M3", "C64", "f32", "X")


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """The (kind, content) of each chunk of a PNG, as far as they go."""
    found, at = [], len(SIGNATURE)
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png_of(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The PNG of such chunks, lengths and checksums right."""
    made = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return SIGNATURE + b"".join(made)


def image_mutated(data: bytes, rng: Random) -> bytes:
    """The file of a picture with a place changed; of a PNG a chunk, whose checksum is right again."""
    if not data.startswith(SIGNATURE) or rng.random() < 0.2:
        return bytes_mutated(data, rng)
    chunks = chunks_of(data)
    if not chunks:
        return bytes_mutated(data, rng)
    at = rng.randrange(len(chunks))
    kind, content = chunks[at]
    way = rng.randrange(5)
    if way == 0:
        chunks.insert(rng.randrange(len(chunks)), chunks[at])
    elif way == 1:
        del chunks[at]
    elif way == 2 and kind == b"IHDR":
        header = list(struct.unpack(">IIBBBBB", content[:13].ljust(13, b"\0")))
        header[rng.randrange(7)] = rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
        chunks[at] = (kind, struct.pack(">IIBBBBB", *header))
    elif kind == b"IDAT" and rng.random() < 0.7:
        chunks[at] = (kind, _recompressed(content, rng))
    else:
        chunks[at] = (kind, bytes_mutated(content, rng))
    return png_of(chunks)


def _recompressed(content: bytes, rng: Random) -> bytes:
    try:
        return zlib.compress(bytes_mutated(zlib.decompress(content), rng), 1)
    except zlib.error:
        return content


def with_texts(png: bytes, texts: dict[str, str]) -> bytes:
    """A PNG with these texts by their keys, as UTF-8."""
    first, *rest = [chunk for chunk in chunks_of(png) if chunk[0] not in (b"iTXt", b"tEXt")]
    own = [(b"iTXt", key.encode() + b"\0" * 5 + text.encode("utf-8", "replace")) for key, text in texts.items()]
    return png_of([first, *own, *rest])


def text_mutated(words: Sequence[str]) -> Mutate:
    """What changes the texts in a PNG: that of caplora as JSON, that of A1111 as words."""
    as_words, tree = words_mutated(words), json_mutated(words)

    def mutate(data: bytes, rng: Random) -> bytes:
        chunks = chunks_of(data) if data.startswith(SIGNATURE) else []
        texts = [i for i, (kind, _) in enumerate(chunks) if kind == b"iTXt"]
        if not texts or rng.random() < 0.1:
            return image_mutated(data, rng)
        at = rng.choice(texts)
        key, _, text = chunks[at][1].partition(b"\0\0\0\0\0")
        changed = tree(text, rng) if key == b"caplora" else as_words(text, rng)
        chunks[at] = (b"iTXt", key + b"\0\0\0\0\0" + changed)
        return png_of(chunks)

    return mutate


def safetensors_of(tensors: dict[str, tuple[str, list[int], bytes]], metadata: Any = None) -> bytes:
    """The file of tensors, each a dtype, a shape and its bytes; the shape is not checked against them."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for key, (dtype, shape, content) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(content)]}
        at += len(content)
    return _joined(json.dumps(header).encode(), b"".join(content for _, _, content in tensors.values()))


def _joined(header: bytes, body: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + body


def filled(dtype: str, shape: Sequence[int], rng: Random) -> tuple[str, list[int], bytes]:
    """A tensor of small numbers, now and then with any bits at all."""
    count = SIZES.get(dtype, 4)
    for n in shape:
        count *= n
    count = min(count, 4096)
    small = {"F32": b"\0\0\x80\x3e", "F16": b"\0\x34", "BF16": b"\x80\x3e", "F64": b"\0" * 6 + b"\xd0\x3f"}
    unit = small.get(dtype, b"\1") if rng.random() < 0.8 else rng.randbytes(64)
    return dtype, list(shape), (unit * (count // len(unit) + 1))[:count]


def adapter_mutated(keys: Sequence[str], words: Sequence[str]) -> Mutate:
    """What changes a file of an adapter: its header as JSON, a tensor that then fits, what it states, its bytes."""
    stated = json_mutated(words)

    def mutate(data: bytes, rng: Random) -> bytes:
        size = int.from_bytes(data[:8], "little")
        header, body = data[8 : 8 + size], data[8 + size :]
        try:
            tree = json.loads(header)
        except (ValueError, RecursionError):
            return bytes_mutated(data, rng)
        way = rng.randrange(10)
        if way < 5 and isinstance(tree, dict):
            return _rebuilt(tree, body, rng)
        if way < 6 and isinstance(tree, dict) and isinstance(said := tree.get("__metadata__"), dict) and said:
            key = rng.choice(list(said))
            said[key] = stated(str(said[key]).encode("utf-8", "replace"), rng).decode("utf-8", "replace")
            return _joined(as_json(tree, rng), body)
        if way < 8:
            return _joined(as_json(tree_mutated(tree, rng, [*keys, *words]), rng), body)
        return bytes_mutated(data, rng) if way < 9 else _joined(header, bytes_mutated(body, rng))

    def _rebuilt(tree: dict[str, Any], body: bytes, rng: Random) -> bytes:
        metadata = tree.pop("__metadata__", None)
        tensors = {key: _taken(entry, body) for key, entry in tree.items()}
        key = rng.choice([*tensors, *keys]) if rng.random() < 0.7 else str(odd(rng, keys))[:300]
        own = tensors.pop(key, ("F32", [2, 4], b""))
        way = rng.randrange(4)
        if way:
            shape = [n if rng.random() < 0.7 else rng.choice([0, 1, 2, 3, 4, 8]) for n in own[1][:6]]
            shape = shape if rng.random() < 0.8 else rng.choice([[], [1], shape[:1], [*shape, 1, 1], [*shape, 3, 3]])
            dtype = own[0] if rng.random() < 0.7 else rng.choice(DTYPES)
            tensors[key] = filled(dtype, shape, rng)
        return safetensors_of(tensors, metadata)

    return mutate


def _taken(entry: Any, body: bytes) -> tuple[str, list[int], bytes]:
    """A tensor as a header has it; a small one where the header is wrong."""
    try:
        begin, end = map(int, entry["data_offsets"])
        shape = [min(abs(int(n)), 2**40) for n in entry["shape"]]
        return str(entry["dtype"]), shape, body[begin:end]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return "F32", [1], b"\0\0\0\0"
