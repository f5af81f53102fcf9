"""Figures say what they show, look alike, hide nothing and come out the same each time."""

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from caplora.captions.ledger import Row
from caplora.choosing.ablation import ablation_arms, ablation_table
from caplora.figures import (
    captions,
    curation,
    curves,
    diagrams,
    forest,
    galleries,
    heat_map,
    look,
    losses,
    metrics,
    persons,
    prompts,
    side_by_side,
    tradeoff,
)
from caplora.images.curation import RULES
from caplora.images.faces import Box, Face, Point
from caplora.images.persons import Persons, Sighting
from caplora.images.table import OF_A_FACE, OF_A_PERSON
from caplora.statistics.effects import COLUMNS, METRICS, attribute_effects, cells, effect_table, primary_model
from caplora.statistics.tradeoff import tradeoff_table
from caplora.study.image_settings import Curation
from caplora.study.names import CAPTIONS
from caplora.study.study import read_study
from caplora.study.variants import BASELINE, read_variants

ARMS = [BASELINE, *(v.name for v in read_variants("grid"))]
PROMPTS = read_study("mini").sampling.test
BEST = "r8_a16"
NEAR = "near-duplicate of portrait_of_somebody_with_a_long_name_1.png: 2 of 64 bits differ, at most 6"


def scores(arms: list[str], gain: float = 0.05) -> pd.DataFrame:
    """A table of scores as a study with a judge has it."""
    rng = np.random.default_rng(0)
    found = []
    for metric, model in (("clip_score", "clip_a"), ("clip_score", "clip_b"), ("identity", "eyes"), ("judge", "judge")):
        level = rng.normal(0.6, 0.06, len(PROMPTS))
        for (p, prompt), seed, arm in product(enumerate(PROMPTS), range(4), arms):
            value = level[p] + (arm != BASELINE) * gain * (1 + p % 3) + rng.normal(0, 0.02)
            found.append((arm, prompt, seed, "test", metric, model, value))
    for name, prompt, seed, arm in product(("hair", "clothes_colour"), PROMPTS, range(4), arms):
        found.append((arm, prompt, seed, "test", f"judge_{name}", "judge", float(rng.random() < 0.7)))
    return pd.DataFrame(found, columns=list(COLUMNS))


TABLE = scores(ARMS)
EFFECTS = effect_table(TABLE)
HEADLINES = EFFECTS[(EFFECTS["metric"] == "clip_score") & (EFFECTS["model"] == "clip_a")]
HEADLINE = HEADLINES.set_index("variant", drop=False).loc[BEST]
ON_CAPTIONS = ablation_arms(read_variants("captions"))
CAPTION_SCORES = scores([BASELINE, *ON_CAPTIONS.values()])
ABLATION = ablation_table(CAPTION_SCORES, ON_CAPTIONS)
VALUES = cells(TABLE, "clip_score", "clip_a", "test")


def losses_of(variants: list[str], steps: int = 60, every: int = 1) -> pd.DataFrame:
    """Losses as 02 leaves them, one table."""
    rng, numbers = np.random.default_rng(0), range(every, steps + 1, every)
    return pd.DataFrame([(v, s, rng.random()) for v in variants for s in numbers], columns=["variant", "step", "loss"])


def pictures(arms: list[str], prompts: int) -> dict[str, dict[str, np.ndarray]]:
    """Samples of a single colour each."""
    return {
        arm: {p: np.full((8, 8, 3), 30 * j + 5 * i, np.uint8) for i, p in enumerate(PROMPTS[:prompts])}
        for j, arm in enumerate(arms)
    }


def portraits() -> list[np.ndarray]:
    return [np.full((8, 8, 3), 30 * i, np.uint8) for i in range(6)]


