"""Train a study's variants."""

from typing import Annotated

from cyclopts import Group, Parameter

from caplora.commands.flags import TABLE, Flags, flags_of, given
from caplora.commands.say import say
from caplora.study import Training, read_study, read_variants

TRAINING = Group(
    "Training",
    help="Of the study, for this run. What is not given stays as the study file says; the defaults are those of a"
    " study that does not say.",
    sort_key=1,
    help_formatter=TABLE,
)


@flags_of(Training, (name for name in Training.model_fields if name != "prior"))
class TrainingFlags(Flags):
    """How the study is trained, for this run.

    `prior` has no flag, as it has parts of its own. What a study says other than None cannot be made None by a flag.
    """


def train(
    study: str,
    /,
    *,
    variants: str = "grid",
    fork: bool = False,
    training: Annotated[TrainingFlags | None, Parameter(name="*", group=TRAINING, negative_bool="no_")] = None,
) -> None:
    """Train variants as notebook 02 does, on the reviewed captions of notebook 01.

    ```
    python -m caplora train mini --variants r8_a8 --steps 200
    ```

    Variants are trained together in as few passes as memory allows. A training that was interrupted goes on where it
    stopped; a changed setting or image refuses to, and says what changed. Several processes: begin with
    `accelerate launch -m caplora train` instead.

    Args:
        study: A file of params/studies.
        variants: A file of params/variants; several are joined by a plus.
        fork: Set a training aside that stopped half way and was begun differently.
    """
    asked, chosen = read_study(study, training=given(training)), read_variants(variants)
    from accelerate import Accelerator
    from accelerate.utils import broadcast_object_list
    from tqdm.auto import tqdm

    from caplora.captions import held_out, read_ledger, trained
    from caplora.models import device_of, load_base
    from caplora.sampling import draw_class_images, previews
    from caplora.training import Encoders, Grid, claim, other_captions, plan_packs, train_grid

    first = Accelerator(cpu=device_of().type == "cpu")
    quiet = not first.is_main_process
    pipeline, ledger = load_base(asked), read_ledger(asked.dataset)
    encoders = Encoders(pipeline, asked.run / "cache", asked.training)
    captions = [(row.file_name, row.text) for row in trained(ledger)]
    others = other_captions(asked, trained(ledger), chosen)
    kept_back = [(row.file_name, row.text) for row in held_out(ledger) if row.text]
    inputs = encoders.inputs(asked.dataset, tqdm(captions, desc="encoding", unit="image", disable=quiet), others)
    validation = encoders.inputs(asked.dataset, kept_back) if kept_back else None
    for prior in filter(None, [asked.training.prior]):
        with first.main_process_first():
            drawn = draw_class_images(pipeline, asked.run / "class", prior, asked.sampling)
            names = [path.name for path in tqdm(drawn, total=prior.images, desc="class images", disable=quiet)]
        inputs = inputs.with_class_images(
            encoders.inputs(asked.run / "class", [(name, prior.prompt) for name in names])
        )
    grid = Grid(asked, pipeline, inputs, validation)
    for said in claim(grid, chosen, fork) if not quiet else ():
        say(said)
    first.wait_for_everyone()
    [packs] = broadcast_object_list([plan_packs(grid, chosen)])
    bar = tqdm(total=packs.steps, desc="training", unit="step", disable=quiet)
    for step in train_grid(grid, packs.packs, previews):
        bar.update()
        bar.set_postfix(step.losses, refresh=False)
    bar.close()
    for variant in chosen if not quiet else ():
        say(str(asked.adapter(variant)))
