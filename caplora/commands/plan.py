"""Say what a study needs of a card and how long it takes, before anything is run."""

from typing import Annotated, Literal

from cyclopts import Parameter

from caplora.commands.say import say
from caplora.study import read_study, read_variants

Name = Literal["T4", "L4", "A100", "A100-80GB", "H100", "H200"]  # of a card


def plan(
    study: str,
    /,
    *,
    variants: str = "grid",
    card: Annotated[tuple[Name, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    images: int = 100,
) -> None:
    """Say what a study needs of a card, what is chosen and how many minutes notebooks 02 to 04 take.

    ```
    python -m caplora plan sd15 --card T4
    ```

    Nothing is loaded: the configs of the base model are read, some kB of a model of the hub, and its passes are counted
    on tensors without numbers.

    Args:
        study: A file of params/studies.
        variants: A file of params/variants; several are joined by a plus.
        card: Several give a row each; else the one in this machine.
        images: Portraits that are trained on.
    """
    from caplora import planning

    asked, chosen = read_study(study), read_variants(variants)
    here = planning.card_here()
    cards = [planning.card_of(name) for name in card] or ([here] if here else [])
    if not cards:
        raise ValueError(
            f"there is no card here whose rate is known, and on a processor only a measured step says how long: name a"
            f" card to plan for, --card {' or '.join(planning.CARDS)}"
        )
    configs = planning.read_configs(asked)
    forecasts = [planning.forecast_of(asked, chosen, configs, own, images) for own in cards]
    say(planning.table_of(forecasts))
    for forecast in forecasts:
        say(f"\n{forecast.said()}")
