"""A study is what its file says, from anywhere, or an error that names the file, the key and the value."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caplora.study.reading import PROJECT, StudyError, read_yaml
from caplora.study.settings import Clip, Model
from caplora.study.study import read_study
from caplora.study.training_settings import Training
from caplora.study.variants import BASELINE, Variant, read_variants

SMALLEST: dict[str, Any] = {
    "name": "faces",
    "images": {"folder": "pictures"},
    "sampling": {"development": ["a face"], "test": ["a face at night", "a face in rain"]},
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Lay a study file in a folder of its own; keyword arguments replace or add parts of the smallest study."""

    def lay(**parts: Any) -> Path:
        path = tmp_path / "params" / "studies" / "faces.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(SMALLEST | parts, allow_unicode=True), encoding="utf-8")
        return path

    return lay


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("parts", "key", "value"),
    [
        ({"trainig": {}}, "trainig", "{}"),
        ({"training": {"step": 10}}, "training.step", "10"),
        ({"training": {"steps": "many"}}, "training.steps", "'many'"),
        ({"training": {"steps": True}}, "training.steps", "True"),
        ({"training": {"steps": 1.5}}, "training.steps", "1.5"),
        ({"training": {"steps": "100"}}, "training.steps", "'100'"),
        ({"training": {"steps": 0}}, "training.steps", "0"),
        ({"training": {"steps": None}}, "training.steps", "None"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate", "0"),
        ({"training": {"learning_rate": True}}, "training.learning_rate", "True"),
        ({"training": {"caption_dropout": 1.1}}, "training.caption_dropout", "1.1"),
        ({"training": {"lr_scheduler": "cosin"}}, "training.lr_scheduler", "'cosin'"),
        ({"training": {"mixed_precision": False}}, "training.mixed_precision", "False"),
        ({"training": {"snr_gamma": 0}}, "training.snr_gamma", "0"),
        ({"training": {"noise_offset": -0.1}}, "training.noise_offset", "-0.1"),
        ({"training": {"prediction_type": "x0"}}, "training.prediction_type", "'x0'"),
        ({"training": {"prior": {"prompt": "a face", "weight": 0}}}, "training.prior.weight", "0"),
        ({"training": {"validation_steps": -1}}, "training.validation_steps", "-1"),
        ({"training": []}, "training", "[]"),
        ({"name": 7}, "name", "7"),
        ({"name": "../up"}, "name", "'../up'"),
        ({"name": "a/b"}, "name", "'a/b'"),
        ({"images": {"folder": ""}}, "images.folder", "''"),
        ({"images": {"folder": "x", "resolution": 500}}, "images.resolution", "500"),
        ({"images": {"folder": "x", "background": "white"}}, "images.background", "'white'"),
        ({"images": {"folder": "x", "held_out": 1.0}}, "images.held_out", "1.0"),
        ({"base": "stable-diffusion"}, "base", "'stable-diffusion'"),
        ({"base": {"path": 1.5}}, "base.path", "1.5"),
        ({"sampling": SMALLEST["sampling"] | {"seeds": [0, "1"]}}, "sampling.seeds.1", "'1'"),
        ({"sampling": SMALLEST["sampling"] | {"test": "a face at night"}}, "sampling.test", "'a face at night'"),
        ({"scoring": {"clips": []}}, "scoring.clips", "[]"),
        ({"scoring": {"clips": [{"name": "ViT-B-32", "weights": "x"}]}}, "scoring.clips.0.weights", "'x'"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_and_key(
    write: Write, parts: dict[str, Any], key: str, value: str
) -> None:
    path = write(**parts)
    with pytest.raises(StudyError) as caught:
        read_study(path)
    assert str(path) in str(caught.value)
    assert f"{key}: " in str(caught.value)
    assert f"got {value}" in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"images": {}}, "images.folder"),
        ({"sampling": {"test": ["a", "b"]}}, "sampling.development"),
        ({"base": {}}, "base.path"),
    ],
)
def test_a_missing_key_is_named(write: Write, parts: dict[str, Any], key: str) -> None:
    with pytest.raises(StudyError, match=rf"faces\.yaml: {key}: Field required"):
        read_study(write(**parts))


def test_every_mistake_of_a_file_is_told_at_once(write: Write) -> None:
    with pytest.raises(StudyError, match=r"training\.steps.*; training\.seed"):
        read_study(write(training={"steps": 0, "seed": "x"}))


