"""The part `sampling` of a study file: which prompts are drawn, with which seeds, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from caplora.study.settings import Part, Positive, Text


class Sampling(Part):
    """What is drawn to compare the arms: every prompt with every seed, from the same noise."""

    development: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Prompts that choose the best variant."""
    test: Annotated[tuple[Text, ...], Field(min_length=2)]
    """Prompts that judge it; one alone has no spread."""
    edits: tuple[Text, ...] = ()
    """Prompts that ask of the subject what its images never show: told apart from test."""
    unrelated: tuple[Text, ...] = ()
    """Prompts of what was not trained: how far an adapter drifts there."""
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = (0.4, 0.7, 1.2)
    """Of the adapter chosen, beside 0 and 1; drawn for development and unrelated prompts with the first seed."""
    captions: Annotated[int, Field(ge=0)] = 10
    """Of training images, and as many of held-out ones, that ask for the former back: the chosen training at every step
    that is kept, and adapters trained on fewer images; 0: none."""
    finalists: Positive | None = None
    """How many variants draw more than the development prompts: the best there; None: all."""
    step_rule: Literal["one_standard_error", "maximum"] = "one_standard_error"
    """Which of the steps of `training.keep` stands for a variant: the earliest within one standard error of the best,
    or the best, by CLIPScore on the development prompts with the first seed."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2, 3)
    """Of each prompt: one picture a seed."""
    num_inference_steps: Positive = 30
    """Denoising steps of a picture."""
    solver: Literal["dpmsolver++", "dpmsolver++_karras", "euler", "euler_a", "ddim", "unipc"] = "dpmsolver++"
    """DPM-Solver++ (2M) at the model's own timesteps, at those of Karras et al. 2022 (fewer do), or another solver."""
    guidance_scale: Annotated[float, Field(ge=1)] = 7.5
    """How strongly a picture is pulled towards its prompt (classifier-free guidance); 1: not at all."""
    batch_size: Positive = 4
    """Pictures drawn at once."""

    @model_validator(mode="after")
    def nothing_stands_twice(self) -> "Sampling":
        """Raise ValueError where a prompt, scale or seed stands twice, or a suite has a single prompt."""
        suites = self.suites
        prompts = [prompt for suite in suites.values() for prompt in suite]
        twice = sorted({p for p in prompts if prompts.count(p) > 1})
        if twice:
            raise ValueError(f"each prompt may stand once, in one of {', '.join(suites)}: {twice[0]!r} stands twice")
        for name in ("edits", "unrelated"):
            if len(suites[name]) == 1:
                raise ValueError(f"{name} needs no prompts or at least 2: {suites[name][0]!r} alone has no spread")
        if 1 in self.scales or len(set(self.scales)) < len(self.scales):
            raise ValueError(f"each scale may stand once, and 1 is drawn anyway, got {list(self.scales)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"each seed may stand once, got {list(self.seeds)}")
        return self

    @property
    def suites(self) -> dict[str, tuple[str, ...]]:
        """The prompts by what they are for, the split of a sample: development, test, edits, unrelated."""
        return {name: getattr(self, name) for name in ("development", "test", "edits", "unrelated")}
