"""hub.py: what arrives at a local stand-in of the hub is what lies in the folder, private, and after a yes alone."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from safetensors.torch import load

from caplora.commands import main
from caplora.publishing.facts import Facts
from caplora.publishing.folder import PublishError, card_folder
from caplora.publishing.hub import push_to_hub, size
from caplora.sampling.samples import named_sample
from caplora.study.study import read_study

from .small import VARIANT, finished, small_facts, small_study
from .stand_in import TOKEN, Hub, local_hub

# huggingface_hub hands its files to its own HTTP client in a way that this client deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

YES: Callable[[str], bool] = lambda said: True  # noqa: E731
NO: Callable[[str], bool] = lambda said: False  # noqa: E731


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study's folder, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "study"
    folder.mkdir()
    finished(folder)
    return folder


@pytest.fixture
def facts(made: Path, tmp_path: Path) -> Facts:
    shutil.rmtree(tmp_path)
    shutil.copytree(made, tmp_path)
    return small_facts(read_study(tmp_path / "small.yaml"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # whose storage the stand-in has not
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with local_hub() as server:
        yield server


def push(hub: Hub, facts: Facts, to: str = "me/faces", agreed: Callable[[str], bool] = YES, **more: bool) -> str:
    return push_to_hub(facts, to, agreed=agreed, api=HfApi(endpoint=hub.endpoint), **more)


def refused(hub: Hub, facts: Facts, to: str = "me/faces", **more: bool) -> str:
    """Why a push is refused; nothing has changed on the hub then."""
    before = json.dumps(hub.repositories, default=repr)
    with pytest.raises(PublishError) as caught:
        push(hub, facts, to, **more)
    assert json.dumps(hub.repositories, default=repr) == before
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_what_arrives_is_what_lies_in_the_folder_private_and_in_one_commit(hub: Hub, facts: Facts) -> None:
    assert push(hub, facts) == f"{hub.endpoint}/me/faces"
    there, folder = hub.repositories["me/faces"], card_folder(facts.study, VARIANT)
    assert there["files"] == {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    drawn = named_sample(facts.study.sampling.test[0], 0, "test").file_name
    assert {"README.md", "pytorch_lora_weights.safetensors", "small_r4_a8.safetensors", f"images/{drawn}"} <= {
        *there["files"]
    }
    assert there["private"] is True and len(there["commits"]) == 1
    assert load(there["files"]["small_r4_a8.safetensors"])
    assert b"load_lora_weights('me/faces'" in there["files"]["README.md"]


def test_no_sends_nothing(hub: Hub, facts: Facts) -> None:
    assert push(hub, facts, agreed=NO) == "" and hub.sent == [] and hub.repositories == {}


def test_nobody_is_asked_by_default(hub: Hub, facts: Facts) -> None:
    assert push_to_hub(facts, "me/faces", api=HfApi(endpoint=hub.endpoint)) == "" and hub.sent == []


def test_the_question_says_who_where_who_sees_it_every_file_licence_and_consent(hub: Hub, facts: Facts) -> None:
    asked: list[str] = []
    push(hub, facts, agreed=lambda said: bool(asked.append(said)))  # type: ignore[func-returns-value]
    [said] = asked
    assert "me/faces on the Hugging Face Hub, as me: private, for you alone" in said and "which is new" in said
    for path in (p for p in card_folder(facts.study, VARIANT).rglob("*") if p.is_file()):
        assert f"{path.name}  {size(path.stat().st_size)}" in said
    assert "creativeml-openrail-m" in said and "consent of the person shown:" in said and TOKEN not in said


def test_the_token_goes_into_no_file_and_no_body(hub: Hub, facts: Facts, tmp_path: Path) -> None:
    push(hub, facts)
    assert [path for _, path, body in hub.requests if TOKEN.encode() in body or TOKEN in path] == []
    assert [p for p in tmp_path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()] == []


def test_a_token_in_the_study_is_not_sent(hub: Hub, facts: Facts) -> None:
    about = facts.study.publishing.model_copy(update={"about": f"my key is x{TOKEN}"})
    study = facts.study.model_copy(update={"publishing": about})
    assert "holds the token" in refused(hub, small_facts(study)) and hub.sent == []


def test_public_needs_a_consent_that_is_stated(hub: Hub, facts: Facts, tmp_path: Path) -> None:
    assert push(hub, facts, private=False) and hub.repositories["me/faces"]["private"] is False
    (tmp_path / "silent").mkdir()
    silent = small_facts(small_study(tmp_path / "silent", images={"folder": "faces"}))
    said = refused(hub, silent, "me/silent", private=False)
    assert "not recorded (3)" in said and "--consent" in said and "leave --public out" in said
    assert push(hub, silent, "me/silent") and hub.repositories["me/silent"]["private"] is True


def test_no_licence_is_invented(hub: Hub, tmp_path: Path) -> None:
    said = refused(hub, small_facts(small_study(tmp_path, publishing={})))
    assert "publishing.licence" in said and "its base model's is creativeml-openrail-m" in said and hub.requests == []


def test_what_is_there_is_named_before_it_is_replaced_and_the_rest_stays(hub: Hub, facts: Facts) -> None:
    hub.holding("us/faces", README__md=b"by hand", notes__txt=b"kept", __gitattributes=b"")
    asked: list[str] = []
    push(hub, facts, "us/faces", agreed=lambda said: bool(asked.append(said)))  # type: ignore[func-returns-value]
    assert "as me: private, for the members of us" in asked[0]
    assert "REPLACES README.md" in asked[0] and "beside notes.txt, which stays" in asked[0]
    assert hub.repositories["us/faces"]["files"]["README.md"] == b"by hand"
    push(hub, facts, "us/faces")
    assert hub.repositories["us/faces"]["files"]["notes.txt"] == b"kept"
    assert hub.repositories["us/faces"]["files"]["README.md"].startswith(b"---\nbase_model")


def test_what_changed_while_it_was_asked_is_not_written_over(hub: Hub, facts: Facts) -> None:
    hub.holding("me/faces", README__md=b"one")

    def meanwhile(said: str) -> bool:
        hub.repositories["me/faces"]["sha"] = "d" * 40
        return True

    with pytest.raises(PublishError, match="changed by somebody else just now"):
        push(hub, facts, agreed=meanwhile)
    assert hub.repositories["me/faces"]["files"] == {"README.md": b"one"}


@pytest.mark.parametrize("private", [True, False])
def test_a_repository_is_never_seen_by_others_than_was_asked_for(private: bool, hub: Hub, facts: Facts) -> None:
    hub.holding("me/faces", private=not private)
    assert "already" in refused(hub, facts, private=private) and hub.sent == []


@pytest.mark.parametrize(
    ("to", "down", "said"),
    [
        ("faces", {}, r"--to must be owner/name, got 'faces'"),
        ("a/b/c", {}, "--to must be owner/name"),
        ("them/faces", {}, "you are me on the hub, and may write for me, us only"),
        ("me/fa ces", {}, "cannot be the name of a repository"),
        ("me/faces", {"whoami": 401}, "does not know this token: make a token"),
        ("me/faces", {"create": 403}, "may not write to me/faces"),
        ("me/faces", {"create": 409}, "by somebody else just now"),
        ("me/faces", {"whoami": 500}, "the hub said 500"),
        ("me/faces", {"lfs/": 403}, "me/faces"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_is_said_in_plain_words(
    to: str, down: dict[str, int], said: str, hub: Hub, facts: Facts
) -> None:
    hub.down = down
    with pytest.raises(PublishError) as caught:
        push(hub, facts, to)
    assert said in str(caught.value) and TOKEN not in str(caught.value)


def test_without_a_token_or_a_network_the_way_out_is_said(
    hub: Hub, facts: Facts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.server_close()
    hub.shutdown()
    assert "cannot be reached" in refused(hub, facts)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(hub, facts)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "no token of the Hugging Face Hub was found: make a token" in refused(hub, facts)


@pytest.mark.parametrize(
    ("more", "typed", "status", "said", "arrives"),
    [
        ([], "yes\n", 0, "sent: http", True),
        ([], "y\n", 0, "nothing was sent", False),
        ([], "", 2, "nobody can answer here, so nothing was sent", False),
        (["--dry-run"], "yes\n", 0, "nothing was sent", False),
        (["--yes"], "", 0, "sent: http", True),
    ],
)
def test_the_command_asks_first(
    more: list[str], typed: str, status: int, said: str, arrives: bool, hub: Hub, facts: Facts, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["publish", str(tmp_path / "small.yaml"), "--to", "me/faces", *more]) == status
    printed = "".join(capsys.readouterr())
    assert said in printed and "me/faces on the Hugging Face Hub, as me: private" in printed and TOKEN not in printed
    assert ("me/faces" in hub.repositories) == arrives
    assert all(repository["private"] for repository in hub.repositories.values())


@pytest.mark.parametrize(
    ("file", "way_out"), [("study.yaml", "name the study in it, "), ("x.safetensors", "name a study, or its file")]
)
def test_a_folder_instead_of_a_study_is_named(
    file: str, way_out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lora_weights").mkdir()
    (tmp_path / "lora_weights" / file).touch()
    assert main(["publish", str(tmp_path / "lora_weights")]) == 2
    said = capsys.readouterr().err
    assert f"lora_weights is a folder, and no study: {way_out}" in said


@pytest.mark.parametrize(("count", "said"), [(999, "999 B"), (12_345, "12 kB"), (3_140_000, "3.1 MB")])
def test_a_size_is_said_as_people_say_it(count: int, said: str) -> None:
    assert size(count) == said
