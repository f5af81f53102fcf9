"""What a study calls a CLIP → files on this machine that open_clip may load: of a known commit, and safetensors alone.

By itself open_clip takes what a repository of the hub holds at the moment, and unpickles what is no safetensors.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from caplora.jobs import no_secret_told
from caplora.study import file_hash

LOCAL, HUB = "local-dir:", "hf-hub:"  # names that say where the weights are
SAFE = "open_clip_model.safetensors"


@dataclass(frozen=True)
class Pin:
    """The commit of a repository of the hub, and the SHA-256 of the weights there."""

    revision: str
    sha256: str


PINS = {  # of the repositories that studies of caplora name; several public projects agree on each
    "timm/vit_base_patch32_clip_224.openai": Pin(
        "a6f597a30f7b82c51704746581f9a4e41421e878", "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31"
    ),
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": Pin(
        "1a25a446712ba5ee05982a381eed697ef9b435cf", "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6"
    ),
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": Pin(
        "1c2b8495b28150b8a4922ee1c8edee224c284c0c", "0084e75319a50ad85ef45377bad5bc38f2f58824459eb690048d51c9f8863be5"
    ),
}


def tag_of(pretrained: str | None) -> str | None:
    """What open_clip calls the weights, without the commit behind an @; a file stays as it is."""
    return pretrained if pretrained is None or Path(pretrained).is_file() else pretrained.partition("@")[0]


def on_disk(name: str, pretrained: str | None) -> tuple[str, str | None]:
    """The name and the weights that open_clip is given, both on this machine; fetched once, if they are of the hub.

    `pretrained` is a file, or a name of open_clip with the commit to use behind an @, as `hf-hub:owner/name@commit` has
    it; only those of PINS need none. Raises ValueError where a commit lacks, OSError for other weights than the pinned.
    """
    if name.startswith(HUB):
        return f"{LOCAL}{_whole(name.removeprefix(HUB))}", None
    if name.startswith(LOCAL) or pretrained is None or Path(pretrained).is_file():
        return name, pretrained
    return name, str(_weights(name, pretrained))


def preprocessing(name: str, tag: str | None) -> dict[str, Any]:
    """How pictures are made ready for weights that open_clip knows, which it forgets where it is given their file."""
    import open_clip  # takes seconds

    known = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    return {f"image_{key}": known[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in known}


def _whole(named: str) -> str:
    """The folder of a model of the hub with its own configuration: `owner/name@commit`."""
    repository, _, revision = named.partition("@")
    if not revision:
        raise ValueError(f"scoring.clips: {named!r} needs a commit: write {HUB}{repository}@COMMIT")
    with no_secret_told():
        return snapshot_download(repository, revision=revision, allow_patterns=["*.json", "*.txt", "*.safetensors"])


def _weights(name: str, pretrained: str) -> Path:
    """The file of weights that open_clip knows by a name."""
    import open_clip  # takes seconds

    tag, _, commit = pretrained.partition("@")
    repository, _, file = (open_clip.get_pretrained_cfg(name, tag).get("hf_hub") or "").rpartition("/")
    pin = None if commit else PINS.get(repository)
    if not (repository and (commit or pin)):
        where = f"of {repository}, whose commit is not known: write {tag}@COMMIT" if repository else "not of the hub"
        raise ValueError(f"scoring.clips: the weights {tag!r} of {name!r} are {where}, or name a file that you have")
    try:
        with no_secret_told():
            path = Path(hf_hub_download(repository, _safe(file), revision=pin.revision if pin else commit))
    except EntryNotFoundError as error:
        raise OSError(f"scoring.clips: {repository} has no {_safe(file)}, and nothing else is loaded") from error
    if pin and (found := file_hash(path)) != pin.sha256:
        raise OSError(
            f"scoring.clips: {path} has the hash {found} and should have {pin.sha256}: remove it, to fetch it"
        )
    return path


def _safe(file: str) -> str:
    """The safetensors beside a file of weights; without a file that which open_clip publishes."""
    return f"{Path(file).stem}.safetensors" if file else SAFE
