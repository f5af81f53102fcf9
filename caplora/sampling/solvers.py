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

# A base model's own configuration may say any of these, and then "DPM++ 2M" would be something else.
PLAIN = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
EULER = PLAIN | {
    "interpolation_type": "linear", "timestep_type": "discrete", "final_sigmas_type": "zero",
}  # fmt: skip
MULTISTEP = PLAIN | {
    "use_flow_sigmas": False, "use_dynamic_shifting": False, "solver_order": 2, "lower_order_final": True,
    "final_sigmas_type": "zero", "thresholding": False,
}  # fmt: skip
DPM = MULTISTEP | {
    "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "euler_at_final": False, "use_lu_lambdas": False,
}  # fmt: skip
UNIPC = MULTISTEP | {
    "solver_type": "bh2", "predict_x0": True, "disable_corrector": [], "shift_terminal": None,
}  # fmt: skip
RANGE = ("sigma_min", "sigma_max")  # which some schedulers read from any configuration, though they have no such word


@dataclass(frozen=True)
class Solver:
    """A scheduler of diffusers and all that it is told; `sampler` and `schedule` are A1111's words."""

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
    UNNAMED: Solver("DPM++ 2M", told=DPM),
    "dpmsolver++_karras": Solver("DPM++ 2M", "Karras", told=DPM | {"use_karras_sigmas": True}),
    "euler": Solver("Euler", kind=EulerDiscreteScheduler, told=EULER),
    "euler_a": Solver("Euler a", kind=EulerAncestralDiscreteScheduler, ancestral=True),
    # latents are not within −1 … 1
    "ddim": Solver("DDIM", kind=DDIMScheduler, told={"clip_sample": False, "thresholding": False}),
    "unipc": Solver("UniPC", kind=UniPCMultistepScheduler, told=UNIPC),
}


def scheduler_of(pipeline: Pipeline, solver: str) -> SchedulerMixin:
    """A fresh scheduler over a base model's noise schedule, else as its name says; a step is one pass of the UNet."""
    base = {key: value for key, value in pipeline.scheduler.config.items() if key not in RANGE}
    return SOLVERS[solver].kind.from_config(base, **SOLVERS[solver].told)


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
