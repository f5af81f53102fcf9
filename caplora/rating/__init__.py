"""Pairs of pictures → what people prefer, blind: for a notebook, or as one page for raters without Jupyter.

`design` says which pairs are shown and `power` what so many answers can tell. `widget` asks (with `rating.js` and
`rating.css`), one rater at a `seat`; `page` asks without a kernel. `answers` has the files. Of the answers
`preferences` makes rates by the intervals of `clustered`, raters' reliability and Bradley–Terry strengths, `agreement`
says which metrics go with people, `opinions` holds all of it, for `sentences` and a `figure`. A `simulated` rater
proves that what is put in comes out again.
"""

from caplora.rating.answers import answers_said, read_answers
from caplora.rating.design import Pair, RatingError, pairs_of
from caplora.rating.figure import people_figure, people_table
from caplora.rating.opinions import Opinions, read_opinions
from caplora.rating.page import page_path, take_answers, write_page
from caplora.rating.power import design_sentence
from caplora.rating.sentences import metric_rows, metric_sentences, people_said, people_sentences
from caplora.rating.widget import RatingWidget

__all__ = [
    "Opinions", "Pair", "RatingError", "RatingWidget", "answers_said", "design_sentence", "metric_rows",
    "metric_sentences", "page_path", "pairs_of", "people_figure", "people_said", "people_sentences", "people_table",
    "read_answers", "read_opinions", "take_answers", "write_page",
]  # fmt: skip
