"""Captions → findings: what is doubtful about each caption, so that a person looks there first.

A finding has a rule, to filter by, and a message. Nothing is corrected here. The word lists are for the English of
captioners. They are wide, because a caption that uses a word outside them is wrongly said to lack something.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from functools import lru_cache

import numpy as np
import pandas as pd

from caplora.captions.tokens import Tokenizer, lost_words, token_count, token_limit
from caplora.study import Captioning

FAR = -2.0  # a robust z-score below this makes an agreement far lower than the others
COLOUR = r"(?:blue|brown|green|gr[ae]y|pink|purple|yellow|orange|red|black|white|blonde?|beige|tan|colou?red|skin|hair)"
FACETS = {  # words by which a caption says something of each facet
    "hair": r"hair\w*|[\w-]+-haired|bald(?:ing)?|bob|bun|pony ?tails?|pigtails?|braid(?:s|ed)?|plaits?|bangs|fringe"
    r"|curls|curly|afro|dreadlocks|locks|buzz ?cut|crew ?cut|pixie cut|mohawk|mullet|updo|wig|brunette|blonde?"
    r"|redhead\w*|shav(?:ed|en) head",
    "expression": r"expression(?:s|less)?|smil\w+|grin\w*|laugh\w*|serious(?:ly)?|neutral|sad(?:ly)?|sadness"
    r"|surprised?|shock(?:ed)?|happy|happily|joy\w*|cheerful\w*|angry|anger|frown\w*|scowl\w*|smirk\w*|pout\w*"
    r"|cry(?:ing)?|tears|tearful|calm\w*|relaxed|stern|pensive|thoughtful|worried|scared|afraid|fear\w*|excited"
    r"|bored|tired|confused|disgust\w*|shout\w*|scream\w*|yawn\w*|wink\w*|squint\w*|open mouth|mouth (?:wide )?open"
    r"|(?:eyes|mouth) closed|closed eyes|lips (?:parted|pressed)|tongue|(?:straight|poker|blank) (?:face|stare)",
    "lighting": rf"lit|lighting|lights?(?!(?:[ -]|ly )(?:\w+ )?{COLOUR}\b)|bright(?:ly)?(?! {COLOUR}\b)"
    r"|lamp(?:s|light)?|sun(?:light|lit|ny|shine)?|back ?(?:light\w*|lit)|(?:candle|moon) ?(?:light|lit)|day ?light"
    r"|spot ?lights?|rim ?light\w*|flash|neon|shadows?|shadowy|shad(?:e|ed|y)|(?:golden|blue) hour|dusk|dawn"
    r"|dim(?:ly)?|overcast|cloudy|silhouetted?|(?:low|high)[- ]key|chiaroscuro|glow\w*|gloom\w*",
    "background": r"back ?grounds?|back ?drops?|in front of(?! (?:(?:a|the) )?(?:camera|viewer))|against|behind|walls?"
    r"|room|kitchen|office|bedroom|bathroom|studio(?! light)|library|classroom|caf[eé]|restaurant|bar|stage|shop|store"
    r"|gym|station|airport|stadium|church|museum|hall|house|building|bridge|windows?|doors?|doorway|curtains?|fence"
    r"|shel(?:f|ves)|bookshel(?:f|ves)|table|desk|chair|couch|sofa|bench|bed|car|train|bus|boat|outdoors?|outside"
    r"|indoors?|inside|streets?|road|city|town|village|park|gardens?|forest(?! green)|woods|jungle|trees?|field|meadow"
    r"|grass|flowers|leaves|mountains?|hills?|cliff|beach|sea(?! (?:green|blue))|seaside|ocean|lake|river|water|pool"
    r"|desert|sand|snow(?!-| white)|sky(?! blue|-)|clouds|sunset|sunrise|night|rain|fog|harbou?r|farm|yard|stairs",
    "clothes": r"cloth(?:es|ing|ed)|outfit|dressed|undressed|attire|garment|shirts?|t-?shirts?|tee|top(?! of)|tank top"
    r"|blouse|sweaters?|jumper|pullover|cardigan|hood(?:ie|ed)?|sweatshirt|turtle ?neck|polo|vest|waistcoat|jackets?"
    r"|coats?|rain ?coat|blazer|suits?|tuxedo|tie|bow ?tie|dress(?:es)?|gown|skirt|pants|jeans|trousers|shorts"
    r"|overalls|dungarees|jumpsuit|uniform|robe|kimono|hanbok|sari|costume|armou?r|apron|scarf|shawl|poncho|cape|cloak"
    r"|hats?|caps?|beanie|beret|bonnet|helmet|headscarf|hijab|veil|collar(?:ed)?|neckline|sleeves?|sleeveless|denim"
    r"|leather|bikini|swim ?suit|bra|lingerie|corset|jersey|naked|nude|shirtless|topless|bare shoulders"
    rf"|(?:wearing|dressed in) (?:all )?{COLOUR}\b(?! (?:\w*glasses|earrings))",
}
PERSON = r"(?:wom[ae]n|m[ae]n|lady|ladies|gentlem[ae]n|girls?|boys?|guys?|person|people|females?|males?|face|couple)\b"
NEAR = rf"\b(?= (?:(?!(?:a|an|the|of|in|on|at|by|with|and|behind|beside)\b)[\w-]+ ){{0,2}}?(?:{PERSON}|smile|eyes))"
PRAISE = r"(?:beautiful|pretty|gorgeous|lovely|cute|stunning|adorable)"
WHO = (  # words for who somebody is; a caption should say how they look
    r"(?:asian|african|caucasian|european|hispanic|latin[ao]|arab|arabian|chinese|japanese|korean|indian|thai"
    r"|vietnamese|filipin[ao]|american|british|english|french|german|italian|spanish|irish|russian|mexican|brazilian"
    r"|turkish|persian|iranian|pakistani|jewish|muslim|middle[- ]eastern|mixed[- ]race)\b"
    r"(?![ -](?:braids?|twists?|flags?|doors?|windows?))",
    rf"(?:black|white|brown|(?:dark|light|fair)-skinned)(?= {PERSON})",
    rf"young(?:er)?|elderly|middle[- ]aged|teen(?:age[rd]?|agers|s)?|youthful|(?:old|older|aged|senior){NEAR}",
    r"\d+[- ]years?[- ]old|in (?:his|her|their) (?:(?:early|mid|late)[- ])?(?:teens|twenties|thirties|fort(?:y|ies)"
    r"|fifties|sixties|seventies|eighties|\d0s)",
    rf"attractive|handsome|sexy|good[- ]looking|ugly|{PRAISE}{NEAR}|(?:is|looks?|very|so) {PRAISE}",
    r"actress(?:es)?|actors?|celebrit(?:y|ies)|famous|singers?|rapper|musician|idol|k-?pop"
    r"|(?:movie|film|pop|rock) ?star|super ?model|models?|politician|president|influencer",
    r"(?:named|called|known as) [\w.'’-]+",
)
NAME = r"(?:[A-Z]\.|[A-ZÀ-ÖØ-Þ][\w'’-]*)"
ARTICLE = r"(?:An?|The|In|On|At|By|With|She|He|Her|His|There|This|It)"
NAMES = (  # the first pattern matches a place whole, so that its second word is not taken for a person's name
    rf"\b(?:in|at|near|the|The) {NAME}(?: {NAME})*"
    rf"|\b(?P<who>(?!{ARTICLE}\b){NAME}(?: (?:(?:de|da|di|la|van|von|der|bin|al) ){{0,2}}{NAME})+)",
    rf"\b(?:photo|photograph|picture|image|portrait|painting|drawing|sketch|selfie) of (?P<who>(?!{ARTICLE}\b){NAME})",
)
SAYS = {facet: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for facet, words in FACETS.items()}
IDENTITY = [re.compile(rf"(?<![\w-])(?P<who>{words})(?!\w)", re.IGNORECASE) for words in WHO] + [
    *map(re.compile, NAMES)
]
SPACES = "\t\n\v\f\r\x85"  # control characters that the tokenizer reads as a space
RULES = ("empty", "long", "same", *(f"lacks_{facet}" for facet in FACETS), "identity", "unknown", "disagrees")
DOUBTS = {
    "empty": 4.0,
    "disagrees": 3.0,
    "long": 2.0,
    "same": 2.0,
    "identity": 2.0,
    "unknown": 2.0,
}  # others 1.0


@dataclass(frozen=True)
class Finding:
    """One doubt about one caption."""

    file_name: str
    rule: str  # one of RULES
    message: str


def lint(
    captions: Mapping[str, str],
    tokenizer: Tokenizer,
    captioning: Captioning,
    agreement: Mapping[str, float] | None = None,
) -> list[Finding]:
    """The findings about captions (file name → text), in their order.

    `agreement` gives the cosine of each caption to its image.
    """
    twins, strays, of_one = _twins(captions), _strays(agreement or {}), _of_one(tokenizer, captioning)
    found = []
    for file_name, text in captions.items():
        said = of_one(text)
        if not (said or file_name in twins or file_name in strays):
            continue
        said = dict(said)
        if file_name in twins and "empty" not in said:
            said["same"] = f"the same words as {' and '.join(twins[file_name])}"
        if file_name in strays:
            said["disagrees"] = strays[file_name]
        found += [Finding(file_name, rule, said[rule]) for rule in RULES if rule in said]
    return found


def doubt(findings: Iterable[Finding], duplicates: Iterable[str] = ()) -> dict[str, float]:
    """File name → how doubtful its caption is, most doubtful first; files without doubt are left out.

    `duplicates` are the files whose image is nearly that of another file.
    """
    sums: dict[str, float] = defaultdict(float)
    for finding in findings:
        sums[finding.file_name] += DOUBTS.get(finding.rule, 1.0)
    for file_name in duplicates:
        sums[file_name] += 1.0
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The findings as a table: file_name, rule, message."""
    return pd.DataFrame(map(astuple, findings), columns=[field.name for field in fields(Finding)])


