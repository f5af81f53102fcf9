"""A valid input → one that is nearly so: bytes, trees of JSON and YAML, tables, the words of a language.

What a parser checks first (a checksum, a length, a bracket) is kept right most of the time, or nothing would be tried
but that check. Everything is a function of the input and of `rng`.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml

Mutate = Callable[[bytes, Random], bytes]
DEEP = 400  # how far brackets go at once; two of them pass the interpreter's limit
ODD_TEXTS = (
    "", " ", "\0", "\ud800", "é", "e\u0301", "가", "\u202e", "\ufeff", "\r", "\n", "\u2028", "<script>", "../x",
    "..",
    "/etc/passwd", "~no_such_user/x", "C:\\x", "x" * 300, "a.png", "b.png", "null", "NaN", "1e999", "9" * 30,
    "9" * 5000, "%s", "{x}", "(a+)+$", "a{99999999999}", "(" * 50, "-1", "=1+1",
)  # fmt: skip
ODD_NUMBERS = (0, 1, -1, 2, 7, 64, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e-300, 1e308, math.nan, math.inf)
Tree = Any


def odd(rng: Random, words: Sequence[str] = ()) -> Tree:
    """A value that a person would hardly write."""
    kind = rng.randrange(8)
    if kind < 2 and words:
        return rng.choice(words)
    if kind < 4:
        return rng.choice(ODD_TEXTS)
    if kind < 6:
        return rng.choice(ODD_NUMBERS)
    if kind < 7:
        return rng.choice([None, True, False, [], {}, [[]], {"": ""}, {"a": {"b": {}}}])
    return _nested(rng.choice([2, 20, DEEP]), rng.choice([[], {}]))


def _nested(depth: int, kind: Tree) -> Tree:
    inner: Tree = kind
    for _ in range(depth):
        inner = [inner] if isinstance(kind, list) else {"a": inner}
    return inner


def places(tree: Tree) -> list[tuple[Tree, Any]]:
    """Every (container, key or index) in a tree, the outermost first."""
    found: list[tuple[Tree, Any]] = []
    left = [tree]
    while left and len(found) < 500:
        own = left.pop(0)
        keys = list(own) if isinstance(own, dict) else range(len(own)) if isinstance(own, list) else []
        found += [(own, key) for key in keys]
        left += [own[key] for key in keys]
    return found


def tree_mutated(tree: Tree, rng: Random, words: Sequence[str] = ()) -> Tree:
    """The tree with one thing in it changed, in place where it can be."""
    there = places(tree)
    if not there or rng.random() < 0.02:
        return odd(rng, words)
    own, key = rng.choice(there)
    kind = rng.randrange(6)
    if kind == 0:
        del own[key]
    elif kind == 1 and isinstance(own, list):
        own.insert(key, own[key] if rng.random() < 0.5 else odd(rng, words))
    elif kind == 1:
        own[str(odd(rng, words))] = own[key]
    elif kind == 2 and isinstance(own, dict):
        own[rng.choice([*words, *ODD_TEXTS])] = own.pop(key)
    elif kind == 3:
        other, place = rng.choice(there)
        own[key] = json.loads(json.dumps(other[place])) if other is not own else odd(rng, words)
    else:
        own[key] = odd(rng, words)
    return tree


def bytes_mutated(data: bytes, rng: Random, tokens: Sequence[bytes] = ()) -> bytes:
    """The bytes with one place changed: a bit, a run, a cut, a token."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice([1, 1, 2, 4, 16, 64]))
    kind = rng.randrange(8 if tokens else 7) if data else 1
    if kind == 0:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + bytes([rng.choice([0, 10, 34, 44, 128, 255, rng.randrange(256)])]) + data[at:]
    if kind == 2:
        return data[:at] + data[end:]
    if kind == 3:
        return data[:end] + data[at:end] * rng.choice([1, 1, 2, 8]) + data[end:]
    if kind == 4:
        return data[:at]
    if kind == 5:
        return data[:at] + rng.randbytes(end - at) + data[end:]
    if kind == 6:
        return data[:at] + rng.choice([b"(", b"[", b'{"a":', b"\xff", b" ", b"9"]) * rng.choice([3, DEEP]) + data[at:]
    return data[:at] + rng.choice(tokens) + data[at:]


def as_json(tree: Tree, rng: Random) -> bytes:
    """The tree as JSON, of which half the time Unicode is written out; what is no Unicode stays an escape."""
    try:
        return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(tree).encode()


def json_mutated(words: Sequence[str]) -> Mutate:
    """What changes a JSON text: something in its tree, or else its bytes."""

    def mutate(data: bytes, rng: Random) -> bytes:
        try:
            return as_json(tree_mutated(json.loads(data), rng, words), rng) if rng.random() < 0.8 else _bytes(data, rng)
        except (ValueError, RecursionError):
            return _bytes(data, rng)

    def _bytes(data: bytes, rng: Random) -> bytes:
        return bytes_mutated(data, rng, [w.encode("utf-8", "surrogatepass") for w in words])

    return mutate


