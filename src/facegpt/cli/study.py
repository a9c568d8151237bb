"""`facegpt study`: let people compare methods, and count what they chose."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

study_app = tyro.extras.SubcommandApp()

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


@study_app.command
def build(
    methods: tyro.conf.Positional[tuple[Path, ...]],
    output: Output = Path("study"),
    texts: Path | None = None,
    photos: Path | None = None,
    questions: int = 20,
    seed: int = 0,
    title: str = "Which face fits best?",
    task: str | None = None,
) -> int:
    """Make a blinded study out of one folder of pictures per method.

    Pictures of the same name are alternatives of one question. Which method stands where is drawn
    at random and balanced; OUTPUT/key.json says it and is needed for the tally only.

    Args:
        methods: Folders of PNGs, one per method, which is called like its folder.
        output: Folder of the study; it must not be there.
        texts: JSON file that says for each picture, named without .png, the description or
            situation it was made from.
        photos: Folder of the photos the pictures were made from, under the same names.
        questions: How many; drawn at random if there are more pictures.
        seed: Of everything that is drawn.
        title: Heading of the page.
        task: What participants shall do, in one sentence; without it one that suits the stimuli.
    """
    from facegpt.evaluation.study.build import BuildSettings, build_study

    settings = BuildSettings(methods, output, texts, photos, questions, seed, title, task)
    study = build_study(settings)
    print(f"{output}: {len(study.questions)} questions on {len(methods)} methods")
    print(f"show it with: facegpt study serve {output}")
    return 0


@study_app.command
def serve(
    study: tyro.conf.Positional[Path],
    answers: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
) -> int:
    """Show a study in the browser and keep the answers, until Ctrl-C.

    Whoever opens the page is one participant, known by a random number in a cookie, and goes on
    where they were when they come back.

    Args:
        study: Folder that `facegpt study build` wrote.
        answers: SQLite file of the answers; STUDY/answers.sqlite3 without it.
        host: Address to listen on. Others than this machine's own need --token.
        port: Port to listen on; 0 takes any free one.
        token: Secret that the link must carry, at least 16 letters or digits.
    """
    try:
        from facegpt.evaluation.study.serving import ServeSettings, serve_study
    except ImportError as error:
        raise ValueError(
            f"showing a study needs a web server ({error}); install it with: "
            "pip install 'facegpt[study]'"
        ) from error

    settings = ServeSettings(study, answers, host, port, token)
    serve_study(settings, lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True))
    print(f"the answers are in {settings.answers_file}")
    return 0


@study_app.command
def tally(
    study: tyro.conf.Positional[Path],
    answers: Path | None = None,
    key: Path | None = None,
    counted: Literal["complete", "all"] = "complete",
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
) -> int:
    """Say which method people preferred, overall and per question.

    Args:
        study: Folder that `facegpt study build` wrote.
        answers: SQLite file of the answers; STUDY/answers.sqlite3 without it.
        key: What unblinds the study; STUDY/key.json without it.
        counted: Whose answers: complete of people who answered every question, all of everybody.
        output: Folder to write tally.md, tally.json and tally.csv to.
    """
    from facegpt.evaluation.study.tally import tally_markdown, tally_study, write_tally

    found = tally_study(study, answers=answers, key=key, counted=counted)
    print(tally_markdown(found), end="")
    if output:
        print()
        for path in write_tally(output, found):
            print(path)
    return 0
