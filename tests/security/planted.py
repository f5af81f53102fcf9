"""Secrets and places that are planted where caplora reads, and the search for them in all that it wrote."""

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PASSWORD = "s3cretPassw0rdOfAProxy"
ENVIRONMENT = {
    "HF_TOKEN": "hf_plantedInTheEnvironment1",
    "WANDB_API_KEY": "c0ffee" * 6 + "4242",
    "AWS_SECRET_ACCESS_KEY": "pl4nted/Acc3ss+KeyOfACloud",
    "HTTPS_PROXY": f"http://somebody:{PASSWORD}@proxy.invalid:3128",
}
SECRETS = (PASSWORD, *(value for name, value in ENVIRONMENT.items() if name != "HTTPS_PROXY"))
PLACE, DEVICE = "PLANTEDPLACE", "PLANTEDDEVICE"  # in every field that a camera fills
DATA_URL = re.compile(rb"data:[\w/+.-]*;base64,([A-Za-z0-9+/=\s\\n]+)")


def found_in(paths: Iterable[Path], texts: Iterable[str]) -> dict[str, list[str]]:
    """File → those of the texts that it holds: as they are, encoded, compressed, or in a picture within a page."""
    forms = {text: forms_of(text) for text in texts}
    files = {str(path): b"\n".join(layers(path.read_bytes())) for path in paths}
    found = {name: [t for t, own in forms.items() if any(f in content for f in own)] for name, content in files.items()}
    return {name: own for name, own in found.items() if own}


def forms_of(text: str) -> list[bytes]:
    """How a text may stand in a file: UTF-8, UTF-16, percent-encoded, hexadecimal, and in base64 at any offset."""
    plain = text.encode()
    shifted = [base64.b64encode(b"\0" * n + plain)[4 * bool(n) :].rstrip(b"=")[: len(plain)] for n in range(3)]
    return [plain, text.encode("utf-16-le"), quote(text, safe="").encode(), plain.hex().encode(), *shifted]


def layers(content: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what lies in them: texts of a picture, members of a zip, JSON's strings, data: URLs."""
    yield content
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from layers(archive.read(name))
    elif content[:1] in b"{[" and content[:1]:
        yield _spelt_out(content)
    elif content.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            yield repr([image.info, dict(image.getexif())]).encode()
    for match in DATA_URL.finditer(content):
        yield from layers(base64.b64decode(match[1].replace(b"\\n", b"") + b"=="))


def _spelt_out(content: bytes) -> bytes:
    """What JSON says, without its escapes."""
    try:
        return json.dumps(json.loads(content), ensure_ascii=False).encode()
    except ValueError:
        return b""


def exif() -> Image.Exif:
    """Where and by what a photograph was taken, in every field that says so, with a thumbnail's worth of MakerNote."""
    found = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x013C, 0x8298):  # what, make, model, software, whose, host
        found[tag] = f"{DEVICE} {PLACE}"
    found.get_ifd(0x8769).update({0xA430: DEVICE, 0xA431: DEVICE, 0xA435: DEVICE, 0x927C: DEVICE.encode() * 50})
    found.get_ifd(0x8825).update({1: "N", 2: (50.0, 6.0, 53.0), 27: PLACE.encode(), 29: "2026:01:01", 18: PLACE})
    return found


def xmp() -> bytes:
    """The same in Adobe's way."""
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><p exif:GPSLatitude="{PLACE}" aux:SerialNumber="{DEVICE}"/>'.encode()


def iptc() -> bytes:
    """The same in the way of the press: a segment APP13 of a JPEG."""
    said = b"\x1c\x02\x5a" + len(PLACE).to_bytes(2, "big") + PLACE.encode()
    own = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(said).to_bytes(4, "big") + said + b"\0" * (len(said) % 2)
    return b"\xff\xed" + (len(own) + 2).to_bytes(2, "big") + own


def photographs(pictures: Iterable[Image.Image], folder: Path) -> list[Path]:
    """Pictures as four formats keep them, each with all that is planted; where they are."""
    texts = PngInfo()
    texts.add_text("comment", f"{PLACE} {DEVICE}", zip=True)
    texts.add_itxt("XML:com.adobe.xmp", xmp().decode(), zip=True)
    said = {"exif": exif(), "comment": f"{PLACE} {DEVICE}".encode()}
    own = {
        "a.jpg": said | {"xmp": xmp(), "quality": 95}, "b.png": {"exif": exif(), "pnginfo": texts},
        "c.webp": {"exif": exif().tobytes(), "xmp": xmp(), "lossless": True}, "d.tif": {"exif": exif()},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for picture, (name, values) in zip(pictures, own.items(), strict=True):
        picture.save(folder / name, **values)
    jpeg = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(jpeg[:2] + iptc() + jpeg[2:])
    return [folder / name for name in own]
