"""How far one word of shape moves a face that nano makes from a request.

    python benchmarks/nano_words.py [--weights DIR] [--json out.json]

Pairs of requests that differ in one word: "a man with a narrow chin", "a man with a broad chin",
bare and with "very", of a woman and of a man. The number of a trait is how much further its
measurement lies for the upper word than for the lower one, in standard deviations of the population
of the morphable model; in the texts that nano learns from the two ends are about 2.5 apart. The
words are those of its training sentences, so this measures whether words are followed, not whether
new ones are understood. A number below zero follows the word the wrong way round. The floor of
every line, an answer that does not listen, is 0.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro
from report import Line, Table, write_json

from facegpt.data.phrases_shape import PARTS, TRAITS, Trait
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.morphable.semantics import measure
from facegpt.pipeline import FaceGPT

_BATCH = 16
_WHO = ("man", "woman")
_DEGREES = ("", "very ")


@dataclass(frozen=True)
class Options:
    """What to measure."""

    weights: Path | None = None
    """Weights of nano; the shipped ones when left out."""
    json: Path | None = None


@dataclass(frozen=True)
class Request:
    """One end of a pair."""

    measurement: str
    degree: str
    is_upper: bool
    text: str


_OUTLINES = Trait("face", "length_to_width", "broad", "long, narrow")
_SKINS = Trait("skin", "skin_typology_angle", "dark", "pale")


def requests() -> Iterator[Request]:
    """Both ends of every pair, first words only."""
    for trait in TRAITS:
        for degree in ("",) if trait.is_tail else _DEGREES:
            yield from _pairs(trait, degree, _named(trait))
    for trait in (_OUTLINES, _SKINS):
        noun = f"{{}} {trait.part}" if trait.part == "skin" else f"a {{}} {trait.part}"
        for degree in _DEGREES:
            yield from _pairs(trait, degree, noun)


def _pairs(trait: Trait, degree: str, phrase: str) -> Iterator[Request]:
    for is_upper, words in ((False, trait.low), (True, trait.high)):
        part = phrase.format(degree + words.split("|")[0])
        if part.startswith("a ") and part[2] in "aeiou":
            part = f"an {part[2:]}"
        for who in _WHO:
            yield Request(trait.measurement, degree.strip(), is_upper, f"a {who} with {part}")


def _named(trait: Trait) -> str:
    """The part with a place for the word: "a {} chin", "{} lips", "a nose {}"."""
    part = PARTS[trait.part]
    phrase = f"{part.noun} {{}}" if trait.is_tail else f"{{}} {part.noun}"
    return phrase if part.is_plural else f"a {phrase}"


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    facegpt = FaceGPT.from_pretrained(options.weights or "nano")
    model = load_morphable_model("default").restricted_to()
    asked = list(requests())
    made = []
    for first in range(0, len(asked), _BATCH):
        texts = [request.text for request in asked[first : first + _BATCH]]
        made += facegpt.imagine(texts, reason=False)
    values = measure(FaceParameters.cat([faces[0].theta for faces in made]), model)
    ends: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for number, request in enumerate(asked):
        value = float(values[request.measurement][number])
        ends[request.measurement, request.degree][request.is_upper].append(value)
    population = default_population(model)
    lines = [
        Line(
            f"{measurement}{' (very)' if degree else ''}",
            (_mean(upper) - _mean(lower)) / population.deviation(measurement),
            len(lower) + len(upper),
            floors={"deaf": 0.0},
            digits=2,
        )
        for (measurement, degree), (lower, upper) in ends.items()
    ]
    whole = Line("mean of all", _mean([x.measured for x in lines]), len(asked), digits=2)
    wrong = Line("pairs the wrong way round", sum(x.measured < 0 for x in lines), len(lines))
    table = Table("one word, in standard deviations of the population", [whole, wrong, *lines])
    print(table)
    if options.json:
        write_json(options.json, options, [table])


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    main()
