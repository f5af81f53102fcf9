"""What notebook 05 holds: the results of a study, every figure of them, and the report."""

import time
from functools import cached_property
from pathlib import Path

from pandas import DataFrame

from caplora.extra_metrics import ABOUT
from caplora.figures import (
    Figure,
    attribute_differences,
    caption_ablation,
    caption_summary,
    closest,
    closest_pictures,
    copied_pictures,
    copies,
    copies_table,
    curve_table,
    extreme_pictures,
    extremes,
    extremes_table,
    forest_plot,
    heat_map_table,
    images_curves,
    leading_strips,
    lora_diagram,
    loss_curves,
    metrics_figure,
    metrics_table,
    per_prompt_differences,
    pipeline_diagram,
    prompt_slopes,
    prompt_table,
    rank_alpha_heat_map,
    read_curves,
    read_pictures,
    sample_grid,
    sample_pictures,
    sample_table,
    save_figure,
    scale_curves,
    scale_table,
    steps_curves,
    summary_figure,
    teaser,
    tradeoff_planes,
)
from caplora.notebooks.axes import Axes
from caplora.rating import people_figure, people_table
from caplora.report import FIGURES, read_table, write_pdf, write_progress, write_report
from caplora.statistics import fidelity_metrics, tradeoff_table
from caplora.study import BASELINE, CAPTIONS
from caplora.verifying import write_manifest

COLUMNS, CURVES = 12, 14  # variants in a grid of samples, and with a curve of their loss


