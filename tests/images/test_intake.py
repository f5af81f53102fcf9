"""intake.py, decoding.py: what is done to a picture, which files are refused and why, and that none is lost."""

import csv
import errno
import gc
import hashlib
import io
import struct
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFilter
from pydantic import ValidationError

from caplora.images.cropping import frame, square
from caplora.images.decoding import as_srgb, upright
from caplora.images.faces import Box
from caplora.images.intake import Accepted, ImagesError, Refused, Stored, import_images, scan
from caplora.images.pixels import write_image
from caplora.images.sheets import contact_sheet
from caplora.images.table import OF_A_FACE, image_table, write_refused
from caplora.study.files import DiskError
from caplora.study.image_settings import Curation, Images, Limit
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from tests.detector import red_square_detector

SETTINGS = Images(folder="unused", resolution=64, smallest=64)
WHITE = "#ffffff"
# EXIF 2.32, tag 274: where row 0 and column 0 of the stored picture lie in the upright one, told by its four quarters
STORED_AS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def picture(seed: int = 0, width: int = 80, height: int = 80) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def flat(mode: str, colour: float | tuple[int, ...], side: int = 64) -> Image.Image:
    return Image.new(mode, (side, side), colour)


def scanned(folder: Path, settings: Images = SETTINGS) -> dict[str, Accepted | str]:
    """Each file → what was accepted, or the reason it was refused."""
    items = list(scan(folder, settings))
    assert len({item.source for item in items}) == len(items)
    return {i.source.as_posix(): i.reason if isinstance(i, Refused) else i for i in items}


def accepted(folder: Path, name: str) -> Accepted:
    item = scanned(folder)[name]
    assert isinstance(item, Accepted), item
    return item


def largest(image: Image.Image, resolution: int, face: Box | None = None) -> Image.Image:
    """The largest square of a picture."""
    return square(image, resolution, frame(image.size, resolution, face))


