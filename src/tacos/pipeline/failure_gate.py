"""The gate of each stage: stops a run that loses more rows than the settings allow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from tacos.config import Settings
from tacos.errors import FailureRateError
from tacos.pipeline.stage_shapes import PromptStage, Stage, TableStage

N_EXAMPLES = 3
N_RAW_CHARS = 80
REMEDIES = {
    "refused": "Leave out what the model refuses, ask anew (--set llm.ask_refused=true), or use "
    "a model that answers it",
    "HTTP": "Mend what the server complains of",
    "it ": "Use a model that answers in the form it is asked for",
}
"""How the reason of an unusable reply begins -> what to do."""
LINE = re.compile(r"line \d+")
"""How the raw text of a malformed row begins, in a file of lines."""


def check_failure_rate(
    stage: Stage,
    n_all: int,
    failures: pl.DataFrame,
    limit: float,
) -> None:
    """Raise `FailureRateError` if more than `limit` of all rows that a stage read failed, with
    reasons and examples. `n_all` are these rows, duplicates and rows left out too; `failures` are
    the rejects that are failures.
    """
    n_failed = failures.height
    if n_failed <= limit * n_all:
        return

    # One line, since it is the message of an exception: reasons, examples, what to do.
    reasons = Counter(failures["reason"].to_list()).most_common(N_EXAMPLES)
    shows_raw = isinstance(stage, PromptStage)
    counts = []
    for reason, count in reasons:
        examples = _list_examples(failures, reason, shows_raw=shows_raw)
        counts.append(f"{count} x {reason} ({examples})")
    remedy = suggest_remedy(stage, [reason for reason, _ in reasons])
    raise FailureRateError(
        f"stage {stage.name}: {n_failed} of {n_all} rows failed "
        f"({n_failed / n_all:.1%}, the limit is {limit:.1%}): {'; '.join(counts)}. "
        f"{remedy}, or {_suggest_going_on(stage)}"
    )


def _suggest_going_on(stage: Stage) -> str:
    """How to go on all the same."""
    if isinstance(stage, PromptStage) and stage.needs_all:
        return "run the same command again: it asks these anew, and keeps the others"
    section = name_gate_setting(stage)
    return f"continue without these rows: --set {section}.max_failure_rate=..."


def read_failure_limit(stage: Stage, settings: Settings) -> float:
    """The share of rows that may fail in a stage; 0 for stages without a setting for it."""
    section = getattr(settings, name_gate_setting(stage), None)
    return float(getattr(section, "max_failure_rate", 0.0))


def find_settings_section(stage: Stage) -> str:
    """The name of a stage's settings."""
    if isinstance(stage, PromptStage) and stage.section:
        return stage.section
    return stage.name


def name_gate_setting(stage: Stage) -> str:
    """The name of the settings with a stage's `max_failure_rate`."""
    if not isinstance(stage, TableStage) and stage.gate:
        return stage.gate
    return find_settings_section(stage)


def _list_examples(
    failures: pl.DataFrame,
    reason: str,
    *,
    shows_raw: bool,
) -> str:
    """The first rows that failed for a reason: their ids, with the line of the file or, with
    `shows_raw`, the start of the reply.
    """
    rows = failures.filter(pl.col("reason") == reason)
    examples = []
    for row in rows.head(N_EXAMPLES).iter_rows(named=True):
        example = row["id"]
        raw = row["raw"]
        line = LINE.match(raw)
        if shows_raw and raw:
            example += f": {raw[:N_RAW_CHARS]!r}"
        elif line:
            example += f", {line[0]}"
        examples.append(example)
    listed = "; ".join(examples)
    n_more = rows.height - len(examples)
    return f"{listed} and {n_more} more" if n_more > 0 else listed


def suggest_remedy(stage: Stage, reasons: Sequence[str]) -> str:
    """What a user can do about rows that failed for these reasons, the most frequent one first."""
    if not isinstance(stage, PromptStage):
        return "Fix the input"
    if any("limit of tokens" in reason for reason in reasons):
        section = find_settings_section(stage)
        return f"Allow longer answers (--set {section}.max_tokens=...)"
    first = next(iter(reasons), "")
    for start, remedy in REMEDIES.items():
        if first.startswith(start):
            return remedy
    return "Use another model"