class Results(Axes):
    """The results of a study. A figure is drawn, saved and shown; None where the study lacks what it needs."""

    @cached_property
    def drawn(self) -> dict[str, Path]:
        """Figure → its file, for those that were drawn so far."""
        return {}

    def _saved(self, name: str, figure: Figure, table: DataFrame | None = None) -> Figure:
        """The figure, once it lies in `figures/<study>` as PNG and SVG, with its table as CSV."""
        self.drawn[name] = save_figure(figure, self.study.figures, name, table)
        if len(self.drawn) % 4 == 1:
            write_progress(self.study, "5 of 5: figures and report")
        return figure

    def forecast(self) -> str:
        """How long figures and report take, from the first figure, which needs no scores and is drawn now."""
        began = time.monotonic()
        self.lora()
        seconds = (time.monotonic() - began) * len(FIGURES)
        return f"up to {len(FIGURES)} figures and the report take about {seconds:.0f} seconds"

    def forest(self) -> Figure:
        """Every variant's difference from the baseline, with its intervals."""
        test, (shown, note) = self.effects_on("test"), self.leading(self.names)
        figure = forest_plot(self.values, test[test["variant"].isin(shown)], self.best, note)
        return self._saved("forest", figure, test)

    def heat_map(self) -> Figure:
        """The differences over rank and alpha: on the test prompts, or where those are for finalists on development."""
        failed = {v.name: self.failed[v.name] for v in self.chosen.reported if v.name in self.failed}
        effects = self.effects_by_variant
        table = heat_map_table(effects, failed)
        return self._saved("heatmap", rank_alpha_heat_map(leading_strips(table, self.best), effects, self.best), table)

    def slopes(self) -> Figure:
        """Each prompt as a line from the baseline to the chosen variant."""
        table = prompt_table(self.values)
        return self._saved("slopes", prompt_slopes(table, self.headline), table)

    def prompts(self) -> Figure:
        """Each prompt by name, and what it gains or loses."""
        table = prompt_table(self.values)
        figure = per_prompt_differences(self.values, self.headline)
        return self._saved("prompts", figure, table[table["variant"] == self.best])

    def extremes(self) -> Figure:
        """The samples that gained and that lost most."""
        table = extremes_table(self.values, self.best)
        figure = extremes(extreme_pictures(self.study, table), table, self.headline)
        return self._saved("extremes", figure, table)

    def metrics(self) -> Figure:
        """Every metric, every variant; drift is drawn as not tested."""
        test = ("clip_score", "clip_i", "identity", "face_similarity", "face_found", "judge", "memorisation", *ABOUT)
        effects, drift = self.effects, self.effects["metric"].eq("drift")
        drawn = effects["metric"].isin(test) & effects["split"].eq("test") | drift & effects["split"].eq("unrelated")
        others = effects[drawn].assign(p_corrected=effects["p_corrected"].mask(drift))
        table, (shown, note) = metrics_table(others, self.arms), self.leading(self.names)
        figure = metrics_figure(table[table["variant"].isin(shown)], self.best, note)
        return self._saved("metrics", figure, table)

    def tradeoff(self) -> Figure | None:
        """Alignment with the prompt against likeness, and against drift."""
        fidelity = fidelity_metrics(self.scores)
        if not fidelity:
            return None
        table, (shown, note) = tradeoff_table(self.scores, fidelity[0]), self.leading(self.names)
        own = table[table["variant"].isin([BASELINE, *shown])]
        return self._saved("tradeoff", tradeoff_planes(own, self.best, note), table)

    def closest(self) -> Figure | None:
        """The samples most like a training image, each beside it."""
        if not len(self.nearest):
            return None
        figure = closest(closest_pictures(self.study, self.nearest), self.nearest)
        return self._saved("closest", figure, self.nearest)

    def scales(self) -> Figure | None:
        """The metrics over the scale at which the chosen adapter is used; of others that an older run drew, nothing."""
        scores = read_table(self.study.scales, [self.best])
        if not len(scores):
            return None
        table = scale_table(scores)
        return self._saved("scales", scale_curves(table, self.best), table)

    def images(self) -> Figure | None:
        """Alignment, likeness, memorisation and drift over the number of images trained on."""
        if not self.image_arms:
            return None
        return self._saved("images", images_curves(self.over_images), self.over_images)

    def steps(self) -> Figure | None:
        """Alignment, likeness, memorisation and drift of the chosen training over its steps."""
        if not self.step_arms:
            return None
        table, chosen = self.over_steps, next(step for step, name in self.step_arms.items() if name == self.best)
        return self._saved("steps", steps_curves(table, self.step_arms[max(self.step_arms)], chosen), table)

    def copies(self) -> Figure | None:
        """What is drawn from captions, beside their images."""
        if not len(asked := self.replicated(self.asked_arms)):
            return None
        table = copies_table(asked, [*self.asked_arms.values()][-1])
        pictures = copied_pictures(self.study, table, {BASELINE: BASELINE, **self.asked_arms})
        return self._saved("copies", copies(pictures, table), table)

    def attribute_differences(self) -> Figure | None:
        """What the judge sees more of, or less."""
        if not len(self.attributes):
            return None
        return self._saved("attributes", attribute_differences(self.attributes), self.attributes)

    def preferences(self) -> Figure | None:
        """Whom people prefer, and which metrics say the same."""
        own = self.opinions
        return self._saved("people", people_figure(own), people_table(own)) if own else None

    def captions(self) -> Figure:
        """What the captions are like that were trained on."""
        facts = self.study.captioning
        table = caption_summary(self.trained_rows, facts.facets, facts.subject)
        return self._saved("captions", summary_figure(table), table)

    def caption_ablation(self) -> Figure | None:
        """What each kind of captions is worth."""
        if not self.ablation_arms:
            return None
        unreviewed = sum(row.status == "pending" for row in self.trained_rows)
        note = f"Of the reviewed captions, {unreviewed} are not: nobody looked at them." if unreviewed else ""
        figure = caption_ablation(self.everything, self.ablation, note)
        return self._saved("caption_ablation", figure, self.ablation)

    def caption_samples(self, examples: int = 6) -> Figure | None:
        """The first test prompts, drawn by the baseline and by the adapter trained on each kind of captions."""
        if not self.ablation_arms:
            return None
        columns = {BASELINE: BASELINE} | {CAPTIONS[kind]: arm for kind, arm in self.ablation_arms.items()}
        note = "; columns: the captions trained on"
        return self._grid("caption_samples", columns, examples, self.everything, note)

    def samples(self, examples: int = 6) -> Figure:
        """The first test prompts, drawn by the baseline and by every variant."""
        shown, note = self.leading(self.names, COLUMNS)
        columns, note = {arm: arm for arm in (BASELINE, *shown)}, f"; {note[:-1]}" * bool(note)
        return self._grid("samples", columns, examples, self.scores, note)

    def _grid(self, name: str, columns: dict[str, str], examples: int, scores: DataFrame, note: str = "") -> Figure:
        """Samples of the first test prompts and the first seed: a column for each title → arm."""
        prompts, seed = self.study.sampling.test[:examples], self.study.sampling.seeds[0]
        table = sample_table(scores, list(columns.values()), prompts, seed)
        drawn = {title: sample_pictures(self.study.samples(arm), prompts, seed) for title, arm in columns.items()}
        return self._saved(name, sample_grid(drawn, f"seed {seed}{note}"), table)

    def teaser(self) -> Figure:
        """The study in one picture: training portraits, and the baseline above the chosen variant."""
        prompts, seed, best = self.study.sampling.test[:4], self.study.sampling.seeds[0], self.best
        pair = {arm: sample_pictures(self.study.samples(arm), prompts, seed) for arm in (BASELINE, best)}
        portraits = read_pictures(self.study.dataset, [row.file_name for row in self.trained_rows[:6]])
        test = self.effects_on("test")
        figure = teaser(portraits, pair, self.headline, f"the first test prompts, seed {seed}")
        return self._saved("teaser", figure, test[test["variant"] == best])

    def loss_curves(self) -> Figure:
        """The loss of every variant, in training and on the held-out portraits."""
        judged = {*self.names, *self.spared}
        shown, note = self.leading([v.name for v in self.asked if v.name in judged and not v.step], CURVES)
        own = [v for v in self.asked if v.name in shown]
        losses, validation = (read_curves(self.study, own, name) for name in ("losses", "validation"))
        return self._saved("loss_curves", loss_curves(losses, validation, note), curve_table(losses, validation))

    def pipeline(self) -> Figure:
        """The way of the data."""
        return self._saved("pipeline", pipeline_diagram(self.study.name))

    def lora(self) -> Figure:
        """What LoRA adds to the UNet."""
        return self._saved("lora", lora_diagram())

    def report(self) -> str:
        """The answer, and where the report and the figures are that were written."""
        page = write_report(self.study.report, self.study, self.chosen.reported, self.findings, self.drawn)
        write_progress(self.study)
        manifest = write_manifest(self.study, self.asked)
        names = ", ".join(f"{path.stem} (png, svg, numbers as csv)" for path in self.drawn.values())
        said = f"report:  {page}\nhashes:  {manifest}\nfigures: {self.study.figures}\n         {names}"
        return f"{self.findings.answer}\n\n{said}"

    def pdf(self) -> Path:
        """The report as a PDF; raises PdfError without WeasyPrint."""
        return write_pdf(self.study.report, self.study.report.with_suffix(".pdf"))
