"""faults.py: every fault has a test, and the table says what became of it."""

from collections import Counter
from pathlib import Path

from tests.faults import FAULTS, TABLE, marked, result_of, table_of

MARKED = marked()


def test_every_fault_has_a_test_and_no_test_an_unknown_fault() -> None:
    assert list(FAULTS) == list(range(1, 35))
    assert {number for numbers in MARKED.values() for number in numbers} == {*FAULTS}


def test_marks_are_found_wherever_they_stand_on_a_test(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "test_a.py").write_text(
        "import pytest\n@pytest.mark.fault(3, 4)\n@pytest.mark.slow\ndef test_x(): ...\n"
        "@pytest.mark.parametrize('a', [1])\n@pytest.mark.fault(5)\ndef test_y(a): ...\ndef test_z(): ...\n"
    )
    name = f"{tmp_path.name}/room/test_a.py"
    assert marked(tmp_path) == {f"{name}::test_x": [3, 4], f"{name}::test_y": [5]}


def test_a_fault_passes_only_where_each_of_its_tests_did() -> None:
    results = {"a": Counter(passed=3), "b": Counter(passed=2, failed=1), "c": Counter(skipped=1)}
    assert [result_of(own, results) for own in ("a", "ab", "ac", "ad", "")] == [
        "passed", "failed", "not run", "not run", "not run",
    ]  # fmt: skip


def test_the_table_has_a_line_for_every_fault_and_counts_those_that_passed() -> None:
    results = {test: Counter(passed=1) for test in MARKED}
    assert "\n34 of 34 faults" in table_of(MARKED, results)
    gone = next(test for test, numbers in MARKED.items() if numbers == [9])
    table = table_of(MARKED, results | {gone: Counter(failed=1)})
    assert "\n33 of 34 faults" in table and table.count("| failed |") == 1
    assert [line.split(" | ")[0] for line in table.splitlines() if line[2:3].isdigit()] == [f"| {n}" for n in FAULTS]


def test_the_committed_table_is_of_these_tests_and_each_fault_passed() -> None:
    wanted = table_of(MARKED, {test: Counter(passed=1) for test in MARKED})
    committed = TABLE.read_text(encoding="utf-8")
    assert committed.splitlines()[4:] == wanted.splitlines()[4:], "make faults"
    assert committed.splitlines()[2].startswith("34 of 34 faults")
