"""The `facegpt` command: parse, call, print.

Heavy imports sit inside the commands, so that `--help` answers at once and loads no torch. Exit
codes: 0 done; 1 something failed, the rest was finished; 2 no face, or a call that cannot be
understood; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

import tyro

from facegpt.cli.assets import assets_app, doctor
from facegpt.cli.benchmark import benchmark_app
from facegpt.cli.completion import completion_app
from facegpt.cli.data import data_app
from facegpt.cli.evaluate import evaluate_app
from facegpt.cli.exports import exports_app
from facegpt.cli.photos import describe, fit, reconstruct
from facegpt.cli.pictures import edit, render
from facegpt.cli.planning import plan
from facegpt.cli.serve import serve
from facegpt.cli.study import study_app
from facegpt.cli.text import chat, imagine
from facegpt.cli.training import check_preset, train_app

app = tyro.extras.SubcommandApp()
for _command in (reconstruct, imagine, chat, describe, fit, edit, render, serve):
    app.command(_command)
app.command(data_app, name="data", help="Data sets of faces to train on.")
app.command(train_app, name="train", help="Train a FaceGPT, and examine a training.")
app.command(plan)
app.command(
    benchmark_app, name="benchmark", help="Build a benchmark, and let a model judge answers."
)
app.command(evaluate_app, name="evaluate", help="The tables of the paper, measured.")
app.command(exports_app, name="export", help="Faces in the form that benchmarks read.")
app.command(study_app, name="study", help="Let people compare methods, and count their answers.")
app.command(doctor)
app.command(assets_app, name="assets", help="Files that facegpt may use but not ship.")
app.command(completion_app, name="completion", help="Scripts for the Tab key of a shell.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # Idle OpenMP threads of torch spin by default: on shared cores that costs a factor of five.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        from facegpt import __version__

        print(f"facegpt {__version__}")
        return
    try:
        check_preset(given)
        code = app.cli(
            prog="facegpt",
            description="Talk about 3D human faces and make them.",
            args=given,
        )
    except (ValueError, OSError) as error:
        print(f"facegpt: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nfacegpt: interrupted; what was finished is kept", file=sys.stderr)
        code = 130
    sys.exit(code)
