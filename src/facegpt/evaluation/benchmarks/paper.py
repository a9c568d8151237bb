"""The tables of the paper as data: columns, protocol, expected methods, and its own numbers.

Numbers are copied from the paper, the table is named beside each; they were measured on the
paper's data with its face model and its encoders and stand in every table as such. Imports nothing,
so that the command line can list tables without loading anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["implicit", "explicit", "photos", "talk", "judge", "study"]
"""Where the numbers of a column come from."""


@dataclass(frozen=True)
class Column:
    """One number of a table."""

    source: Source
    key: str
    """Name of the per-item value, or of the judge's category."""
    title: str
    unit: str
    higher_is_better: bool
    digits: int
    scale: float = 1.0
    """Per-item values times this are what is printed."""

    @property
    def name(self) -> str:
        """Unique within a table."""
        return f"{self.source}.{self.key}"

    @property
    def heading(self) -> str:
        """What stands above it."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.title}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclass(frozen=True)
class PaperRow:
    """One row as the paper prints it; a column of ours that it lacks is left out."""

    method: str
    values: Mapping[str, str]
    """Column name -> number as it is printed, in the paper's unit."""


@dataclass(frozen=True)
class TableSpec:
    """One table of the paper."""

    name: str
    title: str
    columns: tuple[Column, ...]
    paper_rows: tuple[PaperRow, ...]
    paper_data: str
    protocol: str
    expected: Mapping[str, str] = field(default_factory=dict)
    """Methods that the paper's table has: label -> how to make the one that is missing here."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What has to be measured."""
        return tuple(dict.fromkeys(column.source for column in self.columns))


_SURFACE_PROTOCOL = (
    "Truth: theta fitted to the photo that the text describes (`facegpt fit`, reference "
    "landmarks). Face region only (skin in front of the ears, eyeballs, mouth), vertices in mm, "
    "pose left out, rigid point-to-point ICP of the prediction onto the truth. CD: eq. 6 with each "
    "sum divided by its number of points. CR: eq. 7, the share of the points of both clouds nearer "
    "than the threshold, 10 mm unless it says otherwise. RFRR: both heads from the front in the "
    "light of an average photo, cosine of dlib's descriptors after a fixed centre (the mean of 64 "
    "random heads) is subtracted, times 100; without the centre all heads are alike to dlib. The "
    "paper uses ArcFace and divides its CD by something that it does not name, so only the order "
    "of its rows can be compared."
)
_PHOTO_PROTOCOL = (
    "Every method is shown the same photo and the same reference landmarks (dlib's, from "
    "landmarks.npz), so detection is no part of the comparison. photo: eq. 8 as the mean RGB "
    "distance over the skin that the face covers, colours 0-1; for grey photos the face is made "
    "grey, too, in three equal channels (1.73 times the difference in luminance). keypoint: "
    "eq. 9 as the mean distance of the 68 points in pixels of the aligned 224 crop; inner 51 "
    "without the jaw. NME: the same over the distance of the outer eye corners. identity: L2 "
    "distance of dlib's descriptors of the photo and of the face laid over it (same person: below "
    "0.6). The paper does not say how its norms are divided."
)
_JUDGE_PROTOCOL = (
    "Relative score in % of the reference answers on LLaVA-Bench (COCO), from report.json of "
    "`facegpt benchmark judge`. Another judge gives other numbers; the paper's is GPT-4. The last "
    "three columns need no judge: free answers to questions about smile, turn and mouth on up to "
    "40 photos of a set that agree with the fitted face (an answer that claims nothing is wrong), "
    "and the prompts of --prompts after which `<FACE>` is written or left out as it should be."
)


def _surface_columns(source: Source) -> tuple[Column, ...]:
    return (
        Column(source, "chamfer_mm", "CD", "mm", False, 2),
        Column(source, "complete_10mm", "CR", "%", True, 1, 100.0),
        Column(source, "rfrr", "RFRR", "", True, 1, 100.0),
        Column(source, "complete_2mm", "CR at 2 mm", "%", True, 1, 100.0),
        Column(source, "chamfer_as_is_mm", "CD without ICP", "mm", False, 2),
        Column(source, "rfrr_plain", "RFRR, no centre", "", True, 1, 100.0),
    )


