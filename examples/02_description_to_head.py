"""From words to heads: descriptions, a situation, and several heads that fit one description.

python examples/02_description_to_head.py out/demo
"""

import sys
from pathlib import Path

import facegpt

DESCRIPTIONS = [
    "an elderly man with a long thin face and a hooked nose, grinning",
    "a young dark-skinned woman with a round face and full lips, looking surprised",
    "This person has just heard that the last train left without them.",
]


def main(output: Path) -> None:
    """Make the head of each text, then four that fit the first one."""
    model = facegpt.FaceGPT.from_pretrained("nano")

    for number, [face] in enumerate(model.imagine(DESCRIPTIONS), start=1):
        directory = output / f"imagined-{number}"
        face.save(directory)
        print(f"{face.text}\n  is in {directory}")
        if face.words:
            print(f"  the model thought: {face.words}")
        strongest = sorted(face.arkit, key=lambda name: -face.arkit[name])[:4]
        print("  " + ", ".join(f"{name} {face.arkit[name]:.2f}" for name in strongest))

    if model.spread is not None:
        for number, face in enumerate(model.imagine(DESCRIPTIONS[0], samples=4, seed=7), start=1):
            face.save(output / f"imagined-1-sample-{number}", formats=("portrait", "json"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
