"""Findings → sentences → one page: the report that notebook 05 writes.

`findings` holds what 05 computed. `sentences` says what it means for CLIPScore and `secondary` for all other metrics,
`drift` what an adapter's drift is beside chance, `power` whether the study was large enough,
`which_metric` which metric to believe for what. `contents` lists figures and sections, `provenance` says with what the
study was made and how to repeat it. `report` puts all of it into `report.html`; `pdf` prints that. `progress` shows
what a study has made while it runs.
"""

from caplora.report.contents import FIGURES
from caplora.report.drift import with_nulls
from caplora.report.findings import Findings
from caplora.report.pdf import write_pdf
from caplora.report.power import interest_sentence
from caplora.report.progress import growing, keep_curve, progress_page, write_progress
from caplora.report.provenance import address, hashes, read_json, versions
from caplora.report.report import as_run, data_facts, limits, write_report
from caplora.report.secondary import (
    SECONDARY_METRICS,
    SUITES,
    agreement_sentence,
    cost_sentence,
    memorised_sentence,
    read_closest,
    read_table,
    rows_of,
    secondary_sentences,
    suite_sentences,
    tracking_sentence,
)
from caplora.report.sentences import copied_sentence, errors_sentence, images_sentences, power_sentence, steps_sentences
from caplora.report.which_metric import Believed, believed, extra_rows, extra_sentences

__all__ = [
    "FIGURES", "SECONDARY_METRICS", "SUITES", "Believed", "Findings", "address", "agreement_sentence", "as_run",
    "believed", "copied_sentence", "cost_sentence", "data_facts", "errors_sentence", "extra_rows", "extra_sentences",
    "growing", "hashes", "images_sentences", "interest_sentence", "keep_curve", "limits", "memorised_sentence",
    "power_sentence", "progress_page", "read_closest", "read_json", "read_table", "rows_of", "secondary_sentences",
    "steps_sentences", "suite_sentences", "tracking_sentence", "versions", "with_nulls", "write_pdf",
    "write_progress", "write_report",
]  # fmt: skip
