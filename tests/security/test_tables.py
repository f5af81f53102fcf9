"""A text that a spreadsheet would take for a formula is a text like any other: no table changes what is trained on.

`datasets/README.md` tells whoever opens a table to import it as text.
"""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from caplora.captions.exchange import read_captions, write_captions
from caplora.captions.ledger import Row, read_ledger, write_ledger
from caplora.images.intake import Refused
from caplora.images.table import write_refused

FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", '=HYPERLINK("http://evil.invalid";"x")', "=a,b\r\nc")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_comes_back_from_every_table_as_it_was(text: str, tmp_path: Path) -> None:
    name = "=a.png"
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    row = Row(name, text, text, "edited", reason=text, origin=text)
    write_ledger(tmp_path, [row])
    assert read_ledger(tmp_path) == [row]
    write_captions([row], tmp_path / "out.csv")
    assert [cells["text"] for cells in read_captions(tmp_path / "out.csv")] == [text]
    write_refused([Refused(Path(name), text)], tmp_path / "refused.csv")
    with open(tmp_path / "refused.csv", encoding="utf-8", newline="") as file:
        assert pd.read_csv(file, lineterminator=None)["reason"][0] == text