def curated(faces: bool) -> pd.DataFrame:
    """A table of thirty images, as `image_table` has it: with faces half of them are flagged, and two clusters."""
    rng, n = np.random.default_rng(1), 30
    words = [*RULES, "duplicate"] if faces else ["side_lit"]
    table = pd.DataFrame({column: rng.normal(0.4, 0.1, n) for column in curation.PANELS})
    table["file_name"] = [f"portrait_of_somebody_with_a_long_name_{i}.png" for i in range(n)]
    table["flagged"] = [" ".join(words[i % len(words) : i % len(words) + 3]) if i % 2 else "" for i in range(n)]
    table["reasons"] = np.where(table["flagged"] == "", "", f"roll −31.2° is beyond ±20° (images.curation.x); {NEAR}")
    table["cluster"] = pd.array([1, 1, 1, 1, 1, 1, 1, 2, 2, *[None] * (n - 9)], "Int64") if faces else pd.NA
    table["faces"] = pd.array(rng.integers(0, 3, n) if faces else [None] * n, "Int64")
    table["measured_on"] = np.where(table["faces"].fillna(0) > 0, "face", "picture")
    if not faces:
        table[[*OF_A_FACE, *OF_A_PERSON]] = np.nan
    return table


def people(most: int) -> Persons:
    """Twelve persons, the first in some pictures and the others in one each, as an encoder tells them apart."""
    face = Face(Box(0, 0, 9, 9), *[Point(0, 0)] * 5, confidence=0.9)
    who = [0] * most + list(range(1, 12))
    looks = [Sighting.of(face, np.full((112, 112, 3), 20 * k, np.uint8), np.eye(128)[k]) for k in who]
    return Persons({Path(f"{i}.png"): [one] for i, one in enumerate(looks)}, 0.363)


def in_a_folder(draw: Callable[[pd.DataFrame, Path], look.Figure]) -> look.Figure:
    """A gallery of the images of `curated`, each of a single colour."""
    table = curated(faces=True)
    with TemporaryDirectory() as folder:
        for i, name in enumerate(table["file_name"]):
            Image.new("RGB", (8, 8), (8 * i, 90, 90)).save(Path(folder) / name)
        return draw(table, Path(folder))


def with_drift(table: pd.DataFrame) -> pd.DataFrame:
    """Scores and drift on two unrelated prompts, the baseline's own 0."""
    rng, arms = np.random.default_rng(2), dict.fromkeys(table["variant"])
    kinds = product(arms, ("a dog", "a red bicycle"), range(4))
    rows = [(a, p, s, "unrelated", "drift", "eyes", (a != BASELINE) * rng.uniform(0.1, 0.3)) for a, p, s in kinds]
    return pd.concat([table, pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)


def at_scales(table: pd.DataFrame) -> pd.DataFrame:
    """Scores as 04 has them for several scales: the way from the baseline's value to the variant's own, and beyond."""
    table = table.replace({"split": {"test": "development"}})
    cell = ["prompt", "seed", "split", "metric", "model"]
    base = table[table["variant"] == BASELINE].rename(columns={"value": "zero"})[[*cell, "zero"]]
    own = table[table["variant"] != BASELINE].merge(base, on=cell)
    steps = [own.assign(scale=s, value=own["zero"] + s * (own["value"] - own["zero"])) for s in (0, 0.4, 0.7, 1, 1.2)]
    return pd.concat(steps, ignore_index=True)


FULL = with_drift(TABLE)
SCALED = curves.scale_table(at_scales(FULL[FULL["metric"].isin(["clip_score", "identity", "drift"])]))
LONG = "r8_a16_lr0.0005_s3_qkvo_cross"
MANY = pd.concat([HEADLINES, HEADLINES[-2:].assign(variant=[LONG, "r8_a16_rs"])], ignore_index=True)
MAP = heat_map.heat_map_table(MANY, {"r8_a8_s4": "was not trained", "r16_a64": "was not scored"})
EXTREMES = side_by_side.extremes_table(VALUES, BEST)
PROMPT_MEANS = prompts.prompt_table(VALUES)
CLOSEST = pd.DataFrame(
    [(LONG, PROMPTS[0], 1, "a.png", "b.png", 0.99 - 0.01 * i, 0.95) for i in range(10)],
    columns=["variant", "prompt", "seed", "sample", "portrait", "similarity", "limit"],
)
SPOKEN = [
    Row(f"{i}.png", f"a photo of a woman, {'smiling, ' * (i % 2)}red hair", status=("kept", "edited")[i % 2])
    for i in range(9)
]
ARM_ROWS = pd.DataFrame(
    [(v, "test", m, "eyes", 64, 0.5, 0.4, 0.1, 0.2, 0.3) for m in ("kid", "diversity") for v in ARMS[1:]],
    columns=["variant", "split", "metric", "model", "n", "value", "baseline", "difference", "p", "p_corrected"],
)


def of_one_colour(count: int) -> list[side_by_side.Pair]:
    return [(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 99, np.uint8)) for _ in range(count)]


