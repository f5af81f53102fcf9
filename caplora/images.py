"""A folder as people have it → safe images (square, upright, sRGB, 8 bit), or a named reason for each file refused.

This file does not know captions, splits or models.
"""

import csv
import hashlib
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from caplora.files import replacing, write_text
from caplora.settings import Images
from caplora.study import Study

HEADROOM = 0.35  # of a portrait's spare height lies above the square: heads are above the middle
DEEP_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
PLAIN = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # mode → ICC.1:2022, table 19
ONE_PICTURE = ("MPO", "PSD")  # their further frames belong to the first picture: gain map, depth, layers
BEGINNING = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|II\*\0|MM\0\*|....ftypavi[fs]", re.DOTALL)
HEIC = re.compile(rb"....ftyp(hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)


@dataclass(frozen=True)
class Accepted:
    """A file made safe: `source` lies in the scanned folder, `image` is the square, width × height were upright."""

    source: Path
    file_name: str
    image: Image.Image
    width: int
    height: int


@dataclass(frozen=True)
class Stored:
    """An accepted file whose image now lies in the dataset as `file_name`."""

    source: Path
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class Refused:
    """A file that is not used, and why; `source` lies in the scanned folder."""

    source: Path
    reason: str


class ImagesError(ValueError):
    """A folder that holds nothing to work with; the message names it and the way out."""


class _UnfitError(Exception):
    """Why one file is refused."""


def scan(folder: Path, settings: Images) -> Iterator[Accepted | Refused]:
    """Every file below `folder`, once, sorted by name: accepted as a safe image, or refused with its reason.

    Hidden files are skipped. Nothing is written. Raises ImagesError if the folder is missing or empty.
    """
    stems: dict[str, Path] = {}
    squares: dict[str, Path] = {}
    for path in _files(folder):
        source = path.relative_to(folder)
        try:
            item = _accepted(path, source, settings)
            stem, pixels = _stem_key(source), hashlib.sha256(item.image.tobytes()).hexdigest()
            _refuse_second(stems, stem, "the same name, apart from folder, ending and case, as")
            _refuse_second(squares, pixels, "the same pixels as")
        except _UnfitError as refusal:
            yield Refused(source, str(refusal))
        else:
            stems[stem], squares[pixels] = source, source
            yield item


def import_images(study: Study, limit: int = 0) -> Iterator[Stored | Refused]:
    """Scan the study's own images into its dataset; yields each file as stored or refused, `limit` files at most.

    An image that already lies there with the same pixels is not written again. Raises ImagesError as `scan`
    does, and if one of the two folders lies inside the other.
    """
    folder, dataset = study.images_folder.resolve(), study.dataset.resolve()
    if folder.is_relative_to(dataset) or dataset.is_relative_to(folder):
        raise ImagesError(f"images.folder {folder} and the dataset {dataset} must lie apart: move your images")
    for item in islice(scan(study.images_folder, study.images), limit or None):
        if isinstance(item, Accepted):
            write_image(item.image, study.dataset / item.file_name)
            yield Stored(item.source, item.file_name, item.width, item.height)
        else:
            yield item


def write_image(image: Image.Image, path: Path) -> None:
    """Write a PNG whole or not at all; the same pixels give the same bytes, and the same bytes are left alone."""
    memory = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(memory, "PNG")  # from the array: no profile, no EXIF, no date
    if not (path.is_file() and path.read_bytes() == memory.getvalue()):
        with replacing(path) as part:
            part.write_bytes(memory.getvalue())


def write_refused(refused: Iterable[Refused], path: Path) -> None:
    """Write `refused.csv`: file, reason; the header alone if nothing was refused."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([("file", "reason"), *((_shown(r.source), r.reason) for r in refused)])
    write_text(path, lines.getvalue())


def contact_sheet(images: Iterable[Image.Image], columns: int = 10, side: int = 96) -> Image.Image:
    """One picture of many, `side` pixels each, row by row on white."""
    small = [image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for image in images]
    step, rows = side + 4, -(-len(small) // columns)
    sheet = Image.new("RGB", (max(1, min(columns, len(small)) * step - 4), max(1, rows * step - 4)), "white")
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * step, i // columns * step))
    return sheet


def square(image: Image.Image, resolution: int) -> Image.Image:
    """The largest square of `image`, never squashed: the middle, or a little above it in a portrait; resized."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) * HEADROOM
    box = (round(left), round(top), round(left) + side, round(top) + side)
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)


