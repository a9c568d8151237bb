"""Render docs/images/imagined.png: heads that the shipped nano makes from words alone.

python scripts/build_imagined_pictures.py
"""

import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from facegpt.pipeline import FaceGPT

OUTPUT = Path(__file__).parent.parent / "docs/images/imagined.png"
COLUMNS, SIDE, CAPTION = 4, 256, 62

TEXTS = (
    "an elderly man with a long thin face, grinning",
    "a young dark-skinned woman with a round face and full lips, laughing with an open mouth",
    "a heavy man with a broad square jaw, his brows pulled down in anger",
    "a pale woman with a narrow face, looking sad, turned to the left",
    "a surprised person, mouth wide open and brows raised",
    "a light-skinned man with a beard shadow, turned to the right, lit from the left",
    "She has just been told her flight is cancelled.",
    "He opens the door and all his friends shout: happy birthday!",
)


def main() -> None:
    """Write the sheet."""
    facegpt = FaceGPT.from_pretrained("nano")
    font = ImageFont.load_default(13)
    rows = -(-len(TEXTS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, [face] in enumerate(facegpt.imagine(TEXTS)):
        left, top = i % COLUMNS * SIDE, i // COLUMNS * (SIDE + CAPTION)
        with tempfile.TemporaryDirectory() as folder:
            face.save(Path(folder), formats=("portrait",))
            with Image.open(Path(folder) / "portrait.png") as picture:
                small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(small, (left, top))
        draw.multiline_text((left + 8, top + SIDE + 5), wrapped(face.text, 34), (40, 40, 44), font)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(OUTPUT, optimize=True)
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.2f} MB")


def wrapped(text: str, width: int) -> str:
    """The text in lines of so many letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


if __name__ == "__main__":
    main()
