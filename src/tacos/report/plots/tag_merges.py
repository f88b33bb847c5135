"""Every merge of a run, the most doubtful first, so that a reader finds the wrong ones.

A merge is doubtful where the two names hardly mean the same. How likely they do is estimated as
normalisation itself estimates it (`tacos.methods.tags.tag_likeness`), whatever step merged them: a
language model that says so, a vocabulary, words, vectors, or rows in common. Names that differ in a
language, a number or an opposite have no chance at all; of names with the same stems it is their
cosine. It does not look at the rows: two names for one thing that share no word look doubtful, too.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tacos.counts import count_words
from tacos.methods.tags import merge_steps, semantic_merging, tag_likeness
from tacos.methods.tags.tag_likeness import PairWords
from tacos.methods.tags.tag_pairs import N_DIGITS
from tacos.records import TAG_PAIRS, Encoder
from tacos.report.page_parts import DataTable

N_ESTIMATED = 2_000
"""Merges of different words of which the chance is estimated, those of the most rows: an estimate
takes about a millisecond.
"""
N_LISTED = 5_000
"""Merges that a report lists."""
DOUBTFUL = 0.5
"""A merge is called doubtful where the chance that both names mean the same is below this."""
CLOSE = 0.7
"""Below this chance the merges that a sentence names were close calls."""
N_NAMED = 8
BY_HAND = "by hand"
"""How the reason of a person's override ends."""

MERGES = pl.Schema(
    {
        "raw": pl.String(),
        "canonical": pl.String(),
        "count": pl.Int64(),  # how often the raw tag was given
        "step": pl.String(),  # that moved it last
        "reason": pl.String(),
        "chance": pl.Float64(),  # that both mean the same; null: not estimated
        "difference": pl.String(),  # words of one that the other lacks
        "is_doubtful": pl.Boolean(),
    }
)
"""The columns of `rank_merges`."""


def rank_merges(
    vocabulary: pl.DataFrame,
    encoder: Encoder,
    signs: bool,
) -> pl.DataFrame:
    """Every raw tag that became another one, by `MERGES`, the most doubtful first.

    `vocabulary` is by `tacos.records.VOCABULARY`; `encoder` is the one that the likeness of tags is
    fitted to (`tag_likeness.ENCODER`). Merges by hand are nobody's doubt and come last, behind
    those whose chance is not known.
    """
    merged = pl.col("canonical") != pl.col("raw")
    merges = vocabulary.filter(merged).sort("count", "raw", descending=[True, False])
    pairs = merges.select(left="raw", right="canonical", cosine=pl.lit(0.0))
    words = tag_likeness.read_pairs(pairs.cast(TAG_PAIRS), signs)
    chances = _estimate_chances(merges, words, encoder, signs)
    ranked = merges.select(
        "raw",
        "canonical",
        "count",
        "step",
        "reason",
        chance=chances,
        difference=pl.Series(
            [_describe_difference(pair) for pair in words], dtype=pl.String
        ),
    ).with_columns(
        is_doubtful=(pl.col("chance") < DOUBTFUL).fill_null(value=False),
    )
    return ranked.sort(
        "chance",
        "count",
        "raw",
        descending=[False, True, False],
        nulls_last=True,
    ).cast(MERGES)


def tabulate_merges(merges: pl.DataFrame) -> DataTable:
    """The merges as a table for readers, cut to `N_LISTED`."""
    shown = merges.head(N_LISTED)
    rows = [
        (
            merge["raw"],
            merge["canonical"],
            f"{merge['count']:,}",
            merge["step"],
            _format_chance(merge["chance"]),
            merge["difference"],
            _cut_step(merge["reason"]),
        )
        for merge in shown.iter_rows(named=True)
    ]
    return DataTable(
        (
            "raw tag",
            "became",
            "times given",
            "step",
            "likely the same",
            "words that differ",
            "reason",
        ),
        rows,
        frozenset({2, 4}),
        _describe_part(merges.height),
    )


def describe_merges(merges: pl.DataFrame) -> str:
    """How many merges there are, and how many look doubtful, in a sentence.

    >>> describe_merges(pl.DataFrame(schema=MERGES))
    'No tag was merged into another.'
    """
    if merges.is_empty():
        return "No tag was merged into another."
    # Two spellings of one name that became the same tag are one doubt.
    n_doubtful = _drop_spellings(merges.filter("is_doubtful")).height
    n_unknown = merges["chance"].null_count()
    text = f"{count_words(merges.height, 'raw tag')} became another tag"
    n_variants = sum(map(_is_variant, merges["raw"], merges["canonical"]))
    if n_variants:
        text += f" ({n_variants:,} of them the same one in other capitals or signs)"
    if not n_doubtful:
        text += "; by the words of the two names, none of these merges looks wrong"
    else:
        verb = "looks" if n_doubtful == 1 else "look"
        text += (
            f"; {n_doubtful:,} of the merges {verb} doubtful: by their words the two names are "
            "more likely to mean different things"
        )
    worst = _list_worst(merges)
    if worst.height:
        named = [
            f"{raw} -> {canonical} ({_format_chance(chance)})"
            for raw, canonical, chance in worst.select(
                "raw", "canonical", "chance"
            ).rows()
        ]
        text += f". Least likely to mean the same: {', '.join(named)}"
    if n_unknown:
        text += f". Of {n_unknown:,} it was not estimated (by hand, or of few rows)"
    return text + "."


