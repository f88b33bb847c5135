"""The command line: a small file per command, and the one place where an exception becomes an exit
code.
"""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

import tacos
from tacos.cli import (
    alpaca_eval,
    analyse,
    annotate,
    answer,
    calibrate,
    check_tags,
    clean,
    compare,
    curve,
    distill,
    duel,
    explain,
    export,
    inspect,
    ledger,
    mt_bench,
    prove,
    quote,
    refine,
    report,
    requests,
    reselect,
    runs,
    select,
    settings,
    tags,
    train,
    ui,
)
from tacos.cli.shared.stopwatch import WATCH
from tacos.errors import TacosError
from tacos.formats.reading import check_file_name
from tacos.visible_text import clean_line

HELP = """Select a small, diverse, high-quality subset of an instruction-tuning data set.

Start with:  tacos select data.jsonl -n 1000 -o selected.jsonl

This reads the rows, tags them, groups them by topic, compares the rows of a topic with each other,
and writes the best of every topic. Without an LLM it runs on small embedded models: no key, no GPU,
no network. Everything it makes stays in selected.jsonl.run, so the same command continues where it
was stopped, and a changed setting re-runs only what depends on it.

\b
What is in these files, and what would be rejected?
  tacos inspect data.jsonl

\b
Why was this row kept or dropped (data.jsonl:17 is the 18th: ids count from 0)?
What did the run do? Where did this tag come from?
  tacos explain selected.jsonl.run data.jsonl:17
  tacos runs show selected.jsonl.run
  tacos report selected.jsonl.run -o report.html
  tacos tags selected.jsonl.run --tag "Poetry Writing"

\b
Look at all rows in the browser: search, filter, compare, ask what if.
  tacos ui selected.jsonl.run

\b
Try other strategies and sizes, without calling any model:
  tacos reselect selected.jsonl.run -n 500 --strategy mig -o mig.jsonl
  tacos compare selected.jsonl.run -n 1000 -o strategies.svg
  tacos curve selected.jsonl.run --strategy mig --by grade

\b
Which rows are broken, refused or repeated? Drop them first.
  tacos clean data.jsonl -o clean.jsonl

\b
What can --set judge.KEY=VALUE change? Panels, repetitions, criteria, ...
  tacos settings judge

\b
How diverse and complex are data sets, and how much do they share?
  tacos analyse a.jsonl b.jsonl selected.jsonl.run

\b
With an LLM: what will it cost? Then run it under a cap.
  tacos quote data.jsonl -n 1000 --model MODEL
  tacos select data.jsonl -n 1000 --model MODEL -o selected.jsonl --budget 5usd

\b
Train small models that answer like the LLM (then --llm mymodel/), or let a small tagger
handle most rows:
  tacos distill selected.jsonl.run -o mymodel/
  tacos select data.jsonl -n 1000 --model MODEL --set cascade.sample=2000

\b
Train on the selected rows with TRL, LLaMA-Factory or Axolotl, or here, by a recipe:
  tacos export selected.jsonl.run --for trl -o train/
  tacos train selected.jsonl.run --recipe small --model MODEL -o trained/

\b
How good are the answers of a trained model?
  tacos answer trained/ question.jsonl -o answers.jsonl
  tacos mt-bench answers.jsonl --questions question.jsonl --references gpt-4.jsonl --judge MODEL
  tacos alpaca-eval answers.jsonl --baseline gpt4.json --judge MODEL

\b
Are the tags right? Does the judge agree with your labels? Can the selected rows be improved?
  tacos check-tags selected.jsonl.run --model MODEL
  tacos calibrate pairs.jsonl --model MODEL
  tacos refine selected.jsonl.run --model MODEL -o refined.jsonl
"""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("select")(select.select)
app.command("inspect")(inspect.inspect)
app.command("explain")(explain.explain)
app.command("quote")(quote.quote)
app.command("clean")(clean.clean)
app.command("calibrate")(calibrate.calibrate)
app.command("reselect")(reselect.reselect)
app.command("compare")(compare.compare)
app.command("curve")(curve.curve)
app.command("report")(report.report)
app.command("distill")(distill.distill)
app.command("refine")(refine.refine)
app.command("export")(export.export)
app.command("train")(train.train)
app.command("analyse")(analyse.analyse)
app.command("check-tags")(check_tags.check_tags)
app.command("annotate")(annotate.annotate)
app.command("prove")(prove.prove)
app.command("duel")(duel.duel)
app.command("answer")(answer.answer)
app.command("mt-bench")(mt_bench.mt_bench)
app.command("alpaca-eval")(alpaca_eval.alpaca_eval)
app.command("tags")(tags.tags)
app.command("ui")(ui.ui)
app.command("settings")(settings.settings)
app.add_typer(runs.app, name="runs")
app.add_typer(ledger.app, name="ledger")
app.add_typer(requests.app, name="requests")


def _print_version(wanted: bool) -> None:
    """Print the version and stop, if it is wanted."""
    if wanted:
        print(f"tacos {tacos.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="print the version and exit",
        callback=_print_version,
        is_eager=True,
    ),
]


@app.callback(help=HELP)
def _accept_version(version: Version = False) -> None:
    """Take the options that stand before a command."""
    WATCH.start()


def run_app(started: float) -> None:
    """Run the command line; an error that a user can fix becomes one line and an exit code.

    The program started at `started`, a time of `time.monotonic`.
    """
    WATCH.note_program_start(started)
    # By default the collector looks at the many small objects of a run so often that requests wait.
    gc.set_threshold(20_000, 20, 20)
    # The handler of polars restarts waiting system calls after Ctrl-C, so requests would go on.
    signal.siginterrupt(signal.SIGINT, True)
    signal.signal(signal.SIGTERM, _stop_as_by_ctrl_c)
    try:
        # Every path of a command line, whichever option it belongs to.
        for word in sys.argv[1:]:
            check_file_name(word)
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        print(_describe_misuse(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except TacosError as error:
        # What the error leaves behind is noted on it.
        notes = getattr(error, "__notes__", [])
        said = str(error).rstrip(".") if notes else str(error)
        message = ". ".join([f"tacos: {said}", *notes])
        # It may quote a row.
        print(clean_line(message), file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)  # 128 + SIGPIPE, as shells report it


def _stop_as_by_ctrl_c(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM in good order, too: schedulers and container hosts send it."""
    # What a shell starts in the background ignores SIGINT.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _describe_misuse(error: TyperException) -> str:
    """Why a command line cannot be parsed, in one line; help pages stay as they are."""
    message = error.format_message().strip()
    if len(message.splitlines()) > 1:
        return message
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tacos"
    reason = f"{message[:1].lower()}{message[1:]}".rstrip(".")
    return clean_line(f"tacos: {reason}; see {command} --help")