CROWDED = FULL.replace(
    {"variant": {"r16_a32": LONG}, "model": {"clip_a": "hf-hub:laion/CLIP-ViT-H-14-laion2B-s32B-b79K"}}
)
CROWDED_EFFECTS = effect_table(CROWDED)
CROWDED_VALUES = cells(CROWDED, "clip_score", primary_model(CROWDED), "test")
OF_THE_LONG = CROWDED_EFFECTS[CROWDED_EFFECTS["variant"] == LONG].iloc[0]


SQUARES = [[np.full((8, 8, 3), 40 * x + 90 * y, np.uint8) for x in range(4)] for y in range(2)]
ACROSS = [
    "scale 0",
    "DPM++ 2M Karras",
    "a file of somebody else",
    "an ink drawing of a woman, at night",
]
ROWS = ["a portrait of a woman with very long red hair who smiles, by the sea, at night", "b"]
DRAWN: dict[str, Callable[[], look.Figure]] = {
    "loss_curves": lambda: losses.loss_curves(losses_of(ARMS[1:]), losses_of(ARMS[1:], every=10)),
    "prompts": lambda: prompts.per_prompt_differences(VALUES, HEADLINE),
    "slopes": lambda: prompts.prompt_slopes(PROMPT_MEANS, HEADLINE),
    "forest": lambda: forest.forest_plot(VALUES, HEADLINES.assign(margin=0.02), BEST),
    "heat map": lambda: heat_map.rank_alpha_heat_map(MAP, MANY, BEST),
    "extremes": lambda: side_by_side.extremes(of_one_colour(len(EXTREMES)), EXTREMES, HEADLINE),
    "closest": lambda: side_by_side.closest([*of_one_colour(9), (None, None)], CLOSEST),
    "trade-off": lambda: tradeoff.tradeoff_planes(tradeoff_table(FULL), BEST),
    "trade-off without drift": lambda: tradeoff.tradeoff_planes(tradeoff_table(TABLE), BEST),
    "long names, metrics": lambda: metrics.metrics_figure(CROWDED_EFFECTS, LONG),
    "long names, forest": lambda: forest.forest_plot(CROWDED_VALUES, CROWDED_EFFECTS[: len(ARMS) - 1], LONG),
    "long names, slopes": lambda: prompts.prompt_slopes(prompts.prompt_table(CROWDED_VALUES), OF_THE_LONG),
    "long names, trade-off": lambda: tradeoff.tradeoff_planes(tradeoff_table(CROWDED), LONG),
    "scales": lambda: curves.scale_curves(SCALED, BEST),
    "captions": lambda: captions.summary_figure(
        captions.caption_summary(SPOKEN, ["hair", "expression"], "a photo of a woman")
    ),
    "metrics": lambda: metrics.metrics_figure(EFFECTS, BEST),
    "many metrics": lambda: metrics.metrics_figure(
        metrics.metrics_table(effect_table(FULL, [*METRICS, "drift"]), ARM_ROWS), BEST
    ),
    "caption_ablation": lambda: captions.caption_ablation(CAPTION_SCORES, ABLATION, "Nobody looked at 3."),
    "attributes": lambda: metrics.attribute_differences(attribute_effects(TABLE, BEST)),
    "samples": lambda: galleries.sample_grid(pictures(ARMS, 6), "seed 0"),
    "caption_samples": lambda: galleries.sample_grid(pictures([BASELINE, *CAPTIONS.values()], 3), "seed 0"),
    "two arms": lambda: galleries.sample_grid(pictures(ARMS[:2], 2)),
    "teaser": lambda: galleries.teaser(portraits(), pictures([BASELINE, BEST], 4), HEADLINE, "seed 0"),
    "labelled grid": lambda: galleries.labelled_grid(SQUARES, ACROSS, ROWS, "seed 3, 20 steps"),
    "row of a grid": lambda: galleries.labelled_grid(SQUARES[:1], ACROSS, [""], "seed 3, " * 30),
    "measures": lambda: curation.measures_figure(curated(faces=False), Curation()),
    "measures of faces": lambda: curation.measures_figure(curated(faces=True), Curation()),
    "flagged": lambda: in_a_folder(curation.flagged_gallery),
    "persons": lambda: persons.persons_figure(people(12)),
    "many persons": lambda: persons.persons_figure(people(1)),
    "nobody": lambda: persons.persons_figure(Persons({}, 0.363)),
    "duplicates": lambda: in_a_folder(curation.duplicate_gallery),
    "no duplicates": lambda: curation.duplicate_gallery(curated(faces=False), Path()),
    "pipeline": diagrams.pipeline_diagram,
    "lora": diagrams.lora_diagram,
}
JUDGED = ("metrics", "caption_ablation", "slopes", "forest", "heat map")
each_figure = pytest.mark.parametrize("name", DRAWN)


