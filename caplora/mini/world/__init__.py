"""Room."""

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
    "ATTRIBUTES",
    "BASE_STYLES",
    "NEW_STYLE",
    "PORTRAITS",
    "TRUTH",
    "WORDS",
    "Pictures",
    "bert_tokenizer",
    "caption",
    "change_one",
    "clip_tokenizer",
    "draw_person",
    "draw_scene",
    "paint",
    "paint_portraits",
    "read_pictures",
    "truth",
]