def centre(image: Image.Image) -> tuple[int, ...]:
    return image.getpixel((image.width // 2, image.height // 2))


def smooth(seed: int, side: int = 80) -> Image.Image:
    """A picture of a few soft patches, as photographs are and noise is not."""
    return picture(seed, 5, 5).resize((side, side), Image.Resampling.BICUBIC)


def limits(**curation: Limit) -> Images:
    return SETTINGS.model_copy(update={"curation": Curation(**curation)})


def image_of(study: Study, name: str) -> Image.Image:
    with Image.open(study.dataset / name) as image:
        return image.convert("RGB")


def study_of(tmp_path: Path, detector: bytes = b"") -> Study:
    """A study of its own folder, with a detector of faces in it or without."""
    faces = f"faces: {{model: detector.onnx, sha256: {hashlib.sha256(detector).hexdigest()}}}"
    (tmp_path / "study.yaml").write_text(
        f"name: faces\nimages: {{folder: mine, resolution: 64, smallest: 64, {faces}}}\n"
        "sampling: {development: [a], test: [b, c]}\n"
    )
    if detector:
        (tmp_path / "detector.onnx").write_bytes(detector)
    (tmp_path / "mine").mkdir()
    return read_study(tmp_path / "study.yaml")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and breaks off where its pixels begin."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 1 << 20) + b"IDAT"


def red_and_green_swapped() -> bytes:
    """An sRGB profile whose red and green primaries have changed places (ICC.1:2022, 7.3: the tag table)."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(icc[i : i + 4]): i for i in range(132, 132 + 12 * int.from_bytes(icc[128:132], "big"), 12)}
    red, green = entries[b"rXYZ"] + 4, entries[b"gXYZ"] + 4
    icc[red : red + 8], icc[green : green + 8] = icc[green : green + 8], icc[red : red + 8]
    return bytes(icc)


def test_every_file_is_accepted_or_refused_exactly_once(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    picture(1).save(tmp_path / "b.png")
    picture(2).save(tmp_path / "deep" / "er" / "a.webp", lossless=True)
    (tmp_path / "deep" / "notes.txt").write_text("not a picture")
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / ".git").mkdir()
    picture(3).save(tmp_path / ".git" / "c.png")
    found = scanned(tmp_path)
    assert list(found) == ["b.png", "deep/er/a.webp", "deep/notes.txt", "lost.jpg"]
    assert [type(item) for item in found.values()] == [Accepted, Accepted, str, str]


def test_accepted_images_are_square_rgb_of_the_resolution_and_tell_their_size(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "LAB"):
        name = mode.replace(";", "")
        base = picture(zlib.crc32(mode.encode()), 100, 70).convert("L" if mode == "I;16" else "RGB")
        if mode == "LAB":
            lab = ImageCms.createProfile("LAB")
            base = ImageCms.profileToProfile(base, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
        suffix = "tif" if mode in ("CMYK", "LAB", "YCbCr") else "png"
        base.convert(mode).save(tmp_path / f"{name}.{suffix}")
    found = scanned(tmp_path)
    assert len(found) == 10
    for item in found.values():
        assert isinstance(item, Accepted), item
        assert (item.image.mode, item.image.size, item.width, item.height) == ("RGB", (64, 64), 100, 70)


@pytest.mark.fault(6)
@pytest.mark.parametrize("orientation", STORED_AS)
def test_each_exif_orientation_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((80, 80, 3), np.uint8)
    upright[:40, :40], upright[:40, 40:], upright[40:, :40] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](upright))).save(tmp_path / "a.png", exif=exif)
    image = accepted(tmp_path, "a.png").image
    quarters = [image.getpixel(at) for at in ((16, 16), (48, 16), (16, 48), (48, 48))]
    assert quarters == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]


@pytest.mark.fault(6)
def test_a_rotated_portrait_is_cropped_as_a_portrait(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    picture(0, 160, 80).save(tmp_path / "a.jpg", exif=exif)
    item = accepted(tmp_path, "a.jpg")
    assert (item.width, item.height) == (80, 160)


@pytest.mark.fault(7)
@pytest.mark.parametrize("alpha", [0, 51, 128, 255])
def test_transparency_shows_the_background(alpha: int) -> None:
    got = np.array(centre(as_srgb(flat("RGBA", (200, 0, 40, alpha)), "#102030")))
    over = (np.array([200, 0, 40]) * alpha + np.array([0x10, 0x20, 0x30]) * (255 - alpha)) / 255
    assert np.abs(got - over).max() <= 0.6


@pytest.mark.fault(7)
def test_transparent_palette_and_declared_transparent_grey_show_the_background(tmp_path: Path) -> None:
    palette = flat("P", 0)
    palette.putpalette([10, 20, 30, 90, 80, 70])
    palette.save(tmp_path / "palette.png", transparency=0)
    Image.fromarray(np.full((64, 64), 700, np.uint16)).save(tmp_path / "deep.png", transparency=700)
    with Image.open(tmp_path / "palette.png") as image:
        assert centre(as_srgb(image, "#0000ff")) == (0, 0, 255)
    with Image.open(tmp_path / "deep.png") as image:
        assert centre(as_srgb(image, "#0000ff")) == (0, 0, 255)


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("inks", "rgb"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 0, 255, 51), (204, 204, 0)),
    ],
)
def test_cmyk_without_a_profile_is_the_complement_less_black(
    tmp_path: Path, inks: tuple[int, ...], rgb: tuple[int, ...]
) -> None:
    for suffix in ("tif", "jpg"):  # a CMYK JPEG is stored inverted
        flat("CMYK", inks).save(tmp_path / f"a.{suffix}", quality=100)
        with Image.open(tmp_path / f"a.{suffix}") as image:
            assert np.abs(np.subtract(centre(as_srgb(image, WHITE)), rgb)).max() <= 2


@pytest.mark.fault(8)
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("grey", [0, 128, 257, 32768, 51400, 65535])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, grey: int, suffix: str) -> None:
    Image.fromarray(np.full((64, 64), grey, np.uint16)).save(tmp_path / f"a.{suffix}")
    assert centre(accepted(tmp_path, f"a.{suffix}").image) == (round(grey / 257),) * 3


@pytest.mark.fault(8)
def test_grey_without_a_known_white_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 0.5, np.float32)).save(tmp_path / "a.tif")
    Image.fromarray(np.full((64, 64), 1 << 20, np.int32)).save(tmp_path / "b.tif")
    found = scanned(tmp_path)
    assert "floating-point" in str(found["a.tif"])
    assert "32-bit" in str(found["b.tif"])


@pytest.mark.fault(8)
def test_lab_comes_back_as_the_colour_it_was(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(flat("RGB", (180, 90, 40)), srgb, lab, outputMode="LAB")
    assert np.abs(np.subtract(centre(as_srgb(image, WHITE)), (180, 90, 40))).max() <= 3


@pytest.mark.fault(8)
def test_a_colour_profile_is_applied() -> None:
    image = flat("RGB", (200, 60, 10))
    image.info["icc_profile"] = red_and_green_swapped()
    assert np.abs(np.subtract(centre(as_srgb(image, WHITE)), (60, 200, 10))).max() <= 2


@pytest.mark.parametrize("icc", [b"broken", red_and_green_swapped()])
def test_a_broken_or_foreign_profile_is_ignored(icc: bytes) -> None:
    image = flat("L", 77)
    image.info["icc_profile"] = icc
    assert centre(as_srgb(image, WHITE)) == (77, 77, 77)


def test_the_crop_never_squashes_and_looks_above_the_middle_of_a_portrait() -> None:
    rows = np.arange(200, dtype=np.uint8)
    portrait = np.asarray(largest(Image.fromarray(np.repeat(rows[:, None], 100, 1)), 100))
    landscape = np.asarray(largest(Image.fromarray(np.repeat(rows[None], 100, 0)), 100))
    assert (portrait[0, 0], portrait[-1, 0]) == (35, 134)
    assert (landscape[0, 0], landscape[0, -1]) == (50, 149)


@given(
    width=st.integers(20, 300),
    height=st.integers(20, 300),
    at=st.tuples(*[st.floats(0, 1)] * 2),
    share=st.floats(0.01, 1),
)
def test_the_square_holds_the_face_and_no_square_has_it_nearer_to_its_middle(
    width: int, height: int, at: tuple[float, float], share: float
) -> None:
    side = min(width, height)
    size = share * side
    face = Box((width - size) * at[0], (height - size) * at[1], size, size)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    where = [np.asarray(largest(Image.fromarray(a.astype(np.float32)), side, face)) for a in (columns, rows)]
    for places, start, whole in zip(where, face[:2], (width, height), strict=True):
        low, high = places.min() - 0.5, places.max() + 0.5
        assert high - low == pytest.approx(side, abs=1e-3)
        assert low <= start + 0.51 and start + size <= high + 0.51  # cut at whole pixels
        nearest = min(max(start + size / 2, side / 2), whole - side / 2)
        assert (low + high) / 2 == pytest.approx(nearest, abs=0.51)


def test_a_face_far_from_the_middle_moves_the_square_to_it(tmp_path: Path) -> None:
    study = study_of(tmp_path, red_square_detector())
    wide = np.full((288, 576, 3), 90, np.uint8)
    wide[128:160, 416:448] = (255, 0, 0)
    Image.fromarray(wide).save(study.images_folder / "a.png")
    (item,) = import_images(study)
    assert isinstance(item, Stored)
    assert (item.measure.faces, item.measure.face_share) == (1, pytest.approx(96 * 128 / 288**2))
    red, green, _ = np.asarray(image_of(study, "a.png"), int).transpose(2, 0, 1)
    rows, columns = np.nonzero(red > green + 80)  # the box has its middle at (432, 144), so the square starts at 288
    assert (columns.mean(), rows.mean()) == pytest.approx(((431.5 - 288) / 4.5, 143.5 / 4.5), abs=1)


def test_without_a_detector_the_columns_of_faces_are_empty_and_the_crop_is_the_old_one(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    wide = picture(0, 160, 80)
    wide.save(study.images_folder / "a.png")
    (item,) = import_images(study)
    assert isinstance(item, Stored)
    table = image_table([item], study.images.curation)
    assert table[["faces", *OF_A_FACE]].isna().all(axis=None)
    assert np.array_equal(image_of(study, "a.png"), largest(wide, 64))


def test_a_picture_beyond_a_refusing_limit_is_refused_with_value_limit_and_key(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "noise.png")
    flat("RGB", (90, 90, 90)).save(tmp_path / "plain.png")
    found = scanned(tmp_path, limits(blurry=Limit(flag=50, refuse=10), flat=Limit(flag=None)))
    assert found["plain.png"] == "sharpness 0 is below 10 on the picture (images.curation.blurry)"
    assert isinstance(found["noise.png"], Accepted)


def test_a_flagged_picture_is_accepted_with_its_flags(tmp_path: Path) -> None:
    flat("RGB", (90, 90, 90)).save(tmp_path / "a.png")
    flags = accepted(tmp_path, "a.png").flags
    assert [flag.word for flag in flags] == ["blurry", "flat"]
    assert flags[0].reason == "sharpness 0 is below 40 on the picture (images.curation.blurry)"


def test_a_near_duplicate_is_flagged_or_refused_by_the_name_of_the_earlier_file(tmp_path: Path) -> None:
    smooth(1).save(tmp_path / "a.png")
    smooth(2).save(tmp_path / "b.png")
    smooth(1).save(tmp_path / "c.jpg", quality=60)
    flagged = {name: [f.word for f in i.flags] for name, i in scanned(tmp_path).items() if isinstance(i, Accepted)}
    assert ["duplicate" in words for words in flagged.values()] == [False, False, True]
    refused = scanned(tmp_path, limits(duplicate=Limit(flag=6, refuse=6)))
    assert [name for name, item in refused.items() if isinstance(item, str)] == ["c.jpg"]
    assert str(refused["c.jpg"]).startswith("near-duplicate of a.png: ")


def test_a_person_overrules_every_limit_by_name_in_either_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "배우.png") for form in ("NFC", "NFD"))
    flat("RGB", (90, 90, 90), 20).save(tmp_path / decomposed)
    picture(0).save(tmp_path / "good.png")
    settings = limits(blurry=Limit(flag=50, refuse=10))
    assert str(scanned(tmp_path, settings)[decomposed]).startswith("too small")
    found = scanned(tmp_path, settings.model_copy(update={"accept": (composed,), "refuse": ("good.png",)}))
    taken = found[decomposed]
    assert isinstance(taken, Accepted) and taken.flags == () and (taken.width, taken.height) == (20, 20)
    assert found["good.png"] == "refused in the study (images.refuse)"


@pytest.mark.fault(17)
@pytest.mark.parametrize("failing", ["open", "read"])
def test_a_picture_that_the_disk_does_not_give_is_an_error_and_is_not_refused(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may well be a good one: without it the splits of all others would be drawn anew."""
    path = tmp_path / "a.png"
    Image.new("RGB", (300, 300)).save(path)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr({"open": "PIL.Image.open", "read": "PIL.ImageFile.ImageFile.load"}[failing], broken)
    with pytest.raises(DiskError, match=r"a\.png could not be read: Input/output error\. See that the disk"):
        upright(path, SETTINGS)


def test_no_name_makes_a_damaged_file_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(100, 100))
    found = scanned(tmp_path, SETTINGS.model_copy(update={"accept": ("a.png",)}))
    assert found["a.png"] == "truncated: the file ends before its picture does"


@pytest.mark.parametrize("key", ["accept", "refuse"])
def test_a_name_that_is_no_file_is_an_error_that_names_it(tmp_path: Path, key: str) -> None:
    picture(0).save(tmp_path / "a.png")
    with pytest.raises(ImagesError, match=rf"images\.{key} names 'b\.png'"):
        next(scan(tmp_path, SETTINGS.model_copy(update={key: ("a.png", "b.png")})))


def test_a_name_cannot_be_accepted_and_refused(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "배우.png") for form in ("NFC", "NFD"))
    with pytest.raises(ValidationError, match=f"{composed}' stands in accept and in refuse"):
        Images(folder="unused", accept=(composed,), refuse=("a.png", decomposed))


