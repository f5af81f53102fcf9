"""A card's folder → a model repository of the Hugging Face Hub, in one commit, private unless asked, after a yes.

Who sends, where to, what is there already and every file are said first (`said`), and nothing is sent before somebody
has agreed. The token is huggingface_hub's business: it finds and sends it, and nothing here reads or writes it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from caplora.jobs import without_secrets
from caplora.publishing.card import listed
from caplora.publishing.facts import Facts
from caplora.publishing.folder import Folder, PublishError, write_folder
from caplora.study import counted

TOKENS = "https://huggingface.co/settings/tokens"
LOGIN = f"make a token that may write at {TOKENS}, then `hf auth login`, or HF_TOKEN (on Colab the secret of that name)"
STAYS = (".gitattributes",)  # what every repository has


@dataclass(frozen=True)
class There:
    """A repository as it is on the hub: whether it is there, public, what it holds and its last commit."""

    exists: bool = False
    public: bool = False
    files: tuple[str, ...] = ()
    commit: str | None = None


@dataclass(frozen=True)
class Sending:
    """What would be sent where by whom, before anything is."""

    folder: Folder
    repository: str
    private: bool
    who: str
    there: There

    @property
    def said(self) -> str:
        """All of it, for the person who decides."""
        facts, files = self.folder.facts, self.folder.files
        owner = self.repository.partition("/")[0]
        whose = "you alone" if owner == self.who else f"the members of {owner}"
        seen = f"private, for {whose}" if self.private else "PUBLIC, for everybody"
        lines = [
            f"to {self.repository} on the Hugging Face Hub, as {self.who}: {seen}",
            *self._already(),
            f"{counted(len(files), 'file')}, {size(sum(p.stat().st_size for p in files))} in all:",
            *(f"  {self.folder.name(p)}  {size(p.stat().st_size)}" for p in files),
            f"licence of the adapter: {facts.study.publishing.licence}",
            f"consent of the person shown: {listed(facts.rights['consent'])}",
            f"the card names as what asks for the subject: {facts.trigger or 'nothing'}",
        ]
        return "\n".join(lines)

    def _already(self) -> Iterator[str]:
        if not self.there.exists:
            yield "which is new"
            return
        sent = {self.folder.name(p) for p in self.folder.files}
        replaced = [name for name in self.there.files if name in sent]
        kept = [name for name in self.there.files if name not in sent and name not in STAYS]
        yield "which is there already" + ("" if replaced or kept else ", and empty")
        if replaced:
            yield f"  REPLACES {', '.join(replaced)} (the history keeps what was there)"
        if kept:
            yield f"  beside {', '.join(kept)}, which stay{'s' if len(kept) == 1 else ''}"


def push_to_hub(
    facts: Facts,
    repository: str,
    private: bool = True,
    agreed: Callable[[str], bool] = lambda said: False,
    api: HfApi | None = None,
) -> str:
    """Send a variant's card, pictures and both files to `repository`, `owner/name`; its address, or empty after a no.

    `agreed` is shown what would be sent and says whether to. Raises PublishError, saying the way out, where licence or
    consent lack, for an adapter that is not what was trained, and for what the hub refuses.
    """
    refuse_unstated(facts, private)
    hub = api or HfApi()
    with in_plain_words(repository, hub.endpoint):
        who = owner_of(hub, repository)
        there = what_is_there(hub, repository)
        refuse_other_eyes(repository, private, there)
    folder = write_folder(facts, repository)
    refuse_secrets(folder, hub)
    sending = Sending(folder, repository, private, who, there)
    if not agreed(sending.said):
        return ""
    with in_plain_words(repository, hub.endpoint):
        return send(hub, sending)


def send(hub: HfApi, sending: Sending) -> str:
    """One commit with everything; the address of the repository."""
    folder = sending.folder
    if not sending.there.exists:
        hub.create_repo(sending.repository, private=sending.private)
    files = [CommitOperationAdd(path_in_repo=folder.name(p), path_or_fileobj=p) for p in folder.files]
    hub.create_commit(
        sending.repository,
        files,
        commit_message=f"{folder.facts.title}, with its model card",
        parent_commit=sending.there.commit,  # what changed since it was looked at is not written over
    )
    return f"{without_secrets(hub.endpoint)}/{sending.repository}"


def refuse_unstated(facts: Facts, private: bool) -> None:
    """Raise PublishError where the adapter has no licence, or nobody has said that a public one may show the person."""
    if not facts.study.publishing.licence:
        known = f"; its base model's is {facts.base_licence}" if facts.base_licence else ""
        raise PublishError(
            f"the study {facts.study.name} does not say under which licence the adapter is shared{known}: set"
            " publishing.licence in the study, or --licence"
        )
    if not private and not facts.consent:
        raise PublishError(
            f"the consent of the person shown is not stated for every portrait ({listed(facts.rights['consent'])}), and"
            " a public adapter lets everybody draw them: set images.provenance.consent in the study, say it by"
            " --consent, or leave --public out"
        )


def owner_of(hub: HfApi, repository: str) -> str:
    """Who sends; raises PublishError where the repository would be somebody else's."""
    owner, _, name = repository.partition("/")
    if not name or "/" in name:
        raise PublishError(f"--to must be owner/name, got {repository!r}")
    me = hub.whoami()
    own = [me["name"], *(organisation["name"] for organisation in me.get("orgs", []))]
    if owner not in own:
        raise PublishError(f"{repository}: you are {me['name']} on the hub, and may write for {', '.join(own)} only")
    return me["name"]


