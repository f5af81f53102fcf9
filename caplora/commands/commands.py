"""What the commands do: captions, train, score, report, merge, extract, resize, convert. `cli.py` has their flags."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from tqdm.auto import tqdm

from caplora.captions import (
    Ledger,
    compared,
    findings_table,
    held_out,
    imported,
    lint,
    load_tokenizer,
    read_captions,
    read_history,
    read_ledger,
    restore_ledger,
    trained,
    write_captions,
)
from caplora.lora import Adapter, extract, kohya_metadata, left_out, merge, read_adapter, resize, write_weights
from caplora.models import device_of, load_base
from caplora.report import write_pdf
from caplora.sampling import (
    adapter_file,
    draw_class_images,
    flagged_sentence,
    plan_jobs,
    previews,
    read_samples,
    sample,
    sheet,
    study_on,
    two_arms,
    write_tables,
)
from caplora.scoring import ClipEmbeddings, ClipEncoder, embed, read_texts, score_folder
from caplora.statistics import interval
from caplora.study import Clip, Scoring, Variant, read_study, read_variants, replacing, write_text
from caplora.training import Encoders, Grid, claim, other_captions, plan_packs, train_grid


def exchange_captions(given: argparse.Namespace) -> None:
    """Write captions for other tools, read them back, or say what there is to say of them; in this order."""
    study = read_study(given.study)
    if given.restore:
        say(f"{len(restore_ledger(study.dataset))} rows restored")
    rows = {row.file_name: row for row in read_ledger(study.dataset)}
    if given.source:
        cells = read_captions(given.source)
        changed = Ledger(study.dataset).amend(
            lambda now: imported(now, cells, str(given.source), given.partial), f"import {given.source}"
        )
        say(f"{len(changed.rows) if changed else 0} captions changed")
        rows = {row.file_name: row for row in read_ledger(study.dataset)}
    if given.compare:
        table = compared(rows, read_captions(given.compare), given.compare.name)
        say(table.to_csv(index=False).rstrip() if len(table) else "they agree")
    if given.lint:
        texts = {row.file_name: row.text for row in rows.values() if row.status != "rejected"}
        found = findings_table(lint(texts, load_tokenizer(study), study.captioning))
        say(found.to_csv(index=False).rstrip() if len(found) else "nothing is doubtful")
    if given.history:
        for change in read_history(study.dataset):
            say(f"{change.number}\t{change.time}\t{change.who}\t{change.why}\t{', '.join(change.rows)}")
    if given.export:
        write_captions(rows.values(), given.export)
        say(str(given.export))


def train_variants(given: argparse.Namespace) -> None:
    """Train a study's variants as notebook 02 does; `accelerate launch -m caplora train …` uses several processes."""
    study, chosen = read_study(given.study), read_variants(given.variants)
    first = Accelerator(cpu=device_of().type == "cpu")
    quiet = not first.is_main_process
    pipeline, ledger = load_base(study), read_ledger(study.dataset)
    encoders = Encoders(pipeline, study.run / "cache", study.training)
    captions = [(row.file_name, row.text) for row in trained(ledger)]
    others = other_captions(study, trained(ledger), chosen)
    kept_back = [(row.file_name, row.text) for row in held_out(ledger) if row.text]
    inputs = encoders.inputs(study.dataset, tqdm(captions, desc="encoding", unit="image", disable=quiet), others)
    validation = encoders.inputs(study.dataset, kept_back) if kept_back else None
    for prior in filter(None, [study.training.prior]):
        with first.main_process_first():
            drawn = draw_class_images(pipeline, study.run / "class", prior, study.sampling)
            names = [path.name for path in tqdm(drawn, total=prior.images, desc="class images", disable=quiet)]
        inputs = inputs.with_class_images(
            encoders.inputs(study.run / "class", [(name, prior.prompt) for name in names])
        )
    grid = Grid(study, pipeline, inputs, validation)
    for said in claim(grid, chosen, given.fork) if not quiet else ():
        say(said)
    first.wait_for_everyone()
    [packs] = broadcast_object_list([plan_packs(grid, chosen)])
    bar = tqdm(total=packs.steps, desc="training", unit="step", disable=quiet)
    for step in train_grid(grid, packs.packs, previews):
        bar.update()
        bar.set_postfix(step.losses, refresh=False)
    bar.close()
    for variant in chosen if not quiet else ():
        say(str(study.adapter(variant)))


def sample_prompts(given: argparse.Namespace) -> None:
    """Draw prompts with the base model and with an adapter, into a folder for each, and both side by side."""
    turned = {"num_inference_steps": given.num_inference_steps, "guidance_scale": given.guidance_scale}
    study = study_on(
        read_study("sd15", sampling=turned | {"seeds": given.seeds}), given.pretrained_model, given.resolution
    )
    weights, out = adapter_file(given.lora_weights.expanduser()), given.output_dir.expanduser()
    pipeline, settings = load_base(study), study.sampling
    arms = two_arms(pipeline, weights, given.scale, given.prompt, settings, out)
    jobs = [job for arm in arms for job in plan_jobs([arm], settings)]  # one after another: convolutions are merged
    for _ in tqdm(sample(pipeline, jobs, settings), total=len(jobs), desc="sampling", unit="batch"):
        pass
    write_tables(arms)
    if flagged := flagged_sentence([s for arm in arms for s in read_samples(arm.folder)]):
        say(flagged)
    with replacing(out / "side_by_side.jpg") as part:
        sheet(arms).save(part, format="JPEG", quality=92)
    for arm in arms:
        say(str(arm.folder))
    say(f"{out / 'side_by_side.jpg'}: at the left {arms[0].folder.name}, at the right {arms[1].folder.name}")


