"""Which implicit descriptions may stand in a benchmark: rules that need no model.

A sentence must suggest the face without giving it away, so it names neither a feature, nor what the
face does, nor the emotion itself. The lists are meant to be too strict rather than too lax: there
are always more sentences, and a person reads what is left. Situations with "frustration" or
"curiosity" stay, as in the paper's own examples; "happy" and "surprised" do not.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facegpt.evaluation.speculative.prompts import BEGINNING, EXAMPLES

_FEATURES = (
    r"facial(?:ly)?|(?:their|his|her|the|a|an|its|whose|this|that) (?:\w+ )?faces?|"
    r"eye(?:d|s|ball|balls|brow|brows|lid|lids|lash|lashes)?|brows?|foreheads?|mouths?|lips?|teeth|"
    r"tooth(?:y)?|noses?|nostrils?|cheek(?:s|bone|bones)?|chins?|jaw(?:s|line)?|dimple[ds]?|"
    r"wrinkle[ds]?|freckle[ds]?|skin|complexion|ears?|earlobes?|tongues?|beard(?:s|ed)?|"
    r"mou?stache[ds]?"
)
_EXPRESSIONS = (
    r"expression(?:s|less)?|smil(?:e|es|ed|ing|ingly)|grin(?:s|ned|ning)?|frown(?:s|ed|ing)?|"
    r"smirk(?:s|ed|ing)?|scowl(?:s|ed|ing)?|grimac(?:e|es|ed|ing)|pout(?:s|ed|ing)?|"
    r"sneer(?:s|ed|ing)?|laugh(?:s|ed|ing|ter)?|chuckl(?:e|es|ed|ing)|giggl(?:e|es|ed|ing)|"
    r"beam(?:ed|ing)|wink(?:s|ed|ing)?|squint(?:s|ed|ing)?|glar(?:e|es|ed|ing)|"
    r"cr(?:y|ies|ied|ying)|tears|tearful(?:ly)?|sob(?:s|bed|bing)?|weep(?:s|ing)?|wept|"
    r"gap(?:es|ed|ing)|star(?:e|es|ed|ing)|yawn(?:s|ed|ing)?|blush(?:es|ed|ing)?|"
    r"winc(?:e|es|ed|ing)|look of"
)
_EMOTIONS = (
    r"(?:un)?happ(?:y|ily|iness|ier)|joy(?:ful|fully|ous|ously)?|sad(?:ly|ness|der|dened)?|"
    r"ang(?:er|ry|rily|ered)|fur(?:y|ious|iously)|fear(?:s|ful|fully)?|afraid|scared|frightened|"
    r"terrified|surprised(?:ly)?|surprisingly|(?:in|with|their|his|her) surprise|"
    r"disgust(?:ed|edly)?|contempt(?:uous|uously)?"
)
_GIVEAWAYS = {
    reason: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for reason, words in (
        ("names the face", _FEATURES),
        ("names what the face does", _EXPRESSIONS),
        ("names the emotion", _EMOTIONS),
    )
}

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        "this person a an the and or but of to in on at by for from with into after before during "
        "about over under as that which who whom whose is are was were be been being has have had "
        "having just their they them his her he she it its might may could seems looks like "
        "appears",
    )
)


@dataclass(frozen=True)
class SelectionRules:
    """How strict the selection is."""

    fewest_words: int = 6
    most_words: int = 40
    most_sentences: int = 2
    """The paper asks for one or two."""
    similarity: float = 0.6
    """From this share of common words on (of all words of both that mean something), two sentences
    are the same one, said twice."""

    def __post_init__(self) -> None:
        if not 1 <= self.fewest_words <= self.most_words:
            raise ValueError(
                f"--fewest-words and --most-words must be 1 or more and in this order, got "
                f"{self.fewest_words} and {self.most_words}"
            )
        if self.most_sentences < 1:
            raise ValueError(f"--most-sentences must be 1 or more, got {self.most_sentences}")
        if not 0 < self.similarity <= 1:
            raise ValueError(f"--similarity must be in (0, 1], got {self.similarity}")


def objections(sentence: str, rules: SelectionRules) -> tuple[str, ...]:
    """Why a sentence may not stand in a benchmark, looked at alone; nothing if it may.

    Each begins with the kind of the objection and a colon.
    """
    return (*_form(sentence, rules), *_giveaways(sentence))


def _form(sentence: str, rules: SelectionRules) -> list[str]:
    found = []
    if not sentence.startswith(BEGINNING + " "):
        found.append(f"form: does not begin with {BEGINNING!r}")
    if not sentence.isprintable() or not sentence.endswith((".", "!", "?")):
        # An answer that was cut off ends in the middle of its last sentence.
        found.append("form: is no whole sentence")
    words = len(sentence.split())
    if not rules.fewest_words <= words <= rules.most_words:
        found.append(f"length: {words} words")
    sentences = len(_SENTENCE_END.findall(sentence))
    if sentences > rules.most_sentences:
        found.append(f"length: {sentences} sentences")
    return found


def _giveaways(sentence: str) -> list[str]:
    return [
        f"{reason}: {match[0].lower()!r}"
        for reason, pattern in _GIVEAWAYS.items()
        if (match := pattern.search(sentence))
    ]


class Novelty:
    """Tells a sentence that was there before, in nearly the same words, from a new one."""

    def __init__(self, rules: SelectionRules, known: Iterable[str] = EXAMPLES) -> None:
        """By default only the examples of the prompt are known."""
        self._rules = rules
        self._known = [(sentence, meaning_words(sentence)) for sentence in known]

    def objections(self, sentence: str) -> tuple[str, ...]:
        """What the sentence repeats; nothing, and it is known from now on, if it is new."""
        words = meaning_words(sentence)
        for earlier, other in self._known:
            if overlap(words, other) >= self._rules.similarity:
                return (f"repetition: of {earlier!r}",)
        self._known.append((sentence, words))
        return ()


def meaning_words(sentence: str) -> frozenset[str]:
    """The words of a sentence that are not in every other one."""
    return frozenset(re.findall(r"[^\W_]+", sentence.lower())) - _COMMON_WORDS


def overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """Common words over all words (Jaccard 1912), 0 to 1; 0 where neither has any."""
    together = len(first | second)
    return len(first & second) / together if together else 0.0


def judged(sentences: Sequence[str], rules: SelectionRules, novelty: Novelty) -> list[list[str]]:
    """The objections to each sentence of one face. Only sentences that pass alone can make a later
    one a repetition."""
    return [
        list(objections(sentence, rules) or novelty.objections(sentence)) for sentence in sentences
    ]
