"""A machine's caption → the caption that a study suggests: the subject replaces its opening, its tics are removed.

Every machine opens in its own way ("arafed woman …", "The image shows a man …"). The patterns below recognise these
openings piece by piece; what follows the opening is kept.
"""

import re

SUBJECTS = (
    r"(?:(?:fe)?male (?:model|actor|singer|person|adult|child|teenager|face)"
    r"|wom[ae]n|man|lady|gentleman|girl|boy|guy|person|female|male|actress|actor|singer|model|human|child|kid"
    r"|adult|teenager|face)\b(?! (?:and|of) )"
)
SHOWN = (  # "in this image, we can see", "the photo shows"
    r"(?:in )?(?:this|the) (?:image|picture|photo|photograph|portrait|drawing|painting|illustration)\b,?"
    r"(?: (?:shows|depicts|features|captures|presents))? (?:(?:you|we) (?:can )?see )?"
)
MEDIUM = (  # "a close up of"
    rf"(?:(?!\b(?:{SUBJECTS}|front|side|back|group|couple|pair)\b)[\w-]+ ){{1,8}}?(?:of|depicting|showing|featuring) "
)
ADJECTIVE = r"(?!(?:a|an|the|of|with|in|on|and|is|are|two|three|four|many|several)\b)[\w-]+ "
OPENING = re.compile(
    rf"(?:{SHOWN})?(?:there (?:is|'s) )?(?:{MEDIUM})*(?:(?:a|an|the|one) )?"
    rf"(?P<adjectives>(?:{ADJECTIVE}){{0,4}}?){SUBJECTS}"
    r"(?:'s (?:face|head|portrait))?(?: (?:(?:that|who) )?is\b(?! a\b)| (?:that|who) (?P<has>has)\b)?",
    re.IGNORECASE,
)
# Words for who is shown, or for the medium: the study's subject says both.
SAID_BY_SUBJECT = re.compile(
    r"\b(?:young|old|older|elderly|middle[- ]aged|aged|adult|beautiful|pretty|attractive|gorgeous"
    r"|lovely|handsome|cute|asian|korean|japanese|chinese|white|black|african|american|european|caucasian|indian"
    r"|cartoon|comic|anime|animated|drawn|painted|watercolou?r|pencil|ink|oil)\b(?![- ]haired) ?",
    re.IGNORECASE,
)
MADE_UP = re.compile(r"\bar+af+(?:e|ed|es|ied)?\b ?", re.IGNORECASE)  # "arafed", a word that BLIP makes up
TALK = re.compile(  # what a chat model says to the person who asked
    r"(?:(?:sure|certainly|of course)[!,.]+ |(?:here(?: is|'s|’s)|caption|description)\b[^:.]{0,40}: )+", re.IGNORECASE
)
BULLET = re.compile(r"(?:^|\n)\s*(?:[-*•]|\d+[.)]) +")
REPEATED = re.compile(r"\b(\w[\w-]*(?:,? [\w-]+){0,5}?)(?:,? (?:and )?\1\b)+", re.IGNORECASE)


def compose(machine_text: str, subject: str) -> str:
    """The machine's caption, with the study's subject in place of its opening.

    "there is a young woman that is smiling" → "<subject> smiling"; "a bald man in a suit" → "<subject>, bald,
    in a suit"; a caption without such an opening follows the subject unchanged.
    """
    text = tidy(machine_text)
    opening = OPENING.match(text)
    if not opening:
        return f"{subject}, {_uncapitalised(text)}" if text else subject
    said = _uncapitalised(SAID_BY_SUBJECT.sub("", opening["adjectives"]).strip())
    rest = ("with " if opening["has"] else "") + text[opening.end() :].lstrip(" ")
    joined = f"{subject}, {said}" if said else subject
    if not rest or rest[0] in ",.;:'’":
        return joined + rest
    return f"{joined}, {rest}" if said else f"{joined} {rest}"


def tidy(text: str) -> str:
    """`text` in one line, without the tics of machines.

    Removed are the spaces that word-piece tokenizers leave ("t - shirt ,"), made-up words ("arafed"), repetition
    ("red red hair"), and what chat models add: talk ("Sure! Here is a caption:"), bullets, asterisks, quotes around
    the caption and the full stop at its end.
    """
    text = re.sub(r"[*#`]+", "", BULLET.sub(", ", text.strip()))
    text = TALK.sub("", " ".join(text.split()).lstrip(" ,"), count=1)
    text = re.sub(r"(?<=\w) ?([-'’]) ?(?=\w)", r"\1", re.sub(r'^(["“])(.*)["”]$', r"\2", text))
    text = re.sub(r" +([,.;:!?])", r"\1", MADE_UP.sub("", text))
    return REPEATED.sub(r"\1", text).strip(" ,").removesuffix(".")


def _uncapitalised(text: str) -> str:
    """`text` with a small first letter, to stand inside a sentence; a word in capitals ("TV") stays as it is."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