@pytest.mark.parametrize(
    "twice",
    [
        {"development": ["a", "a"], "test": ["b", "c"]},
        {"development": ["a"], "test": ["a", "b"]},
        {"development": ["d"], "test": ["b", "c"], "unrelated": ["a", "a"]},
        {"development": ["d"], "test": ["a", "b"], "unrelated": ["a", "c"]},
    ],
)
def test_a_prompt_stands_once(write: Write, twice: dict[str, list[str]]) -> None:
    with pytest.raises(StudyError, match=r"sampling: .*'a' stands twice"):
        read_study(write(sampling=twice))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"sampling": {"development": [], "test": ["b", "c"]}}, "sampling.development: .*at least 1"),
        ({"sampling": {"development": ["a"], "test": ["b"]}}, "sampling.test: .*at least 2"),
        ({"sampling": {"development": ["a"], "test": ["b", "c"], "seeds": []}}, "sampling.seeds: .*at least 1"),
        ({"sampling": {"development": ["a"], "test": ["b", "c"], "unrelated": ["d"]}}, "unrelated .*at least 2: 'd'"),
        ({"sampling": {"development": ["a"], "test": ["b", "c"], "seeds": [1, 1]}}, r"each seed .*\[1, 1\]"),
        ({"images": {"folder": "x", "held_out": 0.0}}, "images.held_out: .*greater than 0"),
    ],
)
def test_what_would_fail_hours_later_fails_at_once(write: Write, part: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read_study(write(**part))


def test_a_part_that_is_none_is_named_where_flags_would_change_it(write: Write) -> None:
    with pytest.raises(StudyError, match=r"training: .*, got \[1\]"):
        read_study(write(training=[1]), training={"steps": 3})


def test_a_study_is_named_after_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplora.study.study.PROJECT", tmp_path)
    monkeypatch.setattr("caplora.study.inheritance.PROJECT", tmp_path)
    path = tmp_path / "params" / "studies" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: faces\nimages: {folder: x}\nsampling: {development: [a], test: [b, c]}\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"name must be that of the file, 'mine', got 'faces'"):
        read_study("mine")


@pytest.mark.fault(25)
def test_a_hub_model_without_a_revision_is_refused(write: Write) -> None:
    study = read_study(write(base={"path": "some/model"}))
    with pytest.raises(StudyError, match=r"'some/model' is no folder.*needs a revision"):
        study.model_path(study.base)


def test_a_missing_study_names_the_file_and_those_there_are() -> None:
    with pytest.raises(StudyError, match=r"no study 'nope'.*nope\.yaml does not exist \(there are: .*mini"):
        read_study("nope")


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"name: [", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- a\n- b\n", "must hold keys and values, got list"),
        (b"", "must hold keys and values, got NoneType"),
        (b"name: !!python/object/apply:os.getcwd []\n", "cannot be read"),
        (b"name: 2024-13-45\n", "cannot be read: month must be in"),
        (b"name: &x [*x]\n", "Circular reference"),
        (b"like: sd15\nimages: &x {held_out: *x}\n", "Circular reference"),
    ],
)
def test_a_file_that_is_no_study_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=rf"broken\.yaml:? {why}"):
        read_study(path)


def test_a_value_that_json_lacks_is_refused_by_file(tmp_path: Path) -> None:
    path = tmp_path / "dated.yaml"
    path.write_text("name: 2026-11-01\n")
    with pytest.raises(StudyError, match=r"dated\.yaml"):
        read_study(path)


@pytest.mark.parametrize("written", ["1e-4", "1E-4", "1.0e-4", "0.0001", "1.e-4", ".1e-3"])
def test_a_number_is_a_number_however_it_is_written(write: Write, written: str) -> None:
    path = write()
    path.write_text(path.read_text() + f"training: {{learning_rate: {written}}}\n")
    assert read_study(path).training.learning_rate == pytest.approx(1e-4, rel=1e-12)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_as_python_prints_it(rate: float) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rate.yaml"
        path.write_text(f"rate: {rate!r}\n")
        assert read_yaml(path) == {"rate": rate}


def test_an_empty_part_has_the_defaults(write: Write) -> None:
    assert read_study(write(training={})) == read_study(write())


def test_a_study_cannot_be_changed(write: Write) -> None:
    study = read_study(write())
    with pytest.raises(ValidationError, match="frozen"):
        study.training.steps = 1  # type: ignore[misc]


def test_a_study_means_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = read_study("mini")
    monkeypatch.chdir(tmp_path)
    assert read_study("mini") == here
    assert read_study("mini").images_folder == here.images_folder == PROJECT / "caplora" / "mini" / "portraits"
    assert read_study("mini").scores == PROJECT / "runs" / "mini" / "scores.csv"


