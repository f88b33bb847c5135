"""Duels judged through the ledger: what `tacos duel` and experiments share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from tacos.config import Settings
from tacos.counts import count_words
from tacos.errors import IncompleteError
from tacos.llm.ledger.location import LedgerLocation
from tacos.methods.evaluating import duel_questions
from tacos.methods.evaluating.duel_summary import JudgedDuel, describe_duel
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.pipeline.model_factory import list_endpoint_models
from tacos.pipeline.run_loop import Progress
from tacos.workflows.evaluated_models import ASK_REFUSED, has_refusals
from tacos.workflows.judging import judge_table
from tacos.workflows.selection import Selection

STAGE = "duel"
OR_COUNT = ", or count the others with --allow-missing"
N_SHOWN = 5
"""Missing questions, and reasons, that an error names."""
Pairs = Sequence[tuple[AnsweredQuestion, AnsweredQuestion]]


class JudgedPairs(NamedTuple):
    """The duels of pairs of answers, in their order."""

    duels: list[JudgedDuel]
    verdicts: pl.DataFrame
    """By `DUEL_VERDICTS`."""
    reasons: Mapping[str, int]
    """What was wrong with replies that could not be read -> how many."""


def judge_pairs(
    pairs: Pairs,
    settings: Settings,
    ledger: LedgerLocation | None,
    progress: Progress,
    output: Path | None = None,
) -> JudgedPairs:
    """Have the judge of the settings compare every pair in both orders; `output` is the file that
    the command writes, if it does.

    Raises `ConfigError` if no judge is named, `FailureRateError` if it answers hardly anything.
    """
    table = duel_questions.tabulate_pairs(pairs)
    judge = settings.duel.model
    judging = judge_table(STAGE, table, settings, judge, ledger, progress, output)
    return JudgedPairs(
        duels=duel_questions.collect_duels(pairs, judging.rows),
        verdicts=judging.rows,
        reasons=dict(Counter(judging.reasons.values()).most_common()),
    )


def require_all(
    duels: Sequence[JudgedDuel],
    remedy: str,
    reasons: Mapping[str, int] | None = None,
) -> None:
    """Raise `IncompleteError` if an order of a duel has no winner that can be read."""
    missing = [describe_duel(duel) for duel in duels if duel.is_missing]
    if not missing:
        return
    n_more = len(missing) - N_SHOWN
    more = f"; and {n_more:,} more" if n_more > 0 else ""
    names = "; ".join(missing[:N_SHOWN]) + more
    counts = [f"{count:,} x {reason}" for reason, count in (reasons or {}).items()]
    why = f", since {'; '.join(counts[:N_SHOWN])}" if counts else ""
    raise IncompleteError(
        f"{len(missing):,} of {count_words(len(duels), 'duel')} without a readable verdict in "
        f"both orders ({names}){why}: {remedy}"
    )


def suggest_remedy(reasons: Mapping[str, int]) -> str:
    """What to do about replies that could not be read, for these reasons."""
    if has_refusals(reasons):
        return f"{ASK_REFUSED}, or use a judge that does not refuse them (--judge)"
    return "run the same command again, which asks only these anew"


def list_circles(
    judge: str,
    duels: Sequence[JudgedDuel],
    runs: Sequence[Selection],
) -> list[str]:
    """What the judge had to do with the answers, or with the runs that chose the training data."""
    # A server may say more exactly which model answered.
    served = {name for duel in duels for name in duel.judge.split(", ")}
    names = {judge, *served}
    circles = [
        f"{name} judges answers that it gave itself"
        for name in sorted(names.intersection(duels[0].models))
    ]
    for done in runs:
        for stage, models in list_endpoint_models(done.settings).items():
            circles += [
                f"{name} judges these answers, and was the model of stage {stage} of {done.run}: "
                "it may favour what it has chosen itself"
                for name in sorted(names.intersection(models))
            ]
    return circles
