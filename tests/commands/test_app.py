"""commands/app.py: every command line of before is understood, help is true and fast, and a refusal is one line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from caplora.commands import main
from caplora.commands.app import FAMILIES, PROGRAM, app
from caplora.commands.flags import Flags, given
from caplora.study.reading import PROJECT

COMMANDS = [command.__name__ for commands in FAMILIES.values() for command in commands]
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "open_clip", "pandas", "numpy")


def parsed(line: list[str]) -> tuple[str, dict[str, Any]]:
    """The command of a line, and what it would be called with; of a model of flags what was given."""
    command, bound, _ = app.parse_args(line, print_error=False, exit_on_error=False)
    called = {name: given(v) if isinstance(v, Flags) else v for name, v in bound.arguments.items()}
    return command.__name__, called


class Helped:
    """What `--help` of a command says in a terminal of so many columns."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, command: str, columns: int = 120) -> str:
        self.monkeypatch.setattr(app, "console", Console(width=columns))
        assert main([*command.split(), "--help"]) == 0
        return self.capsys.readouterr().out


@pytest.fixture
def helped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Helped:
    return Helped(capsys, monkeypatch)


A_SAMPLE = ["sample", "--pretrained_model", "base", "--lora_weights", "a.safetensors", "--prompt", "x"]
SAMPLED = {"pretrained_model": "base", "lora_weights": Path("a.safetensors"), "prompt": ["x"]}


@pytest.mark.parametrize(
    ("line", "command", "called"),
    [
        (["new", "faces", "--images", "p"], "new", {"name": "faces", "images": Path("p")}),
        (["new", "--images=p", "--like=mini", "faces"], "new", {"name": "faces", "images": Path("p"), "like": "mini"}),
        (["captions", "s", "--export", "c.json"], "captions", {"study": "s", "export": Path("c.json")}),
        (
            ["captions", "s", "--import", "t", "--partial"],
            "captions",
            {"study": "s", "source": Path("t"), "partial": True},
        ),
        (
            ["captions", "--compare=t.csv", "--lint", "--history", "--restore", "s"],
            "captions",
            {"study": "s", "compare": Path("t.csv"), "lint": True, "history": True, "restore": True},
        ),
        (["train", "s"], "train", {"study": "s"}),
        (
            ["train", "s", "--variants", "grid+captions", "--fork"],
            "train",
            {"study": "s", "variants": "grid+captions", "fork": True},
        ),
        (
            [
                "train",
                "--pretrained_model_name_or_path=m",
                "--instance_data_dir=p",
                "--output_dir=o",
                "--caption_file=captions.json",
                "--resolution=384",
                "--train_batch_size=1",
                "--num_train_epochs=10",
                "--learning_rate=5e-5",
                "--mixed_precision=fp16",
                "--gradient_accumulation_steps=2",
                "--lr_scheduler=constant",
                "--checkpointing_steps=100",
                "--rank=4",
                "--alpha=8",
            ],
            "train",
            {
                "folder": {
                    "pretrained_model_name_or_path": "m",
                    "instance_data_dir": Path("p"),
                    "output_dir": Path("o"),
                    "caption_file": Path("captions.json"),
                    "resolution": 384,
                    "num_train_epochs": 10,
                    "rank": 4,
                    "alpha": 8.0,
                },
                "training": {
                    "batch_size": 1,
                    "learning_rate": 5e-5,
                    "mixed_precision": "fp16",
                    "gradient_accumulation_steps": 2,
                    "lr_scheduler": "constant",
                    "checkpointing_steps": 100,
                },
            },
        ),
        (["train", "s", "--max_train_steps", "7"], "train", {"study": "s", "training": {"steps": 7}}),
        (A_SAMPLE, "sample", SAMPLED),
        ([*A_SAMPLE, "--prompt", "y, z"], "sample", SAMPLED | {"prompt": ["x", "y, z"]}),
        (
            [*A_SAMPLE, "--seeds", "0", "7", "-1", "--scale", "0"],
            "sample",
            SAMPLED | {"scale": 0.0, "drawing": {"seeds": (0, 7, -1)}},
        ),
        (
            [*A_SAMPLE, "--num_inference_steps=2", "--guidance_scale", "3", "--resolution", "32", "--output_dir", "o"],
            "sample",
            SAMPLED
            | {
                "resolution": 32,
                "output_dir": Path("o"),
                "drawing": {"num_inference_steps": 2, "guidance_scale": 3.0},
            },
        ),
        ([*A_SAMPLE, "--lora_weights", "b"], "sample", SAMPLED | {"lora_weights": Path("b")}),
        (["score", "--images_dir", "r"], "score", {"images_dir": Path("r")}),
        (
            ["score", "--images_dir=r", "--text", "a man", "--prefix", "", "--out", "o.csv"],
            "score",
            {"images_dir": Path("r"), "text": "a man", "out": Path("o.csv"), "scoring": {"prefix": ""}},
        ),
        (
            ["score", "--images_dir", "r", "--model", "local-dir:m", "--pretrained", "w.pt"],
            "score",
            {"images_dir": Path("r"), "model": "local-dir:m", "pretrained": "w.pt"},
        ),
        (["watch", "s", "--once", "--seconds", "5"], "watch", {"study": "s", "once": True, "seconds": 5.0}),
        (["report", "s", "--pdf"], "report", {"study": "s", "pdf": True}),
        (["publish", "s"], "publish", {"study": "s"}),
        (
            ["publish", "s", "--variant=r4_a8", "--to", "o/n", "--public", "--consent", "by letter", "--dry-run"],
            "publish",
            {"study": "s", "variant": "r4_a8", "to": "o/n", "public": True, "consent": "by letter", "dry_run": True},
        ),
        (
            ["merge", "a", "--base", "o/n@r", "--strength", "-0.5", "--out", "m"],
            "merge",
            {"adapter": Path("a"), "base": "o/n@r", "strength": -0.5, "out": Path("m")},
        ),
        (
            ["extract", "--base", "b", "--tuned", "t", "--rank", "4", "--out", "o"],
            "extract",
            {"base": "b", "tuned": "t", "rank": 4, "out": Path("o")},
        ),
        (["resize", "a", "--rank", "2", "--out", "o"], "resize", {"adapter": Path("a"), "rank": 2, "out": Path("o")}),
        (
            ["convert", "a", "--to", "kohya", "--out", "o"],
            "convert",
            {"adapter": Path("a"), "to": "kohya", "out": Path("o")},
        ),
    ],
)
def test_command_line_is_understood(line: list[str], command: str, called: dict[str, Any]) -> None:
    assert parsed(line) == (command, called)


