"""What notebook 04 holds: the samples of a study on their way to scores."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from caplora.captions import held_out, read_ledger, trained
from caplora.choosing import captions_known, read_asked, read_choice
from caplora.extra_metrics import Extras
from caplora.figures import Figure
from caplora.images import Absent
from caplora.models import device_of
from caplora.report import growing, write_progress
from caplora.sampling import CAPTIONED
from caplora.scoring import (
    ClipEmbeddings,
    Embeddings,
    JudgeEmbeddings,
    arm_values,
    clip_table,
    closest_pairs,
    diversity_table,
    drift_table,
    embed,
    face_table,
    judge_table,
    likeness_table,
    load_clip,
    load_faces,
    load_identity,
    load_judges,
    memorisation_table,
    paths_of,
    replication_table,
    scorable_samples,
    shuffled_prompts_table,
    without_faces,
    write_scores,
)
from caplora.statistics import arm_table, checks, shuffled_control, write_controls
from caplora.study import Study, Variant, asked_with_captions, read_study, read_variants, refuse_full_disk, write_text

SCORING = "4 of 5: the samples are scored"
EACH = 32 * 1024  # bytes of the embeddings and scores of a picture, at most
CONTROL = ["variant", "n", "reference", "value", "difference", "low", "high", "p", "passed"]
WHOLE = ["metric", "model", "variant", "n", "n_real", "value", "baseline", "difference", "p", "p_corrected"]


class Scores:
    """The samples of a study that can be scored, the models that score them, and the tables of scores so far."""

    def __init__(self, study: Study, variants: Sequence[Variant]) -> None:
        self.study, self.device, ledger = study, device_of(), read_ledger(study.dataset)
        self.variants, self.choice = variants, read_choice(study)
        chosen = self.choice.loc[self.choice["chosen"].astype(bool), "variant"].tolist()
        scaled = chosen if len(self.choice) else None  # of samples older than that table, all that are there
        drawn, self.wrong = scorable_samples(study, variants, scaled)
        self.copies = [s for s in drawn if s.variant.endswith(CAPTIONED)]  # of captions
        self.everything = [s for s in drawn if not s.variant.endswith(CAPTIONED)]  # adapters at other scales among them
        self.samples = [s for s in self.everything if "@" not in s.variant]
        self.arms = list(dict.fromkeys(s.variant for s in self.samples))
        self.portraits = [study.dataset / row.file_name for row in trained(ledger, study.captioning.overrule)]
        self.unseen = [study.dataset / row.file_name for row in held_out(ledger)]
        self.captions = [row.text for row in held_out(ledger) if row.text]
        self.tables: dict[str, list[pd.DataFrame]] = {}  # what was measured → its scores
        self.scores: pd.DataFrame  # of scores.csv
        self.shuffled: pd.DataFrame  # of the control

    @classmethod
    def open(cls, study: str, variants: str | list[dict]) -> "Scores":
        """A study by its name or file, and variants by their file or as a list."""
        read = read_study(study)
        return cls(read, read_asked(read, read_variants(variants)))

    def counts(self) -> str:
        """How many samples and portraits there are, and which samples cannot be scored."""
        scaled = len(self.everything) - len(self.samples)
        old = sum(s.prompt not in self.asked_images for s in self.copies)
        lost = f" ({old} of captions that are no longer those of their images: run 03 again)" if old else ""
        return (
            f"{len(self.samples)} samples of {len(self.arms)} arms, {scaled} more of adapters at other scales,"
            f" {len(self.copies)} of captions{lost}\n"
            f"{len(self.portraits)} portraits trained on, {len(self.unseen)} held out\n{self.wrong}"
        )

    @cached_property
    def clips(self) -> list[ClipEmbeddings]:
        """The study's CLIPs: the first is primary, the last measures likeness, diversity and drift."""
        return [load_clip(self.study, clip, self.device) for clip in self.study.scoring.clips]

    @cached_property
    def identity(self) -> Embeddings:
        """The model that tells persons apart."""
        return load_identity(self.study, self.device)

    @cached_property
    def faces(self) -> Embeddings | Absent:
        """The face recogniser, or why there is none."""
        return load_faces(self.study)

    @cached_property
    def judges(self) -> list[JudgeEmbeddings]:
        """The judge, where the study has one."""
        return load_judges(self.study, self.device)

    @property
    def batches(self) -> int:
        """How many batches all samples and portraits are."""
        pictures = len(self.everything + self.copies) + len(self.portraits) + len(self.unseen)
        return -(-pictures // self.study.scoring.batch_size)

    def forecast(self) -> str:
        """How long it takes to embed all pictures, from the second batch; the two are kept, as all that is embedded."""
        work, spent = self.embed(), []
        for _ in range(2):
            began = time.monotonic()
            next(work, None)
            spent.append(time.monotonic() - began)
        return f"{self.batches} batches of pictures take about {spent[1] * self.batches / 60:.1f} minutes"

    def embed(self) -> Iterator[Sequence[Path]]:
        """Put every picture through every model that has not seen it, yielding batch by batch."""
        pictures = paths_of(self.everything + self.copies) + self.portraits + self.unseen
        way_out = "or ask for fewer prompts or seeds"
        refuse_full_disk(self.study.run, EACH * len(pictures), f"scoring {len(pictures)} pictures", way_out)
        faces = [] if isinstance(self.faces, Absent) else [self.faces]
        work = embed([*self.clips, self.identity, *faces, *self.judges], pictures)
        yield from growing(self.study, work, SCORING, "batches", self.batches)

    def alignment(self) -> pd.DataFrame:
        """Raw cosine, CLIPScore and RefCLIPScore by each CLIP, as means by arm."""
        return self._kept("alignment", [clip_table(c, self.everything, c.prefix, self.captions) for c in self.clips])

    def likeness(self) -> pd.DataFrame:
        """Likeness to the held-out portraits, as means by arm; of faces too where there is a recogniser."""
        by = {"clip_i": self.clips[-1], "identity": self.identity}
        tables = [likeness_table(metric, views, self.everything, self.unseen) for metric, views in by.items()]
        if not isinstance(self.faces, Absent):
            tables.append(face_table(self.faces, self.everything, self.unseen))
        return self._kept("likeness", tables)

    def without_faces(self) -> str:
        """Why faces are not compared, in a sentence; empty where they are."""
        return without_faces(self.faces, self.unseen)

    def side_effects(self) -> pd.DataFrame:
        """Memorisation, diversity and drift, as means by arm."""
        memorisation = memorisation_table(self.identity, self.everything, self.portraits)
        diversity = diversity_table(self.clips[-1], self.samples)
        drift = drift_table(self.clips[-1], self.everything)
        return self._kept("side effects", [memorisation, diversity, drift])

    def replication(self) -> pd.DataFrame:
        """Write replication.csv: how near samples of captions come to their images; means by arm, if there are any."""
        table = replication_table(self.clips[-1], self.copies, self.asked_images)
        write_text(self.study.replication, table.to_csv(index=False))
        return table.pivot_table("value", "split", "variant", sort=False).round(3)

    @cached_property
    def asked_images(self) -> dict[str, Path]:
        """Caption → image, of the captions that the arms may have been asked with."""
        chosen = self.choice.loc[self.choice["chosen"].astype(bool), "variant"]
        known = [captions_known(self.study, own) for own in asked_with_captions(self.variants, next(iter(chosen), ""))]
        return {t: self.study.dataset / name for own in known for split in own.values() for t, name in split.items()}

    def judged(self) -> pd.DataFrame:
        """The share of named attributes that the judge sees, as means by arm; no rows without a judge."""
        return self._kept("judge", [judge_table(judge, self.everything) for judge in self.judges])

    @cached_property
    def others(self) -> Extras:
        """The further metrics that the study asks for."""
        loaded = [clip.encoder.model for clip in vars(self).get("clips", ())]
        return Extras(self.study, self.samples, self.device, loaded)

    def embed_others(self) -> Iterator[object]:
        """Put every picture through the models of these metrics, batch by batch; not at other scales."""
        return growing(self.study, self.others.embed(), SCORING, "batches of other metrics", self.batches_of_others)

    @property
    def batches_of_others(self) -> int:
        """How many batches that is."""
        return self.others.batches

    def other_metrics(self) -> pd.DataFrame:
        """What they say, as means by arm; no rows where the study asks for none."""
        return self._kept("other metrics", self.others.tables())

    def _kept(self, measured: str, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """The tables as means by arm; `write` takes them."""
        self.tables[measured] = tables
        return self._means(tables)

    def _means(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """A row per metric, model and suite, a column per arm; a judge's single attributes are left out."""
        rows = pd.concat([table for table in tables if len(table)] or [pd.DataFrame(columns=["variant", "metric"])])
        rows = rows[rows["variant"].isin(self.arms) & ~rows["metric"].str.startswith("judge_")]
        if rows.empty:
            return pd.DataFrame(columns=self.arms)
        means = rows.groupby(["metric", "model", "split", "variant"])["value"].mean()
        return means.unstack("variant").reindex(columns=self.arms).round(3)

    def write(self) -> pd.DataFrame:
        """Write scores.csv and scales.csv; the means of every metric by arm."""
        self.scores, _ = write_scores([table for tables in self.tables.values() for table in tables], self.study)
        write_progress(self.study, SCORING)
        return self._means([self.scores])

    def box_plot(self) -> Figure:
        """How the samples' CLIPScores spread in each arm, by the primary CLIP."""
        scores = self.scores
        primary = scores[(scores["metric"] == "clip_score") & (scores["model"] == scores["model"].iloc[0])]
        figure = Figure((7, 3))
        axes = figure.subplots()
        primary.boxplot(column="value", by="variant", grid=False, ax=axes)
        axes.set(title="", xlabel="", ylabel="CLIPScore (0 to 2.5)")
        figure.suptitle("")
        return figure

    def control(self) -> str:
        """Whether samples score lower with other samples' prompts; it goes into controls.csv."""
        scores = shuffled_prompts_table(self.clips[0], self.samples, self.clips[0].prefix)
        self.shuffled = write_controls(shuffled_control(scores), self.study.controls)
        tested = {s.variant for s in self.samples if s.split == "test"}
        return checks(self.shuffled, [arm for arm in self.arms if arm in tested])[1].said

    def control_table(self) -> pd.DataFrame:
        """The same in numbers, arm by arm."""
        return self.shuffled[CONTROL].round(3)

    def whole_arms(self) -> pd.DataFrame:
        """Write arms.csv: KID, CMMD, what is memorised and diversity, beside the baseline's and tested."""
        values = arm_values(self.clips[-1], self.identity, self.samples, self.portraits, self.unseen)
        table = arm_table(values)
        write_text(self.study.arms, table.to_csv(index=False))
        return table[WHOLE].round(3)

    def closest(self) -> pd.DataFrame:
        """Write closest.csv: the samples most like a training portrait, ten of each adapter; the ten most alike."""
        table = closest_pairs(self.identity, self.samples, self.portraits, self.unseen)
        write_text(self.study.closest, table.to_csv(index=False))
        return table.head(10).round(3)
