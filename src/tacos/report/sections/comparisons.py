"""Comparisons with the judge's own words: pairs where both orders agree, and pairs that flip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from tacos.methods.judging.comparisons import combine_verdicts
from tacos.methods.samples.last_question import find_last_question
from tacos.report.judge_words import describe_reason, name_judge
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput

N_EACH = 4
"""Pairs of each kind that are shown."""
MAX_TEXT = 700
"""Characters shown of a question and of an answer."""
MAX_REASON = 500


@dataclass(frozen=True)
class Verdict:
    """What a judge said of a pair in one order; scores are of the rows of `Comparison.rows`."""

    first: str
    """The name of the row that was shown first."""
    scores: tuple[str, str]
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Two rows, and what a judge said of them in each order."""

    judge: str
    rows: tuple[dict[str, Any], dict[str, Any]]
    """id, question, response, is_selected of the left and of the right row."""
    verdicts: tuple[Verdict, ...]


def build_comparisons(source: ReportInput) -> Section | None:
    """Some pairs of each kind; None for a run that compared nothing."""
    names = [name for name in source.artifacts if name.startswith("verdicts/")]
    if not names:
        return None
    rounds = [source.artifacts[name].scan() for name in names]
    verdicts = combine_verdicts(
        pl.concat(rounds).collect(),
        source.settings.judge.target,
    ).drop_nulls(["score_left", "score_right"])
    pairs = _pair_orders(verdicts)
    both = pairs.drop_nulls(["first", "second"])
    agreeing = both.filter(pl.col("first").sign() == pl.col("second").sign())
    flipping = both.filter(pl.col("first").sign() * pl.col("second").sign() == -1)
    values = {
        "kinds": [
            {
                "title": "The order changed the winner",
                "n": flipping.height,
                "shown": _show_pairs(source, verdicts, flipping),
            },
            {
                "title": "Both orders agree",
                "n": agreeing.height,
                "shown": _show_pairs(source, verdicts, agreeing),
            },
        ],
        "n_both": both.height,
        "n_one": pairs.height - both.height,
    }
    return Section("comparisons", "Comparisons in the judge's own words", values)


def _pair_orders(verdicts: pl.DataFrame) -> pl.DataFrame:
    """left, right, judge, with the lead of the left row in the order "ab" (`first`) and in "ba"
    (`second`; null: not asked), over repetitions.
    """
    lead = pl.col("score_left") - pl.col("score_right")
    pairs = verdicts.group_by("left", "right", "judge").agg(
        first=lead.filter(pl.col("order") == "ab").mean(),
        second=lead.filter(pl.col("order") == "ba").mean(),
    )
    return pairs.sort("left", "right", "judge")


def _show_pairs(
    source: ReportInput,
    verdicts: pl.DataFrame,
    pairs: pl.DataFrame,
) -> list[Comparison]:
    """Some pairs, spread evenly from the most to the least decided, of different rows."""
    margin = pl.min_horizontal(pl.col("first").abs(), pl.col("second").abs())
    ordered = pairs.sort(margin, "left", "right", descending=[True, False, False])
    chosen = _spread(ordered)
    ids = [*chosen["left"], *chosen["right"]]
    rows = _read_rows(source, ids)
    shown = []
    for pair in chosen.iter_rows(named=True):
        of_pair = verdicts.filter(
            pl.col("left") == pair["left"],
            pl.col("right") == pair["right"],
            pl.col("judge") == pair["judge"],
        )
        once = of_pair.sort("order", "repetition").unique(
            "order", keep="first", maintain_order=True
        )
        shown.append(
            Comparison(
                name_judge(pair["judge"]),
                (rows[pair["left"]], rows[pair["right"]]),
                tuple(_describe(each) for each in once.iter_rows(named=True)),
            )
        )
    return shown


def _spread(ordered: pl.DataFrame) -> pl.DataFrame:
    """Rows at even distances; those whose samples were shown already give way to their next."""
    places = []
    seen: set[str] = set()
    lefts, rights = ordered["left"].to_list(), ordered["right"].to_list()
    for number in range(N_EACH):
        start = number * ordered.height // N_EACH
        end = (number + 1) * ordered.height // N_EACH
        for place in range(start, end):
            if not seen & {lefts[place], rights[place]}:
                places.append(place)
                seen |= {lefts[place], rights[place]}
                break
    return ordered[places]


def _read_rows(source: ReportInput, ids: list[str]) -> dict[str, dict[str, Any]]:
    """The texts of rows by their id."""
    samples = source.artifacts["samples"].scan().filter(pl.col("id").is_in(ids))
    selected = set(source.rows["id"])
    rows = {}
    columns = samples.select("id", "instruction", "response").collect()
    for entry in columns.iter_rows(named=True):
        rows[entry["id"]] = {
            "id": entry["id"],
            "question": find_last_question(entry["instruction"])[:MAX_TEXT],
            "response": entry["response"][:MAX_TEXT],
            "n_more": max(0, len(entry["response"]) - MAX_TEXT),
            "is_selected": entry["id"] in selected,
        }
    return rows


def _describe(verdict: dict[str, Any]) -> Verdict:
    """A verdict; in the order "ab", the left row is shown first, and the judge calls it A."""
    first = "left" if verdict["order"] == "ab" else "right"
    scores = (f"{verdict['score_left']:.1f}", f"{verdict['score_right']:.1f}")
    return Verdict(first, scores, describe_reason(verdict["reason"])[:MAX_REASON])
