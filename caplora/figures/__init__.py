"""Tables and pictures → figures, in one look.

A file for each kind of figure: pictures that came in (`curation`), the `persons` on them, `captions`, training
`losses`, every `metrics`, effects as `forest` and `heat_map`, `prompts` one by one, `curves` over scales, images and
steps, the `tradeoff`, `galleries` of samples, pairs `side_by_side`, and two `diagrams`. `look` has the colours, the
type, and what saves a figure.
"""

from caplora.figures.captions import (
    caption_ablation,
    caption_summary,
    captions_figure,
    corrections_figure,
    summary_figure,
)
from caplora.figures.curation import duplicate_gallery, flagged_gallery, measures_figure
from caplora.figures.curves import images_curves, scale_curves, scale_table, steps_curves
from caplora.figures.diagrams import lora_diagram, pipeline_diagram
from caplora.figures.forest import forest_plot
from caplora.figures.galleries import (
    copied_pictures,
    copies,
    copies_table,
    labelled_grid,
    read_pictures,
    sample_grid,
    sample_pictures,
    sample_table,
    teaser,
)
from caplora.figures.heat_map import heat_map_table, leading_strips, rank_alpha_heat_map
from caplora.figures.look import (
    GREY,
    INK,
    MUTED,
    SHOWN,
    STYLE,
    WIDTH,
    Figure,
    appearance,
    footnote,
    left_out,
    save_figure,
)
from caplora.figures.losses import curve_table, loss_curves, read_curves
from caplora.figures.metrics import attribute_differences, metrics_figure, metrics_table
from caplora.figures.persons import persons_figure
from caplora.figures.prompts import per_prompt_differences, prompt_slopes, prompt_table
from caplora.figures.side_by_side import closest, closest_pictures, extreme_pictures, extremes, extremes_table
from caplora.figures.tradeoff import tradeoff_planes

__all__ = [
    "GREY", "INK", "MUTED", "SHOWN", "STYLE", "WIDTH", "Figure", "appearance", "attribute_differences",
    "caption_ablation", "caption_summary", "captions_figure", "closest", "closest_pictures", "copied_pictures",
    "copies", "copies_table", "corrections_figure", "curve_table", "duplicate_gallery", "extreme_pictures", "extremes",
    "extremes_table", "flagged_gallery", "footnote", "forest_plot", "heat_map_table", "images_curves", "labelled_grid",
    "leading_strips", "left_out", "lora_diagram", "loss_curves", "measures_figure", "metrics_figure", "metrics_table",
    "per_prompt_differences", "persons_figure", "pipeline_diagram", "prompt_slopes", "prompt_table",
    "rank_alpha_heat_map", "read_curves", "read_pictures", "sample_grid", "sample_pictures", "sample_table",
    "save_figure", "scale_curves", "scale_table", "steps_curves", "summary_figure", "teaser", "tradeoff_planes",
]  # fmt: skip