_PHOTO = Column("photos", "photometric", "photo", "", False, 4)
_KEYPOINT = Column("photos", "landmark_px", "keypoint", "px", False, 2)
_PHOTO_COLUMNS = (
    _PHOTO,
    _KEYPOINT,
    Column("photos", "inner_px", "inner 51", "px", False, 2),
    Column("photos", "nme", "NME", "%", False, 2, 100.0),
    Column("photos", "inner_nme", "NME, inner 51", "%", False, 2, 100.0),
    Column("photos", "identity_l2", "identity L2", "", False, 3),
)
_TALK_COLUMNS = (
    Column("judge", "conv", "Conv", "%", True, 1),
    Column("judge", "detail", "Detail", "%", True, 1),
    Column("judge", "complex", "Complex", "%", True, 1),
    Column("judge", "all", "All", "%", True, 1),
)
_OFFLINE_COLUMNS = (
    Column("talk", "agrees", "answers that agree with the face", "%", True, 1, 100.0),
    Column("talk", "face_made", "face made if wanted", "%", True, 1, 100.0),
    Column("talk", "face_left_out", "no face if not wanted", "%", True, 1, 100.0),
)


def _paper(columns: tuple[Column, ...], *rows: tuple[str, str]) -> tuple[PaperRow, ...]:
    """Rows whose numbers belong to the first columns, in order."""
    names = [column.name for column in columns]
    return tuple(
        PaperRow(method, dict(zip(names, numbers.split(), strict=False)))
        for method, numbers in rows
    )


_LLAVA_KEY = (
    "facegpt train llava-key --data FACES --output FOLDER, then --method llava-key=FOLDER/best"
)
_WRITTEN = "run {0} yourself (docs/external_methods.md), then give --method external:{0}=FOLDER"
_TRAIN = "train it with its command in docs/baselines.md, then give --method {0}=FOLDER"

_IMPLICIT, _EXPLICIT = _surface_columns("implicit"), _surface_columns("explicit")
_PREFERENCE = Column("study", "preference", "user study", "%", True, 1, 100.0)

TABLES: dict[str, TableSpec] = {
    "table1": TableSpec(
        "table1",
        "Speculative face generation",
        (*_IMPLICIT[:3], _PREFERENCE, *_IMPLICIT[3:]),
        # Table 1 of the paper.
        _paper(
            (*_IMPLICIT[:3], _PREFERENCE),
            ("Describe3D", "153.1 25.6 14.0 11.2"),
            ("LLaVA-Key", "38.5 68.1 40.0 31.5"),
            ("FaceGPT", "11.5 83.6 64.0 57.2"),
        ),
        "64 implicit sentences on CelebA-HQ faces, pseudo ground truth by FOCUS",
        f"Text: an implicit sentence of the photo, no word of the face. {_SURFACE_PROTOCOL}",
        {
            "llava-key": _LLAVA_KEY,
            "describe3d": _WRITTEN.format("describe3d"),
        },
    ),
    "table2": TableSpec(
        "table2",
        "3D faces from explicit descriptions",
        _EXPLICIT,
        # Table 2 of the paper.
        _paper(
            _EXPLICIT,
            ("Describe3D", "96.88 29.3 16.27"),
            ("LLaVA-Key", "16.89 71.8 42.38"),
            ("FaceGPT", "7.28 91.7 64.88"),
        ),
        "explicit descriptions of CelebA-HQ faces, pseudo ground truth by FOCUS",
        f"Text: a description of the photo. {_SURFACE_PROTOCOL}",
        {
            "llava-key": _LLAVA_KEY,
            "describe3d": _WRITTEN.format("describe3d"),
        },
    ),
    "table3": TableSpec(
        "table3",
        "3D faces from photos",
        _PHOTO_COLUMNS,
        # Table 3 of the paper.
        _paper(
            _PHOTO_COLUMNS,
            ("DECA", "0.216 5.2"),
            ("Deep3D", "0.073 3.2"),
            ("FOCUS", "0.077 2.2"),
            ("LLaVa-Key", "0.110 14.0"),
            ("FaceGPT", "0.103 3.0"),
        ),
        "CelebA-HQ test photos",
        _PHOTO_PROTOCOL,
        {
            "llava-key": _LLAVA_KEY,
            "deca": _WRITTEN.format("deca"),
            "deep3d": _WRITTEN.format("deep3d"),
            "focus": _WRITTEN.format("focus"),
        },
    ),
    "table4": TableSpec(
        "table4",
        "Instruction following, judged by a language model",
        (*_TALK_COLUMNS, *_OFFLINE_COLUMNS),
        # Table 4 of the paper.
        _paper(
            _TALK_COLUMNS,
            ("ChatPose", "74.5 81.0 93.3 82.9"),
            ("LLaVA-V1.5-13B", "80.4 81.4 90.9 84.2"),
            ("LLaVA-V1.5-7B", "79.9 77.6 92.4 83.4"),
            ("FaceGPT", "79.6 81.5 92.6 84.6"),
        ),
        "LLaVA-Bench (COCO), judged by GPT-4",
        _JUDGE_PROTOCOL,
    ),
    "table5": TableSpec(
        "table5",
        "Influence of face-centric conversations",
        (_PHOTO, _KEYPOINT, *_TALK_COLUMNS, *_OFFLINE_COLUMNS),
        # Table 5 of the paper.
        (
            *_paper(_TALK_COLUMNS, ("LLaVA-1.5-7B", "79.9 77.6 92.4 83.4")),
            *_paper(
                (_PHOTO, _KEYPOINT, *_TALK_COLUMNS),
                ("FaceGPT without face conversations", "0.110 3.2 78.4 80.8 89.0 82.7"),
                ("FaceGPT", "0.103 3.0 79.6 81.5 92.6 84.6"),
            ),
        ),
        "CelebA-HQ test photos; LLaVA-Bench (COCO), judged by GPT-4",
        f"{_PHOTO_PROTOCOL} {_JUDGE_PROTOCOL}",
        {
            "conversations": _TRAIN.format("conversations"),
            "no-conversations": _TRAIN.format("no-conversations"),
        },
    ),
    "table7": TableSpec(
        "table7",
        "Influence of the language model",
        (_PHOTO, _KEYPOINT),
        # Table 7 of the paper.
        _paper((_PHOTO, _KEYPOINT), ("CLIP ViT + MLP", "0.133 7.6"), ("FaceGPT", "0.103 3.0")),
        "CelebA-HQ test photos",
        _PHOTO_PROTOCOL,
        {
            "regression": "facegpt train regression --data FACES --output FOLDER, then "
            "--method regression=FOLDER/best"
        },
    ),
    "table8": TableSpec(
        "table8",
        "Supervised and self-supervised face losses",
        (_PHOTO, _KEYPOINT),
        # Table 8 of the paper.
        _paper((_PHOTO, _KEYPOINT), ("FaceGPT(sup)", "0.092 2.1"), ("FaceGPT(unsup)", "0.103 3.0")),
        "CelebA-HQ test photos",
        f"{_PHOTO_PROTOCOL} The shipped nano was trained with both losses at once.",
        {
            "supervised": _TRAIN.format("supervised"),
            "unsupervised": _TRAIN.format("unsupervised"),
        },
    ),
}
"""Name of the command -> table."""