@cache
def drawn(name: str) -> look.Figure:
    """A figure of `DRAWN`, drawn once for all tests that only look at it."""
    return DRAWN[name]()


@cache
def words(figure: matplotlib.figure.Figure) -> list[Text]:
    """Every text that is drawn, laid out; ticks out of view are not."""
    found: list[Text] = []
    draw = Text.draw
    with mock.patch.object(Text, "draw", lambda text, renderer: (found.append(text), draw(text, renderer))):
        figure.draw_without_rendering()
    return list(dict.fromkeys(t for t in found if t.get_visible() and t.get_text().strip()))


def read(figure: matplotlib.figure.Figure) -> str:
    """All that a figure says, on one line."""
    return " ".join(" ".join(t.get_text().split()) for t in words(figure))


@each_figure
def test_no_text_is_cut_at_the_edge(name: str) -> None:
    figure = drawn(name)
    edge = figure.bbox.padded(1)
    outside = [t.get_text() for t in words(figure) if not _within(t.get_window_extent().extents, edge.extents)]
    assert outside == []


def _within(inner: np.ndarray, outer: np.ndarray) -> bool:
    return bool((inner[:2] >= outer[:2]).all() and (inner[2:] <= outer[2:]).all())


@each_figure
def test_no_text_lies_on_another(name: str) -> None:
    boxes = [(t.get_text(), t.get_window_extent().padded(-1)) for t in words(drawn(name))]
    clashes = [(a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[i + 1 :] if x.overlaps(y)]
    assert clashes == []


@each_figure
def test_text_is_legible_at_800_pixels(name: str) -> None:
    figure = drawn(name)
    assert figure.get_figwidth() <= 8  # inches
    assert min(t.get_fontsize() for t in words(figure)) >= 7  # points, of which 7 are 9.7 pixels then


@pytest.mark.parametrize("name", ["metrics", "teaser", "lora"])
def test_a_saved_figure_is_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    once, again = (look.save_figure(DRAWN[name](), tmp_path / folder, "it") for folder in ("a", "b"))
    for suffix in (".png", ".svg"):
        assert once.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()
    assert "<dc:date>" not in once.with_suffix(".svg").read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["it.png", "it.svg"]


def test_a_notebook_shows_a_figure_without_pyplot() -> None:
    png, size = drawn("lora")._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert size["width"] <= 800


@pytest.mark.parametrize("name", [*JUDGED, "prompts", "teaser"])
def test_n_is_stated(name: str) -> None:
    assert "16 test prompts × 4 seeds" in read(drawn(name))


@pytest.mark.parametrize("name", [*JUDGED, "attributes", "scales"])
def test_the_interval_is_named(name: str) -> None:
    assert "95 % t interval" in read(drawn(name))
    assert "clustered by prompt" in read(drawn(name))


@pytest.mark.parametrize("name", ["loss_curves", "prompts", "metrics", "attributes", "caption_ablation",
                                  "forest", "scales", "trade-off", "captions"])  # fmt: skip
def test_every_axis_is_labelled(name: str) -> None:
    figure = drawn(name)
    own = [axes for axes in figure.axes if axes.get_xlabel() or not axes.get_shared_x_axes().get_siblings(axes)[1:]]
    assert own
    assert all(axes.get_xlabel() for axes in own)
    assert figure.axes[0].get_ylabel() or figure.axes[0].get_yticklabels()[0].get_text()


def test_a_rank_has_one_colour_in_every_figure() -> None:
    """The curve of the loss and the bars of the difference, in the forest and in the panel."""
    curves = {to_hex(line.get_color()) for line in drawn("loss_curves").axes[1].lines}
    bars = {to_hex(line.get_color()) for axes in drawn("forest").axes for line in axes.lines}
    panel = {to_hex(line.get_color()) for axes in drawn("metrics").axes for line in axes.lines}
    ranks = {look.RANKS[r] for r in (4, 8, 16)}
    assert curves == bars == panel == ranks | {look.GREY}


def test_alphas_of_one_rank_differ_in_marker_and_in_line() -> None:
    for one, other in product(ARMS[1:], repeat=2):
        a, b = look.appearance(one), look.appearance(other)
        same_rank = one.split("_")[0] == other.split("_")[0]
        assert (a["color"] == b["color"]) == same_rank
        if same_rank and one != other:
            assert a["marker"] != b["marker"]
            assert a["linestyle"] != b["linestyle"]


def test_the_baseline_is_grey() -> None:
    assert look.appearance(BASELINE)["color"] == look.GREY
    assert look.GREY not in look.RANKS.values()


def test_prompts_are_sorted_by_their_gain_and_none_is_missing() -> None:
    axes = drawn("prompts").axes[0]
    gains = [float(t.get_text().replace("−", "-")) for t in axes.texts]
    assert gains == sorted(gains)  # upwards, the largest on top
    opening = look.shared_opening(PROMPTS)
    labels = [" ".join(t.get_text().split()).replace("…", opening, 1) for t in axes.get_yticklabels()]
    assert sorted(labels) == sorted(PROMPTS)


def test_the_star_stands_where_there_was_a_choice() -> None:
    assert f"{BEST} ★" in read(drawn("forest"))
    assert "★ chosen on the development prompts" in read(drawn("forest"))
    alone = HEADLINES[HEADLINES["variant"] == BEST]
    assert "★" not in read(forest.forest_plot(VALUES, alone, BEST))


def test_a_null_result_reads_as_one_in_the_teaser() -> None:
    nothing = effect_table(scores([BASELINE, BEST], gain=0.0)).iloc[0]
    said = read(galleries.teaser(portraits(), pictures([BASELINE, BEST], 4), nothing))
    assert f"{BEST} cannot be told from the baseline" in said
    assert "beats" not in said


def test_the_teaser_prints_gain_and_interval() -> None:
    said = read(drawn("teaser"))
    assert f"{BEST} beats the baseline: CLIPScore" in said
    for value in (HEADLINE["relative"], HEADLINE["relative_low"], HEADLINE["relative_high"]):
        assert f"+{100 * value:.1f} %" in said


def test_a_sample_that_is_missing_is_said_to_be() -> None:
    samples = pictures(ARMS[:3], 3)
    del samples["r4_a8"][PROMPTS[1]]
    assert read(galleries.sample_grid(samples)).count("missing") == 1


def test_losses_of_one_variant_and_one_step_are_drawn() -> None:
    figure = losses.loss_curves(losses_of(["r4_a8"], steps=1))
    assert len(figure.axes) == 1
    assert "n = 1 steps" in read(figure)


def test_the_table_of_the_curves_is_what_is_drawn() -> None:
    raw, held_out = losses_of(ARMS[1:]), losses_of(ARMS[1:], every=10)
    table, axes = losses.curve_table(raw, held_out), losses.loss_curves(raw, held_out).axes
    for place, variant in enumerate(ARMS[1:]):
        own = table[(table["variant"] == variant) & (table["split"] == "train")]
        np.testing.assert_array_equal(axes[0].lines[2 * place].get_ydata(), own["loss"])
        np.testing.assert_array_equal(axes[0].lines[2 * place + 1].get_ydata(), own["smoothed"])
        np.testing.assert_array_equal(axes[1].lines[place].get_ydata(), own["minus_mean"])
        held = table[(table["variant"] == variant) & (table["split"] == "held_out")]
        np.testing.assert_array_equal(axes[2].lines[2 * place].get_ydata(), held["loss"])


def test_metrics_wrap_and_each_says_which_way_is_better() -> None:
    axes = drawn("many metrics").axes
    assert len({round(a.get_position().x0, 3) for a in axes}) <= metrics.COLUMNS
    ways = {a.get_title(loc="left"): a.get_xlabel().splitlines()[0] for a in axes}
    assert ways["CLIPScore"] == ways["diversity"] == "more is better →"
    assert ways["drift"] == ways["KID"] == "← less is better"


def test_a_metric_of_a_whole_arm_has_a_hollow_marker_and_no_interval() -> None:
    panel = next(a for a in drawn("many metrics").axes if a.get_title(loc="left") == "KID")
    markers = [line for line in panel.lines if line.get_marker() not in ("None", None, "")]
    assert [line.get_xdata()[0] for line in markers] == [0.1] * len(ARMS[1:])
    assert {line.get_markerfacecolor() for line in markers} == {"white"}  # its corrected p is 0.3
    bars = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2][1:]
    assert np.isnan(bars).all()


