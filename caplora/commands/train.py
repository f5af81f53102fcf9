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
    from tqdm.auto import tqdm

    from caplora.notebooks import Adapters

    adapters = Adapters(asked, chosen)
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
        bar.set_postfix(step.losses, refresh=False)
    bar.close()
    if adapters.first:
        say(f"{adapters.took()}\n{adapters.folders()}")
