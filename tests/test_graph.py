"""The graph (Snakefile): which jobs a study has, and which of them run again. Snakemake is asked and does nothing."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from caplora.jobs.packs import pack_name
from caplora.jobs.records import record_path, write_record
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import read_variants
from tests.watching.small import record

FOUR = {"variants": [{"rank": rank, "alpha": alpha} for rank in (1, 2) for alpha in (1, 2)]}
MANY = {"variants": [{"rank": r, "alpha": a} for r in range(1, 41) for a in range(1, 26)], "seeds": [0, 1, 2]}


@dataclass
class Graph:
    """Studies of one project, and what Snakemake says of them."""

    root: Path

    def study(self, name: str) -> Study:
        return read_study(self.root / "params" / "studies" / f"{name}.yaml")

    def asked(self, *config: str, studies: str = "one", words: tuple[str, ...] = ("-n",)) -> tuple[int, str]:
        """Run Snakemake; its exit status, and all that it says."""
        named = "+".join(str(self.root / "params/studies" / f"{name}.yaml") for name in studies.split("+"))
        given = [f"study={named}", f"variants={self.root / 'four.yaml'}", "threads=1", *config]
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--cores", "2"]
        command += ["--directory", str(self.root), "--scheduler", "greedy", *words, "--config", *given]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    def jobs(self, *config: str, studies: str = "one") -> dict[str, int]:
        """Rule → how many jobs of it are to be run."""
        rc, said = self.asked(*config, studies=studies, words=("-n", "--quiet", "rules"))
        assert rc == 0, said
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.M) if rule != "total"}


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """A project with two studies of no images, and four variants."""
    (tmp_path / "params/studies").mkdir(parents=True)
    for name in ("one", "two"):
        write_study(tmp_path / "params/studies" / f"{name}.yaml")
    (tmp_path / "four.yaml").write_text(yaml.safe_dump(FOUR))
    (tmp_path / "images").mkdir()
    return Graph(tmp_path)


def write_study(path: Path) -> None:
    sampling = {"development": ["one"], "test": ["two", "three"]}
    path.write_text(yaml.safe_dump({"name": path.stem, "images": {"folder": "images"}, "sampling": sampling}))


FIVE = {"all": 1, "captions": 1, "adapters": 1, "samples": 1, "scores": 1, "report": 1}


def test_one_pack_is_five_jobs(graph: Graph) -> None:
    assert graph.jobs("pack=4") == FIVE


@pytest.mark.parametrize(("size", "packs"), [(1, 4), (3, 2)])
def test_each_pack_is_trained_and_drawn_beside_the_baseline_and_the_rest_is_done_once(
    graph: Graph, size: int, packs: int
) -> None:
    several = {"pack": packs, "adapters": packs, "part": packs + 1}
    assert graph.jobs(f"pack={size}") == FIVE | several


def test_two_studies_of_one_project_are_one_graph(graph: Graph) -> None:
    assert graph.jobs(studies="one+two") == {rule: count if rule == "all" else 2 for rule, count in FIVE.items()}


def test_studies_of_two_projects_are_refused(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "params/studies/far/params/studies").mkdir(parents=True)
    write_study(tmp_path / "params/studies/far/params/studies/three.yaml")
    rc, said = graph.asked(studies="one+far/params/studies/three")
    assert rc and "studies of one call belong to one project, these to" in said and str(tmp_path) in said


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("packs=2", r"--config takes .*pack, .*each as NAME=VALUE, got packs"),
        ("variants=nowhere", r"there is no file of variants .*nowhere\.yaml"),
        ("pack=0", r"pack must be a whole number of at least 1, got 0"),
        ("gpu=some", r"gpu must be a whole number of at least 0, got some"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(graph: Graph, config: str, why: str) -> None:
    rc, said = graph.asked(config)
    assert rc and re.search(why, said), said


def test_every_job_is_of_its_pack_and_all_run_the_notebooks_of_the_story(graph: Graph) -> None:
    rc, said = graph.asked("pack=2", words=("-n", "--printshellcmds"))
    assert rc == 0, said
    names = [pack_name(own) for own in (read_variants([*FOUR["variants"][i : i + 2]]) for i in (0, 2))]
    commands = [line.split() for line in said.splitlines() if " -m caplora job " in line]
    made = {
        next(Path(w).name for w in line if w.endswith((".made", ".captioned"))) for line in commands if "--made" in line
    }
    parts = [f"0{n}_{what}_{name}.made" for n, what in ((2, "train_lora"), (3, "inference")) for name in names]
    assert made == {".captioned", "03_inference.made", "03_inference_baseline.made", *parts}
    assert len(commands) == 1 + 2 + 3 + 1 + 1 + 1


def test_one_thousand_recipes_from_three_seeds_resolve(graph: Graph) -> None:
    (graph.root / "four.yaml").write_text(yaml.safe_dump(MANY))
    assert graph.jobs("pack=50")["adapters"] == 60


def numbers(graph: Graph) -> dict[str, str]:
    """Notebook → the number of its run."""
    rc, said = graph.asked(words=("-n", "--printshellcmds"))
    assert rc == 0, said
    return dict(re.findall(r"caplora job \S+ (\w+) .*?--run (\d+)", said))


def test_a_job_that_failed_or_was_killed_runs_again_under_another_number(graph: Graph) -> None:
    study = graph.study("one")
    for job, state in (("02_train_lora", "failed"), ("04_clipscore", "running"), ("05_analysis", "done")):
        record_path(study, job).parent.mkdir(parents=True, exist_ok=True)
        write_record(record_path(study, job), record(job, state, run=4))
    study.report.write_text("there")
    found = numbers(graph)
    assert found == {
        "01_data_captioning": "0", "02_train_lora": "5", "03_inference": "0", "04_clipscore": "5", "05_analysis": "4",
    }  # fmt: skip
    study.report.unlink()
    assert numbers(graph)["05_analysis"] == "5"


def test_the_profile_for_one_machine_gives_each_job_a_card_and_says_nothing_that_snakemake_lacks(graph: Graph) -> None:
    profile = PROJECT / "params" / "profiles" / "local"
    rc, said = graph.asked("pack=2", "gpu=1", words=("-n", "--profile", str(profile), "--verbose"))
    assert rc == 0, said
    content = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8"))
    rules = set(re.findall(r"^rule (\w+)|^checkpoint (\w+)", (PROJECT / "Snakefile").read_text(encoding="utf-8"), re.M))
    assert set(content["set-threads"]) == {a or b for a, b in rules} - {"all", "pack"}
