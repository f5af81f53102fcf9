"""inheritance.py: a study that is `like` another says only what differs, and a mistake is named with its own file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from caplora.study.reading import StudyError, read_yaml
from caplora.study.study import Study, read_study

FULL: dict[str, Any] = {
    "name": "full",
    "question": "Does it?",
    "images": {
        "folder": "pictures",
        "resolution": 64,
        "accept": ["a.png"],
        "refuse": ["b.png"],
        "provenance": {"consent": "given"},
        "curation": {"cast": {"flag": 45.0}, "dark": {"flag": None}},
    },
    "base": {"path": "some/model", "revision": "abc"},
    "training": {"steps": 7, "learning_rate": 0.01, "prior": {"prompt": "a person"}},
    "sampling": {"development": ["a"], "test": ["b", "c"], "seeds": [5, 6]},
    "publishing": {"licence": "mit"},
}
FASTER: dict[str, Any] = {
    "images": {"photographs": False},
    "training": {"steps": 240, "validation_steps": 60, "finalist_seeds": 0},
    "sampling": {"num_inference_steps": 10, "solver": "dpmsolver++_karras", "finalists": 1, "batch_size": 28},
    "publishing": {"licence": "apache-2.0"},
    "claims": {"interest": {"clip_score": 0.15}},
}
CHANGED: dict[str, dict[str, Any]] = {  # since 0.4.0
    "sd15": {
        "sampling": {"num_inference_steps": 20, "finalists": 1},
        "claims": {"interest": {"clip_score": 0.05}},
    },
    "mini": FASTER,
    "mini_reviewed": FASTER,
}
UNRELATED = 6  # prompts of this suite there were then: others have been added at its end since
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Lay `full.yaml` and a study beside it, `like` it unless said otherwise: the path of the latter."""
    (tmp_path / "full.yaml").write_text(yaml.safe_dump(FULL))

    def lay(name: str = "mine", /, like: Any = "full.yaml", **says: Any) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"name": name, "like": like} | says))
        return path

    return lay


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "v0.4.0").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_study_says_what_its_file_said_in_full(path: Path) -> None:
    """The files of version 0.4.0 say everything themselves, as people's do that were begun with it."""
    assert "like" not in read_yaml(path)
    now, then = read_study(path.stem), read_study(path, **CHANGED.get(path.stem, {}))
    assert now.sampling.unrelated[:UNRELATED] == then.sampling.unrelated and len(now.sampling.unrelated) >= 12
    sampling = now.sampling.model_copy(update={"unrelated": then.sampling.unrelated})
    assert now.model_copy(update={"sampling": sampling}).model_dump() == then.model_dump()


def test_the_reviewed_mini_study_differs_from_mini_in_name_and_question_alone() -> None:
    mini, reviewed = read_study("mini"), read_study("mini_reviewed")
    assert reviewed.model_dump(exclude={"name", "question"}) == mini.model_dump(exclude={"name", "question"})
    assert reviewed.run != mini.run


def test_what_is_not_said_is_as_in_the_other_study(write: Write) -> None:
    own = {"name", "question", "images", "publishing"}
    mine, full = read_study(write()), read_study(write().with_name("full.yaml"))
    assert mine.model_dump(exclude=own) == full.model_dump(exclude=own)
    assert (mine.images.folder, mine.images.resolution, mine.images.curation) == ("pictures", 64, full.images.curation)


def test_name_question_and_what_is_said_of_files_are_not_taken_over(write: Write) -> None:
    mine = read_study(write())
    assert (mine.name, mine.question) == ("mine", Study.model_fields["question"].default)
    assert (mine.images.accept, mine.images.refuse, mine.images.provenance.consent) == ((), (), "")
    assert mine.publishing == Study.model_fields["publishing"].default


def test_mappings_merge_key_by_key_and_lists_and_values_replace(write: Write) -> None:
    says = {
        "images": {"curation": {"cast": {"refuse": 60.0}}, "provenance": {"origin": "mine"}},
        "training": {"steps": 9},
        "sampling": {"test": ["d", "e"]},
    }
    mine = read_study(write(**says))
    cast, dark = mine.images.curation.cast, mine.images.curation.dark
    assert (cast.flag, cast.refuse, dark.flag) == (45.0, 60.0, None)
    assert (mine.training.steps, mine.training.learning_rate) == (9, 0.01)
    assert (mine.sampling.development, mine.sampling.test, mine.sampling.seeds) == (("a",), ("d", "e"), (5, 6))
    assert (mine.images.provenance.origin, mine.images.provenance.consent) == ("mine", "")