def identity_words(text: str, subject: str = "") -> list[str]:
    """The words of `text` that say who somebody is and not how they look, except those of the study's subject."""
    own = set(re.findall(r"\w+", subject.lower()))
    said = {match["who"]: match.start() for words in IDENTITY for match in words.finditer(text) if match["who"]}
    whole = [who for who in said if not any(who != other and who in other for other in said)]
    return sorted((who for who in whole if not set(re.findall(r"\w+", who.lower())) <= own), key=lambda who: said[who])


@lru_cache(maxsize=4)
def _of_one(tokenizer: Tokenizer, captioning: Captioning) -> Callable[[str], dict[str, str]]:
    """The function that gives the doubts about a text by itself, rule → message; it remembers them.

    One of ten thousand captions changes at a time, and all are asked for again.
    """
    return lru_cache(maxsize=100_000)(lambda text: dict(_found(text, tokenizer, captioning)))


def _found(text: str, tokenizer: Tokenizer, captioning: Captioning) -> Iterator[tuple[str, str]]:
    """Rule and message of each doubt about a text by itself."""
    if not re.search(r"\w", text):
        yield "empty", "there are no words"
        return
    if lost := lost_words(text, tokenizer):
        count, limit = token_count(text, tokenizer), token_limit(tokenizer)
        yield "long", f"{count} tokens and {limit} fit: “{lost}” is lost"
    for facet in captioning.facets:
        if not SAYS[facet].search(text):
            yield f"lacks_{facet}", f"nothing is said of the {facet}"
    if who := identity_words(text, captioning.subject):
        yield "identity", f"says who it is: {', '.join(who)}"
    if unknown := [*_unknown(text, tokenizer)]:
        yield "unknown", "; ".join(unknown)


