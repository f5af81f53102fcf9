"""The five notebooks, run through papermill as anyone would: a messy folder goes in, a report comes out."""

import csv
import html
import json
import re
from contextlib import chdir
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
import pytest
import yaml
from PIL import Image

from caplora.lora.formats import DIFFUSERS
from caplora.mini.world.portraits import PORTRAITS
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import read_variants
from tests.publishing.stand_in import TOKEN, local_hub
from tests.security.browser import browser, needs_chromium
from tests.security.planted import DEVICE, ENVIRONMENT, PLACE, SECRETS, exif, found_in

CARD = ("bc036a74", "d0c45d33", "32b1cbd9", "card-write", "card-push")  # of notebook 05: its parameters to its question
PAYLOAD = "<img src=x onerror=window.ran=1>"
VARIANTS = [{"rank": 4, "alpha": 8}, {"rank": 4, "alpha": 8, "captions": "shuffled"}]


def messy_folder(folder: Path) -> set[str]:
    """Portraits as people keep them, and what is among them that is none; the names of all."""
    folder.mkdir()
    portraits = [Image.open(path) for path in sorted(PORTRAITS.glob("*.png"))[:9]]
    portraits[0].save(folder / "one.png")
    portraits[1].resize((300, 400)).save(folder / "two.JPG", quality=95)
    portraits[2].save(folder / "three.webp", lossless=True)
    portraits[3].convert("CMYK").save(folder / "four.jpg")
    portraits[4].convert("L").save(folder / "five.png")
    clear = portraits[5].convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 128).astype(np.uint8), (128, 1))))
    clear.save(folder / "six.png")
    turned = portraits[6].getexif()
    for tag, value in exif().items():
        turned[tag] = value
    turned[0x0112] = 6  # EXIF orientation: to be turned a quarter right
    portraits[6].rotate(90).save(folder / "초상화.jpg", exif=turned)
    portraits[7].save(folder / "eight.png")
    portraits[8].save(folder / "nine.png")
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:2000])
    (folder / "note.jpg").write_text("not an image", encoding="utf-8")
    return {path.name for path in folder.iterdir()}


