"""How reliable the scores are that a selection goes by, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import comparisons, judge_reliability
from tacos.models import close_judge, judge
from tacos.models.judge import EmbeddedJudge
from tacos.records import Table

ASSUMED = 0.5
"""In place of a reliability that is not known. A bound tells no more than that it is not higher, so
it counts for at most this: a bound of 97% would leave tags hardly any weight.
"""
AS_SET = "set in judge.reliability"
OF_CARD = "measured on graded rows that the judge had not seen"
OF_VERDICTS = "at most, by its flips, repeats and contradictions"
OF_REPEATS = "at most, by its repeated grades"
OF_INPUT = "the scores come with the data"
RESERVED = frozenset({"", "embedded", "llm"})
"""Names of judges that never mean a folder, even where there is one."""
NOT_MEASURED = "never measured for this judge"
NOT_THIS_VERSION = "the judge is another one today than the one that gave the scores"


class Reliability(NamedTuple):
    """`value`: the share of the variance of reference grades that the scores explain, 0..1, None if
    it is not known. `basis` says what it rests on.
    """

    value: float | None
    basis: str

    @property
    def is_bound(self) -> bool:
        """Whether it comes from the judge's own verdicts, which tell only an upper bound."""
        return self.basis in {OF_VERDICTS, OF_REPEATS}

    @property
    def weight(self) -> float:
        """The reliability that a selection goes by; an upper bound is no estimate of it."""
        if self.value is None:
            return ASSUMED
        return min(self.value, ASSUMED) if self.is_bound else self.value


def find_reliability(
    tables: Mapping[str, Table],
    settings: Settings,
    scores: pl.LazyFrame,
) -> Reliability:
    """The reliability of `scores`, a table SCORES that the judge of these tables and settings made.

    `tables` may be under plain names or under those of a run.
    """
    wanted = settings.judge.reliability
    if wanted != "auto":
        return Reliability(wanted, AS_SET)
    if settings.ingest.score:
        return Reliability(None, OF_INPUT)
    if _find_model(tables, "close_grades") == close_judge.NAME:
        return _read_own_card(
            close_judge.load_without_reader(),
            [tables["close_grades"]],
        )
    scoring = _name_scoring_model(tables)
    for embedded in _list_embedded_judges(settings):
        if embedded.name == scoring:
            return _read_own_card(embedded, _list_scoring_tables(tables))
    if "error" in scores.collect_schema().names():
        errors = scores.select("score", "error", "component").collect()
        from_errors = judge_reliability.estimate_from_errors(errors)
        if from_errors is not None:
            return Reliability(from_errors, OF_VERDICTS)
    if settings.judge.mode == "singleton" and "grades" in tables:
        grades = comparisons.combine_grades(
            tables["grades"].scan().collect(),
            settings.judge.target,
        )
        from_repeats = judge_reliability.estimate_from_repeats(grades)
        if from_repeats is not None:
            return Reliability(from_repeats, OF_REPEATS)
    return Reliability(None, NOT_MEASURED)


def find_grade_reliability(tables: Mapping[str, Table]) -> Reliability:
    """The reliability of the cheap grades that fill a shortlist: that of the embedded judge's card,
    or unknown.
    """
    shipped = judge.load()
    if _find_model(tables, "grades") == shipped.name:
        return _read_own_card(shipped, [tables["grades"]])
    return Reliability(None, NOT_MEASURED)


def list_held_out_shares(
    tables: Mapping[str, Table], settings: Settings, reliability: Reliability
) -> list[float]:
    """The reliability on each data set of the card that `reliability` is from, none if it is from
    no card, or if that is the card of another judge today.
    """
    if not reliability.basis.startswith(OF_CARD):
        return []
    if _find_model(tables, "close_grades") == close_judge.NAME:
        cards = [close_judge.load_without_reader()]
    else:
        cards = _list_embedded_judges(settings)
    for embedded in cards:
        if _read_card(embedded) == reliability:
            by_kind = embedded.reliability
            return [share for kind, share in by_kind.items() if kind != "all"]
    return []


def _name_scoring_model(tables: Mapping[str, Table]) -> str | None:
    """The model that gave the scores: it compared rows or, if nothing did, graded them.

    None for several models.
    """
    scoring = _list_scoring_tables(tables)
    names = {getattr(table, "model", None) for table in scoring}
    return names.pop() if len(names) == 1 else None


def _list_scoring_tables(tables: Mapping[str, Table]) -> list[Table]:
    """The verdicts or, without any, the grades."""
    comparing = [table for name, table in tables.items() if _plain(name) == "verdicts"]
    grading = [table for name, table in tables.items() if name == "grades"]
    return comparing or grading


def _read_own_card(embedded: EmbeddedJudge, scoring: Sequence[Table]) -> Reliability:
    """The reliability on the card of a judge, if it is still the one that gave the scores.

    Tables of earlier versions do not say which one that was; then its name must do.
    """
    own = embedded.fingerprint
    for table in scoring:
        maker: str | None = getattr(table, "fingerprint", None)
        # What the close judge reads samples with comes after its own part.
        if maker is not None and maker != own and not maker.startswith(f"{own}-"):
            return Reliability(None, NOT_THIS_VERSION)
    return _read_card(embedded)


def _find_model(tables: Mapping[str, Table], name: str) -> str | None:
    """The name of the model that made a table, if there is one."""
    return getattr(tables.get(name), "model", None)


def _plain(name: str) -> str:
    """The name of an artifact without its round."""
    return name.partition("/")[0]


def _list_embedded_judges(settings: Settings) -> list[EmbeddedJudge]:
    """The shipped judge, and the one in a folder that the settings name."""
    folders = [Path(name) for name in settings.judge.panel if name not in RESERVED]
    distilled = [judge.load(folder) for folder in folders if folder.is_dir()]
    return [judge.load(), *distilled]


def _read_card(embedded: EmbeddedJudge) -> Reliability:
    """The reliability of an embedded judge over all kinds of data."""
    by_kind = embedded.reliability
    if "all" not in by_kind:
        return Reliability(None, NOT_MEASURED)
    of_sets = [share for kind, share in by_kind.items() if kind != "all"]
    basis = OF_CARD
    if of_sets:
        # One figure would hide how much it depends on the data.
        basis += f": {min(of_sets):.0%} to {max(of_sets):.0%} by data set"
    return Reliability(by_kind["all"], basis)