def test_a_relative_file_is_found_from_where_one_stands(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write()
    monkeypatch.chdir(path.parent)
    assert read_study("faces.yaml").run == path.parents[2] / "runs" / "faces"


def test_everything_a_study_makes_lies_in_its_own_folders(write: Write) -> None:
    path = write()
    study, root = read_study(path), path.parents[2]
    assert study.images_folder == root / "pictures"
    assert study.dataset == root / "datasets" / "faces"
    assert study.adapter(Variant(rank=4, alpha=8.0)) == root / "runs" / "faces" / "adapters" / "r4_a8"
    assert study.samples(BASELINE) == root / "runs" / "faces" / "samples" / "baseline"
    assert study.figures == root / "figures" / "faces"
    assert study.report == root / "runs" / "faces" / "report.html"


def test_home_is_home(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert read_study(write(images={"folder": "~/얼굴"})).images_folder == tmp_path / "me" / "얼굴"


def test_a_model_is_a_folder_if_there_is_one_and_else_a_hub_id(write: Write, tmp_path: Path) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    study = read_study(write())
    assert study.model_path(Model(path="models/base")) == str(tmp_path / "models" / "base")
    assert study.model_path(Model(path="someone/base", revision="abc")) == "someone/base"


def test_a_local_clip_is_made_absolute_and_a_named_one_is_left(write: Write, tmp_path: Path) -> None:
    study = read_study(write())
    assert study.clip_name(Clip(name="local-dir:clips/a")) == f"local-dir:{tmp_path}/clips/a"
    assert study.clip_name(Clip(name="ViT-B-32", pretrained="openai")) == "ViT-B-32"


@pytest.mark.parametrize(
    ("variants", "why"),
    [
        ("nope", r"no file of variants .*nope\.yaml \(there are: .*grid"),
        ([], r"at least one \{rank, alpha\}"),
        ([{"rank": 4}], r"variants\[0\]: alpha: Field required"),
        ([{"rank": 4, "alpha": 8, "beta": 1}], r"variants\[0\]: beta: .*got 1"),
        ([{"rank": 4, "alpha": 8}, {"rank": -4, "alpha": 8}], r"variants\[1\]: rank: .*got -4"),
        ([{"rank": True, "alpha": 8}], r"variants\[0\]: rank: .*got True"),
        ([{"rank": 4, "alpha": 0}], r"variants\[0\]: alpha: .*got 0"),
        ([{"rank": 4, "alpha": 8}, {"rank": 4, "alpha": 8.0}], "r4_a8 stands twice"),
        ([{"rank": 4, "alpha": 8, "captions": "true"}], r"variants\[0\]: captions: .*got 'true'"),
        ("grid+nope", r"no file of variants .*nope\.yaml"),
    ],
)
def test_a_wrong_variant_is_named(variants: Any, why: str) -> None:
    with pytest.raises(StudyError, match=why):
        read_variants(variants)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("variants: {rank: 4, alpha: 8}", r"bad\.yaml: a list of at least one"),
        ("variants: [4]", r"bad\.yaml\[0\]: .*got 4"),
        ("variants: [{rank: 4, alpha: 8}, {rank: 4.5, alpha: 8}]", r"bad\.yaml\[1\]: rank: .*got 4\.5"),
        ("variant: [{rank: 4, alpha: 8}]", r"bad\.yaml: the keys are 'variants' and, .*got \['variant'\]"),
        ("variants: [{rank: 4, alpha: 8}]\nseed: 1", r"bad\.yaml: the keys are 'variants' and, "),
        ("variants: [{rank: 4, alpha: 8}]\nseeds: 3", r"bad\.yaml: seeds: a list of .*got 3"),
        ("variants: [{rank: 4, alpha: 8}]\nseeds: []", r"bad\.yaml: seeds: a list of .*got \[\]"),
        ("variants: [{rank: 4, alpha: 8}]\nseeds: [0, true]", r"bad\.yaml: seeds: a list of .*got \[0, True\]"),
        ("variants: [{rank: 4, alpha: 8}]\nseeds: [0, 1, 0]", r"bad\.yaml: seeds: 0 stands twice"),
        ("variants: [{rank: 4, alpha: 8}, {rank: 4, alpha: 4, seed: 7}]\nseeds: [0]", r"bad\.yaml\[1\]: seed: .*got 7"),
        ("seeds: [0, 1]", r"bad\.yaml: the keys are 'variants' and, .*got \['seeds'\]"),
    ],
)
def test_a_wrong_file_of_variants_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, why: str
) -> None:
    (tmp_path / "params" / "variants").mkdir(parents=True)
    (tmp_path / "params" / "variants" / "bad.yaml").write_text(content)
    monkeypatch.setattr("caplora.study.variants.PROJECT", tmp_path)
    with pytest.raises(StudyError, match=why):
        read_variants("bad")


