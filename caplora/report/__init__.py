"""Room."""

from caplora.report.findings import Findings
from caplora.report.pdf import write_pdf
from caplora.report.report import write_report

__all__ = [
    "Findings",
    "write_pdf",
    "write_report",
]
