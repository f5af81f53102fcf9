"""Draw with a base model and an adapter, and score pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from caplora.commands.flags import TABLE, Flags, default_of, flags_of, given, shown
from caplora.commands.say import say
from caplora.study import Clip, Images, Sampling, Scoring, moved_notice, read_study, replacing, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWING = Group("Drawing", help="As in a study's `sampling`.", sort_key=1, help_formatter=TABLE)
SCORING = Group("Scoring", help="As in a study's `scoring`.", sort_key=1, help_formatter=TABLE)
PRIMARY = default_of(Scoring, "clips")[0]


@flags_of(Sampling, ("seeds", "num_inference_steps", "solver", "guidance_scale", "batch_size"))
class DrawingFlags(Flags):
    """How pictures are drawn. A study's prompts and scales have no flag: `sample` is given its own."""


@flags_of(Scoring, ("prefix", "batch_size"))
class ScoringFlags(Flags):
    """How pictures are scored. A study's models have no flag: `score` looks with one CLIP, which `--model` names."""


def sample(
    *,
    pretrained_model: str,
    lora_weights: Path,
    prompt: list[str],
    scale: float = 1.0,
    resolution: int = default_of(Images, "resolution"),
    output_dir: Path = Path("results"),
    drawing: Annotated[
        DrawingFlags | None, Parameter(name="*", group=DRAWING, consume_multiple=(1, None), show_default=shown)
    ] = None,
) -> None:
    r"""Draw prompts with a base model and with an adapter, from the same noise.

    ```
    python -m caplora sample --pretrained_model caplora/mini/models/stable_diffusion \
        --lora_weights runs/mini/adapters/r8_a8 \
        --prompt "an ink drawing of a woman by the sea"
    ```

    Leaves a folder of pictures for each of the two, and side_by_side.jpg. `score --images_dir` scores both.

    Args:
        pretrained_model: The base model: a folder, or owner/name@revision.
        lora_weights: The adapter: a file in any form, or the folder it lies in.
        prompt: What to draw; may be given several times.
        scale: How much of the adapter is used.
        resolution: Pixels of a side.
        output_dir: Where it goes; what other settings drew there is removed, and other prompts stay.
    """
    from tqdm.auto import tqdm

    from caplora import lora, sampling
    from caplora.models import load_base

    if notice := moved_notice(pretrained_model):
        say(notice)
    usual = {name: default_of(Sampling, name) for name in DrawingFlags.model_fields}  # sd15 has its own
    turned = usual | given(drawing)
    study = sampling.study_on(read_study("sd15", sampling=turned), pretrained_model, resolution)
    weights, out = lora.adapter_file(lora_weights.expanduser()), output_dir.expanduser()
    pipeline, settings = load_base(study), study.sampling
    arms, removed = sampling.two_arms(pipeline, weights, scale, prompt, settings, out)
    for note in (*([removed] if removed else []), *arms[1].adapter.notes):
        say(note)
    jobs = [job for arm in arms for job in sampling.plan_jobs([arm], settings)]  # in turn: convolutions are merged
    for _ in tqdm(sampling.sample(pipeline, jobs, settings), total=len(jobs), desc="sampling", unit="batch"):
        pass
    sampling.write_tables(arms)
    if flagged := sampling.flagged_sentence([s for arm in arms for s in sampling.read_samples(arm.folder)]):
        say(flagged)
    with replacing(out / "side_by_side.jpg") as part:
        sampling.sheet(arms).save(part, format="JPEG", quality=92)
    for arm in arms:
        say(str(arm.folder))
    say(f"{out / 'side_by_side.jpg'}: at the left {arms[0].folder.name}, at the right {arms[1].folder.name}")


def score(
    *,
    images_dir: Path,
    text: str | None = None,
    model: Annotated[str | None, Parameter(show_default=lambda _: PRIMARY.name)] = None,
    pretrained: Annotated[str | None, Parameter(show_default=lambda _: PRIMARY.pretrained)] = None,
    out: Path | None = None,
    scoring: Annotated[ScoringFlags | None, Parameter(name="*", group=SCORING)] = None,
) -> None:
    """Score any folder of pictures by CLIPScore, each with what it should show.

    ```
    python -m caplora score --images_dir results
    ```

    Pictures that caplora or A1111 drew say themselves what they should show; for others a metadata.csv says it, or a
    text beside each (a.png, a.txt), or any other form of captions that `captions` reads.
    Writes the raw cosine and the CLIPScore of each picture, and says their means with intervals. A picture that is
    flagged as black or not finite is named and left out of them. What goes before each text is --prefix, else what
    the model says of itself, else CLIPScore's own words.

    Args:
        images_dir: The folder, or one of folders; a metadata.csv there says file_name and text.
        text: One text for all pictures instead: a weak measure, which cannot tell one prompt from another.
        model: A name of open_clip, local-dir:PATH or hf-hub:owner/name@COMMIT.
        pretrained: The weights of --model: a name of open_clip, with @COMMIT if caplora knows none, or a file.
        out: The table of scores; else scores.csv beside the pictures.
    """
    from tqdm.auto import tqdm

    from caplora.models import device_of
    from caplora.scoring import clip_embeddings, embed, left_out, read_pictures, score_folder, scored_paths, unread

    folder, turned = images_dir.expanduser(), given(scoring)
    if pretrained and not model:
        raise ValueError("--pretrained goes with --model: say which model these are the weights of")
    pictures = read_pictures(folder, text)
    paths, settings = scored_paths(folder, pictures), Scoring(**turned)
    named = Clip(name=model, pretrained=pretrained) if model else PRIMARY
    clip = clip_embeddings(named.model_copy(update={"prefix": turned.get("prefix")}), named.name, settings, device_of())
    batches, by = -(-len(paths) // settings.batch_size), clip.encoder
    for _ in tqdm(embed([clip], paths), total=batches, desc="embedding", unit="batch"):
        pass
    scores = score_folder(clip, folder, pictures)
    table = out or folder / "scores.csv"
    write_text(table, scores.to_csv(index=False))
    say(f"scored by {by.label} (weights {by.weights}), {before_texts(clip.prefix)}")
    for lost in filter(None, (left_out(pictures), unread(folder, pictures))):
        say(lost)
    folders, measured = scores["file_name"].map(lambda name: Path(name).parent.name), scores[scores["flag"] == ""]
    for (arm, metric), own in measured.groupby([folders, "metric"], sort=False):
        say(f"{f'{arm}: ' if arm else ''}{metric} by {by.label}: {summary(own['value'].to_numpy())}")
    if text is not None:
        say("one text for all is a weak measure: it says nothing of whether each picture shows what was asked for")
    say(str(table))


def before_texts(prefix: str) -> str:
    """What each text was scored with: `“A photo depicts ” before each text`."""
    return f"“{prefix}” before each text" if prefix else "nothing before the texts"


def summary(values: "Sequence[float] | NDArray[np.floating]") -> str:
    """`mean 0.312, n 8, sd 0.021, 95 % interval over images 0.294 to 0.330`; of one picture only its value."""
    import numpy as np

    from caplora.statistics import interval

    own = np.asarray(values, float)
    if len(own) == 1:
        return f"mean {own[0]:.4f}, n 1: one picture has no spread"
    mean, low, high = interval(own)
    said = f"mean {mean:.4f}, n {len(own)}, sd {own.std(ddof=1):.4f}"
    return f"{said}, 95 % interval over images {low:.4f} to {high:.4f}"
