"""What each metric can be believed for: how well it tells which of two samples shows more, by what the judge knows.

Samples are paired in two ways. Baseline and adapter from one noise is how a study uses a metric, but an adapter changes
everything at once: a metric that sees only the style agrees with whatever comes with it. Two seeds of one prompt and
arm differ by chance alone, so what agrees there does see it.
"""

from collections.abc import Iterator

import pandas as pd

from caplora.statistics.agreement import TRUTH, auc
from caplora.study import BASELINE

SAMPLE = ["variant", "prompt", "seed"]
COLUMNS = ("about", "pairs", "metric", "model", "split", "value", "low", "high", "n", "n_prompts", "first")
STYLE = "judge_style"
ABOUT = {  # what the judge looks at → whether an attribute of it counts
    "all": lambda attribute: True,
    "style": lambda attribute: attribute == STYLE,
    "rest": lambda attribute: attribute != STYLE,
}
PAIRS = ("arms", "seeds")


def agreement_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The AUC of every metric and model for every part of the truth and both kinds of pairs: a row each, COLUMNS.

    `about` is what the prompt names in all, its style, or the rest; where a judge knows no style, all alone. `first` is
    the share of the pairs in which the adapter shows more. Metrics are taken on the test prompts, or where there are
    none on the unrelated ones. What has pairs of fewer than two prompts has no row, and without a judge there is none.
    """
    judged = scores[scores["metric"].str.startswith(f"{TRUTH}_")]
    known = ABOUT if (judged["metric"] == STYLE).any() else {"all": ABOUT["all"]}
    parts = known if len(judged) else {}
    others = scores[~scores["metric"].str.startswith(TRUTH)]
    found = []
    for about, counts in parts.items():
        truth = judged[judged["metric"].map(counts)].groupby(["split", *SAMPLE])["value"].mean()
        for (metric, model), rows in others.groupby(["metric", "model"], sort=False):
            split = "test" if (rows["split"] == "test").any() else "unrelated"
            both = _beside(rows[rows["split"] == split], truth[truth.index.get_level_values("split") == split])
            found += [(about, pairs, metric, model, split, *told) for pairs, told in _told(both)]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _beside(rows: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Variant, prompt, seed, value and truth of each sample that has both."""
    known = truth.rename("truth").reset_index().drop(columns="split")
    return rows[[*SAMPLE, "value"]].merge(known, on=SAMPLE)


def _told(both: pd.DataFrame) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The kind of pairs, the AUC and its interval, pairs and prompts, and the share of the first: where there are."""
    for pairs, table in {"arms": _by_arm(both), "seeds": _by_seed(both)}.items():
        preferred = (table["truth_x"] - table["truth_y"]).to_numpy(float)
        differences = (table["value_x"] - table["value_y"]).to_numpy(float)
        if table.loc[preferred != 0, "prompt"].nunique() > 1:
            told = preferred[preferred != 0]
            yield pairs, (*auc(differences, preferred, table["prompt"].tolist()), float((told > 0).mean()))


def _by_arm(both: pd.DataFrame) -> pd.DataFrame:
    """Each sample of an adapter (x) beside the baseline's from the same noise (y)."""
    base = both["variant"] == BASELINE
    return both[~base].merge(both[base].drop(columns="variant"), on=["prompt", "seed"])


def _by_seed(both: pd.DataFrame) -> pd.DataFrame:
    """Each two samples of one arm and prompt."""
    pairs = both.merge(both, on=["variant", "prompt"])
    return pairs[pairs["seed_x"] < pairs["seed_y"]]
