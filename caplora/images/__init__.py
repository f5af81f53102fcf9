"""Room."""

from caplora.images.contact_sheet import contact_sheet
from caplora.images.curation import RULES, Rule
from caplora.images.decoding import UnfitError, pixels_hash, upright
from caplora.images.faces import faces_note, open_detector
from caplora.images.intake import Refused, Stored, import_images, write_refused
from caplora.images.table import image_table

__all__ = [
    "RULES",
    "Refused",
    "Rule",
    "Stored",
    "UnfitError",
    "contact_sheet",
    "faces_note",
    "image_table",
    "import_images",
    "open_detector",
    "pixels_hash",
    "upright",
    "write_refused",
]
