"""Room."""

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
