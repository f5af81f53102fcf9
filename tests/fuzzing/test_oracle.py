"""The oracle tells what must never happen from what may: each kind is planted, and one must be found by mutations."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from caplora.study.reading import PROJECT
from tests.fuzzing.mutations import json_mutated
from tests.fuzzing.oracle import HangError, limited, tried


def refusing(error: Exception) -> Callable[[], None]:
    """What raises this error."""

    def run() -> None:
        raise error

    return run


def kind_of(run: Callable[[], object], folder: Path) -> str:
    """What becomes of `run`, which may raise ValueErrors about own.csv and write to `folder`."""
    return tried(run, (ValueError,), lambda message: "own.csv" in message, folder).kind


def test_an_error_is_ours_by_its_kind_and_by_what_it_names(tmp_path: Path) -> None:
    assert kind_of(lambda: None, tmp_path) == "accepted"
    assert kind_of(lambda: "too small", tmp_path) == "refused"
    assert kind_of(refusing(ValueError("own.csv, row 2: no image")), tmp_path) == "refused"
    assert kind_of(refusing(ValueError("could not convert string to float")), tmp_path) == "fault"
    assert kind_of(refusing(KeyError("own.csv")), tmp_path) == "fault"
    broken = refusing(UnicodeDecodeError("utf-8", b"own.csv", 0, 1, "own.csv"))  # a ValueError that nobody worded
    assert kind_of(broken, tmp_path) == "fault"


@pytest.mark.parametrize("way", ["write_text", "touch", "mkdir"])
def test_what_is_written_outside_is_found_and_inside_is_none(way: str, tmp_path: Path) -> None:
    inside, words = tmp_path / "study", ("x",) if way == "write_text" else ()
    inside.mkdir()
    assert kind_of(lambda: getattr(inside / "a", way)(*words), inside) == "accepted"
    assert kind_of(lambda: getattr(inside / ".." / "b", way)(*words), inside) == "fault"


def test_a_link_that_leads_out_is_outside_and_reading_is_no_writing(tmp_path: Path) -> None:
    inside, other = tmp_path / "study", tmp_path / "other"
    inside.mkdir()
    other.write_text("x", encoding="utf-8")
    (inside / "link").symlink_to(other)
    assert kind_of(lambda: other.read_text(encoding="utf-8") and None, inside) == "accepted"
    assert kind_of(lambda: (inside / "link").write_text("y", encoding="utf-8"), inside) == "fault"
    assert kind_of(lambda: (inside / "link").rename(tmp_path / "gone"), inside) == "fault"


def test_a_process_that_is_started_is_found(tmp_path: Path) -> None:
    assert kind_of(lambda: subprocess.run([sys.executable, "-V"], capture_output=True, check=True), tmp_path) == "fault"


def test_a_hang_ends_even_where_every_exception_is_caught(tmp_path: Path) -> None:
    def hang() -> None:
        while True:
            with suppress(Exception):  # as a careless loop does
                json.dumps("x")

    outcome = tried(hang, (ValueError,), lambda _: True, tmp_path, most=0.05)
    assert outcome.kind == "fault" and "still at work" in outcome.said
    with limited(0.05):
        time.sleep(0.1)  # of the clock and not of the processor
    with pytest.raises(HangError), limited(0.05):
        hang()


def test_memory_beyond_the_limit_is_found(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.fuzzing import oracle; oracle.MEMORY = oracle.held() + 2**25;"
        "tried = lambda n: oracle.tried(lambda: len(b'x' * n), (), bool, Path('.')).kind;"
        "print(tried(2**20), tried(2**26), tried(2**26))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert ran.stdout.split() == ["accepted", "fault", "accepted"]  # the first case beyond it is blamed


def test_mutations_find_a_bug_that_is_planted(tmp_path: Path) -> None:
    """A reader that checks all but one thing: that a caption, which must be words, is none."""

    def read(data: bytes) -> None:
        try:
            captions = json.loads(data)
            shown = {name: text.strip() for name, text in captions.items()}
        except ValueError as error:
            raise ValueError(f"own.csv: {error}") from error
        assert isinstance(shown, dict)

    rng, mutate, valid = Random(0), json_mutated(()), b'{"a.png": "a woman"}'
    cases = [mutate(valid, rng) for _ in range(300)]
    kinds = [kind_of(lambda data=data: read(data), tmp_path) for data in cases]
    assert kind_of(lambda: read(valid), tmp_path) == "accepted"
    assert {"accepted", "refused", "fault"} == {*kinds}
