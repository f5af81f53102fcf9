"""A seed → portraits whose content is known exactly, and captions that say it.

`world` has the attributes, their words, persons, scenes and captions. `styles` renders a person in a scene: `drawing`
paints surfaces on a `canvas` with the help of `head` and `hair`, then light and a drawing style turn them into a
picture. `pictures` paints many for training, `portraits` the hundred of the mini study. `words` makes the tokenizers.
"""

from caplora.mini.world.pictures import Pictures, paint, read_pictures
from caplora.mini.world.portraits import PORTRAITS, TRUTH, paint_portraits
from caplora.mini.world.words import bert_tokenizer, clip_tokenizer
from caplora.mini.world.world import (
    ATTRIBUTES,
    BASE_STYLES,
    NEW_STYLE,
    WORDS,
    caption,
    change_one,
    draw_person,
    draw_scene,
    truth,
)

__all__ = [
    "ATTRIBUTES", "BASE_STYLES", "NEW_STYLE", "PORTRAITS", "TRUTH", "WORDS", "Pictures", "bert_tokenizer", "caption",
    "change_one", "clip_tokenizer", "draw_person", "draw_scene", "paint", "paint_portraits", "read_pictures", "truth",
]  # fmt: skip
