"""What notebook 05 holds of what metrics are worth: which to believe for what, and the further ones of the study."""

from functools import cached_property

import pandas as pd

from caplora.notebooks.tables import Tables
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

    def further_metrics(self) -> str:
        """Of each further metric: what it found, its licence and what it cannot tell."""
        said = extra_sentences(extra_rows(self.effects, self.best))
        return "\n".join(said) or "the study asks for no further metrics (scoring.extra)"


def _said(cell: dict) -> str:
    return f"{cell['value']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})"
