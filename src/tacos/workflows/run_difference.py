"""What two runs have in common and what not: `tacos runs compare`, and the page.

Rows are told apart by what they say (`content_hash`), not by where they stand, so runs over
different files can be compared. Coverage is that of each run's own vocabulary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tacos.errors import InputError
from tacos.methods.measures.value_shares import count_value_shares
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.report.figure_texts import SUMMARY_FIGURES
from tacos.report.spending_figures import sum_dollars
from tacos.workflows.selection import GivenRun, Selection, load

FEWEST = 3
"""Rows below which no correlation is told."""


@dataclass(frozen=True)
class SettingDifference:
    """A setting that differs; None where one of the runs has no such setting."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class RunDifference:
    """Two runs side by side. Pairs are (first, second)."""

    runs: tuple[str, str]
    """The run directories."""
    settings: tuple[SettingDifference, ...]
    n_pool: tuple[int, int]
    """Usable rows."""
    n_pool_both: int
    """Different rows that both pools have."""
    n_selected: tuple[int, int]
    both: tuple[str, ...]
    """Content hashes of the rows that both selected, in the order of the first one's ranks."""
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    by_chance: float | None
    """Rows that two random selections of these sizes would share; None where the pools differ."""
    score_correlation: float | None
    """Rank correlation (Spearman) of the scores of the rows that both rated; None below three."""
    n_rated_both: int
    figures: dict[str, tuple[float | None, float | None]]
    """Figure -> both values: see `tacos.methods.measures.selection_figures`."""
    sources: dict[str, tuple[float, float]]
    """Input file -> its share of each selection."""
    usd: tuple[float | None, float | None]
    """What each run cost; None where a price is not known, 0 where nothing was paid for."""
    seconds: tuple[float, float]
    verdicts: tuple[dict[str, Any], dict[str, Any]]
    """Whether each is better than random: see `tacos.report.better_than_random`."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_runs(run: GivenRun, other: GivenRun) -> RunDifference:
    """Compare two finished runs, or selections.

    Raises:
        InputError: One of them has no selection.
        RunError: A directory holds no run.
        TypeError: One of them is neither a path nor a selection.
    """
    first, second = load(run), load(other)
    for each in (first, second):
        if "selection" not in each.artifacts:
            raise InputError(
                f"{each.run} has no selection to compare: run the same command without --until"
            )
    hashes = [each.table["content_hash"].to_list() for each in (first, second)]
    sets = [frozenset(each) for each in hashes]
    pools = [_read_pool(each) for each in (first, second)]
    n_pool_both = _count_common(pools[0], pools[1])
    correlation, n_rated = _correlate_scores(pools[0], pools[1])
    summaries = (first.summary, second.summary)
    figures = [summary.selection["selection"] for summary in summaries]
    return RunDifference(
        runs=(str(first.run), str(second.run)),
        settings=_list_setting_differences(first, second),
        n_pool=(pools[0].height, pools[1].height),
        n_pool_both=n_pool_both,
        n_selected=(len(hashes[0]), len(hashes[1])),
        both=tuple(each for each in hashes[0] if each in sets[1]),
        only_first=tuple(each for each in hashes[0] if each not in sets[1]),
        only_second=tuple(each for each in hashes[1] if each not in sets[0]),
        by_chance=_expect_overlap(pools, n_pool_both, len(hashes[0]), len(hashes[1])),
        score_correlation=correlation,
        n_rated_both=n_rated,
        figures={
            name: (figures[0][name], figures[1][name]) for name in SUMMARY_FIGURES
        },
        sources=_compare_sources(first, second, pools),
        usd=(sum_dollars(summaries[0].spending), sum_dollars(summaries[1].spending)),
        seconds=(summaries[0].total_seconds, summaries[1].total_seconds),
        verdicts=(summaries[0].verdict, summaries[1].verdict),
    )


def _read_pool(done: Selection) -> pl.DataFrame:
    """id, content_hash, source and score (null: not rated) of every usable row."""
    columns = ("id", "content_hash", "source")
    samples = done.artifacts["samples"].scan().select(columns).collect()
    newest = find_newest_scores(done.artifacts)
    if newest is None:
        return samples.with_columns(score=pl.lit(None, pl.Float64))
    # The preset paper scores a row once in each of its clusters.
    scores = done.artifacts[newest].scan().group_by("id").agg(pl.col("score").mean())
    return samples.join(scores.collect(), on="id", how="left", maintain_order="left")


def _count_common(pool: pl.DataFrame, other: pl.DataFrame) -> int:
    """Different rows that both have."""
    own = pool.select("content_hash").unique()
    return own.join(other, on="content_hash", how="semi").height


def _correlate_scores(
    pool: pl.DataFrame, other: pl.DataFrame
) -> tuple[float | None, int]:
    """Spearman's correlation over the rows that both rated, and their number."""
    rated = pool.drop_nulls("score").unique("content_hash", maintain_order=True)
    also = other.drop_nulls("score").unique("content_hash", maintain_order=True)
    both = rated.join(also, on="content_hash", suffix="_other")
    if both.height < FEWEST:
        return None, both.height
    correlation = both.select(pl.corr("score", "score_other", method="spearman")).item()
    # Scores that are all the same have no ranks.
    if correlation is None or correlation != correlation:
        return None, both.height
    return float(correlation), both.height


def _expect_overlap(
    pools: list[pl.DataFrame], n_pool_both: int, n: int, n_other: int
) -> float | None:
    """Rows that two random draws share, where both were drawn from the same rows."""
    n_rows = pools[0].height
    if not n_pool_both == n_rows == pools[1].height:
        return None
    return n * n_other / n_rows


def _compare_sources(
    first: Selection, second: Selection, pools: list[pl.DataFrame]
) -> dict[str, tuple[float, float]]:
    """Source -> its share of each selection, the largest first."""
    shares = []
    for done, pool in zip((first, second), pools, strict=True):
        taken = pool.filter(pl.col("id").is_in(done.table["id"].implode()))
        shares.append(count_value_shares(taken, "source"))
    names = sorted(
        {*shares[0], *shares[1]},
        key=lambda name: (-shares[0].get(name, 0.0), str(name)),
    )
    return {
        str(name): (shares[0].get(name, 0.0), shares[1].get(name, 0.0))
        for name in names
    }


def _list_setting_differences(
    first: Selection, second: Selection
) -> tuple[SettingDifference, ...]:
    """The settings that differ, by name; those of `tacos reselect` begin with `reselect`."""
    own = _flatten_settings(first)
    others = _flatten_settings(second)
    return tuple(
        SettingDifference(name, own.get(name), others.get(name))
        for name in sorted({*own, *others})
        if own.get(name) != others.get(name)
    )


def _flatten_settings(done: Selection) -> dict[str, Any]:
    """`section.key` -> value; nested tables and lists stay values."""
    flat: dict[str, Any] = {}
    for section, values in done.settings.model_dump(mode="json").items():
        if not isinstance(values, dict):
            flat[section] = values
            continue
        for key, value in values.items():
            flat[f"{section}.{key}"] = value
    selection = done.artifacts["selection"].manifest
    if selection["stage"] == "reselect":
        for key, value in selection["settings"].items():
            flat[f"reselect.{key}"] = value
    return flat
