"""What notebook 05 holds of what metrics are worth, by a judge and by people; and which variants figures show."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from caplora.figures import SHOWN, left_out
from caplora.notebooks.tables import Tables
from caplora.rating import Opinions, people_said, read_opinions
from caplora.report import Believed, believed, extra_rows, extra_sentences


class BelievedTables(Tables):
    """The tables of a study, and what its metrics can be believed for."""

    @cached_property
    def believed(self) -> Believed:
        """What each metric can be believed for, by the judge; empty without one."""
        return believed(self.scores)

    def which_metric(self) -> pd.DataFrame:
        """The AUC of each metric, a column for each kind of pairs, with its interval."""
        rows = [
            {column: row[column] if column == "metric" else _said(row[column]) for column in row}
            for row in self.believed.rows
        ]
        return pd.DataFrame(rows, columns=["metric", *self.believed.columns]).set_index("metric").fillna("")

    def which_for_what(self) -> str:
        """What follows: the metric to believe for the prompt, and for the style."""
        return "\n".join(self.believed.follows) or "there is no judge, so nothing tells which metric to believe"

    @cached_property
    def opinions(self) -> Opinions:
        """What people said of the pictures."""
        return read_opinions(self.study, self.everything)

    def people(self) -> str:
        """The same in sentences, or that nobody has compared pictures."""
        return people_said(self.study, self.opinions)

    def leading(self, names: Sequence[str], most: int = SHOWN) -> tuple[list[str], str]:
        """The names that a figure shows, the best on the development prompts, in order; and what it leaves out."""
        gains = self.effects_on("development").set_index("variant")["difference"].to_dict()
        first = sorted(names, key=lambda name: (name != self.best, -gains.get(name, -np.inf)))[:most]
        return [name for name in names if name in first], left_out(first, names)

    def further_metrics(self) -> str:
        """Of each further metric: what it found, its licence and what it cannot tell."""
        said = extra_sentences(extra_rows(self.effects, self.best))
        return "\n".join(said) or "the study asks for no further metrics (scoring.extra)"


def _said(cell: dict) -> str:
    return f"{cell['value']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})"
