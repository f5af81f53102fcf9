"""An adapter and what was measured of it → a model card, and with it to the Hugging Face Hub, private by default.

`facts` is what a study knows of one variant, `metrics` puts what was measured into rows, `pictures` chooses its
samples, `example` draws the first again, and `card` makes the card of all; `words` keeps what people wrote from being
more than text. `folder` writes all that a repository would hold, to look at, and `hub` sends that folder when it has
asked.
"""

from caplora.publishing.facts import Facts, Measured
from caplora.publishing.folder import CARD, SUMS, Folder, PublishError, card_folder, write_folder
from caplora.publishing.hub import push_to_hub

__all__ = [
    "CARD", "SUMS", "Facts", "Folder", "Measured", "PublishError", "card_folder", "push_to_hub", "write_folder",
]  # fmt: skip
