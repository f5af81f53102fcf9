"""The commands of caplora: begin a study, exchange its captions, train, draw and score, and what adapters need."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from caplora.study import new_study

Command = Callable[[str, str], Callable[..., argparse.Action]]  # name, what it does → what adds a flag to it


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    top = argparse.ArgumentParser(prog="python -m caplora", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, does: str) -> Callable[..., argparse.Action]:
        return commands.add_parser(name, help=does, description=does).add_argument

    study_commands(command)
    sample_commands(command)
    adapter_commands(command)
    return top


def study_commands(command: Command) -> None:
    """Begin a study, exchange its captions, train its variants."""
    flag = command("new", "begin a study of your own images")
    flag("name", help="of the study, its folders and its file")
    flag("--images", type=Path, required=True, help="the folder that holds them; it is never written to")
    flag("--like", default="sd15", help="the study whose models and settings it takes (default: sd15)")
    flag = command("captions", "bring captions to and from other tools, compare and check them")
    flag("study", help="a file of params/studies")
    flag("--export", type=Path, metavar="PATH", help="write them: .json, .jsonl, .csv, or a folder for a .txt each")
    flag("--import", type=Path, metavar="PATH", dest="source", help="read them from any of these, as a person's")
    flag("--partial", action="store_true", help="import captions of some images only")
    flag("--compare", type=Path, metavar="PATH", help="show where they differ from those in any of these, both ways")
    flag("--lint", action="store_true", help="show what is doubtful about them")
    flag("--history", action="store_true", help="show who changed what, when and why")
    flag("--restore", action="store_true", help="write a metadata.csv that is gone anew, from its history")
    flag = command(
        "train", "train variants as notebook 02 does; several processes: accelerate launch -m caplora train …"
    )
    flag("study", help="a file of params/studies")
    flag("--variants", default="grid", help="a file of params/variants (default: grid)")
    flag("--fork", action="store_true", help="set a training aside that stopped half way and was begun differently")


def sample_commands(command: Command) -> None:
    """Draw, score, report."""
    flag = command("sample", "draw prompts with a base model and with an adapter, from the same noise")
    flag("--pretrained_model", required=True, help="the base model: a folder, or owner/name@revision")
    flag("--lora_weights", type=Path, required=True, help="the adapter: a file in any form, or the folder it lies in")
    flag("--prompt", action="append", required=True, help="what to draw; may be given several times")
    flag("--seeds", type=int, nargs="+", default=[0, 1, 2, 3], help="of each prompt (default: 0 1 2 3)")
    flag("--scale", type=float, default=1.0, help="how much of the adapter is used (default: 1)")
    flag("--num_inference_steps", type=int, help="(default: that of sd15)")
    flag("--guidance_scale", type=float, help="(default: that of sd15)")
    flag("--resolution", type=int, default=512, help="pixels of a side (default: 512)")
    flag(
        "--output_dir",
        type=Path,
        default=Path("results"),
        help="where it goes; other prompts take their place (default: results)",
    )
    flag = command("score", "score any folder of pictures by CLIPScore, each with what it should show")
    flag(
        "--images_dir",
        type=Path,
        required=True,
        help="the folder, or one of folders; metadata.csv says file_name and text",
    )
    flag("--text", help="one text for all pictures instead: a weak measure, which cannot tell one prompt from another")
    flag("--model", help="a name of open_clip, or local-dir:PATH (default: that of sd15, with its weights)")
    flag("--pretrained", help="the weights of --model: a name of open_clip, or a file")
    flag("--prefix", help="what goes before each text (default: “A photo depicts ”, as CLIPScore has it)")
    flag("--out", type=Path, help="the table of scores (default: scores.csv beside the pictures)")
    flag = command("report", "say where a study's report is, which notebook 05 writes, and make a PDF of it")
    flag("study", help="a file of params/studies")
    flag("--pdf", action="store_true", help="write report.pdf beside it (needs WeasyPrint: pip install weasyprint)")


def adapter_commands(command: Command) -> None:
    """Merge, extract, resize and convert adapters."""
    flag = command("merge", "write a base model with an adapter added to its weights, as diffusers loads it")
    flag("adapter", type=Path, help="a file in any form")
    flag("--base", required=True, help="the model: a folder, or owner/name@revision")
    flag("--strength", type=float, default=1.0, help="what the change is multiplied by (default: 1)")
    flag("--out", type=Path, required=True, help="the folder of the merged model")
    flag = command("extract", "write the adapter of a rank that takes one model to another, in kohya's form")
    flag("--base", required=True, help="the model before: a folder, or owner/name@revision")
    flag("--tuned", required=True, help="the model after")
    flag("--rank", type=int, default=16, help="of the adapter (default: 16)")
    flag("--out", type=Path, required=True, help="the .safetensors file")
    flag = command("resize", "write an adapter at a lower rank, in kohya's form")
    flag("adapter", type=Path, help="a file in any form")
    flag("--rank", type=int, required=True, help="the new, lower rank")
    flag("--out", type=Path, required=True, help="the .safetensors file")
    flag = command("convert", "write an adapter, ours or other people's, in another form")
    flag("adapter", type=Path, help="a file in any form")
    flag("--to", choices=("diffusers", "kohya"), required=True, help="the form of the new file")
    flag("--out", type=Path, required=True, help="the .safetensors file")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 with the reason on standard error."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "new":
            sys.stdout.write(f"{new_study(given.name, given.images.expanduser().resolve(), given.like)}\n")
        else:
            import_module("caplora.commands.commands").RUN[given.command](
                given
            )  # torch, which takes seconds, only where needed
    except (ValueError, OSError, RuntimeError, ArithmeticError, KeyboardInterrupt) as error:
        sys.stderr.write(f"{error or 'interrupted'}\n")
        return 2
    return 0