def test_the_table_has_a_row_per_image_and_reads_back(tmp_path: Path) -> None:
    study = study_of(tmp_path, red_square_detector())
    red = np.full((80, 80, 3), 90, np.uint8)
    red[32:36, 40:44] = (255, 0, 0)
    grey = smooth(1).convert("L")  # has no red
    for name, image in {
        "a.png": grey,
        "b.png": Image.fromarray(red),
        "c.png": grey.filter(ImageFilter.GaussianBlur(1)),
    }.items():
        image.save(study.images_folder / name)
    stored = [item for item in import_images(study) if isinstance(item, Stored)]
    table = image_table(stored, study.images.curation)
    assert list(table["file_name"]) == [item.file_name for item in stored]
    assert list(table["cluster"].fillna(0)) == [1, 0, 1]
    assert list(table["faces"]) == [0, 1, 0]
    read = pd.read_csv(io.StringIO(table.to_csv(index=False)), keep_default_na=False, na_values={"cluster": ""})
    assert list(read.columns) == list(table.columns)
    assert list(read["flagged"]) == list(table["flagged"])
    assert image_table([], study.images.curation).columns.equals(table.columns)


@pytest.mark.fault(5)
def test_truncated_files_are_refused_as_truncated(tmp_path: Path) -> None:
    formats = {"a.jpg": {}, "b.png": {}, "c.webp": {"lossless": True}, "d.tif": {}, "e.bmp": {}, "f.gif": {}}
    for seed, (name, options) in enumerate(formats.items()):
        picture(seed).save(tmp_path / name, **options)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    for name, reason in scanned(tmp_path).items():
        assert str(reason).startswith("truncated"), name


