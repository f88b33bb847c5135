"""Towards what a judge is biased, in sentences that a reader without statistics understands.

What it does not know: who is right. A liking for length may be deserved, and a judge without any
of these faults may still be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from tacos.methods.judging.comparisons import combine_verdicts
from tacos.methods.measures.value_shares import bound_share
from tacos.report.report_input import ReportInput

Mark = Literal["bias", "fine", "unknown"]
CHANCE_OF_CIRCLES = 0.25
WEAK = 0.1
"""From this rank correlation on, something is said to lean; below, not."""
WORDS = ((0.6, "strongly"), (0.3, "clearly"), (WEAK, "slightly"))
"""Rank correlations, and how strong they are called (after Cohen 1988, section 3.2)."""


@dataclass(frozen=True)
class Finding:
    """One question about the judge, and its answer."""

    question: str
    mark: Mark
    sentence: str


def describe_bias(source: ReportInput) -> list[Finding]:
    """What is known of the judge's faults, the order of the rows first; without place and length
    where `tacos.report.judge_tastes` tells them.
    """
    if not source.summary.diagnostics:
        return list(_describe_grader(source))
    diagnostics = source.summary.diagnostics
    findings = []
    # What the tastes tell in points is not told a second time.
    if "place" not in source.summary.tastes:
        findings.append(_describe_position(diagnostics))
    if "length" not in source.summary.tastes:
        verdicts = _read_verdicts(source)
        findings.append(_describe_length(diagnostics, verdicts, source))
    return [
        *findings,
        _describe_flips(diagnostics),
        _describe_circles(diagnostics),
        _describe_collapse(diagnostics),
        *_describe_missing(diagnostics),
    ]


def _read_verdicts(source: ReportInput) -> pl.DataFrame:
    """All verdicts, over all rounds."""
    rounds = [
        artifact.scan()
        for name, artifact in source.artifacts.items()
        if name.startswith("verdicts/")
    ]
    return combine_verdicts(pl.concat(rounds).collect(), source.settings.judge.target)


# A judge that compares


def _describe_position(diagnostics: Mapping[str, Any]) -> Finding:
    """Whether the row shown first wins more or less often than half of the time."""
    question = "Does it favour the row shown first?"
    share, n = _unpack(diagnostics["first_share"])
    if share is None:
        return Finding(
            question,
            "unknown",
            "It sees one row at a time, so it cannot see which one stands first.",
        )
    low, high = bound_share(round(share * n), n)
    won = (
        f"the row shown first wins {share:.1%} of {n:,} verdicts with a winner "
        f"(95%: {low:.1%} to {high:.1%}; fair is 50%)"
    )
    if low <= 0.5 <= high:
        return Finding(question, "fine", f"No: {won}.")
    place = "first" if share > 0.5 else "second"
    return Finding(
        question,
        "bias",
        f"Yes, it is biased towards the row shown {place}: {won}. Pairs that are asked in both "
        "orders cancel this out; a close pair may still be decided by it.",
    )


def _describe_length(
    diagnostics: Mapping[str, Any],
    verdicts: pl.DataFrame,
    source: ReportInput,
) -> Finding:
    """How far its verdicts follow the length of the answers."""
    question = "Does it favour long answers?"
    correlation, n = _unpack(diagnostics["length_correlation"])
    longer_won, n_decided = _count_longer_wins(verdicts, source)
    wins = ""
    if n_decided:
        low, high = bound_share(longer_won, n_decided)
        wins = (
            f"the longer answer of a pair wins {longer_won / n_decided:.1%} of {n_decided:,} "
            f"verdicts (95%: {low:.1%} to {high:.1%}; 50% if length did not matter)"
        )
    if correlation is None:
        return Finding(question, "unknown", f"Not known: too few rows. {wins}".strip())
    basis = (
        f"rank correlation of its scores with length {correlation:.2f} over {n:,} rows"
    )
    strength = _name_strength(correlation)
    if not strength:
        return Finding(question, "fine", f"Hardly: {_join(wins, basis)}.")
    favoured = "long" if correlation > 0 else "short"
    return Finding(
        question,
        "bias",
        f"It leans {strength} towards {favoured} answers: {_join(wins, basis)}. Whether such "
        "answers are better, its verdicts cannot tell.",
    )


def _count_longer_wins(verdicts: pl.DataFrame, source: ReportInput) -> tuple[int, int]:
    """Verdicts that the longer answer wins, and verdicts with a winner and a longer answer."""
    lengths = source.pool.select("id", pl.col("length").cast(pl.Int64))
    sides = {name: source.codes.encode(verdicts[name]) for name in ("left", "right")}
    table = (
        verdicts.with_columns(**sides)
        .join(lengths, left_on="left", right_on="id")
        .join(lengths, left_on="right", right_on="id", suffix="_of_right")
    )
    longer = (pl.col("length") - pl.col("length_of_right")).sign()
    winner = (pl.col("score_left") - pl.col("score_right")).sign().cast(pl.Int64)
    decided = table.select(longer=longer, winner=winner).drop_nulls()
    decided = decided.filter(pl.col("longer") != 0, pl.col("winner") != 0)
    return int((decided["longer"] == decided["winner"]).sum()), decided.height


def _describe_flips(diagnostics: Mapping[str, Any]) -> Finding:
    """How often the winner changes when the rows change places."""
    question = "Does it contradict itself?"
    flips, n = _unpack(diagnostics["flip_rate"])
    if flips is None:
        return Finding(
            question,
            "unknown",
            "It cannot: it gives each row a score of its own, whatever stands beside it.",
        )
    ties, n_verdicts = _unpack(diagnostics["tie_rate"])
    one_sided, _ = _unpack(diagnostics["one_sided_tie_rate"])
    text = (
        f"the winner changes with the order in {flips:.1%} of {n:,} pairs that were asked in both "
        f"orders (a coin: 50%)"
    )
    if one_sided:
        text += f", and {one_sided:.1%} of them are a tie in one order only"
    if ties is not None:
        text += f"; {ties:.1%} of {n_verdicts:,} verdicts are ties"
    # A fifth of flips is what good judges of close answers have (MT-Bench, arXiv 2306.05685).
    is_much = flips > 0.2
    start = "Often" if is_much else "Rarely" if flips < 0.1 else "Sometimes"
    return Finding(question, "bias" if is_much else "fine", f"{start}: {text}.")


def _describe_circles(diagnostics: Mapping[str, Any]) -> Finding:
    """How often three rows beat each other in a circle."""
    question = "Do its verdicts fit together?"
    circles, n = _unpack(diagnostics["violation_rate"])
    if circles is None:
        text = "Not known: no three rows were all compared with each other."
        return Finding(question, "unknown", text)
    text = (
        f"of {n:,} triples of rows, {circles:.1%} go in a circle (a beats b, b beats c, "
        f"c beats a); chance would give {CHANCE_OF_CIRCLES:.0%}"
    )
    is_bad = circles > CHANCE_OF_CIRCLES / 2
    return Finding(
        question,
        "bias" if is_bad else "fine",
        f"{'Badly' if is_bad else 'Yes'}: {text}.",
    )


def _describe_collapse(diagnostics: Mapping[str, Any]) -> Finding:
    """Whether its scores tell rows apart."""
    question = "Do its scores tell rows apart?"
    share, n = _unpack(diagnostics["top_score_share"])
    if share is None:
        return Finding(question, "unknown", "Not known: too few scores.")
    text = f"its most common score makes up {share:.1%} of {n:,} scores"
    if diagnostics["collapsed"]:
        return Finding(question, "bias", f"No, nearly all are the same: {text}.")
    numbers, n_rows = _unpack(diagnostics["number_correlation"])
    if numbers is not None:
        text += (
            f"; value and correctness go together at a rank correlation of {numbers:.2f} over "
            f"{n_rows:,} rows (near 1, it gives one number twice)"
        )
    return Finding(question, "fine", f"Yes: {text}.")


def _describe_missing(diagnostics: Mapping[str, Any]) -> Iterator[Finding]:
    """Verdicts that were asked for and did not come."""
    n_missing = diagnostics["n_missing"]
    if not n_missing:
        return
    n_asked = diagnostics["n_verdicts"] + n_missing
    yield Finding(
        "Did it answer?",
        "bias" if n_missing > n_asked / 20 else "fine",
        f"{n_missing:,} of {n_asked:,} verdicts are missing ({n_missing / n_asked:.1%}): what came "
        "could not be used. Were they of one kind of row, its scores would miss that kind.",
    )


# A judge that sees one row at a time


def _describe_grader(source: ReportInput) -> Iterator[Finding]:
    """The faults of a judge that grades rows one by one, as far as its scores show them."""
    yield Finding(
        "Does it favour the row shown first?",
        "fine",
        "It cannot: it sees one row at a time.",
    )
    for name, figures in source.summary.scores.items():
        correlation, n = _unpack(figures["length_correlation"])
        question = "Does it favour long answers?"
        if name != "score":
            question = f"Does its {name} follow length?"
        if correlation is None:
            yield Finding(
                question, "unknown", "Not known: too few rows, or no difference."
            )
            continue
        basis = (
            f"rank correlation of {name} and length {correlation:.2f} over {n:,} rows"
        )
        strength = _name_strength(correlation)
        if not strength:
            yield Finding(question, "fine", f"Hardly: {basis}.")
            continue
        favoured = "long" if correlation > 0 else "short"
        yield Finding(
            question,
            "bias",
            f"It leans {strength} towards {favoured} answers: {basis}. Whether such answers are "
            "better, its scores cannot tell.",
        )


# Words


def _unpack(figure: Mapping[str, Any]) -> tuple[float | None, int]:
    """The value of a measurement (None: it cannot be told), and what it rests on."""
    return figure["value"], figure["n"]


def _name_strength(correlation: float) -> str:
    """How strong a rank correlation is called; "" where it is next to none."""
    for least, word in WORDS:
        if abs(correlation) >= least:
            return word
    return ""


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