def test_diversity_is_taken_from_the_effects_if_they_have_it() -> None:
    of_effects = EFFECTS.assign(metric="diversity")
    assert set(metrics.metrics_table(of_effects, ARM_ROWS)["metric"]) == {"diversity", "kid"}
    assert "diversity_ratio" in set(metrics.metrics_table(EFFECTS, ARM_ROWS)["metric"])


def test_losses_differ_from_the_mean_of_the_variants() -> None:
    """Noise that all variants share is not in the second panel."""
    shared = np.random.default_rng(1).random(50)
    tables = {"r4_a4": shared + 0.2, "r8_a8": shared}
    table = pd.DataFrame(tables).rename_axis("step").reset_index().melt("step", var_name="variant", value_name="loss")
    curves = [line.get_ydata() for line in losses.loss_curves(table).axes[1].lines[:2]]
    assert np.ptp(curves, axis=1) == pytest.approx([0, 0], abs=1e-12)
    assert curves[0][0] - curves[1][0] == pytest.approx(0.2)


def test_the_opening_that_prompts_share_is_said_once() -> None:
    prompts = ["a photo of a woman, smiling", "a photo of a woman, sad", "a photo of a man"]
    assert look.shared_opening(prompts) == "a photo of a"
    assert look.shorten(prompts, 40) == ["… woman, smiling", "… woman, sad", "… man"]
    assert look.opening_note(prompts) == "… = “a photo of a”"
    assert look.shorten(["only one"], 40) == ["only one"]
    assert look.opening_note(["red", "blue"]) == ""


