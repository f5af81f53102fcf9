"""A folder of pictures → images of the dataset (square, upright, sRGB, 8 bit), or the reason why each file is refused.

Each picture is decoded once; its face is found, its square cut out, its quality measured and flagged. This file does
not know captions, splits or models.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from PIL import Image

from caplora.images.cropping import frame, square
from caplora.images.curation import Flag, Looks, duplicates, flags
from caplora.images.decoding import UnfitError, upright
from caplora.images.face_encoder import FaceEncoder
from caplora.images.faces import Box, Detector, Face, open_detector
from caplora.images.measuring import Measure, measure
from caplora.images.persons import Persons, Sighting, sightings
from caplora.images.pinned import Absent
from caplora.images.pixels import pixels_hash, write_image
from caplora.study import Curation, Images, Study


@dataclass(frozen=True)
class Accepted:
    """A file that can be used: `source` is its path in the scanned folder, `image` the square cut from it.

    `width` and `height` are those of the whole upright picture. `boxes` are its faces in parts of the square, the one
    first that it is cut around.
    """

    source: Path
    file_name: str
    image: Image.Image
    width: int
    height: int
    measure: Measure
    flags: tuple[Flag, ...]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Stored:
    """An accepted file, whose image now lies in the dataset as `file_name`."""

    source: Path
    file_name: str
    width: int
    height: int
    measure: Measure
    flags: tuple[Flag, ...]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A file that is not used, and why; `source` is its path in the scanned folder."""

    source: Path
    reason: str

    @property
    def named(self) -> str:
        """The path in a form that can be printed."""
        return _shown(self.source)


class ImagesError(ValueError):
    """The images cannot be imported as the study says; the message names the folder and the way out."""


@dataclass
class _Seen:
    """The files accepted so far, by name, by pixels and by perceptual hash, to notice a second one."""

    stems: dict[str, Path] = field(default_factory=dict)
    squares: dict[str, Path] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)


@dataclass(frozen=True)
class _Look:
    """What finds faces in a picture, and what was found in all of them before, where that was done."""

    detector: Detector | None
    persons: Persons | None

    def faces(self, source: Path, image: Image.Image) -> tuple[Sequence[Face] | None, int | None, float | None]:
        """The faces, the one first that is cut around, and of it whose it is and how like the folder's person."""
        if self.persons is not None and source in self.persons.pictures:
            found = self.persons.of(source)
            return [face for face, _, _ in found], *(found[0][1:] if found else (None, None))
        return self.detector.faces(image) if self.detector else None, None, None


def scan(
    folder: Path,
    settings: Images,
    detector: Detector | Absent | None = None,
    persons: Persons | Absent | None = None,
) -> Iterator[Accepted | Refused]:
    """Each file below `folder`, sorted by name: accepted, with its image, or refused, with the reason.

    Hidden files are skipped. Nothing is written. Faces are looked for if there is a detector, or taken from `persons`.
    Raises ImagesError if the folder is missing or empty, or lacks a file that the study accepts or refuses by name.
    """
    files = _files(folder)
    sources = {_name(path.relative_to(folder)) for path in files}
    for key, names in (("accept", settings.accept), ("refuse", settings.refuse)):
        if lost := [name for name in names if _name(Path(name)) not in sources]:
            raise ImagesError(f"images.{key} names {lost[0]!r}, which is no file below {folder}: correct the study")
    known = persons if isinstance(persons, Persons) else None
    look = _Look(detector if isinstance(detector, Detector) else None, known)
    seen = _Seen()
    for path in files:
        source = path.relative_to(folder)
        try:
            item = _accepted(path, source, settings, look, seen)
        except UnfitError as refusal:
            yield Refused(source, str(refusal))
        else:
            yield item


def look_at_faces(
    study: Study, limit: int, detector: Detector | Absent, encoder: FaceEncoder | Absent
) -> Iterator[tuple[Path, list[Sighting]]]:
    """Each picture of the study's folder, as its path below it, with its faces; those refused by name are left out.

    Without detector or encoder there is none.
    """
    if isinstance(detector, Absent) or isinstance(encoder, Absent):
        return
    folder, settings = study.images_folder, study.images
    files = [p for p in _files(folder)[: limit or None] if not _leads_out(p, folder)]
    paths = [p for p in files if not _named(p.relative_to(folder), settings.refuse)]
    for path, found in sightings(paths, settings, detector, encoder):
        yield path.relative_to(folder), found


