"""Faces as HTML: the turning head, the photo under the mesh, measurements, files, differences.

Everything that came from a person or a model is escaped.
"""

import html
import shlex
from collections.abc import Mapping
from typing import Any

from facegpt.morphable.semantics import MEASUREMENTS
from facegpt.web.page.talk import ShownFace

_DIFFERENCES = 12
_FILES = (
    ("glb", "GLB", "rigged and textured, for engines and browsers"),
    ("zip", "OBJ", "the mesh as it looks now, with material and texture, in a ZIP"),
    ("ply", "PLY", "the mesh with colours per vertex"),
    ("png", "PNG", "a picture"),
    ("json", "JSON", "theta, ARKit weights, measurements, camera, licences"),
)


def card(face: ShownFace) -> str:
    """A face in the chat."""
    picture = ""
    if face.overlay:
        alt = f"The photo with the mesh of {face.name} over it"
        picture = f'<img class="overlay" src="{face.overlay}" alt="{_text(alt)}">'
    return (
        f'<article class="face-card" aria-label="{_text(face.name)}">'
        f"<header><strong>{_text(face.name)}</strong> <span>{_text(face.origin)}</span></header>"
        f'<div class="face-pair">{head(face)}{picture}</div>'
        f"<p>{_text(face.words)}</p>"
        f'<footer><button type="button" data-open="{_text(face.name)}">'
        "Open in the face panel</button>"
        f"{_details('Measurements', measurement_table(face.record))}"
        f"{_details('ARKit weights', arkit_table(face.record))}</footer>"
        "</article>"
    )


def head(face: ShownFace) -> str:
    """The 3D view of a face."""
    alt = f"{face.name} as a 3D head: {face.words}"
    return (
        f'<facegpt-head src="v1/faces/{face.id}.glb" data-face="{face.id}" '
        f'alt="{_text(alt)}"></facegpt-head>'
    )


def measurement_table(record: Mapping[str, Any]) -> str:
    """All named measurements, with their percentile as a bar."""
    rows = "".join(
        f'<tr><th scope="row" title="{_text(MEASUREMENTS[name].description)}">{_text(_label(name))}'
        f'</th><td class="number">{_text(_value(entry))}</td><td>{_percentile(entry)}</td></tr>'
        for name, entry in record["semantics"].items()
        if name in MEASUREMENTS
    )
    return (
        '<table class="numbers"><thead><tr><th>Measurement</th><th>Value</th><th>Percentile</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def arkit_table(record: Mapping[str, Any]) -> str:
    """The blendshapes, strongest first."""
    weights = sorted(record["arkit"].items(), key=lambda pair: -pair[1])
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_bar(weight, f"{weight:.2f}")}</td></tr>'
        for name, weight in weights
    )
    return (
        '<table class="numbers"><thead><tr><th>Blendshape</th><th>Weight</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def files(face: ShownFace) -> str:
    """Links to the files of a face, and the command that makes it."""
    links = "".join(
        f'<li><a href="v1/faces/{face.id}.{ending}" download="face.{ending}">{label}</a> '
        f"<span>{_text(what)}</span></li>"
        for ending, label, what in _FILES
    )
    return (
        f'<ul class="files">{links}</ul>'
        '<button type="button" data-picture="1">PNG as shown above</button>'
        "<h4>The same face on the command line</h4>"
        f'<pre id="command" tabindex="0">{_text(command(face))}</pre>'
        '<button type="button" data-copy="command">Copy</button>'
    )


def command(face: ShownFace) -> str:
    """The command lines that make the same face."""
    source = face.record.get("source", {"kind": "photo"})
    lines = [_command_of_origin(face, source)]
    for change in source.get("changes", []):
        pairs = {**change["semantics"], **change["arkit"]}
        said = " ".join(shlex.quote(f"{name}={value:g}") for name, value in pairs.items())
        lines += [
            "# with the face.json that the line before wrote:",
            f"facegpt edit face.json {said} --output faces/edited",
        ]
    return "\n".join(lines)


def _command_of_origin(face: ShownFace, source: Mapping[str, Any]) -> str:
    if face.questions:
        said = " ".join(shlex.quote(question) for question in face.questions)
        return f"printf '%s\\n' {said} | facegpt chat --output faces"
    if source["kind"] == "text":
        return f"facegpt imagine {shlex.quote(source['text'])} --output faces"
    refine = "--refine " if face.record["method"].endswith("+refine") else ""
    return f"facegpt reconstruct {refine}photo.png --output faces"


def difference_table(one: ShownFace, other: ShownFace) -> str:
    """Where two faces differ most, by percentiles."""
    first, second = one.record["semantics"], other.record["semantics"]
    common = [name for name in first if name in second and name in MEASUREMENTS]
    gap = {name: second[name]["percentile"] - first[name]["percentile"] for name in common}
    rows = "".join(
        f'<tr><th scope="row">{_text(_label(name))}</th>'
        f"<td>{_percentile(first[name])}</td><td>{_percentile(second[name])}</td></tr>"
        for name in sorted(common, key=lambda name: -abs(gap[name]))[:_DIFFERENCES]
    )
    return (
        '<table class="numbers"><caption>Largest differences, in percentiles</caption>'
        f"<thead><tr><th>Measurement</th><th>{_text(one.name)}</th><th>{_text(other.name)}</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def comparison(one: ShownFace, other: ShownFace) -> str:
    """Two heads side by side, and where they differ."""
    heads = "".join(
        f"<figure>{head(face)}<figcaption>{_text(face.name)}: {_text(face.origin)}</figcaption>"
        "</figure>"
        for face in (one, other)
    )
    return f'<div class="face-pair">{heads}</div>{difference_table(one, other)}'


def _details(title: str, content: str) -> str:
    return f"<details><summary>{_text(title)}</summary>{content}</details>"


def _bar(share: float, label: str) -> str:
    return (
        f'<meter min="0" max="1" value="{min(max(share, 0), 1):.3f}" aria-hidden="true"></meter> '
        f"{_text(label)}"
    )


def _percentile(entry: Mapping[str, Any]) -> str:
    return _bar(entry["percentile"] / 100, f"{entry['percentile']:.0f}")


def _value(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']:.2f} {entry['unit']}"


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(said: str) -> str:
    return html.escape(said, quote=True)
