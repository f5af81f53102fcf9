"""Write the model card of an adapter, and send it to the Hugging Face Hub."""

from typing import Any

from caplora.commands.say import say
from caplora.study import Study, read_study


def publish(
    study: str,
    /,
    *,
    variant: str = "",
    variants: str = "",
    to: str = "",
    public: bool = False,
    licence: str = "",
    consent: str = "",
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Write the model card of an adapter and, with --to, send both to the Hugging Face Hub.

    ```
    python -m caplora publish mini --to owner/name
    ```

    Without --to a folder is written to look at: README.md, a few samples and the adapter in both forms. With it, who
    you are, the repository, every file, licence and consent are said, and nothing is sent before you type yes. The
    repository is private unless you say --public, which needs the consent of the person shown. No portrait is sent.

    Args:
        study: A file of params/studies.
        variant: Whose card; else the one that the study chose.
        variants: A file of params/variants to choose from, as notebook 05 was given it; else all that were trained.
        to: The repository, owner/name.
        public: Everybody can see it and use the adapter.
        licence: Of the adapter, for a study that does not say publishing.licence.
        consent: Of the person shown, in your words, for a study that does not say images.provenance.consent.
        yes: Do not ask.
        dry_run: Say what would be sent, and send nothing.
    """
    from caplora.notebooks import Card

    card = Card.read(stated(read_study(study), licence, consent), variants, variant)
    if not to:
        say(card.write())
        return

    def agreed(said: str) -> bool:
        say(said)
        return not dry_run

    say(card.push(to, not public, agreed if yes or dry_run else None))


def stated(study: Study, licence: str, consent: str) -> Study:
    """The study with the licence and the consent that the command line states, where it states any."""
    turned: dict[str, Any] = {}
    if licence:
        turned["publishing"] = study.publishing.model_copy(update={"licence": licence})
    if consent:
        provenance = study.images.provenance.model_copy(update={"consent": consent})
        turned["images"] = study.images.model_copy(update={"provenance": provenance})
    return study.model_copy(update=turned)
