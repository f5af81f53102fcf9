"""Pictures of the portrait world → the trained models of the mini stack; notebook 00 calls these files in turn.

One file for each model: `vae`, `diffusion` (text encoder and UNet), `blip`, `clip`, `identity` and `judge`. `fitting`
is the training loop that they share; `measure` says how good they are, and writes the model card.
"""

from caplora.mini.training.stack import MiniStack

__all__ = ["MiniStack"]