@dataclass(frozen=True)
class Order:
    """An order that the paper finds between two methods."""

    table: str
    claim: str
    better: str
    """Label of the method that wins in the paper; `nano` stands for FaceGPT."""
    worse: str
    columns: tuple[str, ...]
    """Names of the columns it is about."""


ORDERS: tuple[Order, ...] = (
    Order(
        "table1",
        "FaceGPT is better than LLaVA-Key at speculative faces",
        "nano",
        "llava-key",
        tuple(column.name for column in _IMPLICIT[:3]),
    ),
    Order(
        "table2",
        "FaceGPT is better than LLaVA-Key at described faces",
        "nano",
        "llava-key",
        tuple(column.name for column in _EXPLICIT[:3]),
    ),
    Order(
        "table3",
        "FaceGPT is better than LLaVA-Key at photos",
        "nano",
        "llava-key",
        (_PHOTO.name, _KEYPOINT.name),
    ),
    Order(
        "table5",
        "Face conversations hardly change reconstruction and help the talk",
        "conversations",
        "no-conversations",
        (
            _PHOTO.name,
            _KEYPOINT.name,
            *(column.name for column in (*_TALK_COLUMNS, *_OFFLINE_COLUMNS)),
        ),
    ),
    Order(
        "table7",
        "The language model helps: FaceGPT is better than vision tower + MLP",
        "nano",
        "regression",
        (_PHOTO.name, _KEYPOINT.name),
    ),
    Order(
        "table8",
        "Supervised is better than self-supervised",
        "supervised",
        "unsupervised",
        (_PHOTO.name, _KEYPOINT.name),
    ),
)
"""The orders of the paper, table by table."""

FLOORS: tuple[Order, ...] = tuple(
    Order(table, f"Better than {floor}, {meaning}", "nano", label, columns)
    for floor, label, meaning in (
        ("the mean face", "mean-face", "the floor of every table"),
        ("the average fit", "average-fit", "one face for all that knows its kind of photos"),
    )
    for table, columns in (
        ("table1", tuple(column.name for column in _IMPLICIT[:3])),
        ("table2", tuple(column.name for column in _EXPLICIT[:3])),
        ("table3", (_PHOTO.name, _KEYPOINT.name)),
    )
)
"""Not in the paper: without it no number of a table says anything."""
