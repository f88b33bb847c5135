"""The options that commands share, as annotations of their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.formats.detection import FORMATS_READ
from tacos.methods.selecting.strategies import STRATEGIES
from tacos.trainers.recipe import RECIPES

# What is read.
Data = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"files ({FORMATS_READ}), folders of such files, URLs (https://, s3://, gs://, az://, "
        "hf://), data sets of the Hugging Face hub (OWNER/NAME, OWNER/NAME:SPLIT), or - for "
        "standard input",
        show_default=False,
    ),
]
Glob = Annotated[
    list[str] | None,
    typer.Option(
        "--glob",
        help="read the files that a pattern matches, such as 'data/**/*.jsonl'; it is looked up "
        "in each folder given, otherwise in the working directory; repeatable",
        metavar="PATTERN",
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="which column holds what, such as instruction=prompt or response=data.answers.0 "
        "(a path into nested fields); PART is instruction, input, response, system, messages, "
        "tags or score; repeatable",
        metavar="PART=FIELD",
    ),
]
Preference = Annotated[
    str | None,
    typer.Option(
        help="which answer of a preference is read, chosen or rejected [default: chosen]",
        show_default=False,
    ),
]
RunDirectory = Annotated[
    Path,
    typer.Argument(help="the run directory, e.g. selected.jsonl.run", metavar="RUN"),
]
RunOrSelected = Annotated[
    Path,
    typer.Argument(
        help="the run directory, e.g. selected.jsonl.run, or a file beside it that select or "
        "reselect wrote",
        metavar="RUN|FILE",
    ),
]
LedgerFile = Annotated[
    Path, typer.Argument(help="a file of exported replies, one per line")
]
NewLedgerFile = Annotated[
    Path, typer.Argument(help="write the replies here, one per line")
]

# What is written.
OutputOrNone = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="write the rows here; the suffix decides the format"
    ),
]
SELECTED = typer.Option(
    "-o",
    "--output",
    help="write the rows here, in the order of the input; the suffix decides the format, and "
    "<output>.scores.jsonl has their ranks",
)
Selected = Annotated[Path, SELECTED]
SelectedOrNone = Annotated[Path | None, SELECTED]
Figure = Annotated[
    Path | None, typer.Option("-o", "--output", help="draw a figure here: .svg or .png")
]
Run = Annotated[
    Path | None, typer.Option("--run", help="the run directory [default: <output>.run]")
]
Report = Annotated[
    Path | None,
    typer.Option(help="write the HTML report here [default: <run>/report.html]"),
]
ReportOrNone = Annotated[
    Path | None, typer.Option("--report", help="write an HTML report here")
]
Columns = Annotated[
    bool,
    typer.Option(
        "--columns", help="add scores and tags to the rows, as columns tacos_..."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="replace a file that tacos did not write"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]

# How many rows, and which.
SIZE = (
    "rows (500), a share of the pool (10% or 0.1), "
    "or a token budget (2Mtokens; a token is four characters)"
)
SizeOrNone = Annotated[str | None, typer.Option("-n", help=f"{SIZE} [default: 1000]")]
SizeOfRun = Annotated[
    str | None,
    typer.Option("-n", help=f"{SIZE} [default: as many rows as the run selected]"),
]
Strategy = Annotated[str, typer.Option(help=f"one of {', '.join(STRATEGIES)}")]
SCORES = ("score", "grade")
By = Annotated[
    str,
    typer.Option(
        help="rank rows by score (compared rows have one), or by grade (every row has one)"
    ),
]
Fill = Annotated[
    bool, typer.Option("--fill", help="if too few rows are judged, add unjudged ones")
]
Keep = Annotated[
    Path | None,
    typer.Option(
        help="a file of ids or content hashes that must be selected, one per line"
    ),
]
Exclude = Annotated[
    Path | None,
    typer.Option(
        help="a file of ids or content hashes that must not be selected, one per line"
    ),
]
Edits = Annotated[
    Path | None,
    typer.Option(
        help="a file of rows that a person keeps, drops or gives tags, one JSON object per line: "
        "content_hash, decision (keep, drop), tags"
    ),
]

# Quotas and limits.
QUOTA = "=0.3 or =300 is met exactly, '<=30%' or '<=300' is an upper limit; repeatable"
QuotaSource = Annotated[
    list[str] | None,
    typer.Option(
        "--quota-source",
        help=f"how much of the selection comes from an input file: FILE{QUOTA}",
        metavar="FILE=PART",
    ),
]
QuotaTag = Annotated[
    list[str] | None,
    typer.Option(
        "--quota-tag",
        help=f"how much of the selection has a tag: TAG{QUOTA}",
        metavar="TAG=PART",
    ),
]
MatchLength = Annotated[
    bool,
    typer.Option(
        "--match-length",
        help="select the same share from each tenth of the pool by length",
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(
        help="skip near-duplicates: cosine similarity above this to a selected row, e.g. 0.9"
    ),
]

MinCorrectness = Annotated[
    float | None,
    typer.Option(
        help="skip rows whose correctness, by the judge, is below this (1 to 100)"
    ),
]
TagPrice = Annotated[
    float | None,
    typer.Option(
        help="what a new tag is worth, in points of score; 0: only scores count "
        "[default: as in the run]",
        show_default=False,
    ),
]
Clean = Annotated[
    str | None,
    typer.Option(
        help="leave broken, refused and repeated rows out: light or strict (`tacos clean`)"
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        help="leave rows out that contain a prompt of this evaluation set: a file, a URL or a "
        "data set of the hub; repeatable"
    ),
]

Extend = Annotated[
    list[Path] | None,
    typer.Option(
        help="a run whose rows, tags and judgements the data join; repeatable, and then the data "
        "may be left out"
    ),
]
Renew = Annotated[
    bool,
    typer.Option(
        "--renew",
        help="make an extended run's vocabulary and clusters anew over all rows",
    ),
]

# Settings.
Preset = Annotated[
    str, typer.Option(help="robust, or paper: the procedure of the authors of TACOS")
]
Seed = Annotated[int, typer.Option(help="the random seed")]
RunSeed = Annotated[
    int | None,
    typer.Option("--seed", help="the random seed [default: that of the run]"),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="a TOML file of settings")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="stage.key=value, e.g. cluster.k=30; repeatable"),
]
Criteria = Annotated[
    Path | None,
    typer.Option(
        help="a text file of criteria and a rubric, added to the judge's prompt"
    ),
]
Overrides = Annotated[
    Path | None,
    typer.Option(
        help="a TOML or JSON file of your own decisions about tags, applied in this order: "
        'drop = ["a"], keep_apart = [["a", "b"]], [merge] "into" = ["a", "b"], '
        '[rename] "old" = "new"'
    ),
]
Vocabulary = Annotated[
    Path | None,
    typer.Option(
        help="map the tags onto a vocabulary from `tacos tags RUN --publish FILE`"
    ),
]

# The language model.
Url = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="the model that tags and judges: an OpenAI-compatible endpoint "
        "(http://localhost:8000/v1), or a folder of distilled models",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="the model name; without --llm, requested from OPENAI_BASE_URL if set, "
        "otherwise from OpenAI"
    ),
]
Judge = Annotated[
    str | None,
    typer.Option("--judge", help="the language model that judges the answers"),
]
JudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="the judge's server, an OpenAI-compatible endpoint (http://localhost:8000/v1) "
        "[default: OPENAI_BASE_URL if set, otherwise OpenAI]",
        show_default=False,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(help="a hard cap for this command: 5usd, 2Mtokens or 1000requests"),
]
Ledger = Annotated[
    str | None,
    typer.Option(
        help="the file of paid replies, or postgresql://USER@HOST/DATABASE for a ledger that "
        "machines share [default: a file in the user's data folder]",
        metavar="FILE|URL",
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="allow sending data to another machine, and using the ledger's replies of another "
        "endpoint, without asking",
    ),
]

# Training.
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe", help=f"{', '.join(RECIPES)}, or a .toml file", metavar="RECIPE"
    ),
]
RECIPE_VALUE = (
    "a value of the recipe, e.g. epochs=1, max_length=512 or batch_size=16, "
    "which changes its hash"
)
RecipeSets = Annotated[
    list[str] | None, typer.Option("--set", help=f"{RECIPE_VALUE}; repeatable")
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="the model to train: a folder, or a name on the Hugging Face hub "
        "[default: that of the recipe]",
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto (a GPU where there is one), cpu or cuda"),
]
TrainerPython = Annotated[
    str | None,
    typer.Option(
        help="the Python of the training environment [default: TACOS_TRAINER_PYTHON, or "
        ".venv-train, which `make setup-train` makes]",
        show_default=False,
    ),
]

# How it runs.
Until = Annotated[str | None, typer.Option(help="stop after this stage, e.g. tag")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="print what would run, on how many rows and questions; write nothing",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        help="worker processes [default: one per core]", min=0, show_default=False
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        help="memory of all processes, such as 6GB: fewer workers, or no run at all, where more "
        "is forecast"
    ),
]
Engine = Annotated[
    str,
    typer.Option(help="where the work runs: local, or ray (extra ray)"),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="the Ray cluster, such as HOST:6379 or auto [default: one is started here]",
        show_default=False,
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="log to standard error")]