def small_study(folder: Path) -> Path:
    """The mini study with a messy folder of images and little to do; its file."""
    content = yaml.safe_load((PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8"))
    content |= {"name": "small", "images": content["images"] | {"folder": str(folder / "faces"), "held_out": 0.3}}
    content["base"]["path"] = str(PROJECT / content["base"]["path"])
    content["captioning"]["model"]["path"] = str(PROJECT / content["captioning"]["model"]["path"])
    content["training"] |= {"steps": 4, "checkpointing_steps": 2, "batch_size": 2}
    content["sampling"] |= {"num_inference_steps": 2, "seeds": [0, 1], "scales": [0.5]}
    for suite in ("edits", "unrelated"):
        content["sampling"][suite] = content["sampling"][suite][:2]
    content["sampling"]["development"] = content["sampling"]["development"][:2]
    content["sampling"]["test"] = [f"{content['sampling']['test'][0]} {PAYLOAD}", *content["sampling"]["test"][1:3]]
    content["question"] = f"Is it safe? {PAYLOAD}"
    content["captioning"]["subject"] += f" {PAYLOAD}"
    for part in (*content["scoring"]["clips"], content["scoring"]["identity"], content["scoring"]["judge"]):
        key = "name" if "name" in part else "path"
        part[key] = part[key].replace("caplora/mini", str(PROJECT / "caplora/mini"))
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, set[str]]:
    """The study after all five notebooks, run from a folder that is not the project's; the names that went in."""
    folder = tmp_path_factory.mktemp("home")
    names, path = messy_folder(folder / "faces"), small_study(folder)
    with chdir(folder), pytest.MonkeyPatch.context() as planted:
        for name, value in ENVIRONMENT.items():
            planted.setenv(name, value)
        for notebook in ("01_data_captioning", "02_train_lora", "03_inference", "04_clipscore", "05_analysis"):
            parameters = {"study": str(path)} | ({} if notebook.startswith("01") else {"variants": VARIANTS})
            run_notebook(notebook, parameters)
    return read_study(path), names


def run_notebook(name: str, parameters: dict[str, Any], cells: tuple[str, ...] | None = None) -> None:
    """Run a notebook of the project in the working directory, as papermill does from any; `cells`: those alone."""
    notebook = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cells is None or cell.id in cells]
    papermill.execute_notebook(
        notebook,
        f"{name}.ipynb",
        parameters,
        progress_bar=False,
        start_timeout=300,  # seconds; a busy machine starts a kernel slowly
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_is_used_or_listed_with_its_reason(ran: tuple[Study, set[str]]) -> None:
    study, names = ran
    used = {row["source"] for row in rows_of(study.dataset / "metadata.csv")}
    refused = {row["file"]: row["reason"] for row in rows_of(study.dataset / "refused.csv")}
    assert used | set(refused) == names and not used & set(refused)
    assert set(refused) == {"cut.png", "note.jpg"} and all(refused.values())


def test_every_image_has_a_caption_that_opens_with_the_subject(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    rows = rows_of(study.dataset / "metadata.csv")
    assert all(row["text"].startswith(study.captioning.subject) and row["machine_text"] for row in rows)
    assert {row["split"] for row in rows} == {"train", "held_out"}


def test_adapter_says_what_it_is(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    variant, control = read_variants(VARIANTS)
    record = json.loads((study.adapter(variant) / "settings.json").read_text())
    assert record["variant"] == {"rank": 4, "alpha": 8.0, "use_rslora": False} and record["largest_error"] < 1e-6
    assert len(rows_of(study.adapter(variant) / "losses.csv")) == 4
    assert json.loads((study.adapter(control) / "settings.json").read_text())["variant"]["captions"] == "shuffled"


def test_every_arm_has_every_prompt_and_seed_scored_by_every_model(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    rows = rows_of(study.scores)
    two = dict.fromkeys(("clip_score", "clip_cosine", "ref_clip_score"), 2)
    one = dict.fromkeys(("clip_i", "identity", "memorisation", "diversity", "judge"), 1)
    for metric, models in (two | one).items():
        kept = [row for row in rows if row["metric"] == metric]
        assert len(kept) == models * 3 * 9 * 2  # models × arms × prompts × seeds
        assert len({(r["model"], r["variant"], r["prompt"], r["seed"]) for r in kept}) == len(kept)


def test_drift_is_of_the_unrelated_prompts_and_none_of_the_baseline_itself(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    rows = [row for row in rows_of(study.scores) if row["metric"] == "drift"]
    assert {row["split"] for row in rows} == {"unrelated"} and len(rows) == 3 * 2 * 2
    assert all((float(row["value"]) == 0) == (row["variant"] == "baseline") for row in rows)


def test_controls_of_the_study_were_run_and_passed(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    rows = rows_of(study.controls)
    assert [(r["variant"], r["value"], r["passed"]) for r in rows if r["control"] == "scale 0"] == [
        (variant.name, "0.0", "True") for variant in read_variants(VARIANTS)
    ]
    shuffled = {r["variant"]: float(r["difference"]) for r in rows if r["control"] == "shuffled prompts"}
    assert set(shuffled) == {"baseline", *(v.name for v in read_variants(VARIANTS))}


def test_chosen_adapter_alone_is_scored_at_every_scale(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    chosen, control = read_variants(VARIANTS)
    choice = {row["variant"]: (row["tested"], row["chosen"]) for row in rows_of(study.choice)}
    assert choice == {"baseline": ("True", "False"), chosen.name: ("True", "True"), control.name: ("True", "False")}
    rows = [row for row in rows_of(study.scales) if row["metric"] == "identity"]
    assert {(r["variant"], float(r["scale"])) for r in rows} == {(chosen.name, scale) for scale in (0.0, 0.5, 1.0)}
    assert {r["split"] for r in rows} == {"development", "unrelated"} and {r["seed"] for r in rows} == {"0"}
    assert not study.samples(f"{control.name}@0.5").exists()


def test_every_variant_has_its_distances_and_the_closest_samples_are_named(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    rows = rows_of(study.arms)
    assert {(row["variant"], row["metric"]) for row in rows} == {
        (variant.name, metric)
        for variant in read_variants(VARIANTS)
        for metric in ("kid", "cmmd", "memorised", "diversity")
    }
    assert all(0 < float(row["p"]) <= float(row["p_corrected"]) <= 1 for row in rows)
    for row in rows_of(study.closest):
        assert (study.samples(row["variant"]) / row["sample"]).is_file() and (study.dataset / row["portrait"]).is_file()


def test_report_opens_offline_and_figures_come_in_both_forms_with_their_numbers(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    page = study.report.read_text(encoding="utf-8")
    assert study.question in html.unescape(page)
    assert not re.search(r"""src=["'](?!data:)|<link|<script|@import|url\((?!["']?data:)""", page)
    assert "data:image/png;base64," in page
    drawn = {path.stem for path in study.figures.glob("*.png")}
    assert drawn and drawn == {path.stem for path in study.figures.glob("*.svg")}
    assert drawn - {path.stem for path in study.figures.glob("*.csv")} == {"pipeline", "lora"}  # which show no numbers
    assert {"forest", "heatmap", "slopes", "extremes", "tradeoff", "scales", "closest", "captions"} <= drawn


def test_caption_ablation_is_drawn_counted_and_told_and_its_control_is_no_candidate(
    ran: tuple[Study, set[str]],
) -> None:
    study, _ = ran
    rows = rows_of(study.figures / "caption_ablation.csv")
    assert {row["captions"] for row in rows} == {"reviewed", "shuffled"}
    page = html.unescape(study.report.read_text(encoding="utf-8"))
    assert "What captions are worth" in page
    assert not re.search("<td>r4_a8_shuffled</td>|r4_a8_shuffled (beats|falls|cannot)", page)


def test_person_images_are_not_touched(ran: tuple[Study, set[str]]) -> None:
    study, names = ran
    assert {path.name for path in study.images_folder.iterdir()} == names


def test_inference_run_again_draws_nothing_anew_and_heals_what_is_lost(
    ran: tuple[Study, set[str]], tmp_path: Path
) -> None:
    study, _ = ran
    folders = [study.samples(arm) for arm in ("baseline", "r4_a8")]
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("*.png")}
    table = (folders[0] / "metadata.csv").read_bytes()
    (folders[0] / "metadata.csv").unlink()  # as Snakemake does before it runs a step again
    with chdir(tmp_path):
        run_notebook("03_inference", {"study": str(study.path("small.yaml")), "variants": VARIANTS})
    assert {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("*.png")} == before
    assert (folders[0] / "metadata.csv").read_bytes() == table


def test_report_says_of_each_control_whether_it_passed(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    page, rows = study.report.read_text(encoding="utf-8"), rows_of(study.controls)
    for control in ("scale 0", "shuffled prompts"):
        own = [r["passed"] for r in rows if r["control"] == control and not r["variant"].endswith("shuffled")]
        state = "passed" if set(own) == {"True"} else "FAILED"
        assert f'<span class="state {state}">{state}</span> <b>{control}.</b>' in page


def test_card_of_the_chosen_adapter_is_written_and_sent_nowhere(ran: tuple[Study, set[str]], tmp_path: Path) -> None:
    study, names = ran
    folder = study.run / "card" / "r4_a8"
    page, files = (folder / "README.md").read_text(encoding="utf-8"), [p.name for p in folder.rglob("*") if p.is_file()]
    assert "# small_r4_a8" in page and "r4_a8 " in page and {DIFFUSERS, "small_r4_a8.safetensors"} <= {*files}
    kept = {path.read_bytes() for path in study.dataset.glob("*.png")}
    assert not any(path.read_bytes() in kept for path in folder.rglob("*.png")) and not {*names} & {*files}


def test_nothing_written_holds_a_secret_or_where_and_by_what_a_photograph_was_taken(
    ran: tuple[Study, set[str]],
) -> None:
    study, _ = ran
    written = [p for p in study.path("").rglob("*") if p.is_file() and p.parent != study.images_folder]
    assert {".ipynb", ".png", ".safetensors", ".csv", ".json", ".html", ".md", ".svg"} <= {p.suffix for p in written}
    assert found_in(written, [*SECRETS, DEVICE, PLACE]) == {}


@needs_chromium
def test_what_the_notebooks_show_runs_no_script_and_asks_for_nothing(ran: tuple[Study, set[str]]) -> None:
    study, _ = ran
    notebooks = [nbformat.read(path, as_version=4) for path in sorted(study.path("").glob("0*.ipynb"))]
    outputs = [o.data for n in notebooks for c in n.cells for o in c.get("outputs", []) if "data" in o]
    shown = [str(data[kind]) for data in outputs for kind in ("text/html", "image/svg+xml") if kind in data]
    assert len(notebooks) == 5 and len(shown) > 5 and any("window.ran" in html for html in shown)
    with browser() as opened:
        opened.show("".join(shown))
        assert opened.ran() is None and opened.asked == []


def test_a_notebook_without_anybody_to_ask_sends_nothing_and_says_so(
    ran: tuple[Study, set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = ran
    with local_hub() as hub, chdir(tmp_path):
        for name, value in {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}.items():
            monkeypatch.setenv(name, value)
        parameters = {"study": str(study.path("small.yaml")), "variants": VARIANTS, "push_to": "me/faces"}
        with pytest.raises(papermill.PapermillExecutionError, match="nobody can answer here, so nothing was sent"):
            run_notebook("05_analysis", parameters, CARD)
        assert hub.requests and hub.sent == []
