"""What a study needs, what a card has, what is chosen and how long it takes: said before anything is run.

`configs` reads the shapes of a base model, `counting` their arithmetic and memory, on tensors without numbers. `cards`
are known graphics cards. `needs` says what fits and how the variants are packed, `pictures` how many samples there are,
`further` what the metrics of `scoring.extra` take, `minutes` how long notebooks 02 to 04 take and `again` what it takes
to train the best recipes again; `plan` puts it together.
"""

from caplora.planning.again import pictures_again
from caplora.planning.cards import CARDS, Card, card_here, card_of
from caplora.planning.configs import BaseConfigs, read_configs
from caplora.planning.minutes import Minutes
from caplora.planning.needs import Needs
from caplora.planning.plan import Forecast, forecast_of, table_of

__all__ = [
    "CARDS", "BaseConfigs", "Card", "Forecast", "Minutes", "Needs", "card_here", "card_of", "forecast_of",
    "pictures_again", "read_configs", "table_of",
]  # fmt: skip
