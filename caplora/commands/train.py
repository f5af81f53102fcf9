"""Train a study's variants, or one adapter from a folder of captioned images."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import CycloptsError, Group, Parameter

from caplora.commands.flags import TABLE, Flags, flags_of, given
from caplora.commands.original import FOLDER, FolderFlags, folder_study, left_in
from caplora.commands.say import say
from caplora.study import Training, read_study, read_variants

if TYPE_CHECKING:
    from caplora.notebooks import Adapters

TRAINING = Group(
    "Training",
    help="Of the study, for this run. What is not given stays as the study file says; the defaults are those of a"
    " study that does not say.",
    sort_key=2,
    help_formatter=TABLE,
)
IN_DIFFUSERS = {"batch_size": "train_batch_size", "steps": "max_train_steps"}


@flags_of(Training, (name for name in Training.model_fields if name != "prior"), IN_DIFFUSERS)
class TrainingFlags(Flags):
    """How the study is trained, for this run.

    `prior` has no flag, as it has parts of its own. What a study says other than None cannot be made None by a flag.
    """


def train(
    study: str | None = None,
    /,
    *,
    variants: Annotated[str | None, Parameter(show_default=lambda _: "grid")] = None,
    fork: bool = False,
    folder: Annotated[FolderFlags | None, Parameter(name="*", group=FOLDER)] = None,
    training: Annotated[TrainingFlags | None, Parameter(name="*", group=TRAINING, negative_bool="no_")] = None,
) -> None:
    r"""Train the variants of a study, or one adapter from a folder of captioned images.

    A study, as notebook 02 does, on the reviewed captions of notebook 01:

    ```
    python -m caplora train mini --variants r8_a8 --steps 200
    ```

    A folder with captions.json or metadata.csv, by the flags of diffusers' training script. The adapter then lies in
    --output_dir, with a study file and all that was made beside it:

    ```
    python -m caplora train --instance_data_dir=faces \
        --caption_file=captions.json --output_dir=lora_weights \
        --resolution=384 --num_train_epochs=10 --rank=4 --alpha=8
    ```

    Variants are trained together in as few passes as memory allows. A training that was interrupted goes on where it
    stopped; a changed setting or image refuses to, and says what changed. Several processes: begin with
    `accelerate launch -m caplora train` instead.

    Args:
        study: A file of params/studies.
        variants: A file of params/variants; several are joined by a plus.
        fork: Set a training aside that stopped half way and was begun differently.
    """
    if folder is None and study is None:
        raise unclear("which images? Give a STUDY, or a folder of captioned images by --instance_data_dir.")
    if folder is not None and (study or variants):
        raise unclear(f"give --instance_data_dir or {'--variants' if variants else 'a STUDY'}, not both.")
    if folder is None:
        asked, chosen = read_study(study or "", training=given(training)), read_variants(variants or "grid")
    else:
        asked, chosen = folder_study(folder, given(training)), (folder.variant,)
    from caplora.notebooks import Adapters

    adapters = Adapters(asked, chosen)
    run(adapters, fork)
    if adapters.first:
        say(left_in(asked, folder.variant, folder.output_dir.expanduser()) if folder else adapters.folders())


def unclear(why: str) -> CycloptsError:
    """The error of a command line that can mean two things, or none."""
    return CycloptsError(msg=why, command_chain=("train",))


def run(adapters: "Adapters", fork: bool) -> None:
    """Train adapters to the end, with bars; the first process says what is planned."""
    from tqdm.auto import tqdm

    quiet = not adapters.first
    adapters.encode(tqdm(adapters.captions, desc="encoding", unit="image", disable=quiet))
    adapters.encode_held_out(adapters.kept_back)
    images = adapters.prior.images if adapters.prior else 0
    for _ in tqdm(adapters.draw_class_images(), total=images, desc="class images", disable=quiet or not images):
        pass
    said = adapters.prepare(fork)
    forecast = adapters.forecast()
    if adapters.first:
        say(f"{said}\n{forecast}")
    bar = tqdm(total=adapters.steps, desc="training", unit="step", disable=quiet)
    for step in adapters.train():
        bar.update()
        if step.losses:
            bar.set_postfix({name: loss for _, name, loss in step.losses}, refresh=False)
    bar.close()
    if adapters.first:
        say(adapters.took())
