"""The part `images` of a study file: the folder of images, what flags or refuses one, and where they are from."""

import unicodedata
from typing import Annotated

from pydantic import Field, model_validator

from caplora.study.settings import Part, Positive, Text

# What may lie among a person's images and is captions of them: files of all, and the endings of a file beside each.
CAPTION_FILES = (
    "captions.json", "metadata.csv", "metadata.jsonl", "captions.csv", "captions.jsonl", "meta_cap.json",
)  # fmt: skip
SIDECARS = (".txt", ".caption")


class Provenance(Part):
    """Where a study's pictures are from and by what right they are used: what the ledger keeps for each of them."""

    origin: str = ""
    """Who took them, or where they were found."""
    licence: str = ""
    """What allows their use."""
    consent: str = ""
    """Of the person they show: when and for what."""


class Limit(Part):
    """From where on a picture is flagged, and from where on refused; None: never."""

    flag: float | None
    """From here on it is flagged."""
    refuse: float | None = None
    """From here on it is refused."""


class Curation(Part):
    """What of a picture is worth a second look, flag by flag; `measuring` says what is measured.

    Sharpness, exposure, contrast, cast and light are those of the face where one is found, else of the picture.
    """

    small: Limit = Limit(flag=1.0)
    """Above: how many times the crop is enlarged to images.resolution."""
    blurry: Limit = Limit(flag=40.0)
    """Below: sharpness; a sharp photograph blurred by σ = 1.3 pixels has 40."""
    dark: Limit = Limit(flag=0.1)
    """Below: brightness, 0 to 1; the darkest skin in good light has 0.15."""
    bright: Limit = Limit(flag=0.85)
    """Above: brightness, 0 to 1."""
    clipped: Limit = Limit(flag=0.3)
    """Above: share of pixels that are black or white."""
    flat: Limit = Limit(flag=0.2)
    """Below: contrast; of a face in soft light it is half that of a picture."""
    cast: Limit = Limit(flag=25.0)
    """Above: distance of the mean colour in CIELAB from grey, on a face from the middle of skin."""
    side_lit: Limit = Limit(flag=0.25)
    """Beyond ±: light from the right, or from the left."""
    duplicate: Limit = Limit(flag=6.0)
    """Up to: bits of 64 in which two perceptual hashes differ."""
    no_face: Limit = Limit(flag=1.0)
    """Below: faces found; the square is then the middle, in a portrait a little above it."""
    many_faces: Limit = Limit(flag=1.0)
    """Above: faces found; the square is cut around the folder's person, else around the largest."""
    small_face: Limit = Limit(flag=0.03)
    """Below: share of the square, 90 of 512 pixels; it is cut closer for that, unless it would have to be enlarged."""
    cut_face: Limit = Limit(flag=0.05)
    """Above: share of the face that lies outside the picture or the square."""
    rolled: Limit = Limit(flag=20.0)
    """Beyond ±: degrees by which the head leans to a side."""
    turned: Limit = Limit(flag=50.0)
    """Beyond ±: degrees by which the head is turned, as estimated."""
    other_person: Limit = Limit(flag=0.363)
    """Below: cosine of the face to the mean of the folder's person; any other person of the folder is flagged too."""


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FaceEncoder(Part):
    """What tells persons apart: a file for OpenCV's FaceRecognizerSF, used only if it has this hash."""

    model: Text = "~/.cache/caplora/face_recognition_sface_2021dec.onnx"
    """The file of the encoder."""
    sha256: Sha256 = "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"
    """Its SHA-256."""
    same: Annotated[float, Field(gt=-1, lt=1)] = 0.363
    """Mean cosine from which faces are one person's; 0.363 is OpenCV's own for SFace."""


class Faces(Part):
    """The detector of faces: a file for OpenCV's FaceDetectorYN, used only if it has this hash."""

    model: Text = "~/.cache/caplora/face_detection_yunet_2023mar.onnx"
    """The file of the detector."""
    sha256: Sha256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    """Its SHA-256."""
    fetch: bool = False
    """Get the default files, detector (232 kB) and encoder (39 MB), when they are not there."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """How sure the detector must be of a face, 0 to 1."""
    encoder: FaceEncoder = FaceEncoder()
    """What tells whose face it is."""


class Images(Part):
    """The images a person has, and how they are made ready."""

    folder: Text
    """Where they lie; never written to."""
    resolution: Annotated[int, Field(ge=64, multiple_of=8)] = 512
    """Pixels, the side of the square."""
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    """The colour that shows through transparency."""
    smallest: Positive = 256
    """Pixels; an image with a shorter side is refused."""
    largest: Positive = 100_000_000
    """Pixels in all; a larger image is refused unopened."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.17
    """Share kept from training, for identity and validation."""
    photographs: bool = True
    """Whether they are photographs; in drawings no faces are looked for."""
    provenance: Provenance = Provenance()
    """Where they are from and by what right they are used."""
    curation: Curation = Curation()
    """What flags or refuses one."""
    faces: Faces = Faces()
    """What finds the face that the square is cut around."""
    accept: tuple[Text, ...] = ()
    """Files, by their path below the folder, that no limit flags or refuses."""
    refuse: tuple[Text, ...] = ()
    """Files that are not used."""

    @model_validator(mode="after")
    def no_file_is_accepted_and_refused(self) -> "Images":
        """Raise ValueError where a file stands in `accept` and in `refuse`."""
        accepted = {unicodedata.normalize("NFC", name) for name in self.accept}
        both = sorted(accepted & {unicodedata.normalize("NFC", name) for name in self.refuse})
        if both:
            raise ValueError(f"{both[0]!r} stands in accept and in refuse: take it out of one")
        return self
