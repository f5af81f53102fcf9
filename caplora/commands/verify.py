"""Check that a study is as its report says."""

from caplora.commands.say import say
from caplora.study import read_study


def verify(study: str, /) -> None:
    """Check every hash of a study: settings, images, captions, models, adapters, samples, scores, report and code.

    ```
    python -m caplora verify mini
    ```

    What differs is named with what was expected, what was found and what depends on it, and the exit status is 2.

    Args:
        study: A file of params/studies.
    """
    from caplora import verifying

    own = read_study(study)
    manifest = verifying.read_manifest(own)
    if versions := verifying.other_versions(manifest):
        say(versions)
    if found := [difference.said() for difference in verifying.differences(own, manifest)]:
        raise ValueError("\n".join([*found, f"{len(found)} of what {own.name} says is not as it was"]))
    say(verifying.verified(manifest))
