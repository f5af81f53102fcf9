"""No input, however bad, brings about what `oracle` says must never happen: valid ones, known ones, random ones."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing import seeds as valid
from tests.fuzzing.formats import with_texts
from tests.fuzzing.oracle import Outcome, tried
from tests.fuzzing.parsers import PARSERS, Parser

CORPUS = Path(__file__).parent / "corpus"  # what was found: an input of each fault that was mended
FOUND = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))
NOT_VALID = {"images": 2, "captions_jsonl": 1, "png_text": 1}  # seeds that are refused rightly
Try = Callable[[str, bytes], Outcome]


def texts_of(words: str) -> bytes:
    """A picture that says in A1111's words how it was drawn."""
    return with_texts(valid.pictures()[0], {"parameters": words})


@pytest.fixture(scope="module")
def try_input(tmp_path_factory: pytest.TempPathFactory) -> Try:
    folders: dict[str, Path] = {}

    def run(name: str, data: bytes) -> Outcome:
        parser = PARSERS[name]
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            parser.ready(folders[name])
        folder = folders[name]
        return tried(lambda: parser.run(folder, data), parser.ours, parser.names, folder)

    return run


@pytest.mark.parametrize("name", PARSERS)
def test_valid_inputs_are_accepted(name: str, try_input: Try) -> None:
    seeds = PARSERS[name].seeds()
    kinds = [try_input(name, data).kind for data in seeds]
    assert kinds.count("accepted") == len(seeds) - NOT_VALID.get(name, 0)
    assert kinds.count("refused") == NOT_VALID.get(name, 0)


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(found: str, try_input: Try) -> None:
    outcome = try_input(found.partition("/")[0], (CORPUS / found).read_bytes())
    assert outcome.kind != "fault", outcome


LARGE = {  # what a person would not write and a file may hold, too long to be kept in the corpus
    "png_text long name": texts_of("Steps: 1, " + "a" * 100_000),
    "png_text open adapters": texts_of("<lora:" * 30_000),
    "png_text open weights": texts_of("(a:1" * 40_000),
    "png_text spaces": texts_of("Steps: 1, " + " " * 100_000),
    "filters spaces": b"a" + b" " * 60_000,
    "captions_json keys": json.dumps([{f"k{i}": 1 for i in range(40_000)}]).encode(),
    "captions_json names": json.dumps({f"{i}": "" for i in range(40_000)}).encode(),
}


@pytest.mark.parametrize("large", LARGE)
def test_long_inputs_take_no_longer_than_their_length(large: str, try_input: Try) -> None:
    outcome = try_input(large.partition(" ")[0], LARGE[large])
    assert outcome.kind != "fault", outcome


@st.composite
def mutants(draw: st.DrawFn, parser: Parser, seeds: list[bytes]) -> bytes:
    """A valid input, changed in up to five places as the parser's own mutations do it."""
    data, rng = draw(st.sampled_from(seeds)), Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 5))):
        data = parser.mutate(data, rng)
    return data


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
TREES = st.recursive(
    LEAVES, lambda own: st.lists(own, max_size=4) | st.dictionaries(st.text(max_size=8), own, max_size=4)
)
OTHERS = (
    st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode()) | st.text(max_size=60).map(str.encode)
)


@pytest.mark.parametrize("name", PARSERS)
def test_nothing_that_is_read_brings_about_what_must_never_happen(name: str, try_input: Try) -> None:
    parser = PARSERS[name]
    own = mutants(parser, list(parser.seeds()))
    allowed = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples=parser.examples, derandomize=True, database=None, suppress_health_check=allowed)
    @given(st.one_of(own, own, own, OTHERS))
    def never(data: bytes) -> None:
        outcome = try_input(name, data)
        assert outcome.kind != "fault", outcome

    never()
