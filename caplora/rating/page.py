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
from caplora.review import jpeg, script_of
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
    script = script_of(HERE / "rating.js").replace("export default", "const exported =")
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

    Raises RatingError for a file that holds none, or answers about other pictures than the study has now, or of
    another rater of the same name; nothing is taken then.
    """
    known = {plan_id(comparisons): comparisons for comparisons in page_plans(pairs)}
    lines = [line for line in read_lines(path) if _of_page(line)]
    if not lines:
        raise RatingError(f"{path} holds no answers: give the file that the button of rating.html downloaded")
    if strange := [line for line in lines if line["order"] not in range(len(known.get(line["plan"], [])))]:
        raise RatingError(
            f"{path}: {len(strange)} of {len(lines)} answers are about other pictures than those of study {study.name}"
            " now: they were drawn anew, or other arms are compared, since that rating.html was written"
        )
    by_rater = {line["rater"]: [own for own in lines if own["rater"] == line["rater"]] for line in lines}
    try:
        found = {rater: _new(study, own, known) for rater, own in by_rater.items()}
    except RatingError as error:
        raise RatingError(f"{path}: {error}") from error
    for rater, (new, _) in found.items():
        if new:
            append(rater_file(study, rater), new)
    return "; ".join(
        f"{counted(len(new), 'answer')} of {rater_name(rater)} taken, {there} were there"
        for rater, (new, there) in found.items()
    )


def _of_page(line: Line) -> bool:
    """Whether a line is one that the page writes: what else a file holds, whoever wrote it, is passed over."""
    kinds = {"rater": str, "plan": str, "order": int}
    return all(isinstance(line.get(key), kind) for key, kind in kinds.items()) and all(
        isinstance(value, str | int | float) for value in line.values()
    )


def _new(study: Study, lines: Sequence[Line], known: Mapping[str, list[Comparison]]) -> tuple[list[Line], int]:
    """The lines of answers of one rater that are new, and how many are not.

    Raises RatingError where answers to the same pictures under this name came from elsewhere: of another person, for
    whoever goes on sends the earlier answers again.
    """
    needed, told = {*COLUMNS[:7]}, {line.get("time") for line in lines}
    found = [
        written(answer_to(known[line["plan"]][line["order"]], line)) for line in standing(lines) if needed <= {*line}
    ]
    places, rater = {_place(line) for line in found}, rater_name(lines[0]["rater"])
    there = [line for line in standing(read_lines(rater_file(study, rater))) if line.get("rater") == rater]
    if others := [line for line in there if _place(line) in places and line.get("time") not in told]:
        raise RatingError(
            f"{rater} has answered {len(others)} of these questions before, and this file does not know of it."
            f' If two raters have one name, give this one another in the file, such as "rater": "{rater} 2"'
        )
    times = {(*_place(line), line["time"]) for line in there if _place(line) in places}
    new = [line for line in found if (*_place(line), line["time"]) not in times]
    return new, len(found) - len(new)


def _place(line: Line) -> tuple[Any, ...]:
    """Which question of which plan a line answers."""
    return line.get("plan"), line.get("order"), line.get("question")
