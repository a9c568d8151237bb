"""What a model is asked for a Speculative Face Generation benchmark, and how its answers are read.

The request is that of the paper (Fig. 5), followed by rules of ours that the selection enforces.
"""

import re

from facegpt.evaluation.asking import UnreadableAnswerError

BEGINNING = "This person"
"""Every implicit description starts like this."""

EXAMPLES: tuple[str, ...] = (
    "This person looks like they have just received news that their flight has been canceled at "
    "the last minute.",
    "This person is struggling to concentrate during a crucial work presentation, trying to mask "
    "their frustration.",
    "This person might be reading an intense plot twist in a book, causing both confusion and "
    "intrigue.",
    "This person seems to be on the verge of delivering uncomfortable feedback to a colleague.",
    "This person appears to be caught off guard in a meeting, unexpectedly asked to answer a "
    "difficult question.",
)
"""The example answers of Fig. 5. A model that repeats one of them has said nothing."""

_PAPER = """\
As an AI visual assistant specializing in human face analysis, your task is to infer possible \
activities, events, and emotional states a person might be experiencing based on a detailed visual \
and textual description of their face. Your goal is to focus on the high-level emotional context \
and plausible scenarios that this person could be engaging in, rather than anatomical details. For \
each facial description, consider the following key questions before formulating your response:

1. What emotion is the person likely experiencing? How does this emotion differ from a typical \
representation of this feeling?
2. What specific activity might this individual be participating in, based on their emotional \
state and facial expression?
3. What event could have triggered the current emotional expression or facial state?
4. Could the individual be engaged in other parallel activities that are influencing their \
expression?

Once you've considered these questions, craft {count} distinct facial descriptions, each \
beginning with "This person," followed by one or two sentences that clearly suggest a plausible \
activity or situation. Ensure that each description provides a rich context that allows the user \
to imagine and even replicate the facial expression if they were in that situation. Avoid vague or \
general terms, and be as diverse as possible in your interpretations.

Example answers and face descriptions:

Answer to the questions:

1. The individual appears to be deeply worried, but there's an undertone of surprise not typical \
of worry alone.
2. The individual could be reviewing a critical work email and is taken aback by unexpected \
information.
3. It seems like the individual just encountered an unexpected delay for an important event.
4. Additionally, the person might be contemplating a difficult decision while trying to process \
sudden news.

Facial descriptions:

{examples}"""

_OURS = """\
Write the {count} descriptions as a numbered list, one a line. They must not give the face away: \
do not mention any part of it (eyes, mouth, brows, skin ...), what it does (smile, frown, laugh, \
cry ...) or the emotion by its name (happy, sad, angry, afraid, surprised, disgusted). Do not \
repeat the examples.

The face is described as follows:

{description}"""

PROPOSE_REMINDER = (
    f"That was no list of descriptions. Answer again with a numbered list only, one description a "
    f'line, each beginning with "{BEGINNING}".'
)

_RANK = """\
The face of one person is described as follows:

{description}

Which of these situations would make somebody's face look like this?

{sentences}

Answer with the number of the one that fits best, and nothing else."""

RANK_REMINDER = "That was no number of the list. Answer with one number, and nothing else."

_MARK = re.compile(r"^\s*(?:[-*•>]\s+|\(?[0-9]{1,2}[.):]\s*)*")
_WRAPPING = " \t\"'“”‘’*_`,"


def propose_prompt(description: str, count: int) -> str:
    """The request for implicit descriptions of a face that is described in words."""
    paper = _PAPER.replace("{count}", str(count)).replace("{examples}", _numbered(EXAMPLES))
    return paper + "\n\n" + _OURS.format(count=count, description=description)


def rank_prompt(description: str, sentences: tuple[str, ...]) -> str:
    """The request to choose the sentence that fits a face best."""
    return _RANK.format(description=description, sentences=_numbered(sentences))


def read_sentences(text: str) -> tuple[str, ...]:
    """The implicit descriptions in an answer, in their order, none twice.

    Lines that do not begin as asked for are passed over: they are the answers to the four
    questions, or talk.

    Raises:
        UnreadableAnswerError: There is none.
    """
    bare = [_MARK.sub("", line).strip(_WRAPPING) for line in text.split("\n")]
    found = [" ".join(line.split()) for line in bare if line.startswith(BEGINNING + " ")]
    if not found:
        raise UnreadableAnswerError(f'no line begins with "{BEGINNING}": {text[:60]!r}')
    return tuple(dict.fromkeys(found))


def read_choice(text: str, count: int) -> int:
    """Which sentence was chosen, counted from 0.

    Raises:
        UnreadableAnswerError: The answer is not one number from 1 to `count`.
    """
    match = re.fullmatch(r"\W*(?:number\s*)?([0-9]{1,3})\W*", text, re.IGNORECASE)
    if match is None or not 1 <= int(match[1]) <= count:
        raise UnreadableAnswerError(f"expected a number from 1 to {count}, got {text[:60]!r}")
    return int(match[1]) - 1


def _numbered(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(sentences, start=1))
