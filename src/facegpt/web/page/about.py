"""The page that says what the faces are, what shaped them, and what becomes of photos."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from facegpt import __version__
from facegpt.assets import licence_ledger

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>About FaceGPT</title>
<link rel="stylesheet" href="page/about.css">
</head>
<body><main>
<p><a href="./">Back to the conversation</a></p>
<h1>About FaceGPT {version}</h1>
<h2>What the faces are</h2>
<p>A face that is made from words is a plausible guess and nobody's portrait. A face that is made
from a photo is a likeness in the words of a statistical model, no identification: it must not be
used to tell who somebody is, nor to judge what somebody feels, thinks or is.</p>
<p>The model has seen more of some groups of people than of others, and shows what it has seen.
Percentiles compare with the faces that it was made from, not with mankind.</p>
<h2>Ask first</h2>
<p>Make heads of people who agreed to it. Whoever shows a head as that of a real person should say
how it was made.</p>
<h2>What becomes of what you send</h2>
<ul>
<li>Photos and words are read on this server and go nowhere else; neither is logged.</li>
<li>Photos lie on the disk only until they are read (ten minutes, if you never send them), then in
memory while you talk about them and an hour more at most; nothing else keeps them, unless you tick
<em>keep my photos</em>; then they are kept with their heads.</li>
<li>Heads are kept for {hours:g} hours, then deleted; <em>Delete my faces and photos</em> deletes
them at once.</li>
<li>The page loads nothing from elsewhere and counts nobody.</li>
</ul>
<h2>What shaped the faces</h2>
<table><thead><tr><th>What</th><th>Licence</th><th>Commercial use</th><th>More</th></tr></thead>
<tbody>{ledger}</tbody></table>
<p>Every record and every mesh carries these lines. The 3D view is drawn by three.js (MIT).</p>
</main></body></html>
"""


def about_page(licences: Iterable[str], keep_hours: float) -> str:
    """The page.

    Args:
        licences: Names of the assets that the served model stands on.
        keep_hours: How long faces are kept.
    """
    rows = "".join(_row(entry) for entry in licence_ledger(list(dict.fromkeys(licences))))
    return _PAGE.format(version=html.escape(__version__), hours=keep_hours, ledger=rows)


def _row(entry: Mapping[str, Any]) -> str:
    use = {True: "yes", False: "no", None: "unclear"}[entry["commercial_use"]]
    cells = (entry["name"], entry["licence"], use, entry["homepage"])
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"
