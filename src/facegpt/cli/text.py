"""Commands that read words: `imagine` makes heads from texts, `chat` talks."""

import re
from pathlib import Path
from typing import Annotated, Literal

import tyro

from facegpt.cli.loading import LoadingFlags, load_facegpt

Format = Literal["glb", "obj", "ply", "portrait", "json"]
ALL_FORMATS: tuple[Format, ...] = ("glb", "obj", "ply", "portrait", "json")

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]

_NAME_WORDS, _NAME_LETTERS = 8, 60


def imagine(
    texts: tyro.conf.Positional[tuple[str, ...]],
    output: Output = Path("faces"),
    samples: int = 1,
    seed: int | None = None,
    reason: Flag = False,
    no_reason: Flag = False,
    format: tuple[Format, ...] = ALL_FORMATS,
    *,
    loading: LoadingFlags,
) -> int:
    """Make the 3D head of a description or a situation.

    Writes OUTPUT/<first words of the text>/, or OUTPUT/<first words>-1/ and so on for several
    samples.

    Args:
        texts: Descriptions or situations, each in quotes.
        output: Folder of the results.
        samples: Heads per text. Several are drawn around the likeliest one.
        seed: Of the draw; another seed gives other heads. Without it and with one sample the
            likeliest head is made.
        reason: Let the model first say in words how such a face looks.
        no_reason: Never let it; the default until reasoning is shown to help.
        format: Which files to write.
        loading: Which model answers.
    """
    from facegpt.pipeline import checked_text

    if not texts:
        raise ValueError('no text given; try: facegpt imagine "an old man, grinning" -o faces')
    if reason and no_reason:
        raise ValueError("--reason and --no-reason exclude each other")
    # What is wrong with a text shows before the model is loaded.
    texts = tuple(checked_text(text) for text in texts)
    facegpt = load_facegpt(loading)
    made = facegpt.imagine(
        texts, samples=samples, seed=seed, reason=True if reason else False if no_reason else None
    )
    taken: set[str] = set()
    for faces in made:
        name = _folder_name(faces[0].text, taken)
        if faces[0].words:
            print(faces[0].words)
        for number, face in enumerate(faces, start=1):
            directory = output / (name if len(faces) == 1 else f"{name}-{number}")
            face.save(directory, format)
            print(f"wrote {directory}")
    return 0


def _folder_name(text: str, taken: set[str]) -> str:
    """The first words of a text, as a name that no other text of this call has."""
    words = re.findall(r"\w+", text.lower())[:_NAME_WORDS]
    name = "-".join(words)[:_NAME_LETTERS].strip("-") or "face"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def chat(
    image: Path | None = None,
    output: Output = Path("faces"),
    max_new_tokens: int = 200,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    loading: LoadingFlags,
) -> int:
    """Talk about faces. Each face that is made is written, and the answer says where.

    Also reads questions from a pipe, one a line. In the conversation: /image PATH shows a photo,
    /new forgets what was said, /quit ends.

    Args:
        image: A photo to talk about; its largest face is what the model sees.
        output: Folder of the faces: OUTPUT/face-1/, OUTPUT/face-2/ ...
        max_new_tokens: Longest answer, in tokens (a little less than words).
        temperature: 0 takes the likeliest words; 0.7 talks more freely.
        seed: Of the words above temperature 0.
        loading: Which model answers.
    """
    from facegpt.cli.conversation import Talk, talk

    options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    return talk(Talk(load_facegpt(loading), output, options), image)