def test_seeds_of_a_file_train_each_variant_from_each_of_them(tmp_path: Path) -> None:
    nine = [{"rank": r, "alpha": a} for r in (4, 8, 16) for a in (4, 8, 16)]
    short, long = tmp_path / "short.yaml", tmp_path / "long.yaml"
    short.write_text(yaml.safe_dump({"variants": nine, "seeds": [0, 1, -2]}))
    long.write_text(yaml.safe_dump({"variants": [v | {"seed": s} for v in nine for s in (0, 1, -2)]}))
    assert read_variants(str(short)) == read_variants(str(long)) and len(read_variants(str(short))) == 27
    assert [v.name for v in read_variants(str(short))][:3] == ["r4_a4_s0", "r4_a4_s1", "r4_a4_s-2"]


def test_variants_come_by_name_or_as_a_list() -> None:
    assert read_variants("r4_a8") == read_variants([{"rank": 4, "alpha": 8}]) == (Variant(rank=4, alpha=8.0),)


@given(st.integers(1, 512), st.floats(0.01, 512, allow_nan=False))
def test_the_scale_is_alpha_over_rank(rank: int, alpha: float) -> None:
    assert Variant(rank=rank, alpha=alpha).scale == alpha / rank


def test_a_variant_is_named_by_rank_and_alpha() -> None:
    assert [Variant(rank=r, alpha=a).name for r, a in ((4, 8.0), (16, 0.5))] == ["r4_a8", "r16_a0.5"]


@pytest.mark.fault(32)
def test_a_key_that_stands_twice_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nname: b\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"twice\.yaml.*'name' stands twice"):
        read_study(path)


def test_an_infinite_number_is_refused() -> None:
    with pytest.raises(StudyError, match="alpha"):
        read_variants([{"rank": 4, "alpha": float("inf")}])


def test_a_value_is_turned_for_once_and_checked_as_any_other(write: Write) -> None:
    path = write(training={"steps": 7})
    turned = read_study(path, training={"steps": 9, "learning_rate": None}, sampling={"guidance_scale": 2.0})
    assert (turned.training.steps, turned.sampling.guidance_scale) == (9, 2.0)
    assert turned.training.learning_rate == read_study(path).training.learning_rate
    assert read_study(path).training.steps == 7
    with pytest.raises(StudyError, match=r"faces\.yaml: training\.steps: .*got 0"):
        read_study(path, training={"steps": 0})


@pytest.mark.parametrize(
    ("variant", "name", "scale"),
    [
        ({"rank": 4, "alpha": 8}, "r4_a8", 2.0),
        ({"rank": 16, "alpha": 8, "use_rslora": True}, "r16_a8_rs", 2.0),
        ({"rank": 4, "alpha": 4, "learning_rate": 1e-4, "seed": 0}, "r4_a4_lr0.0001_s0", 1.0),
        ({"rank": 4, "alpha": 4, "targets": "qkvo"}, "r4_a4_qkvo", 1.0),
        ({"rank": 16, "alpha": 32, "captions": "none"}, "r16_a32_none", 2.0),
        ({"rank": 4, "alpha": 4, "targets": "qkvo", "captions": "machine"}, "r4_a4_qkvo_machine", 1.0),
    ],
)
def test_a_variant_is_named_after_what_it_varies(variant: dict[str, Any], name: str, scale: float) -> None:
    made = Variant(**variant)
    assert made.name == name and made.scale == scale


def test_variants_of_other_targets_have_other_names() -> None:
    names = {Variant(rank=4, alpha=4, targets=t).name for t in (r"attn1\.to_q$", r"attn2\.to_q$", "qv")}
    assert len(names) == 3 and all(re.fullmatch(r"[\w.+-]+", name) for name in names)


def test_a_variant_is_trained_as_the_study_says_but_for_what_it_says_itself() -> None:
    own = Training(learning_rate=1e-3, seed=3).of(Variant(rank=4, alpha=4, seed=0, targets="qkvo"))
    assert (own.learning_rate, own.seed, own.targets) == (1e-3, 0, "qkvo")