def test_null_drops_a_mapping_that_was_taken_over(write: Write) -> None:
    mine = read_study(write(training={"prior": None}, images={"curation": {"cast": None}}, base=None))
    assert (mine.training.prior, mine.images.curation.cast.flag) == (None, 25.0)
    assert mine.base == Study.model_fields["base"].default
    assert mine.training.steps == 7


def test_null_is_a_value_where_no_mapping_was_taken_over(write: Write) -> None:
    assert read_study(write(images={"curation": {"rolled": {"flag": None}}})).images.curation.rolled.flag is None
    with pytest.raises(StudyError, match=r"mine\.yaml: training\.steps: .*got None"):
        read_study(write(training={"steps": None}))


def test_a_model_never_gets_the_revision_of_another(write: Write) -> None:
    assert read_study(write(base={"path": "other/model"})).base.revision is None
    assert read_study(write(base={"revision": "def"})).base.path == "some/model"


def test_a_study_may_be_like_one_that_is_like_a_third(write: Write) -> None:
    write("middle", training={"steps": 8}, question="Middle?", images={"accept": ["m.png"]})
    mine = read_study(write(like="middle.yaml", training={"learning_rate": 0.5}))
    assert (mine.training.steps, mine.training.learning_rate, mine.sampling.seeds) == (8, 0.5, (5, 6))
    assert (mine.question, mine.images.accept) == (Study.model_fields["question"].default, ())


def test_like_is_a_name_of_params_or_a_path_from_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert read_study(write(like="mini")).sampling == read_study("mini").sampling
    deeper = write("deeper")
    (deeper.parent / "a").mkdir()
    moved = deeper.rename(deeper.parent / "a" / "deeper.yaml")
    moved.write_text("name: deeper\nlike: ../full.yaml\n")
    assert read_study(moved).training.steps == 7


@pytest.mark.parametrize(
    ("like", "said"),
    [
        ("nope", r"mine\.yaml: like: there is no study 'nope': .*nope\.yaml does not exist \(there are: .*mini"),
        ("nope.yaml", r"mine\.yaml: like: there is no study 'nope\.yaml': .*does not exist \(there are: full, mine\)"),
        (7, r"mine\.yaml: like: a study of params/studies by name, or a path to its file, got 7"),
        (None, r"mine\.yaml: like: .* got None"),
        ("mine.yaml", r"mine\.yaml: like: 'mine\.yaml' leads back .*\(mine\.yaml → mine\.yaml\): take `like` out"),
    ],
)
def test_a_like_that_is_no_other_study_is_named(write: Write, like: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read_study(write(like=like))


def test_studies_that_are_like_each_other_are_named_with_the_way_out(write: Write) -> None:
    write("one", like="two.yaml")
    write("two", like="one.yaml")
    with pytest.raises(StudyError, match=r"two\.yaml: like: 'one\.yaml' .*\(one\.yaml → two\.yaml → one\.yaml\): take"):
        read_study(write("one", like="two.yaml"))


def test_a_mistake_is_named_with_the_file_to_edit(write: Write) -> None:
    write("middle", training={"stepz": 8})
    with pytest.raises(StudyError, match=r"middle\.yaml: training\.stepz: .*got 8") as caught:
        read_study(write(like="middle.yaml", training={"steps": 9}))
    assert "mine.yaml" not in str(caught.value)
    with pytest.raises(StudyError, match=r"mine\.yaml: sampling: .*'b' stands twice"):
        read_study(write(sampling={"development": ["b"]}))


def test_a_value_is_turned_for_once_in_a_study_like_another(write: Write) -> None:
    turned = read_study(write(training={"steps": 9}), training={"steps": 3}, sampling={"batch_size": 2})
    assert (turned.training.steps, turned.training.learning_rate, turned.sampling.seeds) == (3, 0.01, (5, 6))
