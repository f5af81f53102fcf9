"""The solvers that pictures are drawn by, all of them diffusers' own, and what A1111 calls them.

DPM-Solver++ (2M, Lu et al. 2022), Euler and Euler with noise of its own at each step (Karras et al. 2022), DDIM
(Song et al. 2021) and UniPC (Zhao et al. 2023).
"""

from dataclasses import dataclass, field
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

from caplora.models import Pipeline


@dataclass(frozen=True)
class Solver:
    """A scheduler of diffusers and what it is told; `sampler` and `schedule` are A1111's words."""

    sampler: str
    schedule: str = ""
    kind: type[SchedulerMixin] = DPMSolverMultistepScheduler
    told: dict[str, Any] = field(default_factory=dict)
    ancestral: bool = False  # whether each step adds noise

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.sampler} {self.schedule}".strip()


UNNAMED = "dpmsolver++"  # what drew the pictures that name no solver
SOLVERS = {
    UNNAMED: Solver("DPM++ 2M"),
    "dpmsolver++_karras": Solver("DPM++ 2M", "Karras", told={"use_karras_sigmas": True}),
    "euler": Solver("Euler", kind=EulerDiscreteScheduler),
    "euler_a": Solver("Euler a", kind=EulerAncestralDiscreteScheduler, ancestral=True),
    "ddim": Solver("DDIM", kind=DDIMScheduler, told={"clip_sample": False}),  # latents are not within −1 … 1
    "unipc": Solver("UniPC", kind=UniPCMultistepScheduler),
}


def scheduler_of(pipeline: Pipeline, solver: str) -> SchedulerMixin:
    """A fresh scheduler over the noise schedule of a base model; each step is one pass of the UNet."""
    return SOLVERS[solver].kind.from_config(pipeline.scheduler.config, **SOLVERS[solver].told)


def named(solver: str) -> dict[str, str]:
    """The solver as what decides a picture says it; nothing for the one that drew before there was a choice."""
    return {} if solver == UNNAMED else {"solver": solver}


def in_words_of_a1111(sampling: dict[str, Any]) -> dict[str, str]:
    """The solver of what decides a picture, as A1111 writes it into a PNG."""
    chosen = SOLVERS[sampling.get("solver", UNNAMED)]
    return {"Sampler": chosen.sampler} | ({"Schedule type": chosen.schedule} if chosen.schedule else {})


def solver_called(sampler: str, schedule: str = "") -> str | None:
    """The solver that A1111 calls so, or None; before version 1.9 it wrote the schedule behind the sampler."""
    title = f"{sampler} {schedule if schedule not in ('Automatic', 'Uniform') else ''}".strip()
    return next((name for name, solver in SOLVERS.items() if solver.title.lower() == title.lower()), None)
