"""The comparison as one page that needs no kernel and no network, for raters without Jupyter.

A rater opens it, answers, downloads the answers and sends them back; `take_answers` puts them with the others. Nothing
in it names an arm: pictures are JPEGs named by their hashes, and it holds a few orders of them to choose from by name.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caplora.rating.answers import (
    COLUMNS,
    Line,
    answer_to,
    append,
    rater_file,
    rater_name,
    read_lines,
    standing,
    written,
)
from caplora.rating.design import Comparison, Pair, RatingError, plan, plan_id
from caplora.rating.power import design_sentence
from caplora.rating.widget import HERE, PORTRAIT, PORTRAITS, SIDE, asked, picture_files
from caplora.review import jpeg
from caplora.study import Study, counted, write_text

ORDERS = 12


def page_path(study: Study) -> Path:
    """Where the page lies: beside the report."""
    return study.run / "rating.html"


def page_plans(pairs: Sequence[Pair]) -> list[list[Comparison]]:
    """The orders that the page holds."""
    return [plan(pairs, f"page {number}") for number in range(ORDERS)]


def write_page(study: Study, pairs: Sequence[Pair], portraits: Sequence[Path] = ()) -> Path:
    """Write the page, whole or not at all; where it is."""
    files = picture_files(pairs)
    shown = {name: _inside(path, SIDE) for name, path in files.items()}
    faces = {f"portrait {i}": _inside(path, PORTRAIT) for i, path in enumerate(portraits[:PORTRAITS])}
    names, prompts = list(files), list(dict.fromkeys(pair[0].prompt for pair in pairs))
    questions = asked(portraits)
    data = {
        "study": study.name,
        "view": {
            "questions": list(questions.items()), "portraits": list(faces),
            "design": design_sentence(pairs, len(questions)),
            "where": "Download your answers and give the file to whoever gave you this page.",
        },
        "prompts": prompts, "names": names, "pictures": shown | faces,
        "plans": [_steps(comparisons, prompts, names) for comparisons in page_plans(pairs)],
    }  # fmt: skip
    template = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=True)
    script = (HERE / "rating.js").read_text(encoding="utf-8").replace("export default", "const exported =")
    style = (HERE / "rating.css").read_text(encoding="utf-8")
    page = template.get_template("page.html").render(data=_as_script(data), js=script, css=style)
    write_text(page_path(study), page)
    return page_path(study)


def _inside(path: Path, side: int) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(path, side)).decode()}"


def _steps(comparisons: Sequence[Comparison], prompts: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    places = {name: i for i, name in enumerate(names)}
    steps = [[prompts.index(c.prompt), *(places[name] for name in c.pictures)] for c in comparisons]
    return {"id": plan_id(comparisons), "steps": steps}


def _as_script(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a script of HTML: no text in it ends the script."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def take_answers(study: Study, pairs: Sequence[Pair], path: Path) -> str:
    """Put answers that were downloaded from the page with the others, each once; how many are new, in a sentence.

    Raises RatingError for a file that holds none, or answers about other pictures than the study has now.
    """
    known = {plan_id(comparisons): comparisons for comparisons in page_plans(pairs)}
    lines = [line for line in read_lines(path) if {"rater", "plan", "order"} <= {*line}]
    if not lines:
        raise RatingError(f"{path} holds no answers: give the file that the button of rating.html downloaded")
    if strange := [line for line in lines if line["order"] not in range(len(known.get(line["plan"], [])))]:
        raise RatingError(
            f"{path}: {len(strange)} of {len(lines)} answers are about other pictures than those of study {study.name}"
            " now: they were drawn anew, or other arms are compared, since that rating.html was written"
        )
    return "; ".join(_take(study, rater, lines, known) for rater in dict.fromkeys(line["rater"] for line in lines))


def _take(study: Study, rater: str, lines: Sequence[Line], known: Mapping[str, list[Comparison]]) -> str:
    own = [line for line in standing(lines) if line["rater"] == rater]
    file = rater_file(study, rater)
    there = {_told(line) for line in standing(read_lines(file))}
    found = [written(answer_to(known[line["plan"]][line["order"]], line)) for line in own if {*COLUMNS[:7]} <= {*line}]
    new = [line for line in found if _told(line) not in there]
    if new:
        append(file, new)
    return f"{counted(len(new), 'answer')} of {rater_name(rater)} taken, {len(found) - len(new)} were there"


def _told(line: Line) -> tuple[Any, ...]:
    return line.get("plan"), line.get("order"), line.get("question"), line.get("answer")
