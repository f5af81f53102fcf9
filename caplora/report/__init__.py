"""Room."""

from caplora.report.findings import Findings
from caplora.report.pdf import write_pdf
from caplora.report.report import write_report
from caplora.report.secondary import (
    PANEL_METRICS,
    SUITES,
    agreement_sentence,
    memorised_sentence,
    panel_sentences,
    read_table,
    suite_sentences,
    tracking_sentence,
)
from caplora.report.sentences import errors_sentence, power_sentence

__all__ = [
    "PANEL_METRICS",
    "SUITES",
    "Findings",
    "agreement_sentence",
    "errors_sentence",
    "memorised_sentence",
    "panel_sentences",
    "power_sentence",
    "read_table",
    "suite_sentences",
    "tracking_sentence",
    "write_pdf",
    "write_report",
]