def _twins(captions: Mapping[str, str]) -> dict[str, list[str]]:
    """File name → the other files with the same caption; capitals and spaces do not count."""
    alike: dict[str, list[str]] = defaultdict(list)
    for file_name, text in captions.items():
        alike[_spoken(text)].append(file_name)
    return {
        name: [other for other in names if other != name] for names in alike.values() for name in names if names[1:]
    }


@lru_cache(maxsize=100_000)
def _spoken(text: str) -> str:
    """A text without capitals, its spaces single."""
    return " ".join(text.lower().split())


def _strays(agreement: Mapping[str, float]) -> dict[str, str]:
    """File name → message for cosines far below the rest, by median and MAD (Iglewicz and Hoaglin 1993, page 11)."""
    values = np.array(list(agreement.values()))
    middle = float(np.median(values)) if len(values) else 0.0
    spread = float(np.median(abs(values - middle))) if len(values) else 0.0
    scores = {name: 0.6745 * (value - middle) / spread for name, value in agreement.items()} if spread else {}
    return {
        name: f"cosine to its image {agreement[name]:.3f}, where the median is {middle:.3f} (robust z {z:.1f})"
        for name, z in scores.items()
        if z < FAR
    }


def _unknown(text: str, tokenizer: Tokenizer) -> Iterator[str]:
    """A message for each part of a text that the tokenizer does not read as it is meant."""
    if controls := sorted({c for c in text if unicodedata.category(c)[0] == "C" and c not in SPACES}):
        yield f"control characters {', '.join(f'U+{ord(c):04X}' for c in controls)}"
    foreign = re.findall(r"[^\x00-\x7f]+", text)
    if broken := [letters for letters in foreign if "\ufffd" in letters or _misread(letters)]:
        yield f"broken letters {' '.join(broken)}: the text was read in another encoding than it was written in"
    if not unicodedata.is_normalized("NFC", text):
        yield "letters and accents stand apart: normalise to NFC"
    if marks := [mark for mark in dict.fromkeys(tokenizer.all_special_tokens) if mark in text]:
        yield f"{', '.join(marks)} is a mark of the tokenizer"
    whole = unicodedata.normalize("NFC", "".join(letters for letters in foreign if letters not in broken))
    rare = [c for c in dict.fromkeys(whole) if unicodedata.category(c)[0] != "C" and len(tokenizer.tokenize(c)) > 1]
    if rare:
        yield f"no token for {' '.join(rare)}: read as bytes"


def _misread(letters: str) -> bool:
    """Whether these letters are UTF-8 that was read as Latin, such as “Ã©” for é."""
    try:
        return letters.encode("cp1252").decode("utf-8") != letters
    except UnicodeError:
        return False
