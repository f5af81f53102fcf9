"""A folder of pictures as people have them → safe, square, measured and flagged images in the dataset of a study.

`intake` walks the folder and says what is accepted and what is refused. For each picture it asks `decoding` (any format
to upright sRGB), `faces` (where the face is), `face_encoder` and `persons` (whose it is, by `average_linkage`; `pinned`
opens the files of the networks), `cropping` (the square), `measuring` (sharpness, light, colour) and `curation` (what
is flagged, and near-duplicates). `table` writes what was measured, `pixels` hashes and stores pixels, `sheets` shows
many pictures in one.
"""

from caplora.images.curation import RULES, Rule
from caplora.images.decoding import UnfitError, is_picture, upright
from caplora.images.face_encoder import FaceEncoder, open_face_encoder
from caplora.images.faces import Detector, Face, open_detector
from caplora.images.intake import Refused, Stored, import_images, look_at_faces
from caplora.images.persons import Persons, faces_note
from caplora.images.pinned import Absent
from caplora.images.pixels import pixels_hash
from caplora.images.sheets import contact_sheet, marked
from caplora.images.table import clusters_of, image_table, near_duplicates, write_refused

__all__ = [
    "RULES", "Absent", "Detector", "Face", "FaceEncoder", "Persons", "Refused", "Rule", "Stored", "UnfitError",
    "clusters_of", "contact_sheet", "faces_note", "image_table", "import_images", "is_picture", "look_at_faces",
    "marked", "near_duplicates", "open_detector", "open_face_encoder", "pixels_hash", "upright", "write_refused",
]  # fmt: skip
