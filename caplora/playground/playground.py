"""The playground: a widget for JupyterLab and Colab in which a person tries prompts, adapters and settings.

`playground.js` draws what `view` says and sends back what the person does. Every picture is on disk with its settings
before it is shown, and what goes wrong is said in the widget and loses nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

import anywidget
import numpy as np
import traitlets
from PIL import Image

from caplora.captions import token_count, token_limit
from caplora.choosing import read_choice
from caplora.figures import labelled_grid
from caplora.models import Pipeline
from caplora.playground.grid import AXES, Grid, grid_name, grid_of
from caplora.playground.pictures import Pictures
from caplora.playground.recalling import recall
from caplora.playground.recipe import Recipe, baseline_of, recipe_of
from caplora.playground.shown import Shown, shown_grid, shown_name, shown_pictures
from caplora.playground.work import StoppedError, Work, duration
from caplora.review import jpeg, script_of
from caplora.sampling import SOLVERS, said_of, save_picture
from caplora.study import Study, Variant

HERE = Path(__file__).resolve().parent
SIDES = (0, 96, 320)  # pixels of the pictures that are sent; 0 is the file itself
NOTHING_NEW = "drawn before: this is what was saved then"
UNTRAINED = (
    "Nothing is trained yet (02_train_lora does it): the baseline draws, and any adapter that you name by its file"
)


class Playground(anywidget.AnyWidget):
    """The playground of a study; `view` is what it shows, `progress` how far a drawing is.

    Pictures lie in `runs/<study>/playground`. `kept` is called after each drawing, to copy them elsewhere.
    """

    _esm = script_of(HERE / "playground.js")
    _css = HERE / "playground.css"
    view = traitlets.Dict().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)

    def __init__(
        self, study: Study, variants: Sequence[Variant], pipeline: Pipeline, kept: Callable[[], object] = lambda: None
    ) -> None:
        self.pictures, self.kept = Pictures(study, variants, pipeline), kept
        self.work = Work(self._progressed)
        self.shown, self.said, self.failed, self.answers = Shown(), "", False, 0
        self.notes: tuple[str, ...] = ()
        self._one_at_a_time = Lock()
        self.controls, self.set = self._first_controls(study, variants), 0
        super().__init__(view=self._view())
        self.on_msg(self._received)

    def _first_controls(self, study: Study, variants: Sequence[Variant]) -> dict[str, Any]:
        """What the form says at first: the study's first prompt and settings, and the adapter that 03 chose.

        Before there is a choice it is the first variant as it was trained to the end.
        """
        settings, drawn, trained = study.sampling, read_choice(study), self.pictures.adapters.trained
        chosen = drawn.loc[drawn["chosen"].astype(bool), "variant"]
        known = [*chosen, *(v.name for v in variants if v.step is None), *trained]
        first = Recipe(
            settings.development[0], "", 0, settings.solver, settings.num_inference_steps, settings.guidance_scale,
            next((name for name in known if name in trained), ""),
        )  # fmt: skip
        grid = {"x": ["scale", "0, 0.5, 1, 1.5"], "y": ["seed", "0-3"]}
        return {"recipe": asdict(first), "beside": True, **grid}

    def _received(self, _: Any, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message asks. An error is shown in the widget, because nobody sees one raised in a callback."""
        answers = {"pictures": self._pictures, "look": self._look}
        if answer := answers.get(message["do"]):
            answer(message)
            return
        deeds = {"draw": self._draw, "grid": self._grid, "stop": self._stop, "recall": self._recall}
        try:
            deeds[message["do"]](message)
        except Exception as error:
            self.failed, self.said = True, f"not done: {error}"
        self._update()

    def _progressed(self, progress: dict[str, Any]) -> None:
        self.progress = progress

    def _update(self) -> None:
        with self._one_at_a_time:  # the kernel's thread and that of the work
            self.view = self._view()

    def _draw(self, message: dict[str, Any]) -> None:
        """Draw what the form says, the baseline beside it from the same noise if that is wished."""
        recipe = recipe_of(message["recipe"])
        both = message["beside"] and recipe.variant
        recipes = [baseline_of(recipe), recipe] if both else [recipe]
        self._begin(recipes, shown_pictures(recipes, self.pictures), message, lambda: "")

    def _grid(self, message: dict[str, Any]) -> None:
        """Draw the grid that the form describes, and make one labelled picture of it."""
        grid = grid_of(recipe_of(message["recipe"]), message["x"], message["y"])
        recipes = [recipe for row in grid.cells for recipe in row]
        self._begin(recipes, shown_grid(grid, self.pictures), message, lambda: self._save_grid(grid))

    def _begin(self, recipes: Sequence[Recipe], shown: Shown, message: dict[str, Any], then: Callable[[], str]) -> None:
        batches = self.pictures.batches(recipes)
        own = {key: message[key] for key in ("recipe", "beside", "x", "y")}

        def does() -> None:
            self.controls, self.shown, self.notes = self.controls | own, shown, ()
            self.failed, self.said = False, NOTHING_NEW
            self._update()
            self.work.of(sum(batch.passes for batch in batches))
            for number, batch in enumerate(batches, 1):
                self.work.part = f"batch {number} of {len(batches)}" if len(batches) > 1 else "drawing"
                for _ in self.pictures.draw(batch, self.work.step):
                    self._update()
            self.said = then() or (_drawn(recipes, self.pictures) if batches else NOTHING_NEW)
            self.failed = False  # what was refused meanwhile, such as a second click, is not this drawing's failure
            self.kept()

        self.work.begin(does, self._ended)

    def _ended(self, error: Exception | None) -> None:
        if isinstance(error, StoppedError):
            self.failed, self.said = False, "stopped; what was drawn is kept"
        elif error is not None:
            self.failed, self.said = True, f"not done: {error}"
        self._update()

    def _save_grid(self, grid: Grid) -> str:
        """Make one labelled picture of the cells of a grid; where it is, in words."""
        files = [[self.pictures.path(recipe) for recipe in row] for row in grid.cells]
        path = self.pictures.folder / "grids" / grid_name(grid, [file for row in files for file in row])
        if not path.is_file():
            pictures = [[np.asarray(Image.open(file).convert("RGB")) for file in row] for row in files]
            rows = grid.y.labels if grid.y else [""]
            figure = labelled_grid(pictures, grid.x.labels, rows, grid.fixed)
            save_picture(figure.image(), path, grid.fixed, grid.said())
        return f"the grid in one picture: {path.relative_to(self.pictures.study.path('.'))}"

    def _stop(self, _: dict[str, Any]) -> None:
        self.work.stop()

    def _recall(self, message: dict[str, Any]) -> None:
        """Set the form as a picture was drawn: one of the strip by its name, or any by its path."""
        name = message.get("name", "")
        path = (
            self.pictures.folder / name if name in self._names() else self.pictures.study.path(message["path"].strip())
        )
        found = recall(path, self.pictures)
        self.pictures.together[found.recipe] = found.together
        self.controls = self.controls | {"recipe": asdict(found.recipe)}
        if found.grid:
            self.controls |= found.grid.controls
        if not message.get("stay"):
            self.shown = shown_grid(found.grid, self.pictures) if found.grid else Shown([[path]])
        self.set += 1
        self.failed, self.said, self.notes = False, f"as {path.name} was drawn", found.notes

    def _pictures(self, message: dict[str, Any]) -> None:
        """Send pictures, as small JPEGs or as their files; one that cannot be read is sent empty."""
        files = self._names() | {shown_name(path, self.pictures.folder): path for path in self.shown.files}
        names = [name for name in message["names"] if name in files]
        sent = [self._bytes(files[name], message["side"]) for name in names]
        self.send({"pictures": names, "side": message["side"]}, buffers=sent)

    def _bytes(self, path: Path, side: int) -> bytes:
        try:
            return jpeg(path, side) if side in SIDES[1:] else path.read_bytes()
        except (OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged file
            return b""

    def _look(self, message: dict[str, Any]) -> None:
        """Send what is known of the form while it is filled in: tokens, and how many pictures a grid is."""
        tokenizer, recipe = self.pictures.pipeline.tokenizer, message["recipe"]
        limit = token_limit(tokenizer)
        tokens = {name: [token_count(recipe[name], tokenizer), limit] for name in ("prompt", "negative")}
        try:
            plan = self._plan(message) if message["grid"] else ""
            self.send({"look": plan, "wrong": False, "tokens": tokens})
        except Exception as error:
            self.send({"look": str(error), "wrong": True, "tokens": tokens})

    def _plan(self, message: dict[str, Any]) -> str:
        """How many pictures a grid is, how many are there, and how long the rest takes."""
        grid = grid_of(recipe_of(message["recipe"]), message["x"], message["y"])
        recipes = [recipe for row in grid.cells for recipe in row]
        batches = self.pictures.batches(recipes)
        lacking = sum(len(batch.keep or batch.recipes) for batch in batches)
        if not lacking:
            return f"{len(recipes)} pictures, all of them drawn before"
        if not self.work.going.locked():
            self.pictures.measure(grid.recipe)
        seconds = (self.pictures.seconds or 0) * sum(batch.passes for batch in batches)
        there = f", {len(recipes) - lacking} of them drawn before" if lacking < len(recipes) else ""
        return f"{len(recipes)} pictures{there}: about {duration(seconds)}"

    def _names(self) -> dict[str, Path]:
        """The pictures of the folder by name, the newest first; grids among them."""
        files = [*self.pictures.folder.glob("*.png"), *self.pictures.folder.glob("grids/*.png")]
        newest = sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return {path.relative_to(self.pictures.folder).as_posix(): path for path in newest}

    def _view(self) -> dict[str, Any]:
        """Everything that the widget shows, as `playground.js` reads it."""
        self.answers += 1  # so that every message gets an answer, even if nothing else has changed
        trained = self.pictures.adapters.trained
        return {
            "answers": self.answers,
            "solvers": [[name, solver.title] for name, solver in SOLVERS.items()],
            "variants": list(trained),
            "axes": list(AXES.items()),
            "controls": self.controls,
            "set": self.set,
            "shown": self.shown.view(self.pictures.folder),
            "strip": list(self._names())[:300],
            "busy": self.work.busy,
            "said": self.said,
            "failed": self.failed,
            "notes": list(self.notes),
            "told": "" if trained else UNTRAINED,
        }


def _drawn(recipes: Sequence[Recipe], pictures: Pictures) -> str:
    """That pictures were drawn, and which of them show nothing."""
    flagged = [
        f"{path.name} is {flag}" for recipe in recipes if (flag := said_of(path := pictures.path(recipe))["flag"])
    ]
    return "; ".join(["drawn", *flagged])
