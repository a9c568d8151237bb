"""The review as one page for a browser: pictures and sentences inside, nothing from outside.

The page needs no network and may not use one (its content policy forbids it); decisions stay in the
browser until they are exported as the table that `review.read_decisions` reads.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path

from facegpt.evaluation.speculative.review import (
    COLUMNS,
    Decision,
    ReviewRow,
    read_decisions,
    review_rows,
    write_sheet,
)
from facegpt.evaluation.speculative.sources import jpeg_of
from facegpt.evaluation.speculative.workspace import (
    DescribedFace,
    Problem,
    SpeculativeError,
    Workspace,
    read_step,
)
from facegpt.geometry.export import write_atomically
from facegpt.perception.images import ImageError

_PACKAGE, _TEMPLATE = "facegpt.evaluation.speculative", "review_page.html"
_THUMBNAIL_PX = 360


def make_review(work: Workspace, images: Path) -> tuple[list[ReviewRow], list[Problem]]:
    """Write `review.csv`, unless it is there, and `review.html`, which starts from its decisions.

    Args:
        images: Folder of the pictures.

    Returns:
        Every sentence to be decided about, and the pictures that could not be shown.

    Raises:
        SpeculativeError: The step before is missing or damaged, nothing passed it, or a table with
            decisions about another selection is in the way.
    """
    selection = read_step(work.selection, "select")
    rows = review_rows(selection)
    if not rows:
        raise SpeculativeError(f"no sentence of {work.selection} passed the rules")
    write_sheet(work.sheet, rows)
    decisions = read_decisions(work.sheet, rows)
    faces = [DescribedFace.from_record(item) for item in selection.items]
    by_image = {face.image: face for face in faces}
    return rows, write_page(work.page, rows, by_image, images, decisions)


def write_page(
    path: Path,
    rows: Sequence[ReviewRow],
    faces: Mapping[str, DescribedFace],
    images: Path,
    decisions: Mapping[str, Decision],
) -> list[Problem]:
    """Write the page; it is there in full or not at all.

    Args:
        faces: By image: what is said beside its picture.
        images: Folder of the pictures.
        decisions: By id: what is ticked when the page opens.

    Returns:
        Pictures that could not be shown; their sentences are in the page all the same.
    """
    problems: list[Problem] = []
    cards = [
        _card(faces[image], list(same), images, problems)
        for image, same in groupby(rows, key=lambda row: row.image)
    ]
    data = {
        "columns": COLUMNS,
        "sheet": hashlib.sha256("".join(row.row_id for row in rows).encode()).hexdigest()[:16],
        "rows": [
            {
                "id": row.row_id,
                "image": row.image,
                "sentence": row.sentence,
                "favourite": "yes" if row.is_favourite else "",
                "decision": decisions.get(row.row_id, ""),
            }
            for row in rows
        ],
    }
    template = resources.files(_PACKAGE).joinpath(_TEMPLATE).read_text(encoding="utf-8")
    page = template.replace("<!--DATA-->", _script_json(data))
    write_atomically(path, page.replace("<!--CARDS-->", "".join(cards)).encode())
    return problems


def _card(
    face: DescribedFace, rows: Sequence[ReviewRow], images: Path, problems: list[Problem]
) -> str:
    sentences = "".join(_sentence(row) for row in rows)
    expression = str(face.labels.get("expression", ""))
    return (
        f"<article><figure>{_picture(face.image, images, problems)}<figcaption>"
        f"{html.escape(face.image)} {html.escape(expression)}</figcaption></figure><div>"
        f"<details><summary>Description</summary><p>{html.escape(face.description)}</p></details>"
        f"{sentences}</div></article>\n"
    )


def _sentence(row: ReviewRow) -> str:
    star = '<b title="the model\'s favourite">&#9733;</b> ' if row.is_favourite else ""
    buttons = "".join(
        f'<label><input type="radio" name="{row.row_id}" value="{value}"> {value}</label>'
        for value in ("keep", "reject")
    )
    return f"<p>{star}{html.escape(row.sentence)}<span>{buttons}</span></p>"


def _picture(image: str, images: Path, problems: list[Problem]) -> str:
    try:
        data = base64.b64encode(jpeg_of(images / image, _THUMBNAIL_PX)).decode()
    except ImageError as error:
        problems.append(Problem(image, str(error)))
        return ""
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _script_json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data).replace("<", "\\u003c")
