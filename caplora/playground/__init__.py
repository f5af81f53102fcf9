"""A place to try things: any prompt and setting, any adapter or two, drawn beside the baseline from the same noise.

`playground` is the widget, with `playground.js` and `playground.css`; `shown` is what it shows, `work` what it does
meanwhile. A picture is a `recipe`, and a `grid` is many that differ in two settings. `pictures` draws them and keeps
them with their settings, `adapters` knows what they may be drawn with, and `recalling` reads settings back from a
picture.
"""

from caplora.playground.playground import Playground
from caplora.playground.work import refuse_while_drawing

__all__ = ["Playground", "refuse_while_drawing"]
