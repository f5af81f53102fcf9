"""A file of weights that is no part of caplora: fetched once if the study says so, and used only if its hash is right.

Without it everything else works, and the reader is told why. This file does not know what the weights are for.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import huggingface_hub
from huggingface_hub import constants

from caplora.jobs import without_secrets
from caplora.study import Images, replacing

Network = TypeVar("Network")


@dataclass(frozen=True)
class Absent:
    """There is no such network, and why: what needs it is left out, everything else works."""

    reason: str


@dataclass(frozen=True)
class Source:
    """Where a file can be fetched: a repository of the hub, at a revision, and the file's name in it."""

    repository: str
    revision: str
    file: str


@dataclass(frozen=True)
class Pinned:
    """A file as a study names it: its path, its SHA-256, the key of the study that says the hash, and its source."""

    path: Path
    sha256: str
    key: str  # images.faces.sha256
    source: Source

    @property
    def named(self) -> str:
        """The path for the reader, the home folder as ~: it may stand in a report that others read."""
        home = Path.home()
        return f"~/{self.path.relative_to(home)}" if self.path.is_relative_to(home) else str(self.path)

    def other_hash(self, content: bytes) -> str:
        """The SHA-256 of `content` if it is not the one that the study says, else nothing."""
        digest = hashlib.sha256(content).hexdigest()
        return "" if digest == self.sha256 else digest


def open_pinned(pinned: Pinned, images: Images, made: Callable[[bytes], Network]) -> Network | Absent:
    """What `made` makes of the file's bytes, or the reason why not; fetched first if `images.faces` asks for it."""
    if not images.photographs:
        return Absent("images.photographs is false, and in drawings no faces are looked for")
    if not pinned.path.is_file():
        if not images.faces.fetch:
            return Absent(f"{pinned.named} is not there: images.faces.fetch: true gets it once")
        if problem := fetch(pinned):
            return Absent(problem)
    try:
        content = pinned.path.read_bytes()
        if digest := pinned.other_hash(content):
            wanted = f"not {pinned.sha256} ({pinned.key})"
            return Absent(f"{pinned.named} has SHA-256 {digest}, {wanted}: remove it, or correct the study")
        return _quietly(made, content)
    except (OSError, cv2.error) as error:
        return Absent(f"{pinned.named} cannot be used: {error}")


def fetch(pinned: Pinned) -> str:
    """Fetch the file from its source, whole or not at all; returns why that failed, or nothing."""
    source = pinned.source
    if constants.HF_HUB_OFFLINE:
        return f"{pinned.named} is not there and HF_HUB_OFFLINE forbids to fetch it"
    try:
        got = huggingface_hub.hf_hub_download(source.repository, source.file, revision=source.revision)
        content = Path(got).read_bytes()
        if digest := pinned.other_hash(content):
            return f"{source.repository} sent SHA-256 {digest}, not {pinned.sha256} ({pinned.key}): it was thrown away"
        with replacing(pinned.path) as part:
            part.write_bytes(content)
    except Exception as error:  # no network, no space, whatever it is: the run goes on without
        return f"{pinned.named} could not be fetched: {without_secrets(str(error))}"
    return ""


def _quietly(made: Callable[[bytes], Network], content: bytes) -> Network:
    """What `made` makes of `content`, without OpenCV 5's warning of its own default."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        return made(content)
    finally:
        cv2.utils.logging.setLogLevel(level)
