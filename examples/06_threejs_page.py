"""A face as a web page: the head in three.js, its 52 ARKit weights on sliders, all files local.

python examples/06_threejs_page.py out/demo/page faces/photo
python -m http.server --directory out/demo/page
"""

import shutil
import sys
from pathlib import Path

import facegpt

PAGE = Path(__file__).parent / "threejs"
VENDOR = Path(facegpt.__file__).parent / "web" / "static" / "vendor"


def main(output: Path, face: Path | None = None) -> None:
    """Put the page, three.js and a face into OUTPUT; `face` is a folder that facegpt wrote."""
    output.mkdir(parents=True, exist_ok=True)
    if face is None:
        [imagined] = facegpt.FaceGPT.from_pretrained("nano").imagine("a young woman, laughing")
        imagined.save(output, formats=("glb", "json"))
    else:
        for name in ("head.glb", "face.json"):
            shutil.copy(face / name, output)

    shutil.copytree(PAGE, output, dirs_exist_ok=True)
    shutil.copytree(VENDOR, output / "vendor", dirs_exist_ok=True)
    print(f"python -m http.server --directory {output}    and open http://127.0.0.1:8000")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:] or ["out/demo/page"]))
