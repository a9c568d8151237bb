"""Copy the files of three.js that our pages load into the package, and write what was copied.

    npm pack three@0.185.1 && tar xzf three-0.185.1.tgz
    python scripts/vendor_three.py package

Files are taken byte for byte from the published package, so that anybody can compare them. 0.185 is
the last line that is published minified. The page of the example finds them through an import map;
the server writes the way into the modules (web/page/static_files.py).
"""

import hashlib
import json
import sys
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "src/facegpt/web/static/vendor"
FOLDERS = {"build": "three", "examples/jsm": "three/addons", ".": "three"}
FILES = {
    "build": ("three.module.min.js", "three.core.min.js"),
    "examples/jsm": (
        "controls/OrbitControls.js",
        "loaders/GLTFLoader.js",
        # What the loader imports:
        "utils/BufferGeometryUtils.js",
        "utils/SkeletonUtils.js",
    ),
    ".": ("LICENSE",),
}


def main(package: Path) -> None:
    """Copy from the unpacked npm package and write vendor.json."""
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    files = {}
    for source, names in FILES.items():
        for name in names:
            content = (package / source / name).read_bytes()
            target = VENDOR / FOLDERS[source] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            files[target.relative_to(VENDOR).as_posix()] = hashlib.sha256(content).hexdigest()
    three = {"version": about["version"], "licence": about["license"], "files": files}
    record = json.dumps({"three": three}, indent=2, sort_keys=True)
    (VENDOR / "vendor.json").write_text(record + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
