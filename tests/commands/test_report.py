"""commands/report.py: the page is found, or who writes it is named."""

from pathlib import Path

import pytest

from caplora.commands import main
from caplora.study.reading import PROJECT


def test_command_without_a_report_says_what_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "mini.yaml"
    study.write_bytes((PROJECT / "params" / "studies" / "mini.yaml").read_bytes())
    assert main(["report", str(study)]) == 2
    assert "run 05_analysis" in capsys.readouterr().err
    page = tmp_path / "runs" / "mini" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>found</p>", encoding="utf-8")
    assert main(["report", str(study)]) == 0
    assert capsys.readouterr().out.strip() == str(page)