def test_hangul_is_twice_as_wide() -> None:
    text = "검은 단발머리에 빨간 스웨터를 입고 웃는 여자의 잉크 그림, 해질녘의 바닷가에서 왼쪽을 바라보는 모습"
    (drawn_text,) = look.shorten([text], 40)
    assert max(map(len, drawn_text.split("\n"))) <= 20
    assert drawn_text.replace("\n", " ") == text
    assert max(map(len, look.wrapped(text * 3).split("\n"))) <= 8 / 0.1  # inches of a letter of 7.5 points


@pytest.mark.parametrize("text", ["n = 6 development prompts × 1 seed, mmmmm " * 12, "illicit little " * 30])
def test_small_print_stays_within_its_figure_whatever_its_letters(text: str) -> None:
    figure = look.Figure((look.WIDTH, 1))
    look.footnote(figure, text)
    figure.set_dpi(160)  # as it is saved
    assert figure._supxlabel.get_window_extent().x1 < 0.99 * 160 * look.WIDTH


def test_prompts_that_are_the_same_but_for_the_last_word_keep_it() -> None:
    assert look.shorten(["a b", "a b c"], 40) == ["… b", "… b c"]


def test_a_prompt_with_dollars_is_text_and_not_mathematics() -> None:
    hostile = r"a $5 hat, $\frac{ and <img src=x onerror=alert(1)>"
    table = TABLE.assign(prompt=TABLE["prompt"].replace({PROMPTS[0]: hostile}))
    figure = prompts.per_prompt_differences(cells(table, "clip_score", "clip_a", "test"), HEADLINE)
    assert hostile in read(figure)