def what_is_there(hub: HfApi, repository: str) -> There:
    """The repository as it is now."""
    try:
        info = hub.model_info(repository)
    except RepositoryNotFoundError:
        return There()
    return There(True, not info.private, tuple(s.rfilename for s in info.siblings or ()), info.sha)


def refuse_other_eyes(repository: str, private: bool, there: There) -> None:
    """Raise PublishError where a repository that exists is seen by others than was asked for."""
    if there.exists and there.public == private:
        now, settings = "public" if there.public else "private", f"https://huggingface.co/{repository}/settings"
        way_out = "say --public" if there.public else "leave --public out"
        raise PublishError(f"{repository} is {now} already: {way_out}, change it at {settings}, or choose another name")


def refuse_secrets(folder: Folder, hub: HfApi) -> None:
    """Raise PublishError where a file holds the token that would send it, or a folder of this machine."""
    token = hub.token if isinstance(hub.token, str) else get_token()
    home, project = f"{Path.home()}/", f"{folder.facts.study.path('')}/"
    kept = {"the token": token or "", "a folder of this machine": project, "your home folder": home}
    for path in folder.files:
        content = path.read_bytes()
        for what, text in kept.items():
            if len(text) > 1 and text.encode() in content:
                raise PublishError(f"{path} holds {what}, and is not sent: take it out of what the study says")


@contextmanager
def in_plain_words(repository: str, endpoint: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into a PublishError with the way out; no token is in it."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise PublishError(f"no token of the Hugging Face Hub was found: {LOGIN}") from None
    except HFValidationError as error:
        raise PublishError(f"{repository!r} cannot be the name of a repository: {error}") from None
    except HfHubHTTPError as error:
        raise PublishError(refused(error, repository)) from None
    except (OfflineModeIsEnabled, HTTPError, ConnectionError) as error:
        why = "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else type(error).__name__
        raise PublishError(
            f"{without_secrets(endpoint)} cannot be reached ({why}), and nothing was sent: try again on line"
        ) from None
    except (ValueError, RuntimeError) as error:
        if isinstance(error, PublishError):
            raise
        said = without_secrets(str(error.__cause__ or error))
        raise PublishError(f"{repository}: the hub did not take it: {said}") from None


def refused(error: HfHubHTTPError, repository: str) -> str:
    """Why the hub says no, and what to do."""
    status = error.response.status_code
    if status == 401:
        return f"the hub does not know this token: {LOGIN}"
    if status == 403:
        return f"this token may not write to {repository}: it needs the right to write there ({TOKENS})"
    if status in (409, 412):
        return f"{repository} was made or changed by somebody else just now: look at it, and try again"
    return f"{repository}: the hub said {status}, {error.server_message or 'without a reason'}"


def size(count: int) -> str:
    """`99 B`, `12 kB`, `3.1 MB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