def test_targets_that_are_no_expression_are_named(write: Write) -> None:
    with pytest.raises(StudyError, match=r"training\.targets: .*'attn\(' is none of qv, .* and no regular expression"):
        read_study(write(training={"targets": "attn("}))


@pytest.mark.parametrize("rules", [{"lr_scheduler": "piecewise_constant"}, {"lr_step_rules": "1:300,0.1"}])
def test_step_rules_go_with_their_schedule(write: Write, rules: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="lr_step_rules go with lr_scheduler piecewise_constant"):
        read_study(write(training=rules))


def test_a_kept_step_beyond_the_last_is_refused_unless_the_steps_are_fewer_for_once(write: Write) -> None:
    assert read_study(write(training={"steps": 1000, "keep": [500, 1000]})).training.kept_steps == (500,)
    file = write(training={"steps": 1000, "keep": [500, 1000, 2000]})
    beyond = r"training\.keep asks for step 2,000, and training ends at step 1,000 .*lower the one or raise the other"
    for turned in ({}, {"steps": None, "learning_rate": 1e-3}, {"steps": 1000, "keep": [2000]}):
        with pytest.raises(StudyError, match=rf"{file.name}: {beyond}"):
            read_study(file, training=turned)
    assert read_study(file, training={"steps": 3000}).training.kept_steps == (500, 1000, 2000)
    fewer = read_study(write(training={"steps": 1000, "keep": [500, 1000]}), training={"steps": 600}).training
    assert fewer.kept_steps == (500,) and "keep asks for step 1,000, and training ends at step 600" in fewer.unreached


def test_files_of_variants_are_joined_by_a_plus_and_each_variant_counts_once() -> None:
    grid, captions = read_variants("grid"), read_variants("captions")
    both = read_variants("grid+captions")
    assert {v.name for v in both} == {v.name for v in (*grid, *captions)} and both[: len(grid)] == grid
    assert len(both) == len(grid) + len(captions) - 1  # r16_a32 stands in both


def test_what_is_of_interest_is_never_too_small_to_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    claims = {"margin": {"clip_score": 0.06, "identity": 0.1}, "interest": {"clip_score": 0.05}}
    path.write_text(yaml.safe_dump(SMALLEST | {"claims": claims}), encoding="utf-8")
    with pytest.raises(StudyError, match=r"claims\.margin of clip_score is 0\.06, above claims\.interest, 0\.05"):
        read_study(path)
    path.write_text(
        yaml.safe_dump(SMALLEST | {"claims": claims | {"interest": {"clip_score": 0.06}}}), encoding="utf-8"
    )
    claimed = read_study(path).claims
    assert (claimed.smallest("clip_score"), claimed.smallest("identity"), claimed.smallest("judge")) == (
        0.06,
        0.1,
        None,
    )


def test_a_margin_is_a_positive_number_for_a_metric(tmp_path: Path) -> None:
    path = tmp_path / "faces.yaml"
    path.write_text(yaml.safe_dump(SMALLEST | {"claims": {"margin": {"clip_score": 0.02}}}), encoding="utf-8")
    assert read_study(path).claims.margin == {"clip_score": 0.02}
    path.write_text(yaml.safe_dump(SMALLEST | {"claims": {"margin": {"clip_score": 0.0}}}), encoding="utf-8")
    with pytest.raises(StudyError, match=r"claims\.margin\.clip_score: .*greater than 0, got 0"):
        read_study(path)


@pytest.mark.parametrize(
    ("turned", "says"),
    [
        ({"training": {"stepz": 3}}, r"training\.stepz: there is no such key \(did you mean steps\?\), got 3"),
        ({"training": {"prior": {"prompt": "a", "wight": 1}}}, r"prior\.wight: .*did you mean weight\?"),
        ({"scoring": {"clips": [{"name": "a", "prefx": "b"}]}}, r"clips\.0\.prefx: .*did you mean prefix\?"),
        ({"sampling": {"qqqq": 3}}, r"sampling\.qqqq: there is no such key, got 3$"),
    ],
)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(turned: dict[str, dict[str, Any]], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        read_study("mini", **turned)


def test_a_file_of_variants_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("variants: [{rank: 4, alpha: 8}]\n")
    assert read_variants(str(path)) == (Variant(rank=4, alpha=8),)
    assert len(read_variants(f"{path}+grid")) == len(read_variants("grid"))  # which has it too
    with pytest.raises(StudyError, match=r"no file of variants .*gone\.yaml"):
        read_variants(str(tmp_path / "gone.yaml"))
