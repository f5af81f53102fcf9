"""Any image file → an upright RGB picture in sRGB with 8 bits, or the reason why it cannot be read.

EXIF rotation, colour profiles, bit depth and transparency are resolved here; later steps need not know of them.
This file does not know folders, crops or curation.
"""

import errno
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from caplora.study import CAPTION_FILES, SIDECARS, Images, disk_errors_name

DEEP_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
PLAIN = {"1": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # mode → ICC.1:2022, table 19
ONE_PICTURE = ("MPO", "PSD")  # further frames belong to the first picture: gain map, depth, layers
BEGINNING = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|II\*\0|MM\0\*|....ftypavi[fs]", re.DOTALL)
HEIC = re.compile(rb"....ftyp(hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)


ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif",
)  # fmt: skip


class UnfitError(Exception):
    """A file is refused; the message says why."""


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its ending, readable or not, or else by its content."""
    if path.suffix.lower() in ENDINGS or not path.is_file():
        return path.is_file()
    try:
        with _header(path):
            return True
    except Exception:  # a file that is no picture makes decoders raise anything
        return False


def upright(path: Path, settings: Images) -> Image.Image:
    """The whole picture, upright, RGB, sRGB. Whatever is wrong with the file, it raises UnfitError.

    A file that the disk does not give may be good: it raises DiskError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata even where it then reads the picture well
            with _header(path) as image:
                _check(image, settings)
                image.load()
                ImageOps.exif_transpose(image, in_place=True)  # no second picture where it is upright
                return as_srgb(image, settings.background)
    except UnfitError:
        raise
    except Exception as error:  # a damaged file makes decoders raise anything
        if isinstance(error, OSError) and error.errno == errno.EIO:
            with disk_errors_name(path, "read"):
                raise
        raise UnfitError(_damage(path, error)) from error


def as_srgb(image: Image.Image, background: str) -> Image.Image:
    """`image` as 8-bit sRGB: depth scaled, colour profile applied, transparent parts filled with `background`."""
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert("RGBA")
    colour = _by_profile(_plain(image), image.info.get("icc_profile"))
    if image.has_transparency_data:
        colour.paste(background, mask=ImageOps.invert(_opacity(image)))
    return colour


@contextmanager
def _header(path: Path) -> Iterator[Image.Image]:
    """The image with only its header read.

    Pillow's own limit of pixels is off while it opens; ours (`images.largest`) is checked before anything is decoded.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _check(image: Image.Image, settings: Images) -> None:
    """Raise UnfitError for a picture that is too large or too small, or has several frames."""
    size = f"{image.width} × {image.height} pixels"
    if image.width * image.height > settings.largest:
        raise UnfitError(f"too large: {size} are more than {settings.largest:,} (images.largest)")
    if min(image.size) < settings.smallest:
        raise UnfitError(f"too small: {size}, a side is below {settings.smallest} (images.smallest)")
    frames = 1 if image.format in ONE_PICTURE else getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnfitError(f"several pages: {frames}" if image.format == "TIFF" else f"animated: {frames} frames")


def _damage(path: Path, error: Exception) -> str:
    """The reason, in words, why a file could not be read."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as unreadable:
        return f"it cannot be opened: {unreadable.strerror}"
    if not head:
        return "not an image: the file is empty"
    if path.name in CAPTION_FILES or path.suffix.lower() in SIDECARS:
        return "not an image: captions are read from it"
    if HEIC.match(head):
        return "HEIC, which is not read here: save it as JPEG or PNG"
    if isinstance(error, UnidentifiedImageError):
        return "truncated or damaged: only its beginning is an image" if BEGINNING.match(head) else "not an image"
    truncated = "truncat" in str(error).lower()
    return "truncated: the file ends before its picture does" if truncated else f"truncated or damaged: {error}"


def _plain(image: Image.Image) -> Image.Image:
    """The image without palette, transparency or more than 8 bits: mode L, RGB, CMYK or LAB."""
    if image.mode in DEEP_GREY:
        return Image.fromarray(_eight_bit(np.asarray(image)))
    if image.mode == "F":
        raise UnfitError("floating-point pixels, whose white is unknown: save it with 8 or 16 bits")
    mode = PLAIN.get(image.mode, image.mode)
    return image if image.mode == mode else image.convert(mode)


def _eight_bit(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    """16-bit grey (0 … 65535) scaled to 0 … 255 and rounded."""
    if grey.min() < 0 or grey.max() > 65535:
        raise UnfitError("32-bit grey, whose white is unknown: save it with 8 or 16 bits")
    return ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)[grey]


def _opacity(image: Image.Image) -> Image.Image:
    """How opaque each pixel is, 0 … 255, as a grey image."""
    if image.mode in DEEP_GREY:  # one shade of grey is declared transparent
        return Image.fromarray((np.asarray(image) != image.info["transparency"]).astype(np.uint8) * 255)
    return (image if image.mode == "RGBA" else image.convert("RGBA")).getchannel("A")


def _by_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """The image in sRGB. Pixels without a profile that fits are taken as sRGB already, as browsers do."""
    try:
        profile = _profile(image.mode, icc)
        srgb = profile and ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # a broken profile
        srgb = None
    return srgb or (image if image.mode == "RGB" else image.convert("RGB"))


def _profile(mode: str, icc: bytes | None) -> ImageCms.ImageCmsProfile | None:
    """The colour profile to convert from; None if there is none, or if it is meant for another mode."""
    if mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else None
    return profile if profile and profile.profile.xcolor_space == COLOUR_SPACES.get(mode) else None
