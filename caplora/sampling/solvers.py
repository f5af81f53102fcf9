"""The solvers that a study may choose: DPM-Solver++ (2M, Lu et al. 2022) of diffusers, and what A1111 calls them."""

from dataclasses import dataclass, field
from typing import Any

from diffusers import DPMSolverMultistepScheduler

from caplora.models import Pipeline


@dataclass(frozen=True)
class Solver:
    """What a scheduler of diffusers is told; `sampler` and `schedule` are A1111's words."""

    sampler: str
    schedule: str = ""
    told: dict[str, Any] = field(default_factory=dict)


UNNAMED = "dpmsolver++"  # what drew the pictures that name no solver
SOLVERS = {
    UNNAMED: Solver("DPM++ 2M"),
    "dpmsolver++_karras": Solver("DPM++ 2M", "Karras", {"use_karras_sigmas": True}),
}


def scheduler_of(pipeline: Pipeline, solver: str) -> DPMSolverMultistepScheduler:
    """A fresh scheduler over the noise schedule of a base model; each step is one pass of the UNet."""
    return DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, **SOLVERS[solver].told)


def named(solver: str) -> dict[str, str]:
    """The solver as what decides a picture says it; nothing for the one that drew before there was a choice."""
    return {} if solver == UNNAMED else {"solver": solver}


def in_words_of_a1111(sampling: dict[str, Any]) -> dict[str, str]:
    """The solver of what decides a picture, as A1111 writes it into a PNG."""
    chosen = SOLVERS[sampling.get("solver", UNNAMED)]
    return {"Sampler": chosen.sampler} | ({"Schedule type": chosen.schedule} if chosen.schedule else {})