def lines_mutated(words: Sequence[str]) -> Mutate:
    """What changes a file with a JSON in each line: one of them, or their number and order."""
    one = json_mutated(words)

    def mutate(data: bytes, rng: Random) -> bytes:
        lines = data.split(b"\n")
        at, kind = rng.randrange(len(lines)), rng.randrange(8)
        if kind == 0:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            return bytes_mutated(data, rng)
        else:
            lines[at] = one(lines[at], rng)
        return b"\n".join(lines)

    return mutate


YAML_TOKENS = (
    b"!!map [a]", b"!!bool x", b"!!int ''", b"!!timestamp x", b"!!float x", b"!!binary x", b"!!set {a}", b"!!omap [a]",
    b"!!seq {a: b}", b"!!pairs [a]", b"!!null x", b"!!python/name:os.system", b"!x y", b"&a ", b"*a", b"<<: *a\n",
    b"<<: [a]\n", b"? ", b"- ", b": ", b", ", b"{", b"}", b"[", b"]", b"|\n", b">-\n", b"# ", b"---\n", b"...\n",
    b"%YAML 1.1\n", b"%TAG ! x\n", b"\t", b"  ", b"\n", b"=", b"1:30:00", b"0x_", b"0b", b"0o7", b".inf", b"~",
    b"2026-02-30", b"2026-01-01 99:00:00", b"'", b'"', b'"\\ud800"', b'"\\U00110000"', b"1e400", b"&a [*a]",
    b"&a {b: *a}",
)  # fmt: skip


def yaml_mutated(words: Sequence[str]) -> Mutate:
    """What changes a YAML text: something in its tree, which is then written as JSON or YAML, or the text itself."""
    tokens = (*YAML_TOKENS, *(w.encode() for w in words))

    def mutate(data: bytes, rng: Random) -> bytes:
        if b"*" not in data and rng.random() < 0.4:  # anchors of anchors would fill the memory here
            try:
                tree = tree_mutated(yaml.load(data, yaml.CSafeLoader), rng, words)
                flow = rng.random() < 0.5
                return (
                    as_json(tree, rng) if flow else yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False).encode()
                )
            except Exception:  # what is no YAML, or of no tree, has its bytes changed
                pass
        at = [i + 1 for i, c in enumerate(data) if c in b"\n: ,"] or [0]
        if rng.random() < 0.6:
            place = rng.choice(at)
            return data[:place] + rng.choice(tokens) + data[place:]
        return bytes_mutated(data, rng, tokens)

    return mutate


def table_mutated(words: Sequence[str]) -> Mutate:
    """What changes a CSV: a cell, a row, a column, how it is written, or its bytes."""

    def mutate(data: bytes, rng: Random) -> bytes:
        try:
            rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        except (UnicodeDecodeError, csv.Error):
            return bytes_mutated(data, rng)
        if not rows or not rows[0] or rng.random() < 0.3:
            return bytes_mutated(data, rng, [w.encode() for w in words])
        _cell_changed(rows, rng, words)
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=rng.choice(",,,;\t"), quoting=rng.choice([0, 0, 1])).writerows(rows)
        written = text.getvalue().encode("utf-8", "surrogatepass")
        return rng.choice([b"", b"\xef\xbb\xbf"]) + written

    return mutate


def _cell_changed(rows: list[list[str]], rng: Random, words: Sequence[str]) -> None:
    row = rng.choice(rows)
    at, kind = rng.randrange(len(row) + 1), rng.randrange(6)
    if kind == 0:
        rows.insert(rng.randrange(len(rows) + 1), list(row))
    elif kind == 1:
        row.insert(at, str(odd(rng, words))[:5000])
    elif kind == 2 and at < len(row):
        for own in rows:  # a column goes, or comes twice
            own[at : at + 1] = rng.choice([[], own[at : at + 1] * 2])
    elif at < len(row):
        row[at] = str(odd(rng, words))[:5000]


def words_mutated(words: Sequence[str]) -> Mutate:
    """What changes a text of words: one comes, goes, is repeated or is another."""
    tokens = [w.encode() for w in words]

    def mutate(data: bytes, rng: Random) -> bytes:
        parts = data.split(b" ")
        at, kind = rng.randrange(len(parts)), rng.randrange(6)
        if kind == 0:
            return bytes_mutated(data, rng, tokens)
        if kind == 1:
            parts[at : at + 1] = parts[at : at + 1] * rng.choice([0, 2, 3])
        elif kind == 2:
            parts[at] += rng.choice(tokens)
        elif kind == 3:
            parts[at] = rng.choice([b"(", b"NOT ", b"-(", b"- ", b"OR "]) * rng.choice([1, 2, DEEP]) + parts[at]
        else:
            parts.insert(at, rng.choice(tokens))
        return b" ".join(parts)

    return mutate
