"""Room."""

from caplora.images.curation import RULES, Rule
from caplora.images.decoding import UnfitError, pixels_hash, upright
from caplora.images.intake import Stored, import_images, write_refused
from caplora.images.sheets import contact_sheet

__all__ = [
    "RULES",
    "Rule",
    "Stored",
    "UnfitError",
    "contact_sheet",
    "import_images",
    "pixels_hash",
    "upright",
    "write_refused",
]
