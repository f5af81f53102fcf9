"""Findings → sentences → one page: the report that notebook 05 writes.

`findings` holds what 05 computed. `sentences` says what it means for CLIPScore and `secondary` for all other metrics.
`contents` lists figures and sections, `provenance` says with what the study was made and how to repeat it. `report`
puts all of it into `report.html`; `pdf` prints that. `progress` shows what a study has made while it runs.
"""

from caplora.report.contents import FIGURES
from caplora.report.findings import Findings
from caplora.report.pdf import write_pdf
from caplora.report.progress import growing, keep_curve, progress_page, write_progress
from caplora.report.report import write_report
from caplora.report.secondary import (
    SECONDARY_METRICS,
    SUITES,
    agreement_sentence,
    memorised_sentence,
    read_table,
    secondary_sentences,
    suite_sentences,
    tracking_sentence,
)
from caplora.report.sentences import errors_sentence, power_sentence

__all__ = [
    "FIGURES", "SECONDARY_METRICS", "SUITES", "Findings", "agreement_sentence", "errors_sentence", "growing",
    "keep_curve", "memorised_sentence", "power_sentence", "progress_page", "read_table", "secondary_sentences",
    "suite_sentences", "tracking_sentence", "write_pdf", "write_progress", "write_report",
]  # fmt: skip