def _list_worst(merges: pl.DataFrame) -> pl.DataFrame:
    """The merges that a sentence names: one of those that differ in capitals alone."""
    close = merges.filter(pl.col("chance") < CLOSE)
    return _drop_spellings(close).head(N_NAMED)


def _drop_spellings(merges: pl.DataFrame) -> pl.DataFrame:
    """The first of the merges whose names differ in capitals, spaces and signs alone."""
    kept: dict[tuple[str, str], int] = {}
    names = zip(merges["raw"], merges["canonical"], strict=True)
    for place, (raw, canonical) in enumerate(names):
        kept.setdefault((_fold_name(raw), _fold_name(canonical)), place)
    return merges[list(kept.values())]


# Doubts


def _estimate_chances(
    merges: pl.DataFrame,
    words: list[PairWords],
    encoder: Encoder,
    signs: bool,
) -> pl.Series:
    """The chance that the two names of each merge mean the same; null where it is not estimated."""
    chances: list[float | None] = [None] * merges.height
    asked: list[int] = []
    for place, reason in enumerate(merges["reason"]):
        if reason.endswith(BY_HAND):
            continue
        # The most frequent come first.
        if len(asked) < N_ESTIMATED:
            asked.append(place)
    pairs = [words[place] for place in asked]
    estimated = _estimate_pairs(merges[asked], pairs, encoder, signs)
    for place, chance in zip(asked, estimated, strict=True):
        chances[place] = chance
    return pl.Series(chances, dtype=pl.Float64)


def _estimate_pairs(
    merges: pl.DataFrame,
    words: list[PairWords],
    encoder: Encoder,
    signs: bool,
) -> list[float]:
    """The chance of each of some merges, whose words are given."""
    names = pl.concat([merges["raw"], merges["canonical"]]).unique().sort().to_list()
    vectors = merge_steps.encode_phrases(names, encoder, signs)
    numbers = {name: place for place, name in enumerate(names)}
    cosines = semantic_merging.pair_cosines(
        vectors,
        np.array([numbers[name] for name in merges["raw"]], np.int64),
        np.array([numbers[name] for name in merges["canonical"]], np.int64),
    )
    pairs = merges.select(left="raw", right="canonical", cosine=pl.Series(cosines))
    estimated = tag_likeness.estimate_chances(pairs, encoder, signs)
    chances = []
    for pair, chance, cosine in zip(
        words,
        estimated.tolist(),
        cosines.tolist(),
        strict=True,
    ):
        # The likeness is fitted to names whose words have different stems.
        has_same_stems = pair.left.stems == pair.right.stems
        value = min(max(cosine, 0.0), 1.0) if has_same_stems else chance
        chances.append(round(value, N_DIGITS))
    return chances


def _describe_difference(pair: PairWords) -> str:
    """The words of each name that the other one lacks; "" where the words are the same."""
    left = " ".join(pair.left_rest)
    right = " ".join(pair.right_rest)
    if left and right:
        return f"{left} / {right}"
    if left:
        return f"without {left}"
    return f"with {right}" if right else ""


# Texts


def _format_chance(chance: float | None) -> str:
    """A chance as a percentage; "" where it is not known."""
    return "" if chance is None else f"{chance:.0%}"


def _is_variant(raw: str, canonical: str) -> bool:
    """Whether two names differ in nothing but capitals, spaces and signs.

    >>> _is_variant("E-mail writing", "Email Writing"), _is_variant("Poem", "Poems")
    (True, False)
    """
    left, right = _fold_name(raw), _fold_name(canonical)
    return left == right != ""


def _fold_name(name: str) -> str:
    """A name without capitals, spaces and signs."""
    return "".join(filter(str.isalnum, name.casefold()))


def _cut_step(reason: str) -> str:
    """The reason without the name of its step, which stands beside it.

    >>> _cut_step("rules: same words as 'a'; semantic: cosine 0.97 with 'b'")
    "rules: same words as 'a'; semantic: cosine 0.97 with 'b'"
    >>> _cut_step("rules: same words as 'a'")
    "same words as 'a'"
    """
    if "; " in reason:
        return reason
    return reason.partition(": ")[2] or reason


def _describe_part(n_merges: int) -> str:
    """What the table has of all merges."""
    if n_merges <= N_LISTED:
        return f"All {n_merges:,} merges, the most doubtful first"
    return (
        f"{N_LISTED:,} of {n_merges:,} merges, the most doubtful first; tacos tags RUN shows where "
        "any tag went"
    )
