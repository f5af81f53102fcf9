"""A hundred portraits → reviewed captions → LoRA adapters → samples → scores → a report.

Import what a stage needs from its module: `from caplora.study import read_study`. Nothing is loaded here.
"""

__version__ = "0.13.0"
