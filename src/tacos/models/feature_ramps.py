"""What a person can see in an instruction and its response: the readable quality features of the
embedded judge.

Each feature is one number; `FEATURES` names them, in order, with the range in which it may count
and the direction in which it may move a score. `apply_ramps` turns numbers into saturating steps in [0,
1], the columns of the judge's model, so that no single feature can run away.
`tacos.models.response_features` takes the numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Feature(NamedTuple):
    """A feature's name, the knots of its ramps, the allowed direction (+1, -1, or 0 for both) and
    its meaning.
    """

    name: str
    knots: tuple[float, ...]
    sign: int
    meaning: str


ONE = (0.0, 1.0)
SHARE = (0.0, 0.1, 0.3, 0.6, 1.0)
LEVEL = "what is asked: tells samples of different instructions apart, never two answers to one"
FEATURES: tuple[Feature, ...] = (
    Feature("says nothing", ONE, -1, "no word, or only 'none', 'n/a', 'no output'"),
    Feature("length", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0, "log2(1 + words) of the response"),
    Feature(
        "length where a label is asked",
        (0, 1, 2, 3, 4, 5, 6, 7),
        0,
        "the same, less 3, for choices and sums",
    ),
    Feature(
        "length where a short text is asked",
        (0, 1, 2, 3, 4, 5, 6, 7),
        0,
        "the same, for titles and summaries",
    ),
    Feature(
        "length where prose is asked",
        (2, 3, 4, 5, 6, 7, 8, 9),
        0,
        "the same, for letters and stories",
    ),
    Feature(
        "length where reasons are asked",
        (2, 3, 4, 5, 6, 7, 8, 9),
        0,
        "the same, for why, how, describe",
    ),
    Feature(
        "length against the instruction",
        (-6, -4, -3, -2, -1, 0, 1, 2, 4),
        0,
        "log2 ratio of the words",
    ),
    Feature("sentence length", (1, 2, 3, 3.7, 4.4, 5, 6), 0, "log2(1 + words per sentence)"),
    Feature(
        "variety of sentence length",
        (0, 1, 2, 3, 4),
        0,
        "log2(1 + standard deviation of the words)",
    ),
    Feature("commas", (0, 0.04, 0.08, 0.12, 0.25), 0, "commas per word"),
    Feature("sentences", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + sentences)"),
    Feature("paragraphs", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + blank lines)"),
    Feature("lines", (0, 1, 1.6, 2.3, 3, 4, 5), 0, "log2(1 + line breaks)"),
    Feature("list items", (0, 1, 1.6, 2.3, 3, 4), 0, "log2(1 + items)"),
    Feature("list asked and given", ONE, 1, "marked items where several things are asked"),
    Feature("lead-in", ONE, 0, "the first line ends with a colon and more follows"),
    Feature("headings and emphasis", (0, 1, 2, 3), 0, "log2(1 + bold marks and headings)"),
    Feature("ends complete", ONE, 1, "the last character closes a sentence"),
    Feature("breaks off", ONE, -1, "a longer text that stops amid a sentence"),
    Feature("unbalanced marks", ONE, -1, "brackets, quotes or code fences that do not close"),
    Feature(
        "last item a stump", ONE, -1, "the last item of a list lacks the end that the others have"
    ),
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
        "share of lines and sentences that open as an earlier one",
    ),
    Feature(
        "word variety", (0.5, 0.7, 0.8, 0.87, 0.93, 1.0), 0, "log(distinct words) / log(words)"
    ),
    Feature("stuck on a word", (0.1, 0.2, 0.3, 0.5), -1, "share of the most frequent longer word"),
    Feature(
        "covers the instruction",
        (0, 0.1, 0.25, 0.4, 0.6, 0.8, 1),
        0,
        "share of its content words that recur",
    ),
    Feature(
        "new content",
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        0,
        "log2(1 + distinct longer words that the instruction lacks)",
    ),
    Feature(
        "closeness of meaning", (0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1), 0, "cosine of the embeddings"
    ),
    Feature(
        "echo",
        (0, 0.2, 0.5, 0.8, 1),
        -1,
        "share of 4-grams that are the instruction's, where no edit is asked",
    ),
    Feature(
        "input handed back", (0.8, 0.9, 1), -1, "the same, where an edit or an extract is asked"
    ),
    Feature(
        "restates the question first",
        SHARE,
        0,
        "share of the opening words that are the instruction's",
    ),
    Feature(
        "items asked and given", (-3, -2, -1, 0, 1, 2, 3), 0, "log2 of items given per item asked"
    ),
    Feature("number of items met", ONE, 1, "as many items as the instruction asks for"),
    Feature("over the word limit", (0, 0.3, 1, 2), -1, "log2 of words per word allowed"),
    Feature("code asked and given", ONE, 1, "code where code is asked"),
    Feature("code asked, none given", ONE, -1, "no code where code is asked"),
    Feature("code not asked", ONE, 0, "code where none is asked"),
    Feature(
        "other script",
        ONE,
        -1,
        "another writing system than the instruction's, no translation asked",
    ),
    Feature(
        "small initial",
        ONE,
        -1,
        "starts with a lower-case letter, where no label or short text is asked",
    ),
    Feature("small sentence starts", SHARE, -1, "share of sentences that start in lower case"),
    Feature("slips of spacing", (0, 1, 2, 3), -1, "log2(1 + stray spaces and doubled marks)"),
    Feature("placeholders", (0, 1, 2, 3), -1, "log2(1 + blanks, [Name], XXX)"),
    Feature("leftovers", ONE, -1, "labels of the prompt such as 'Output:', 'noinput'"),
    Feature("refusal", ONE, -1, "declines, or says what it is"),
    Feature("hedging", (0, 0.01, 0.03, 0.08), 0, "share of maybe, perhaps, might"),
    Feature(
        "courtesy", (0, 1, 2), 0, "log2(1 + 'here are', 'sure', 'let me know', 'hope this helps')"
    ),
    Feature("examples", (0, 1, 1.6, 2.3), 0, "log2(1 + 'for example', 'such as')"),
    Feature(
        "reasons and order",
        (0, 0.01, 0.02, 0.04, 0.08),
        0,
        "share of because, therefore, first, then, however",
    ),
    Feature(
        "numbers", (0, 0.02, 0.06, 0.15, 0.4), 0, "share of words with digits, list marks apart"
    ),
    Feature("exclamation", (0, 1, 2), 0, "log2(1 + exclamation marks)"),
    Feature(
        "capitals",
        (0.05, 0.15, 0.4, 0.8),
        -1,
        "share of words in capitals, where there are several",
    ),
    Feature("answers with a question", ONE, 0, "the response is one question"),
    Feature("long words", (3.0, 4.0, 4.7, 5.4, 6.5), 0, "mean letters per word"),
    Feature("speaks of itself", (0, 0.02, 0.06), 0, "share of I, me, my"),
    Feature("speaks to the reader", (0, 0.02, 0.06), 0, "share of you, your"),
    Feature("link asked and given", ONE, 1, "the address of a web page, where one is asked for"),
    Feature("link not asked", ONE, -1, "the address of a web page, where none is asked for"),
    Feature("a label is asked", ONE, 0, LEVEL),
    Feature("a short text is asked", ONE, 0, LEVEL),
    Feature("prose is asked", ONE, 0, LEVEL),
    Feature("reasons are asked", ONE, 0, LEVEL),
    Feature("several things are asked", ONE, 0, LEVEL),
    Feature("an edit is asked", ONE, 0, LEVEL),
    Feature("code is asked", ONE, 0, LEVEL),
    Feature("length of the instruction", (1, 2, 3, 4, 5, 6, 7, 8), 0, LEVEL),
    Feature(
        "plea to the judge",
        ONE,
        -1,
        "asks for a score; such sentences are cut before anything is measured",
    ),
)
NAMES = tuple(feature.name for feature in FEATURES)
ASKED = tuple(index for index, feature in enumerate(FEATURES) if feature.meaning == LEVEL)
CLOSENESS = NAMES.index("closeness of meaning")


def apply_ramps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Features of shape (rows, len(FEATURES)) as saturating ramps in [0, 1] of shape (rows, number
    of ramps).

    Ramp j of a feature with knots k rises from 0 at k[j] to 1 at k[j + 1]: a weight is the rise of
    the score there.
    """
    low, high, column = _TABLE
    return np.clip((values[:, column] - low) / (high - low), 0.0, 1.0)


def index_ramp_features() -> npt.NDArray[np.int64]:
    """For each ramp the index of its feature."""
    return _TABLE[2]


def _build_ramp_table() -> tuple[
    npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]
]:
    rows = [
        (a, b, i)
        for i, f in enumerate(FEATURES)
        for a, b in zip(f.knots, f.knots[1:], strict=False)
    ]
    low, high, column = zip(*rows, strict=True)
    return np.array(low, float), np.array(high, float), np.array(column)


_TABLE = _build_ramp_table()
