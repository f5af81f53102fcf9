"""What a person types to find captions → a test that each row passes or not.

    status:pending tokens:>75 flag:blurry "long hair"      all must hold (AND may be written between them)
    (smiling OR laughing) NOT glasses                       -glasses is the same as NOT glasses

Fields that hold words: status, split, flag, lint, file, reason, machine, text. Fields that hold numbers, to compare
by <, <=, >, >=: tokens, words, agreement. A bare word, or words in quotes, are looked for in the caption. Case does
not matter. The functions below parse from the loosest binding to the tightest: OR, AND, NOT, a single term.
"""

import operator
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from caplora.captions import SPLITS, STATUSES, Row, words_of

TOKEN = re.compile(r'\s*(-?\(|\)|-?(?:\w+:)?"[^"]*"|[^\s()"]+)')
DEEPEST = 100  # of ( and NOT, each of which may hold all that follow
COMPARISONS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "": operator.eq}
CHOICES = {"status": STATUSES, "split": SPLITS}


class FilterError(ValueError):
    """A filter that cannot be understood; the message names the part, and what to write instead."""


@dataclass(frozen=True)
class Entry:
    """What a filter can ask of a row: the row, its token count, the rules of its findings, and CLIP's agreement."""

    row: Row
    tokens: int = 0
    lint: tuple[str, ...] = ()
    agreement: float | None = None


Test = Callable[[Entry], bool]
WORDS: dict[str, Callable[[Entry], tuple[str, ...]]] = {
    "status": lambda e: (e.row.status,),
    "split": lambda e: (e.row.split,),
    "flag": lambda e: tuple(e.row.flags.split()),
    "lint": lambda e: e.lint,
}
TEXTS: dict[str, Callable[[Entry], str]] = {
    "file": lambda e: f"{e.row.file_name}\n{e.row.source}",
    "reason": lambda e: e.row.reason,
    "machine": lambda e: e.row.machine_text,
    "text": lambda e: e.row.text,
}
NUMBERS: dict[str, Callable[[Entry], float | None]] = {
    "tokens": lambda e: e.tokens,
    "words": lambda e: len(words_of(e.row.text)),
    "agreement": lambda e: e.agreement,
}


def parsed(text: str) -> Test:
    """The test that a filter stands for; an empty filter lets everything pass. Raises FilterError."""
    tokens = _tokens(text)
    if not tokens:
        return lambda _: True
    test = _either(tokens)
    if tokens:
        raise FilterError(f"{tokens[0]!r} has nothing to close: put a ( before it")
    return test


def _tokens(text: str) -> list[str]:
    if text.count('"') % 2:
        raise FilterError('a quotation mark is not closed: write "long hair"')
    tokens = TOKEN.findall(text.strip())
    deep = sum(token in ("(", "-(") or token.upper() == "NOT" for token in tokens)
    if deep > DEEPEST:
        raise FilterError(f"{deep} times ( or NOT are more than {DEEPEST}: write a shorter filter")
    return tokens


def _either(tokens: list[str]) -> Test:
    tests = [_all(tokens)]
    while tokens and tokens[0].upper() == "OR":
        tokens.pop(0)
        tests.append(_all(tokens))
    return lambda entry: any(test(entry) for test in tests)


def _all(tokens: list[str]) -> Test:
    tests: list[Test] = []
    while tokens and tokens[0] != ")" and tokens[0].upper() != "OR":
        if tokens[0].upper() == "AND" and tests:
            tokens.pop(0)
        tests.append(_one(tokens))
    if not tests:
        raise FilterError("something is missing beside OR, or between ( and )")
    return lambda entry: all(test(entry) for test in tests)


def _one(tokens: list[str]) -> Test:
    if not tokens:
        raise FilterError("something must follow AND or NOT")
    token = tokens.pop(0)
    if token.upper() == "NOT":
        return _negated(_one(tokens))
    if token in ("(", "-("):
        test = _either(tokens)
        if not tokens:
            raise FilterError("a ( is not closed")
        tokens.pop(0)
        return _negated(test) if token == "-(" else test
    if len(token) > 1 and token[0] == "-":
        return _negated(_term(token[1:]))
    return _term(token)


def _negated(test: Test) -> Test:
    return lambda entry: not test(entry)


def _term(token: str) -> Test:
    field, colon, value = token.partition(":")
    field = field.lower()
    if not colon or token.startswith('"'):
        return _contains(TEXTS["text"], token)
    value = value.strip('"')
    if field in WORDS:
        return _has(field, value.lower())
    if field in TEXTS:
        return _contains(TEXTS[field], value)
    if field in NUMBERS:
        return _compares(field, value)
    known = ", ".join([*WORDS, *TEXTS, *NUMBERS])
    raise FilterError(f"there is no field {field!r}: use {known}, or put the words in quotes")


def _has(field: str, value: str) -> Test:
    if field in CHOICES and value not in CHOICES[field]:
        raise FilterError(f"{field}:{value}: use {', '.join(CHOICES[field])}")
    return lambda entry: value in WORDS[field](entry)


def _contains(text_of: Callable[[Entry], str], value: str) -> Test:
    wanted = _plain(value.strip('"'))
    return lambda entry: wanted in _plain(text_of(entry))


def _compares(field: str, value: str) -> Test:
    match = re.fullmatch(r"(<=|>=|<|>|)=?(-?\d+(?:\.\d+)?)", value)
    if not match:
        raise FilterError(f"{field}:{value}: write a number, as in {field}:>75")
    compare, limit = COMPARISONS[match[1]], float(match[2])

    def test(entry: Entry) -> bool:
        number = NUMBERS[field](entry)
        return number is not None and compare(number, limit)

    return test


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