def as_srgb(image: Image.Image, background: str) -> Image.Image:
    """`image` as RGB, 8 bit, sRGB: depth scaled, colour profile applied, transparency laid on `background`."""
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert("RGBA")
    colour = _by_profile(_plain(image), image.info.get("icc_profile"))
    if not image.has_transparency_data:
        return colour
    return Image.composite(colour, Image.new("RGB", image.size, background), _opacity(image))


def _files(folder: Path) -> list[Path]:
    files = list(_below(folder)) if folder.is_dir() else []
    if not files:
        what = "is empty" if folder.is_dir() else "is not a folder"
        raise ImagesError(f"images.folder {folder} {what}: put the images there, or name their folder in the study")
    return files


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda p: unicodedata.normalize("NFC", p.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
        else:
            yield path


def _accepted(path: Path, source: Path, settings: Images) -> Accepted:
    if _shown(source) != source.as_posix():
        raise _UnfitError("its name is not valid Unicode: rename it")
    if not path.is_file():
        raise _UnfitError("a link that leads to no file")
    upright = _upright(path, settings)
    name = unicodedata.normalize("NFC", source.stem) + ".png"
    return Accepted(source, name, square(upright, settings.resolution), *upright.size)


def _stem_key(source: Path) -> str:
    return unicodedata.normalize("NFC", source.stem).casefold()  # some disks tell neither form nor case apart


def _refuse_second(seen: dict[str, Path], key: str, what: str) -> None:
    if key in seen:
        raise _UnfitError(f"{what} {seen[key].as_posix()}")


def _upright(path: Path, settings: Images) -> Image.Image:
    """The whole picture, upright, RGB, sRGB; raises _UnfitError and nothing else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata in pictures that it then reads well
            with _header(path) as image:
                _check(image, settings)
                return as_srgb(ImageOps.exif_transpose(image), settings.background)
    except _UnfitError:
        raise
    except Exception as error:  # a damaged file makes decoders raise anything
        raise _UnfitError(_damage(path, error)) from error


@contextmanager
def _header(path: Path) -> Iterator[Image.Image]:
    """The image with only its header read. Pillow's own limit steps aside: ours is checked before any decoding."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _check(image: Image.Image, settings: Images) -> None:
    size = f"{image.width} × {image.height} pixels"
    if image.width * image.height > settings.largest:
        raise _UnfitError(f"too large: {size} are more than {settings.largest:,} (images.largest)")
    if min(image.size) < settings.smallest:
        raise _UnfitError(f"too small: {size}, a side is below {settings.smallest} (images.smallest)")
    frames = 1 if image.format in ONE_PICTURE else getattr(image, "n_frames", 1)
    if frames > 1:
        raise _UnfitError(f"several pages: {frames}" if image.format == "TIFF" else f"animated: {frames} frames")


def _damage(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as unreadable:
        return f"it cannot be opened: {unreadable.strerror}"
    if not head:
        return "not an image: the file is empty"
    if path.name == "captions.json":
        return "not an image: it is read for its captions"
    if HEIC.match(head):
        return "HEIC, which is not read here: save it as JPEG or PNG"
    if isinstance(error, UnidentifiedImageError):
        return "truncated or damaged: only its beginning is an image" if BEGINNING.match(head) else "not an image"
    truncated = "truncat" in str(error).lower()
    return "truncated: the file ends before its picture does" if truncated else f"truncated or damaged: {error}"


def _plain(image: Image.Image) -> Image.Image:
    """Without palette, transparency and depth: mode L, RGB, CMYK or LAB."""
    if image.mode in DEEP_GREY:
        return Image.fromarray(_eight_bit(np.asarray(image)))
    if image.mode == "F":
        raise _UnfitError("floating-point pixels, whose white is unknown: save it with 8 or 16 bits")
    return image.convert(PLAIN.get(image.mode, image.mode))


def _eight_bit(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    """16-bit grey, 0 … 65535, scaled to 0 … 255 and rounded."""
    if grey.min() < 0 or grey.max() > 65535:
        raise _UnfitError("32-bit grey, whose white is unknown: save it with 8 or 16 bits")
    return ((grey.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _opacity(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_GREY:  # one grey is declared transparent
        return Image.fromarray((np.asarray(image) != image.info["transparency"]).astype(np.uint8) * 255)
    return image.convert("RGBA").getchannel("A")


def _by_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """To sRGB; pixels without a profile that fits them are taken as sRGB, as browsers do."""
    try:
        profile = _profile(image.mode, icc)
        srgb = profile and ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # a broken profile
        srgb = None
    return srgb or image.convert("RGB")


def _profile(mode: str, icc: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else None
    return profile if profile and profile.profile.xcolor_space == COLOUR_SPACES.get(mode) else None


def _shown(source: Path) -> str:
    return source.as_posix().encode("utf-8", "backslashreplace").decode()