def import_images(
    study: Study,
    limit: int = 0,
    detector: Detector | Absent | None = None,
    persons: Persons | Absent | None = None,
) -> Iterator[Stored | Refused]:
    """Import the study's own images into its dataset; yields each file as stored or refused, `limit` files at most.

    An image that already lies there with the same pixels is not written again. Without a `detector` the study's own
    is opened. `persons` says whose the faces are, if it is known. Raises ImagesError as `scan` does, and if one of the
    two folders lies inside the other.
    """
    folder, dataset = study.images_folder.resolve(), study.dataset.resolve()
    if folder.is_relative_to(dataset) or dataset.is_relative_to(folder):
        raise ImagesError(f"images.folder {folder} and the dataset {dataset} must lie apart: move your images")
    items = scan(study.images_folder, study.images, detector or open_detector(study), persons)
    for item in islice(items, limit or None):
        if isinstance(item, Accepted):
            write_image(item.image, study.dataset / item.file_name)
            yield Stored(item.source, item.file_name, item.width, item.height, item.measure, item.flags, item.boxes)
        else:
            yield item


def _files(folder: Path) -> list[Path]:
    """Every file below `folder` that is not hidden; raises ImagesError if there is none."""
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


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is a link to a file that is not."""
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _accepted(path: Path, source: Path, settings: Images, look: _Look, seen: _Seen) -> Accepted:
    """The accepted file, remembered in `seen`; raises UnfitError with the reason if it is refused."""
    if _shown(source) != source.as_posix():
        raise UnfitError("its name is not valid Unicode: rename it")
    if _leads_out(path, path.parents[len(source.parts) - 1]):
        raise UnfitError("a link that leads out of the folder: put the file itself there")
    if not path.is_file():
        raise UnfitError("a link that leads to no file")
    if _named(source, settings.refuse):
        raise UnfitError("refused in the study (images.refuse)")
    wanted = _named(source, settings.accept)
    image = upright(path, settings.model_copy(update={"smallest": 1}) if wanted else settings)
    faces, person, likeness = look.faces(source, image)
    share = settings.curation.small_face.flag
    cut = frame(image.size, settings.resolution, faces[0].box if faces else None, share)
    crop = square(image, settings.resolution, cut)
    stem, pixels = _name(Path(source.stem)).casefold(), pixels_hash(crop)  # some disks know no case
    _refuse_second(seen.stems, stem, "the same name, apart from folder, ending and case, as")
    _refuse_second(seen.squares, pixels, "the same pixels as")
    measured = replace(measure(image, settings.resolution, faces, cut), person=person, likeness=likeness)
    found = () if wanted else _flags(measured, settings.curation, seen)
    seen.stems[stem], seen.squares[pixels] = source, source
    seen.looks.add(source, measured.look)
    name = unicodedata.normalize("NFC", source.stem) + ".png"
    return Accepted(source, name, crop, *image.size, measured, found, _in_square(faces or (), cut))


def _in_square(faces: Iterable[Face], cut: Box) -> tuple[Box, ...]:
    """The boxes of faces, in parts of the square."""
    side, boxes = cut.width, (face.box for face in faces)
    return tuple(Box((b.x - cut.x) / side, (b.y - cut.y) / side, b.width / side, b.height / side) for b in boxes)


def _flags(measured: Measure, curation: Curation, seen: _Seen) -> tuple[Flag, ...]:
    """The flags of a picture; raises UnfitError if one of them refuses it."""
    found = flags(measured, curation) + duplicates(measured.look, seen.looks, curation)
    if refusing := [flag.reason for flag in found if flag.refuses]:
        raise UnfitError("; ".join(refusing))
    return found


def _name(source: Path) -> str:
    """A path as every system writes it: with slashes, in Unicode's composed form."""
    return unicodedata.normalize("NFC", source.as_posix())


def _named(source: Path, names: Iterable[str]) -> bool:
    return _name(source) in {_name(Path(name)) for name in names}


def _refuse_second(seen: dict[str, Path], key: str, what: str) -> None:
    if key in seen:
        raise UnfitError(f"{what} {seen[key].as_posix()}")


def _shown(source: Path) -> str:
    """A path in a form that can be printed, even if it is not valid Unicode."""
    return source.as_posix().encode("utf-8", "backslashreplace").decode()
