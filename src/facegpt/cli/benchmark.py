"""`facegpt benchmark`: build a Speculative Face Generation benchmark, let a model judge answers."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from facegpt.data.chat_server import ChatSettings
    from facegpt.evaluation.asking import Interviewer, Progress
    from facegpt.evaluation.speculative.workspace import Problem

benchmark_app = tyro.extras.SubcommandApp()
build_sfg_app = tyro.extras.SubcommandApp()
benchmark_app.command(
    build_sfg_app,
    name="build-sfg",
    help="Build a Speculative Face Generation benchmark, step by step: propose, select, review, "
    "truth, freeze.",
)

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]

_SERVER = "http://127.0.0.1:8000/v1"
_KEY = "OPENAI_API_KEY"


@benchmark_app.command
def judge(
    questions: Path,
    context: Path,
    reference: Path,
    answers: tuple[Path, ...],
    model: str,
    output: Output,
    rules: Path | None = None,
    both_orders: Flag = False,
    server: str = _SERVER,
    key_variable: str = _KEY,
    concurrency: int = 8,
    tries: int = 3,
    seed: int = 0,
) -> int:
    """Let a language model compare answers with reference answers, as on LLaVA-Bench (COCO).

    Writes OUTPUT/report.json and LLaVA's review files, and prints the table of relative scores with
    what it cannot bear. A run that was stopped goes on when the command is repeated: what the judge
    said is in OUTPUT/judgements.jsonl and is not asked again.

    Args:
        questions: JSONL with question_id, image, text and category (conv, detail or complex).
        context: JSONL with image, and captions and instances, or caption.
        reference: Answers of the reference, such as answers-gpt4.jsonl: question_id, text.
        answers: Answers of one or more models, in the same form; files are named after the models.
        model: Name of the judge on the server.
        output: Folder of the results.
        rules: LLaVA's rule.json; without it rules in our own words, which give other scores.
        both_orders: Judge every pair in both orders: twice the requests, and the judge's liking for
            a place cancels and is reported.
        server: Where an OpenAI-compatible server listens.
        key_variable: Environment variable that holds its key.
        concurrency: Requests at the same time.
        tries: How often scores that cannot be read are asked for.
        seed: Of the bootstrap.
    """
    from facegpt.data.chat_server import ChatSettings
    from facegpt.evaluation.judging.report import table, write_results
    from facegpt.evaluation.judging.run import JudgingFiles, judge_models, read_input

    chat = ChatSettings(
        model, server, key_variable, concurrency=concurrency, temperature=0.0, max_tokens=1024
    )
    files = JudgingFiles(questions, context, reference, answers, rules)
    given = read_input(files)
    cache = output / "judgements.jsonl"
    with _interviewer(chat, cache, tries) as interviewer, _bar("judge") as progress:
        results = judge_models(
            interviewer, given, both_orders=both_orders, seed=seed, progress=progress
        )
    settings = {**chat.record(), "both_orders": both_orders, "tries": tries, "bootstrap_seed": seed}
    settings["sha256"] = files.checksums()
    report = write_results(output, results, settings)
    print(table(results, model))
    print(f"\nwrote {report}")
    return 1 if any(result.unjudged for result in results) else 0


@build_sfg_app.command
def propose(
    images: Path,
    descriptions: Path,
    model: str,
    output: Output,
    count: int = 5,
    text_only: Flag = False,
    temperature: float = 0.7,
    seed: int = 0,
    limit: int | None = None,
    server: str = _SERVER,
    key_variable: str = _KEY,
    concurrency: int = 8,
    tries: int = 3,
) -> int:
    """Step 1: let a model write situations in which the described faces would look as they do.

    Args:
        images: Folder of the pictures.
        descriptions: JSONL with image and description, and perhaps expression and other labels.
        model: Name of the model on the server.
        output: Working folder; every later step takes it.
        count: Situations per picture.
        text_only: Send the descriptions alone, for models that see no pictures.
        temperature: Of the model; higher is more diverse.
        seed: Sent along with every request; a server may pass it over.
        limit: At most this many pictures, the first ones.
        server: Where an OpenAI-compatible server listens.
        key_variable: Environment variable that holds its key.
        concurrency: Requests at the same time.
        tries: How often an answer that cannot be read is asked for.
    """
    from facegpt.data.chat_server import ChatSettings
    from facegpt.evaluation.speculative.propose import ProposeSettings
    from facegpt.evaluation.speculative.propose import propose as run
    from facegpt.evaluation.speculative.sources import read_sources
    from facegpt.evaluation.speculative.workspace import Workspace

    work = Workspace(output)
    chat = ChatSettings(
        model,
        server,
        key_variable,
        concurrency,
        # Room for the answers to the four questions, and two sentences for each situation.
        max_tokens=400 + 120 * count,
        temperature=temperature,
        seed=seed,
    )
    settings = ProposeSettings(count, with_picture=not text_only)
    sources = read_sources(images, descriptions, limit)
    with _interviewer(chat, work.answers, tries) as interviewer, _bar("propose") as progress:
        step = run(work, sources, interviewer, settings, progress)
    sentences = sum(len(item.record["sentences"]) for item in step.items)
    print(f"{work.candidates}: {sentences} situations for {len(step.items)} pictures")
    return _report(step.problems)


@build_sfg_app.command
def select(
    work: tyro.conf.Positional[Path],
    model: str | None = None,
    images: Path | None = None,
    fewest_words: int = 6,
    most_words: int = 40,
    most_sentences: int = 2,
    similarity: float = 0.6,
    seed: int = 0,
    server: str = _SERVER,
    key_variable: str = _KEY,
    concurrency: int = 8,
    tries: int = 3,
) -> int:
    """Step 2: reject what gives the face away, is too long or was said before; choose a favourite.

    Args:
        work: Working folder.
        model: A model of the server that chooses its favourite for each picture; nobody without it.
        images: Folder of the pictures, which the model is shown; it goes by the descriptions
            without it.
        fewest_words: Of a situation.
        most_words: Of a situation.
        most_sentences: Of a situation.
        similarity: From this share of common words on, two situations are the same one.
        seed: Of the order in which the model sees the situations.
        server: Where an OpenAI-compatible server listens.
        key_variable: Environment variable that holds its key.
        concurrency: Requests at the same time.
        tries: How often an answer that cannot be read is asked for.
    """
    from facegpt.data.chat_server import ChatSettings
    from facegpt.evaluation.speculative.rules import SelectionRules
    from facegpt.evaluation.speculative.selection import Ranking, objection_counts
    from facegpt.evaluation.speculative.selection import select as run
    from facegpt.evaluation.speculative.workspace import Workspace

    space = Workspace(work)
    rules = SelectionRules(fewest_words, most_words, most_sentences, similarity)
    if model is None:
        step = run(space, rules)
    else:
        chat = ChatSettings(model, server, key_variable, concurrency, temperature=0.0)
        with _interviewer(chat, space.answers, tries) as asked, _bar("select") as progress:
            step = run(space, rules, Ranking(asked, images, seed), progress)
    passed = sum(len(item.record["sentences"]) for item in step.items)
    print(f"{space.selection}: {passed} situations passed")
    for kind, number in objection_counts(step).items():
        print(f"  rejected, {kind}: {number}")
    return _report(step.problems)


@build_sfg_app.command
def review(work: tyro.conf.Positional[Path], images: Path) -> int:
    """Step 3: write the sheet on which a person keeps or rejects every situation.

    Fill in the column `decision` of WORK/review.csv with keep or reject, or open WORK/review.html
    in a browser (it needs no network) and export the choices. What was decided in review.csv is
    never written over.

    Args:
        work: Working folder.
        images: Folder of the pictures.
    """
    from facegpt.evaluation.speculative.page import make_review
    from facegpt.evaluation.speculative.workspace import Workspace

    space = Workspace(work)
    rows, problems = make_review(space, images)
    print(f"{len(rows)} situations to be decided about: {space.sheet}, or {space.page}")
    return _report(problems)


@build_sfg_app.command
def truth(
    work: tyro.conf.Positional[Path], images: Path, model: str = "default", steps: int = 120
) -> int:
    """Step 4: fit every face, as pseudo ground truth. It may run before or after the review.

    Args:
        work: Working folder.
        images: Folder of the pictures.
        model: Morphable model: default, default-procedural, bfm2017, bfm2009, flame or ict.
        steps: Gradient steps of the last stage; fewer is faster and coarser.
    """
    from facegpt.evaluation.speculative.truth import TruthSettings, fit_truth
    from facegpt.evaluation.speculative.workspace import Workspace
    from facegpt.fitting import AnalysisBySynthesis, FitSettings
    from facegpt.morphable.registry import load_morphable_model

    space = Workspace(work)
    method = AnalysisBySynthesis(load_morphable_model(model), FitSettings(steps=steps))
    settings = TruthSettings(model, steps, method.name)
    with _bar("truth") as progress:
        step = fit_truth(space, images, method, settings, progress)
    print(f"{space.truth}: {len(step.items)} faces fitted")
    several = sum(item.record["faces"] > 1 for item in step.items)
    if several:
        print(f"{several} pictures hold several faces; the largest counts", file=sys.stderr)
    return _report(step.problems)


@build_sfg_app.command
def freeze(work: tyro.conf.Positional[Path], output: Output, choices: Path | None = None) -> int:
    """Step 5: make the finished benchmark, a folder that is never written to again.

    Args:
        work: Working folder.
        output: Folder to be made; there must be nothing yet.
        choices: The choices that review.html exported; WORK/review.csv without it.
    """
    from facegpt.evaluation.speculative.freeze import freeze as run
    from facegpt.evaluation.speculative.workspace import Workspace

    made = run(Workspace(work), output, choices)
    print(f"{made.folder}: {made.pictures} pictures with {made.sentences} situations")
    return _report(made.dropped)


@contextmanager
def _interviewer(chat: "ChatSettings", cache: Path, tries: int) -> Iterator["Interviewer"]:
    from facegpt.data.answer_cache import AnswerCache
    from facegpt.data.chat_server import ChatServer, ChatUnavailableError
    from facegpt.evaluation.asking import Interviewer

    try:
        server: ChatServer = ChatServer(chat)
    except ChatUnavailableError as error:
        raise ValueError(str(error)) from error
    with server:
        yield Interviewer(server, AnswerCache(cache), tries)


@contextmanager
def _bar(name: str) -> Iterator["Progress"]:
    from tqdm import tqdm

    with tqdm(desc=name, file=sys.stderr, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _report(problems: "Sequence[Problem]") -> int:
    """Say what went wrong with which picture; the exit code."""
    for problem in problems:
        print(f"{problem.image}: {problem.reason}", file=sys.stderr)
    return 1 if problems else 0