def test_pictures_come_from_their_folder_only(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    Image.new("L", (4, 4)).save(inside / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    assert galleries.read_pictures(inside, ["a.png"])[0].shape == (4, 4, 3)
    for name in ("../b.png", str(tmp_path / "b.png")):
        with pytest.raises(ValueError, match="lies outside"):
            galleries.read_pictures(inside, [name])


def test_the_samples_of_a_seed_come_in_the_order_asked_for(tmp_path: Path) -> None:
    rows = [(f"{p}_{s}.png", p, s, "test") for p in "ab" for s in (0, 1)]
    for i, (name, *_) in enumerate(rows):
        Image.new("L", (2, 2), i).save(tmp_path / name)
    pd.DataFrame(rows, columns=["file_name", "text", "seed", "split"]).to_csv(tmp_path / "metadata.csv", index=False)
    found = galleries.sample_pictures(tmp_path, ["b", "a", "c"], 1)
    assert {p: int(x[0, 0, 0]) for p, x in found.items()} == {"b": 3, "a": 1}
    assert list(found) == ["b", "a"]


def test_the_diagrams_name_the_notebooks_the_files_and_what_is_trained() -> None:
    pipeline, lora = read(diagrams.pipeline_diagram("mini")), read(diagrams.lora_diagram())
    for said in ("01", "02", "03", "04", "05", "datasets/mini/", "runs/mini/adapters/", "scores.csv", "report.html"):
        assert said in pipeline
    for said in ("attn1", "attn2", "W x + (α / r) · B A x", "frozen"):
        assert said in lora


def test_caption_ablation_has_a_row_per_kind_in_order_and_the_baseline_as_a_line() -> None:
    for axes, metric in zip(drawn("caption_ablation").axes, ("clip_score", "identity"), strict=True):
        rows = ABLATION[(ABLATION["metric"] == metric) & (ABLATION["model"] != "clip_b")]
        assert axes.lines[0].get_xdata()[0] == rows["baseline"].iloc[0]
        for row, points in zip(rows.to_dict("records"), axes.collections, strict=True):
            own = CAPTION_SCORES[(CAPTION_SCORES["variant"] == row["variant"]) & (CAPTION_SCORES["metric"] == metric)]
            known = own[own["model"] == row["model"]].groupby("prompt", sort=False)["value"].mean()
            np.testing.assert_allclose(points.get_offsets()[:, 0], known)
        bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2][1:]
        np.testing.assert_allclose(bars, rows[["mean_low", "mean_high"]])
    labels = [t.get_text() for t in drawn("caption_ablation").axes[0].get_yticklabels()]
    assert labels == ["no caption", "class word", "raw machine", "reviewed", "shuffled"]


def test_caption_ablation_says_what_it_is_a_difference_from_and_what_was_not_reviewed() -> None:
    said = read(drawn("caption_ablation"))
    assert said.count("the reference") == 2 and "difference from reviewed" in said
    assert said.endswith("Nobody looked at 3.")


def test_kinds_of_captions_differ_in_marker_and_in_line() -> None:
    looks = [look.appearance(arm) for arm in ON_CAPTIONS.values()]
    assert len({one["marker"] for one in looks}) == len({str(one["linestyle"]) for one in looks}) == len(looks)
    assert len({one["color"] for one in looks}) == 1


def test_numbers_of_a_figure_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    saved = look.save_figure(DRAWN["caption_ablation"](), tmp_path, "it", ABLATION)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["it.csv", "it.png", "it.svg"]
    pd.testing.assert_frame_equal(pd.read_csv(saved.with_suffix(".csv"), keep_default_na=True), ABLATION)


def test_labelled_grid_shows_every_picture_and_says_every_label() -> None:
    figure = drawn("labelled grid")
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    np.testing.assert_array_equal(shown, [picture for row in SQUARES for picture in row])
    assert [label for label in (*ACROSS, *ROWS, "seed 3, 20 steps") if label not in read(figure)] == []


def test_a_long_name_is_broken_before_its_parts() -> None:
    assert side_by_side.named("r4_a8") == "r4_a8"
    assert side_by_side.named("r32_a32_qkvo_n10_step240") == "r32_a32_qkvo_n10\n_step240"
    assert side_by_side.named("x" * 30) == "x" * 30
