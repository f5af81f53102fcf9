"""Have people compare a study's pictures without Jupyter, and take in what they answered."""

from pathlib import Path

from caplora.commands.say import say


def rate(study: str, /, *, compare: str = "", answers: Path | None = None) -> None:
    """Write rating.html, on which people compare a study's pictures, blind; take in what they answered.

    ```
    python -m caplora rate faces --answers ~/Downloads/faces_Mina.jsonl
    ```

    Without --answers the page alone is written. It is one file to send to raters: it needs no network, keeps every
    answer in the browser, and has a button that downloads them. Notebook 05 says what people prefer.

    Args:
        study: A file of params/studies, with samples of notebook 03.
        compare: The arms to compare, such as r4_a8+r16_a16; else the baseline and the variant chosen.
        answers: A file that a rater downloaded, or a folder of them.
    """
    from caplora.notebooks import People  # seconds, for those who ask for help alone

    people = People.open(study, compare)
    say(people.said(str(answers or "")))
    say(f"the page: {people.page()}")
