"""How the study drew its first picture of a variant → the same in a few lines of diffusers."""

from typing import Any

from markupsafe import Markup

from caplora.lora import DIFFUSERS
from caplora.publishing.facts import Facts
from caplora.publishing.pictures import Chosen
from caplora.publishing.words import literal
from caplora.sampling import SOLVERS, read_made, said_of
from caplora.study import Study

WIDE = 110  # characters of a line


def example(facts: Facts, pictures: Chosen, run: Study, repository: str) -> Markup:
    """Python that draws with the adapter: base model, scheduler, size and, of a picture that is shown, its noise."""
    solver = SOLVERS[run.sampling.solver]
    told = solver.told | ({"prediction_type": v} if (v := run.training.prediction_type) else {})
    first = pictures.pairs[0] if pictures.pairs else None
    side = read_made(run.samples(facts.variant.name)).get("pixels", run.images.resolution)
    asked = [literal(first.prompt if first else facts.trigger or "portrait"), *arguments(
        num_inference_steps=run.sampling.num_inference_steps, guidance_scale=run.sampling.guidance_scale,
        height=side, width=side,
    )]  # fmt: skip
    if first:
        asked.append(f"generator=torch.Generator().manual_seed({int(said_of(first.adapter)['noise'])})")
    revision = [f"revision={literal(facts.revision)}"] if facts.on_hub and facts.revision else []
    weights = [literal(repository or "."), f"weight_name={literal(DIFFUSERS)}"]
    lines = [
        "import torch",
        f"from diffusers import AutoPipelineForText2Image, {solver.kind.__name__}",
        "",
        "pipeline = AutoPipelineForText2Image.from_pretrained(",
        *wrapped([literal(facts.base), *revision, "torch_dtype=torch.float16"]),
        ').to("cuda")',
        f"pipeline.scheduler = {solver.kind.__name__}.from_config(",
        *wrapped(["pipeline.scheduler.config", *arguments(**told)]),
        ")",
        f"pipeline.load_lora_weights({', '.join(weights)})",
        "picture = pipeline(",
        *wrapped(asked),
        ").images[0]",
    ]
    return Markup("\n".join(lines))  # noqa: S704  # of words that `literal` has made strings


def arguments(**values: Any) -> list[str]:
    """`name=value`, as Python has it."""
    return [f"{name}={value!r}" for name, value in values.items()]


def wrapped(arguments: list[str]) -> list[str]:
    """The arguments of a call in lines that are no wider than need be."""
    lines = [""]
    for argument in arguments:
        if lines[-1] and len(lines[-1]) + len(argument) > WIDE:
            lines.append("")
        lines[-1] += f" {argument}," if lines[-1] else f"    {argument},"
    return lines
