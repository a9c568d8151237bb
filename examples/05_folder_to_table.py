"""A folder of photos to heads and one table; a run that was interrupted can simply be repeated.

python examples/05_folder_to_table.py PHOTOS out/demo/folder
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import facegpt
from facegpt.perception.images import ImageError

AT_ONCE = 8  # photos that share one look of the model
FORMATS = ("glb", "overlay", "json")
MEASURED = ("yaw", "pitch", "smile", "mouth_open", "eye_openness", "skin_lightness")


def main(photos: Path, output: Path) -> None:
    """Write OUTPUT/PHOTO/face-1/ and so on, photos.jsonl as photos are done, and faces.csv."""
    output.mkdir(parents=True, exist_ok=True)
    journal = output / "photos.jsonl"
    entries = finished(journal)
    known = {entry["photo"] for entry in entries}
    todo = [path for path in sorted(photos.iterdir()) if path.is_file() and path.name not in known]
    print(f"{len(todo)} files to read, {len(known)} read before")

    model = facegpt.FaceGPT.from_pretrained("nano")
    for first in range(0, len(todo), AT_ONCE):
        for entry in heads_of(model, todo[first : first + AT_ONCE], output):
            count = len(entry["faces"])
            print(f"{entry['photo']}: {entry['problem'] or f'{count} found'}")
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            entries.append(entry)
    write_table(entries, output / "faces.csv")


def finished(journal: Path) -> list[dict]:
    """What earlier runs have done; a last line that was cut off is done again."""
    content = journal.read_bytes() if journal.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(journal, len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def heads_of(model: facegpt.FaceGPT, paths: list[Path], output: Path) -> Iterator[dict]:
    """Save the heads of some photos; yield what was found in each, or why nothing was."""
    photos = {}
    for path in paths:
        try:
            photos[path] = facegpt.load_image(path)
        except ImageError as error:
            yield {"photo": path.name, "problem": str(error), "faces": []}

    found = model.reconstruct_photos(list(photos.values()))
    for (path, photo), faces in zip(photos.items(), found, strict=True):
        rows = []
        for number, face in enumerate(faces, start=1):
            folder = output / path.name / f"face-{number}"
            facegpt.save_reconstruction(face, model.model, photo, folder, FORMATS)
            measured = {name: face.semantics[name]["value"] for name in MEASURED}
            rows.append({"folder": f"{path.name}/{folder.name}"} | measured)
        yield {"photo": path.name, "problem": "" if rows else "no face found", "faces": rows}


def write_table(entries: list[dict], path: Path) -> None:
    """One row a face, and one for each photo without."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("photo", "problem", "folder", *MEASURED))
        table.writeheader()
        for entry in sorted(entries, key=lambda entry: entry["photo"]):
            shared = {"photo": entry["photo"], "problem": entry["problem"]}
            table.writerows(shared | face for face in entry["faces"] or [{}])
    print(f"The table is {path}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "out/demo/folder"))