def test_text_named_jpg_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<img src=x onerror=alert(1)>")
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "captions.json").write_text("{}")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    found = scanned(tmp_path)
    assert found["a.jpg"] == "not an image"
    assert found["b.png"] == "not an image: the file is empty"
    assert found["captions.json"] == "not an image: captions are read from it"
    assert str(found["c.heic"]).startswith("HEIC")


@pytest.mark.fault(9)
def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(20_000, 20_000))
    limit = Image.MAX_IMAGE_PIXELS
    assert scanned(tmp_path)["a.png"] == "too large: 20000 × 20000 pixels are more than 100,000,000 (images.largest)"
    (tmp_path / "a.png").write_bytes(png_header(2_000, 2_000))
    assert scanned(tmp_path)["a.png"] == "truncated: the file ends before its picture does"  # only then is it decoded
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_whole_picture_of_400_megapixels_is_refused_and_a_strip_of_it_is_taken(tmp_path: Path) -> None:
    """One bit a pixel, all of them black: 50 MB that are packed into 50 kB."""
    for name, height in (("bomb.png", 20_000), ("strip.png", 200)):
        packed = zlib.compress(bytes(1 + 20_000 // 8) * height)
        chunks = (b"IHDR" + struct.pack(">IIBBBBB", 20_000, height, 1, 0, 0, 0, 0), b"IDAT" + packed, b"IEND")
        whole = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    found = scanned(tmp_path)
    assert str(found["bomb.png"]).startswith("too large: 20000 × 20000 pixels")
    assert isinstance(found["strip.png"], Accepted)


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_the_largest_picture_takes_little_more_memory_than_its_pixels(mode: str, tmp_path: Path) -> None:
    """100 million pixels may take 1.4 GB: 14 bytes for each, of which Pillow itself takes 4."""
    Image.new(mode, (5000, 5000)).save(tmp_path / "a.png", compress_level=1)
    code = (
        "import sys; from pathlib import Path; from caplora.images.intake import scan;"
        "from caplora.study import Images; from tests.fuzzing.oracle import held; before = held();"
        "[item] = scan(Path(sys.argv[1]), Images(folder='x')); print(type(item).__name__, held() - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    kind, grown = ran.stdout.split()
    assert kind == "Accepted" and int(grown) < 14 * 5000 * 5000


def test_size_limits_are_the_settings(tmp_path: Path) -> None:
    picture(0, 90, 63).save(tmp_path / "small.png")
    picture(1, 64, 64).save(tmp_path / "just.png")
    picture(2, 100, 100).save(tmp_path / "large.png")
    found = scanned(tmp_path, Images(folder="unused", resolution=64, smallest=64, largest=9_999))
    assert str(found["small.png"]).startswith("too small: 90 × 63 pixels")
    assert str(found["large.png"]).startswith("too large: 100 × 100 pixels")
    assert isinstance(found["just.png"], Accepted)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_are_refused(tmp_path: Path, name: str) -> None:
    picture(0).save(tmp_path / name, save_all=True, append_images=[picture(1)])
    assert scanned(tmp_path)[name] == "animated: 2 frames"


def test_the_first_picture_of_a_phone_mpo_is_used(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[picture(1)])
    assert isinstance(scanned(tmp_path)["a.jpg"], Accepted)


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.tif", save_all=True, append_images=[picture(1)])
    assert scanned(tmp_path)["a.tif"] == "several pages: 2"


@pytest.mark.fault(10)
def test_a_copy_is_refused_by_the_name_of_the_earlier_file(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    picture(0).save(tmp_path / "b.bmp")
    picture(1).save(tmp_path / "b.png")  # b.bmp was refused, so that the name b is free
    found = scanned(tmp_path)
    assert found["b.bmp"] == "the same pixels as a.png"
    assert isinstance(found["b.png"], Accepted)


@pytest.mark.fault(10)
@pytest.mark.parametrize("second", ["a.png", "A.png", "sub/a.jpg"])
def test_the_same_stem_is_refused_by_the_name_of_the_earlier_file(tmp_path: Path, second: str) -> None:
    (tmp_path / "sub").mkdir()
    for seed, name in enumerate(("a.jpg", second)):
        picture(seed).save(tmp_path / name)
    reasons = {name: item for name, item in scanned(tmp_path).items() if isinstance(item, str)}
    first = "A.png" if second == "A.png" else "a.jpg"
    assert list(reasons.values()) == [f"the same name, apart from folder, ending and case, as {first}"]


@pytest.mark.fault(15)
def test_korean_names_become_nfc_and_both_forms_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "배우") for form in ("NFC", "NFD"))
    picture(0).save(tmp_path / f"{decomposed}.jpg")
    picture(1).save(tmp_path / f"{composed}.png")
    items = list(scan(tmp_path, SETTINGS))
    assert [i.file_name for i in items if isinstance(i, Accepted)] == [f"{composed}.png"]
    assert [type(i) for i in items] == [Accepted, Refused]


def test_a_name_that_is_not_unicode_is_refused_and_can_be_listed(tmp_path: Path) -> None:
    with open(bytes(tmp_path) + b"/\xb9\xe8.png", "wb") as file:  # cp949
        picture(0).save(file, "PNG")
    (item,) = scan(tmp_path, SETTINGS)
    assert isinstance(item, Refused)
    write_refused([item], tmp_path / "refused.csv")
    assert "not valid Unicode" in (tmp_path / "refused.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(("make", "says"), [(False, "is not a folder"), (True, "is empty")])
def test_a_missing_or_empty_folder_is_an_error_that_names_it(tmp_path: Path, make: bool, says: str) -> None:
    folder = tmp_path / "faces"
    if make:
        folder.mkdir()
        (folder / ".DS_Store").write_bytes(b"x")
    with pytest.raises(ImagesError, match=rf"faces {says}"):
        next(scan(folder, SETTINGS))


@pytest.mark.fault(24)
def test_import_writes_the_dataset_leaves_the_source_alone_and_repeats_itself(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    for seed in range(3):
        picture(seed).save(study.images_folder / f"{seed}.jpg")
    before = {p: p.read_bytes() for p in study.images_folder.iterdir()}
    first = list(import_images(study))
    written = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in study.dataset.iterdir()}
    told = [(i.source.name, i.file_name, i.width, i.height) for i in first if isinstance(i, Stored)]
    assert told == [(f"{i}.jpg", f"{i}.png", 80, 80) for i in range(3)]
    assert list(import_images(study)) == first
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in study.dataset.iterdir()} == written
    assert {p: p.read_bytes() for p in study.images_folder.iterdir()} == before


def test_import_takes_at_most_the_limit(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    for seed in range(3):
        picture(seed).save(study.images_folder / f"{seed}.png")
    assert len(list(import_images(study, limit=2))) == 2


def test_a_dataset_inside_the_images_is_an_error(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    inside = study.model_copy(update={"images": Images(folder=str(study.dataset))})
    with pytest.raises(ImagesError, match="must lie apart"):
        next(import_images(inside))


def test_a_written_image_is_plain_pixels(tmp_path: Path) -> None:
    image = picture(0)
    image.info |= {"icc_profile": red_and_green_swapped(), "dpi": (300, 300), "comment": "by me"}
    write_image(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as read:
        assert np.array_equal(np.asarray(read), np.asarray(image))
        assert read.info == {}
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_refused_csv_reads_back(tmp_path: Path) -> None:
    refused = [Refused(Path('sub/a, "b".jpg'), "not an image"), Refused(Path("배우.png"), "too small")]
    write_refused(refused, tmp_path / "refused.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "refused.csv").read_text(encoding="utf-8"), newline="")))
    assert rows == [{"file": r.source.as_posix(), "reason": r.reason} for r in refused]


def test_a_contact_sheet_shows_each_image_in_its_place() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = contact_sheet([flat("RGB", c) for c in colours], columns=2, side=10)
    assert sheet.size == (24, 24)
    assert [sheet.getpixel(at) for at in ((5, 5), (19, 5), (5, 19), (19, 19))] == [*colours, (255, 255, 255)]


def test_of_many_pictures_a_few_are_in_memory_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for seed in range(20):
        picture(seed).save(tmp_path / "mine" / f"{seed}.png")
    (tmp_path / "study.yaml").write_text(
        "name: many\nimages: {folder: mine, resolution: 64, smallest: 64}\nsampling: {development: [a], test: [b, c]}\n"
    )
    held: dict[int, int] = {}
    stored = []
    for item in import_images(read_study(tmp_path / "study.yaml")):
        stored.append(item)
        if len(stored) in (3, 20):  # to look through all objects takes a second
            held[len(stored)] = sum(issubclass(type(one), Image.Image) for one in gc.get_objects())
    assert len(stored) == 20 and held[20] - held[3] <= 4
