"""Options that commands share, and how they become settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tacos import config
from tacos.config import Settings
from tacos.errors import ConfigError

Data = Annotated[
    list[str],
    typer.Argument(
        help="one or several files (.json .jsonl .csv .parquet, plain, .gz or .zst), or - for standard input"
    ),
]
SIZE = "rows (500), a share of the pool (10% or 0.1) or a token budget (2Mtokens; four characters are a token)"
N = Annotated[str | None, typer.Option("-n", help=f"{SIZE} [default: 1000]")]
Size = Annotated[str, typer.Option("-n", help=SIZE)]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="where to write them; the suffix decides the container"),
]
AnyOutput = Annotated[
    Path | None, typer.Option("-o", "--output", help="where to write them, if anywhere")
]
Run = Annotated[
    Path | None, typer.Option("--run", help="the run directory [default: <output>.run]")
]
Preset = Annotated[str, typer.Option(help="robust, or paper: the procedure of the TACOS authors")]
Seed = Annotated[int, typer.Option(help="random state")]
RunSeed = Annotated[
    int | None, typer.Option("--seed", help="random state  [default: the run's own]")
]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="a TOML file with settings")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="stage.key=value, e.g. cluster.k=30; may be repeated"),
]
Keep = Annotated[
    Path | None,
    typer.Option(help="file of ids or content hashes that must be selected, one per line"),
]
Exclude = Annotated[
    Path | None, typer.Option(help="file of ids or content hashes that must not be selected")
]
Fill = Annotated[
    bool, typer.Option("--fill", help="take unjudged rows where fewer are judged than asked for")
]
PART = "=0.3 or =300 is met exactly, '<=30%' or '<=300' is a limit; may be repeated"
QuotaSource = Annotated[
    list[str] | None,
    typer.Option(
        "--quota-source",
        help=f"the part of an input file in the selection: FILE{PART}",
        metavar="FILE=PART",
    ),
]
QuotaTag = Annotated[
    list[str] | None,
    typer.Option(
        "--quota-tag", help=f"the part of rows that carry a tag: TAG{PART}", metavar="TAG=PART"
    ),
]
MatchLength = Annotated[
    bool,
    typer.Option(
        "--match-length", help="each tenth of the pool by length has a tenth of the selection"
    ),
]
Limit = Annotated[
    float | None,
    typer.Option(
        help="turn near duplicates away: rows whose cosine to a row taken is above this, e.g. .9"
    ),
]
Columns = Annotated[
    bool,
    typer.Option("--columns", help="write scores and tags into columns of the rows (tacos_...)"),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--llm",
        help="what tags and judges: an OpenAI-compatible endpoint (http://localhost:8000/v1), or a folder of models",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="the endpoint's model; without --llm, at OPENAI_BASE_URL or OpenAI's own"),
]
Budget = Annotated[
    str | None, typer.Option(help="a hard cap for this command: 5usd, 2Mtokens or 1000requests")
]
Ledger = Annotated[
    Path | None, typer.Option(help="where paid replies are kept [default: the user's data folder]")
]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask before data goes to another machine")]
Criteria = Annotated[
    Path | None,
    typer.Option(
        help="a text file with your own criteria and rubric for the judge, put into its prompt"
    ),
]
Overrides = Annotated[
    Path | None,
    typer.Option(
        help="a TOML or JSON file of what you decide about tags by hand, in this order: "
        'drop = ["a"], keep_apart = [["a", "b"]], [merge] "into" = ["a", "b"], [rename] "old" = "new"'
    ),
]
Vocabulary = Annotated[
    Path | None,
    typer.Option(help="a vocabulary from `tacos tags RUN --publish FILE`, to map the tags onto"),
]
Until = Annotated[str | None, typer.Option(help="stop after this stage, e.g. tag")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="say what would run, on how many rows and questions; write nothing"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print the summary as JSON")]
Report = Annotated[
    Path | None, typer.Option(help="where to write the HTML report [default: <run>/report.html]")
]
Workers = Annotated[int, typer.Option(help="worker processes [default: all cores]", min=0)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="log to standard error")]


def load_criteria_settings(file: Path | None) -> dict[str, Any]:
    """The settings that a criteria file makes."""
    return {} if file is None else {"judge": {"criteria_file": str(file)}}


def load_normalise_settings(
    overrides: Path | None, vocabulary: Path | None = None
) -> dict[str, Any]:
    """The settings that an override file and a vocabulary make."""
    files = {"overrides_file": overrides, "vocabulary_file": vocabulary}
    given = {name: str(file) for name, file in files.items() if file is not None}
    return {"normalise": given} if given else {}


def parse_limits(
    sources: list[str] | None, tags: list[str] | None, match_length: bool, limit: float | None
) -> dict[str, Any]:
    """The limits that were given, as settings of the selection (and as arguments of
    `api.limits_from`).
    """
    given = {
        "per_source": _parse_quotas("--quota-source", sources),
        "per_tag": _parse_quotas("--quota-tag", tags),
        "match_length": match_length or None,
        "limit": limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def _parse_quotas(option: str, given: Sequence[str] | None) -> dict[str, str] | None:
    """Name -> part; `ConfigError` for what has another form."""
    found: dict[str, str] = {}
    for text in given or ():
        form = re.fullmatch(r"(.+?)=?(<=|=)([^=]*)", text.strip(), re.DOTALL)
        if not form or not form[3].strip():
            raise ConfigError(
                f"{option} {text!r} is not of the form NAME=0.3, NAME=300 or 'NAME<=30%'"
            )
        name = form[1].strip()
        if name in found:
            raise ConfigError(f"{option}: {name!r} has two quotas")
        found[name] = ("<=" if form[2] == "<=" else "") + form[3].strip()
    return found or None


def build_settings(
    preset: str, file: Path | None, sets: list[str] | None, endpoint: dict[str, Any], **top: Any
) -> Settings:
    """Settings from the options; `endpoint` has url, model, budget (None: not given)."""
    if endpoint.get("url") and Path(endpoint["url"]).is_dir():
        return config.load_settings(
            preset, file, sets or (), under=_folder_model_settings(endpoint), **top
        )
    given = {
        "base_url": endpoint.get("url"),
        "model": endpoint.get("model"),
        "budget": endpoint.get("budget"),
    }
    llm = {name: value for name, value in given.items() if value is not None}
    asks = (
        {"tag": {"model": "llm"}, "judge": {"model": "llm"}}
        if "base_url" in llm or "model" in llm
        else {}
    )
    return config.load_settings(
        preset, file, sets or (), under=config.merge_layers(asks, {"llm": llm}), **top
    )


def _folder_model_settings(endpoint: dict[str, Any]) -> dict[str, Any]:
    """The settings that a folder of distilled models makes, in place of an endpoint."""
    folder = endpoint["url"]
    if endpoint.get("model"):
        raise ConfigError(f"--llm {folder} is a folder and has no model to name: leave out --model")
    return {"tag": {"model": folder}, "judge": {"model": folder}}


def check_choice(name: str, value: str, known: Sequence[str]) -> Any:
    """`value`, if it is one of those known; else `ConfigError`."""
    if value not in known:
        raise ConfigError(f"{name} {value}: there are {', '.join(known)}")
    return value
