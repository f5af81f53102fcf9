"""A PDF where WeasyPrint is there; where it is not, the message names the way out."""

import sys
from pathlib import Path

import pytest

from caplora.report.pdf import PdfError, write_pdf


def test_without_weasyprint_the_message_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)  # what an import of it then raises is ImportError
    with pytest.raises(PdfError, match=r'pip install "weasyprint.*open .*report.html in a browser'):
        write_pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_page_becomes_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("weasyprint", exc_type=ImportError, reason="needs pip install weasyprint")
    (tmp_path / "report.html").write_text("<h1>A page</h1>", encoding="utf-8")
    assert write_pdf(tmp_path / "report.html", tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