def score_pictures(given: argparse.Namespace) -> None:
    """Write raw cosine and CLIPScore of each picture of a folder, and say their means."""
    folder, settings = given.images_dir.expanduser(), Scoring()
    texts = read_texts(folder, given.text)
    clip = Clip(name=given.model, pretrained=given.pretrained) if given.model else settings.clips[0]
    if given.pretrained and not given.model:
        raise ValueError("--pretrained goes with --model: say which model these are the weights of")
    label = f"{clip.name}/{clip.pretrained}" if clip.pretrained else clip.name.rsplit("/", 1)[-1]
    views = ClipEmbeddings(ClipEncoder(clip.name, clip.pretrained, label, device_of()), None, settings.batch_size)
    batches = -(-len(texts) // settings.batch_size)
    for _ in tqdm(embed([views], [folder / name for name in texts]), total=batches, desc="embedding", unit="batch"):
        pass
    scores = score_folder(views, folder, texts, settings.prefix if given.prefix is None else given.prefix)
    out = given.out or folder / "scores.csv"
    write_text(out, scores.to_csv(index=False))
    folders = scores["file_name"].map(lambda name: Path(name).parent.name)
    for (arm, metric), own in scores.groupby([folders, "metric"], sort=False):
        say(f"{f'{arm}: ' if arm else ''}{metric} by {label}: {summary(own['value'].to_numpy())}")
    if given.text is not None:
        say("one text for all is a weak measure: it says nothing of whether each picture shows what was asked for")
    say(str(out))


def summary(values: Sequence[float] | NDArray[np.floating]) -> str:
    """`mean 0.312, n 8, sd 0.021, 95 % interval over images 0.294 to 0.330`; of one picture only its value."""
    own = np.asarray(values, float)
    if len(own) == 1:
        return f"mean {own[0]:.4f}, n 1: one picture has no spread"
    mean, low, high = interval(own)
    said = f"mean {mean:.4f}, n {len(own)}, sd {own.std(ddof=1):.4f}"
    return f"{said}, 95 % interval over images {low:.4f} to {high:.4f}"


def show_report(given: argparse.Namespace) -> None:
    """Say where the page is that notebook 05 wrote; with --pdf make a PDF of it, beside it."""
    page = read_study(given.study).report
    if not page.is_file():
        raise FileNotFoundError(f"{page} does not exist: run 05_analysis, which writes it")
    say(str(write_pdf(page, page.with_suffix(".pdf")) if given.pdf else page))


def merge_adapter(given: argparse.Namespace) -> None:
    """Write the base model with an adapter added to its weights, as a model that diffusers loads."""
    pipeline = read_pipeline(given.base)
    merge(pipeline, read_adapter(given.adapter), given.strength)
    pipeline.save_pretrained(given.out)
    say(str(given.out))


def extract_adapter(given: argparse.Namespace) -> None:
    """Write the adapter of a rank that takes one model to another, in kohya's form."""
    base, tuned = read_pipeline(given.base), read_pipeline(given.tuned)
    layers = list(tqdm(extract(base, tuned, given.rank), desc="layers", unit="layer"))
    if not layers:
        raise ValueError(f"{given.base} and {given.tuned} have the same weights: there is nothing to extract")
    adapter = Adapter(Variant(rank=given.rank, alpha=given.rank), {name: weights for name, weights, _ in layers})
    save_adapter(adapter, given.out, "kohya", given.base)
    lost = max(share for _, _, share in layers)
    say(f"{given.out}: {len(layers)} layers; the largest share of a change that is lost is {lost:.3f}")
    say(f"left out, being no linear or 1 × 1 layers: {left_out(base, tuned)} changed weights and biases")


def resize_adapter(given: argparse.Namespace) -> None:
    """Write an adapter at a lower rank, in kohya's form."""
    adapter, lost = resize(read_adapter(given.adapter), given.rank)
    save_adapter(adapter, given.out, "kohya", "")
    say(f"{given.out}: the largest share of a change that is lost is {lost:.3f}")


def convert_adapter(given: argparse.Namespace) -> None:
    """Write an adapter, ours or other people's, in the other form."""
    save_adapter(read_adapter(given.adapter), given.out, given.to, "")
    say(str(given.out))


def save_adapter(adapter: Adapter, path: Path, form: str, base: str) -> None:
    """Write a file by itself, proven by reading it again."""
    error = write_weights(adapter, path, form, kohya_metadata(adapter, path.stem, 512, base))
    say(f"largest |ΔW of the file − ΔW| of any weight: {error:.2g}")


def read_pipeline(model: str) -> StableDiffusionPipeline:
    """Stable Diffusion from a folder, or from the hub as `owner/name@revision`, in fp32."""
    path, _, revision = model.partition("@")
    options = {"safety_checker": None, "requires_safety_checker": False, "use_safetensors": True}
    pipeline = StableDiffusionPipeline.from_pretrained(path, revision=revision or None, **options)
    pipeline.text_encoder.float()  # transformers loads it in the precision of its file
    return pipeline


def say(text: str) -> None:
    """A line for the person at the terminal."""
    sys.stdout.write(f"{text}\n")


RUN = {
    "captions": exchange_captions,
    "train": train_variants,
    "sample": sample_prompts,
    "score": score_pictures,
    "report": show_report,
    "merge": merge_adapter,
    "extract": extract_adapter,
    "resize": resize_adapter,
    "convert": convert_adapter,
}
