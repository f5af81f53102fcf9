"""How the miniature models are made: one file for each model, how they are fitted and measured, and the whole in order.

`stack.py` is what notebook 00 holds, `fitting.py` the training loop of all models, `measure.py` how good they are.
"""

from caplora.mini.training.stack import MiniStack

__all__ = [
    "MiniStack",
]
