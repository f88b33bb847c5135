"""Names the embedded judge's readable features and turns their values into columns of its model.

Each feature is one number, measured by `tacos.models.response_features`. `FEATURES` lists them in
order, each with its knots and with the direction in which it may move a score. `apply_ramps` turns
the numbers into saturating ramps in [0, 1], the columns of the judge's model, so that no single
feature can run away with a score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Feature(NamedTuple):
    """A feature: its name, its knots, its sign and what it measures.

    The score is a straight line between two neighbouring knots and constant beyond the outer ones.
    `sign` is +1 for a feature that may only raise a score, -1 for one that may only lower it, and 0
    for one that may do both.
    """

    name: str
    knots: tuple[float, ...]
    sign: int
    meaning: str


# Knots that several features share, and the meaning of those that depend on the instruction alone.
ONE = (0.0, 1.0)
SHARE = (0.0, 0.1, 0.3, 0.6, 1.0)
LEVEL = (
    "of the instruction alone: cannot tell two responses to the same instruction apart"
)
FEATURES: tuple[Feature, ...] = (
    # Length
    Feature("says nothing", ONE, -1, "no word, or only 'none', 'n/a', 'no output'"),
    Feature(
        "length", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0, "log2(1 + words) of the response"
    ),
    Feature(
        "length where a label is asked",
        (0, 1, 2, 3, 4, 5, 6, 7),
        0,
        "length, for choices and sums; else 0",
    ),
    Feature(
        "length where a short text is asked",
        (0, 1, 2, 3, 4, 5, 6, 7),
        0,
        "length, for titles and summaries; else 0",
    ),
    Feature(
        "length where prose is asked",
        (2, 3, 4, 5, 6, 7, 8, 9),
        0,
        "length, for letters and stories; else 0",
    ),
    Feature(
        "length where reasons are asked",
        (2, 3, 4, 5, 6, 7, 8, 9),
        0,
        "length, for why, how, describe; else 0",
    ),
    Feature(
        "length against the instruction",
        (-6, -4, -3, -2, -1, 0, 1, 2, 4),
        0,
        "log2 of (1 + words) over (1 + words of the instruction)",
    ),
    Feature(
        "sentence length", (1, 2, 3, 3.7, 4.4, 5, 6), 0, "log2(1 + words per sentence)"
    ),
    Feature(
        "variety of sentence length",
        (0, 1, 2, 3, 4),
        0,
        "log2(1 + standard deviation of words per sentence)",
    ),
    # Layout
    Feature("commas", (0, 0.04, 0.08, 0.12, 0.25), 0, "commas per word"),
    Feature("sentences", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + sentences)"),
    Feature("paragraphs", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + blank lines)"),
    Feature("lines", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + line breaks)"),
    Feature("list items", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + items)"),
    Feature(
        "list asked and given",
        ONE,
        1,
        "marked items where the instruction asks for several things",
    ),
    Feature("lead-in", ONE, 0, "the first line ends with a colon and more follows"),
    Feature(
        "headings and emphasis", (0, 1, 2, 3), 0, "log2(1 + bold marks and headings)"
    ),
    # Ending
    Feature("ends complete", ONE, 1, "the last character closes a sentence"),
    Feature("breaks off", ONE, -1, "a longer text that stops in mid-sentence"),
    Feature(
        "unbalanced marks", ONE, -1, "brackets, quotes or code fences that do not close"
    ),
    Feature(
        "last item a stump",
        ONE,
        -1,
        "the last item of a list lacks the full stop that most others have",
    ),
    # Repetition
    Feature(
        "repeated phrases",
        (0, 0.03, 0.08, 0.15, 0.3, 0.6),
        -1,
        "share of word trigrams seen before",
    ),
    Feature(
        "repeated lines",
        (0, 0.1, 0.25, 0.5, 1),
        -1,
        "share of lines, sentences or items seen before",
    ),
    Feature(
        "same openings",
        (0.2, 0.4, 0.7, 1),
        -1,
        "share of lines and sentences that open like an earlier one",
    ),
    Feature(
        "word variety",
        (0.5, 0.7, 0.8, 0.87, 0.93, 1.0),
        0,
        "log(distinct words) / log(words)",
    ),
    Feature(
        "stuck on a word",
        (0.1, 0.2, 0.3, 0.5),
        -1,
        "share of the most frequent longer word",
    ),
    # Relevance
    Feature(
        "covers the instruction",
        (0, 0.1, 0.25, 0.4, 0.6, 0.8, 1),
        0,
        "share of the instruction's content words that recur",
    ),
    Feature(
        "new content",
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        0,
        "log2(1 + distinct longer words that the instruction lacks)",
    ),
    Feature(
        "closeness of meaning",
        (0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1),
        0,
        "cosine of the embeddings",
    ),
    Feature(
        "echo",
        (0, 0.2, 0.5, 0.8, 1),
        -1,
        "share of 4-grams that are the instruction's, unless it asks for an edit",
    ),
    Feature(
        "input handed back",
        (0.8, 0.9, 1),
        -1,
        "the same, if it asks for an edit or an extract",
    ),
    Feature(
        "restates the question first",
        SHARE,
        0,
        "share of the opening words that are the instruction's",
    ),
    # Compliance with the instruction
    Feature(
        "items asked and given",
        (-3, -2, -1, 0, 1, 2, 3),
        0,
        "log2 of items given per item asked",
    ),
    Feature(
        "number of items met",
        ONE,
        1,
        "exactly as many items as the instruction asks for",
    ),
    Feature(
        "over the word limit", (0, 0.3, 1, 2), -1, "log2 of words per word allowed"
    ),
    # Code and script
    Feature("code asked and given", ONE, 1, "code, as the instruction asks"),
    Feature(
        "code asked, none given",
        ONE,
        -1,
        "no code although the instruction asks for it",
    ),
    Feature(
        "code not asked", ONE, 0, "code although the instruction does not ask for it"
    ),
    Feature(
        "other script",
        ONE,
        -1,
        "another writing system than the instruction's, unless it asks for a translation",
    ),
    # Hygiene
    Feature(
        "small initial",
        ONE,
        -1,
        "starts in lower case, unless a label or a short text is asked",
    ),
    Feature(
        "small sentence starts",
        SHARE,
        -1,
        "share of sentences that start in lower case",
    ),
    Feature(
        "slips of spacing", (0, 1, 2, 3), -1, "log2(1 + stray spaces and doubled marks)"
    ),
    Feature("placeholders", (0, 1, 2, 3), -1, "log2(1 + blanks, [Name], XXX)"),
    Feature("leftovers", ONE, -1, "labels of the prompt such as 'Output:', 'noinput'"),
    # Phrasing
    Feature("refusal", ONE, -1, "declines, or says that it is an AI"),
    Feature("hedging", (0, 0.01, 0.03, 0.08), 0, "share of maybe, perhaps, might"),
    Feature(
        "courtesy",
        (0, 1, 2),
        0,
        "log2(1 + 'here are', 'sure', 'let me know', 'hope this helps')",
    ),
    Feature("examples", (0, 1, 1.6, 2.3), 0, "log2(1 + 'for example', 'such as')"),
    Feature(
        "reasons and order",
        (0, 0.01, 0.02, 0.04, 0.08),
        0,
        "share of because, therefore, first, then, however",
    ),
    Feature(
        "numbers",
        (0, 0.02, 0.06, 0.15, 0.4),
        0,
        "share of words that start with a digit, less the list marks",
    ),
    # Tone
    Feature("exclamation", (0, 1, 2), 0, "log2(1 + exclamation marks)"),
    Feature(
        "capitals",
        (0.05, 0.15, 0.4, 0.8),
        -1,
        "share of words in capitals, if there are three or more",
    ),
    Feature("answers with a question", ONE, 0, "the response is one question"),
    Feature("long words", (3.0, 4.0, 4.7, 5.4, 6.5), 0, "mean letters per word"),
    Feature("speaks of itself", (0, 0.02, 0.06), 0, "share of I, me, my"),
    Feature("speaks to the reader", (0, 0.02, 0.06), 0, "share of you, your"),
    Feature(
        "link asked and given",
        ONE,
        1,
        "the address of a web page, as the instruction asks",
    ),
    Feature(
        "link not asked",
        ONE,
        -1,
        "the address of a web page although the instruction does not ask for it",
    ),
    # The instruction itself
    Feature("a label is asked", ONE, 0, LEVEL),
    Feature("a short text is asked", ONE, 0, LEVEL),
    Feature("prose is asked", ONE, 0, LEVEL),
    Feature("reasons are asked", ONE, 0, LEVEL),
    Feature("several things are asked", ONE, 0, LEVEL),
    Feature("an edit is asked", ONE, 0, LEVEL),
    Feature("code is asked", ONE, 0, LEVEL),
    Feature("length of the instruction", (1, 2, 3, 4, 5, 6, 7, 8), 0, LEVEL),
    # Persuasion
    Feature(
        "plea to the judge",
        ONE,
        -1,
        "asks for a score; such sentences are removed before anything is measured",
    ),
)
NAMES = tuple(feature.name for feature in FEATURES)
ASKED = tuple(
    index for index, feature in enumerate(FEATURES) if feature.meaning == LEVEL
)
CLOSENESS = NAMES.index("closeness of meaning")

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def apply_ramps(values: Array) -> Array:
    """Turn features of shape (rows, len(FEATURES)) into ramps in [0, 1] of shape (rows, n_ramps).

    Ramp j of a feature with knots k rises from 0 at k[j] to 1 at k[j + 1]. The weight of a ramp is
    therefore how far the score rises between the two knots.
    """
    features = values[:, _RAMPS.column]
    distance = features - _RAMPS.low
    return np.clip(
        distance / _RAMPS.width,
        0.0,
        1.0,
    )


def index_ramp_features() -> Indices:
    """Return the index of each ramp's feature, shape (n_ramps,), ascending."""
    return _RAMPS.column


class _RampTable(NamedTuple):
    """Where each ramp starts, how wide it is, and the index of its feature: all (n_ramps,)."""

    low: Array
    width: Array
    column: Indices


def _build_ramp_table() -> _RampTable:
    low: list[float] = []
    high: list[float] = []
    column: list[int] = []
    for index, feature in enumerate(FEATURES):
        # A ramp between each knot and the next one
        knots = feature.knots
        low += knots[:-1]
        high += knots[1:]
        n_ramps = len(knots) - 1
        column += [index] * n_ramps
    starts = np.array(low, float)
    ends = np.array(high, float)
    return _RampTable(
        low=starts,
        width=ends - starts,
        column=np.array(column),
    )


_RAMPS = _build_ramp_table()
