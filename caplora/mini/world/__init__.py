"""A seed → portraits whose content is known exactly, and captions that say it.

`world` has the attributes, their words, persons, scenes and captions. `styles` renders a person in a scene: `drawing`
paints surfaces on a `canvas` with the help of `head` and `hair`, then light and a drawing style turn them into a
picture. `pictures` paints many for training, `portraits` the hundred of the mini study. `words` makes the tokenizers.
"""

from caplora.mini.world.pictures import Pictures
from caplora.mini.world.portraits import TRUTH
from caplora.mini.world.world import ATTRIBUTES, BASE_STYLES, WORDS, caption, change_one, draw_person, draw_scene, truth

__all__ = [
    "ATTRIBUTES",
    "BASE_STYLES",
    "TRUTH",
    "WORDS",
    "Pictures",
    "caption",
    "change_one",
    "draw_person",
    "draw_scene",
    "truth",
]