def test_hyphens_do_for_underscores() -> None:
    hyphens = [word.replace("_", "-") if word.startswith("--") else word for word in A_SAMPLE]
    assert parsed(hyphens) == parsed(A_SAMPLE)


@pytest.mark.parametrize(
    ("line", "said", "way_out"),
    [
        ([], "a command is needed", "--help"),
        (["trian", "mini"], '"trian"', "--help"),
        (["train"], "STUDY.*--instance_data_dir", "train --help"),
        (["train", "mini", "--instance_data_dir=x"], "not both", "train --help"),
        (["train", "--instance_data_dir=x", "--variants=grid"], "not both", "train --help"),
        (["train", "--rank=4"], "--instance_data_dir", "train --help"),
        (["train", "--instance_data_dir=x", "--rank=0"], "--rank: .*greater than or equal to 1", "train --help"),
        (["train", "mini", "extra"], "extra", "train --help"),
        (["train", "mini", "--stepz", "3"], "--stepz", "train --help"),
        (["train", "mini", "--steps"], "--steps", "train --help"),
        (["train", "mini", "--steps", "many"], "--steps: .*integer.* got 'many'", "train --help"),
        (["train", "mini", "--steps", "0"], "--steps: .*greater than or equal to 1, got '0'", "train --help"),
        (["train", "mini", "--learning_rate", "nan"], "--learning_rate: .*finite.* got 'nan'", "train --help"),
        (["train", "mini", "--lr_scheduler", "cos"], "--lr_scheduler: .*'cosine'.* got 'cos'", "train --help"),
        (["train", "mini", "--targets", "("], "--targets: '\\(' is none of qv", "train --help"),
        (["train", "mini", "--prior", "x"], "--prior", "train --help"),
        (["new", "faces"], "--images", "new --help"),
        ([*A_SAMPLE, "--seeds"], "--seeds", "sample --help"),
        ([*A_SAMPLE, "--seeds", "0", "x"], "--seeds: .*integer.* got 'x'", "sample --help"),
        ([*A_SAMPLE, "--resolution", "big"], '--resolution: .*"big"', "sample --help"),
        (A_SAMPLE[:-2], "--prompt", "sample --help"),
        (["score"], "--images_dir", "score --help"),
        (["score", "--images_dir", "x", "--batch_size", "0"], "--batch_size: .* got '0'", "score --help"),
        (["resize", "a", "--out", "o"], "--rank", "resize --help"),
        (["convert", "a", "--to", "onnx", "--out", "o"], '"onnx" for --to', "convert --help"),
    ],
)
def test_refusal_is_one_line_with_the_way_out(
    line: list[str], said: str, way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and re.search(said, err)
    assert err.endswith(f" See {PROGRAM} {way_out}\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["train", "nowhere"], "there is no study 'nowhere'"),
        (["train", "mini", "--variants", "nowhere"], "there is no file of variants"),
        (["train", "mini", "--lr_step_rules", "1:9,0.1"], "lr_step_rules go with lr_scheduler piecewise_constant"),
        (["captions", "nowhere", "--lint"], "there is no study 'nowhere'"),
        (["watch", "nowhere"], "there is no study 'nowhere'"),
        (["watch", "mini", "--seconds", "0"], "--seconds must be more than 0, got 0"),
        (["report", "nowhere"], "there is no study 'nowhere'"),
        (["publish", "nowhere"], "there is no study 'nowhere'"),
    ],
)
def test_error_of_a_study_is_said_as_it_is(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err and "--help" not in err


def test_help_lists_every_command_in_its_family(helped: Helped) -> None:
    said = helped("")
    assert re.findall(r"^│ ([a-z]+) ", said, re.M) == COMMANDS
    assert re.findall(r"^╭─ (\w+) ", said, re.M) == [*FAMILIES, "Help"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_no_command_that_is_not_there(command: str, helped: Helped) -> None:
    assert set(re.findall(r"-m caplora ([a-z]+)", helped(command))) <= {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_example_of_a_command_can_be_pasted(command: str, helped: Helped) -> None:
    said = helped(command).split("\n╭")[0]
    examples = re.findall(rf"^ {PROGRAM} ({command} (?:[^\n]*\\\s*\n)*[^\n]*)$", said, re.M)
    assert len(examples) == (2 if command in ("train", "verify") else 1)  # these have two ways of use
    for example in examples:
        assert parsed(shlex.split(re.sub(r"\\\s*\n", " ", example)))[0] == command


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_the_terminal_and_breaks_no_flag_in_two(command: str, columns: int, helped: Helped) -> None:
    said = helped(command, columns)
    assert max(map(len, said.splitlines())) <= columns
    assert {*re.findall(r"--[a-z]\w*", helped(command, 400))} <= {*re.findall(r"--[a-z]\w*", said)}


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        ["train", "--help"],
        ["sample", "--help"],
        ["watch", "--help"],
        ["train", "mini", "--stepz"],
        ["train", "nowhere"],
    ],
)
def test_help_and_refusals_load_no_model_library(line: list[str]) -> None:
    loaded = f"sorted({{*{HEAVY}}} & {{*sys.modules}})"
    code = f"import sys; from caplora.commands import main; main({line}); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_runs_and_says_its_status() -> None:
    done = subprocess.run([sys.executable, "-m", "caplora", "train"], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("name", "images", "said"), [("mini", ".", "exists"), ("x", "nowhere", "nowhere"), ("../x", ".", "name")]
)
def test_bad_command_says_why(
    name: str, images: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / images
    assert main(["new", name, "--images", str(folder), "--like", "mini"]) == 2
    assert said in capsys.readouterr().err
