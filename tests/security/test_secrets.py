"""No token and no password stands in what is raised, logged or recorded, wherever it was planted."""

import base64
import logging
import traceback
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from caplora.captioning.captioners import load_captioner
from caplora.captions.tokens import load_tokenizer
from caplora.extra_metrics.quality import weights_of
from caplora.images.pinned import Pinned, Source, fetch
from caplora.jobs.notebook import last_line
from caplora.jobs.told import LEFT_OUT, without_secrets
from caplora.models.base import config_of, read_pipeline
from caplora.scoring.clip_weights import on_disk
from caplora.scoring.identity import load_identity
from caplora.study.study import Study
from tests.security.planted import ENVIRONMENT, PASSWORD, SECRETS, found_in

COMMIT = "a" * 40
STUDY = Study.model_validate({
    "name": "small", "images": {"folder": "faces"}, "base": {"path": "owner/name", "revision": COMMIT},
    "sampling": {"development": ("one",), "test": ("two", "three")},
})  # fmt: skip
LOADED = {
    "config": lambda: config_of("owner/name", COMMIT, "model_index.json"),
    "base": lambda: read_pipeline("owner/name", COMMIT, torch.float32),
    "captioner": lambda: load_captioner("owner/name", COMMIT),
    "CLIP": lambda: on_disk("ViT-B-32", "laion2b_s34b_b79k"),
    "CLIP with its configuration": lambda: on_disk(f"hf-hub:owner/name@{COMMIT}", None),
    "identity": lambda: load_identity(STUDY, torch.device("cpu")),
    "quality": lambda: weights_of(STUDY, STUDY.scoring.quality),
}


class Nothing(BaseHTTPRequestHandler):
    """A hub that has nothing."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """While the test runs, the hub is a mirror whose address has a password in it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://somebody:{PASSWORD}@127.0.0.1:{server.server_address[1]}"
    own = {
        "ENDPOINT": address, "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": True,
    }  # fmt: skip
    for name, value in own.items():
        monkeypatch.setattr(constants, name, value)
    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Everything that is planted in the environment, and the token in the file of `hf auth login`."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "token").write_text("hf_plantedInTheFileOfTheHub2", encoding="utf-8")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    return SECRETS


@pytest.mark.parametrize("what", LOADED)
def test_a_model_that_cannot_be_fetched_tells_no_password(
    what: str, mirror: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "caplora"), pytest.raises((OSError, RuntimeError, ValueError)) as raised:
        LOADED[what]()
    assert PASSWORD not in "".join(traceback.format_exception(raised.value)) + caplog.text
    assert str(raised.value)


def test_a_tokenizer_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself transformers makes one without words, to which no text is too long."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="the tokenizer of 'owner/name'"):
        load_tokenizer(STUDY)


def test_a_detector_that_cannot_be_fetched_tells_no_password(mirror: str, tmp_path: Path) -> None:
    said = fetch(Pinned(tmp_path / "a.onnx", "0" * 64, "images.faces.sha256", Source("owner/name", COMMIT, "a.onnx")))
    assert "could not be fetched" in said and PASSWORD not in said


def test_what_is_planted_is_left_out_of_what_is_told(planted: tuple[str, ...]) -> None:
    for secret in (*planted, ENVIRONMENT["HTTPS_PROXY"].split("@")[0].split("://")[1]):
        told = secret if ":" not in secret else f"http://{secret}@proxy.invalid"
        assert secret not in without_secrets(f"it failed with {told} and so on")
    assert last_line(OSError(f"no {ENVIRONMENT['HF_TOKEN']}")) == f"OSError: no {LEFT_OUT}"


def test_the_token_of_the_hubs_own_file_is_left_out(planted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert without_secrets("said hf_plantedInTheFileOfTheHub2") == f"said {LEFT_OUT}"


@pytest.mark.parametrize("text", ["https://example.com/a@b", "me@example.com", "TOKENIZERS: true", "a ratio of 3:4@2x"])
def test_what_is_no_secret_is_told(text: str, planted: tuple[str, ...]) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("secret", [*SECRETS, "hf_plantedInTheEnvironment1"])
def test_the_search_finds_what_is_encoded_compressed_or_in_a_picture(secret: str, tmp_path: Path) -> None:
    said = PngInfo()
    said.add_itxt("parameters", f"x {secret}", zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=said)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.png", "a.png")
    inside = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    (tmp_path / "a.html").write_text(f'<img src="data:image/png;base64,{inside}">')
    (tmp_path / "a.txt").write_text(quote(f" {secret}", safe=""))
    for offset in range(3):
        (tmp_path / f"{offset}.b64").write_bytes(base64.b64encode(b"xyz"[:offset] + f"{secret} and so on".encode()))
    (tmp_path / "clean.txt").write_text("nothing")
    assert {Path(name).name for name in found_in(tmp_path.iterdir(), [secret])} == {
        "a.png", "a.zip", "a.html", "a.txt", "0.b64", "1.b64", "2.b64"
    }  # fmt: skip
