"""The rows of gpu.py: in a file that holds them at any moment, compared with each other, and as tables of Markdown."""

import json
import time
from pathlib import Path
from typing import Any

Row = dict[str, Any]
TITLES = {
    "machine": "The machine",
    "a": "(a) One variant beside the step of diffusers' script",
    "b": "(b) Packs beside as many runs one after another",
    "c": "(c) Sampling: ten arms together beside one after another",
    "compiled": "(a, b) Compiled",
    "compared": "Compared across the sections",
    "d": "(d) Scoring and captions",
    "e": "(e) Resumed on this machine",
    "f": "(f) Layouts and kernels of the packed step",
    "forecast": "What the planner forecasts",
}


class Book:
    """The rows so far, and the files that hold them."""

    def __init__(self, folder: Path) -> None:
        self.json, self.markdown, self.log = (folder / f"gpu.{end}" for end in ("json", "md", "log"))
        self.rows: list[Row] = []
        self.began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        self.log.write_text("", encoding="utf-8")
        self._write()

    def add(self, row: Row) -> None:
        """Keep a row, and say it."""
        self.rows.append(row)
        self._write()
        said = row.get("error") or row.get("skipped") or f"{row.get('took', 0):.0f} s"
        print(f"{row['section']}: {row['row']}: {said}", flush=True)

    def close(self) -> None:
        """Add what comes of comparing sections."""
        self.rows += compared(self.rows)
        self._write()

    def _write(self) -> None:
        content = json.dumps({"began": self.began, "rows": self.rows}, indent=1, ensure_ascii=False)
        for file, text in ((self.json, content), (self.markdown, tables(self.rows))):
            part = file.with_suffix(".part")
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(file)


def compared(rows: list[Row]) -> list[Row]:
    """What takes rows of two sections: the compiled sides beside the others, the forecasts beside what was held."""
    made = {"section": "compared", "row": "batch 1", "ratios": _compiled(rows)}
    found = [made] if made["ratios"] else []
    packs = {r["row"]: r["figures"] for r in rows if r["section"] == "b" and "figures" in r}
    for forecast in (r for r in rows if r["section"] == "forecast" and "figures" in r):
        held = {k: v for k, v in packs.get(forecast["row"], {}).items() if k.endswith("peak, GB")}
        said = forecast["figures"]["forecast, GB"]
        ratios = {f"forecast / {name.removesuffix(', GB')}": [said / gb] for name, gb in held.items()}
        found += [{"section": "compared", "row": forecast["row"], "ratios": ratios}] if ratios else []
    return found


def _compiled(rows: list[Row]) -> dict[str, list[float]]:
    """The ratios of compiled sides to each other and to those that are not, as far as they were measured."""
    sizes = [r["figures"]["variants"] for r in rows if r["section"] == "compiled pack" and "figures" in r]
    n = sizes[0] if sizes else 0
    one, pack = _time(rows, "compiled one", "one, compiled"), _time(rows, "compiled pack", "pack, compiled")
    theirs, eager = _time(rows, "compiled diffusers", "diffusers, compiled"), _time(rows, "a", "diffusers")
    graphs = _time(rows, "b", "pack, graphs", f"{n}, batch 1")
    pairs = {
        "diffusers compiled / one compiled": (theirs, one),
        "diffusers / diffusers compiled": (eager, theirs),
        "diffusers / one compiled": (eager, one),
        "one, graphs / one compiled": (_time(rows, "a", "ours, graphs"), one),
        f"{n} × one compiled / pack of {n}, graphs": (n * one, graphs),
        f"{n} × one compiled / pack of {n} compiled": (n * one, pack),
        f"{n} × diffusers / pack of {n}, graphs": (n * eager, graphs),
        f"{n} × diffusers / pack of {n} compiled": (n * eager, pack),
    }
    return {name: [over / under] for name, (over, under) in pairs.items() if over and under}


def _time(rows: list[Row], section: str, side: str, row: str | None = None) -> float:
    """The median of a side in the first row of a section, or in a row; 0 where there is none."""
    found = [
        r["times"][side][0]
        for r in rows
        if r["section"] == section and row in (None, r["row"]) and side in r.get("times", {})
    ]
    return found[0] if found else 0.0


def tables(rows: list[Row]) -> str:
    """A table of Markdown for each section."""
    parts = []
    for section, title in TITLES.items():
        own = [r for r in rows if r["section"].split()[0] == section]
        parts += [f"### {title}\n\n{_tables(own)}\n"] if own else []
    return "\n".join(parts)


KINDS = ("ratios", "times", "figures")


def _tables(rows: list[Row]) -> str:
    """A table for rows of the same columns, ratios first; a row of figures alone stands upright; what failed, below."""
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for r in rows:
        columns = tuple((kind, key) for kind in KINDS for key in r.get(kind, {}))
        groups.setdefault(columns, []).append(r)
    failed = [f"- {r['row']}: {r.get('error') or r['skipped']}" for r in groups.pop((), [])]
    made = [_upright(own[0]) if _stands_alone(own) else _table(columns, own) for columns, own in groups.items()]
    return "\n\n".join([*made, "\n".join(failed)] if failed else made)


def _stands_alone(rows: list[Row]) -> bool:
    return (
        len(rows) == 1 and len(rows[0].get("figures", {})) > 1 and not (rows[0].get("ratios") or rows[0].get("times"))
    )


def _upright(row: Row) -> str:
    lines = [f"| {key} | {_cell('figures', key, value)} |" for key, value in row["figures"].items()]
    return "\n".join([f"| {row['row']} | |", "|---|---|", *lines])


def _table(columns: tuple[tuple[str, str], ...], rows: list[Row]) -> str:
    heads = ["", *(f"{key}, ms" if kind == "times" else key for kind, key in columns)]
    lines = [heads, ["---"] * len(heads)]
    lines += [[r["row"], *(_cell(kind, key, r[kind][key]) for kind, key in columns)] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(kind: str, key: str, value: Any) -> str:
    if kind != "figures":
        return _ratio(value) if kind == "ratios" else _spread(value)
    if isinstance(value, str):
        return value.replace("|", "/")
    return f"{value:.0%}" if "share" in key else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def _ratio(values: list[float]) -> str:
    spread = f" ({values[1]:.2f}–{values[2]:.2f})" if len(values) == 3 else ""
    return f"**{values[0]:.2f}×**{spread}"


def _spread(values: list[float]) -> str:
    median, low, high = (f"{x:.1f}" if x >= 10 else f"{x:.2f}" for x in values)
    return f"{median} ({low}–{high})"
