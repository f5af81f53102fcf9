"""The images of a study → what a captioning model says of each one.

`machine_captions` captions a dataset and remembers what was said, so that nothing is captioned twice. `captioners`
loads a model of any known family and asks it; `blip` makes the attention of BLIP fast.
"""

from caplora.captioning.captioners import Captioner, check_chat, first_words, load_captioner
from caplora.captioning.machine_captions import captions_of

__all__ = ["Captioner", "captions_of", "check_chat", "first_words", "load_captioner"]
