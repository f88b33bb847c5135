"""Trains a tagger or a judge to answer as a language model did, and measures how far it agrees on
what it has not seen.

What is held out is a fifth of the instructions, by their hash, or one fifth after the other; those
that differ only in case or blanks go together. A judge's pair is tested when both its instructions
are held out, and trained on when neither is.

Training runs on one thread, so that it gives the same numbers on any number of cores, and on
`MAX_TAGGED` instructions or `MAX_PAIRS` pairs at most, drawn by hash, so that its memory has a
limit (1.4 GiB). It learns what the language model says, its errors with it: agreement is no measure
of truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tacos.models import encoder as encoders
from tacos.models import judge, tag_agreement, tagger, tagger_files
from tacos.models.training import judge as judging
from tacos.models.training import tagger as tagging
from tacos.models.training.preference_pairs import PreferencePair
from tacos.records import Encoder

MAX_TAGGED, MAX_PAIRS = 8_000, 20_000
N_FOLDS = 5
N_FREQUENT = 3
Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Figures = dict[str, Any]
Tags = Sequence[str]
Confident = list[tuple[str, float]]


def assign_folds(texts: Sequence[str]) -> Rows:
    """Which fifth each instruction belongs to, whatever its case and blanks.

    >>> len(set(assign_folds(["Name a colour.", "name  a colour. "]).tolist()))
    1
    """
    return np.array(
        [tagging.hash_fold(tagging.lowercase_text(text), N_FOLDS, "distill") for text in texts],
        dtype=np.int64,
    )


def find_distinct_rows(texts: Sequence[str]) -> list[int]:
    """The first row of each instruction, whatever its case and blanks: one that stands often
    teaches once.

    >>> find_distinct_rows(["Name a colour.", "name  a colour. ", "Name a fruit."])
    [0, 2]
    """
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(tagging.lowercase_text(text), row)
    return list(first.values())


def draw_rows(texts: Sequence[str], n: int) -> list[int]:
    """Which of the texts are taken, in order: `n` at most, by their hash."""
    order = sorted(
        range(len(texts)), key=lambda row: (tagging.hash_fold(texts[row], 1 << 61, "drawn"), row)
    )
    return sorted(order[:n])


# --- tagger


def _build_tag_reference(tags: Sequence[Tags]) -> tagging.TagReference:
    """How each tag is written, and the published counts that the shipped tagger knows."""
    known = tagger.load().loaded.known
    counts = {
        tagging.lowercase_text(tag): int(n)
        for tag, n in zip(known.lexicon.tags, known.published, strict=True)
        if n > 0
    }
    return tagging.TagReference(tagging.pick_spellings(tags), counts)


def fit_tagger(
    texts: Sequence[str], tags: Sequence[Tags], name: str, encoder: str = "static"
) -> tagger_files.TaggerModel:
    """A tagger from what a language model said of these instructions.

    Raises `ModelError` where no two tags are given twice.
    """
    rows = draw_rows(texts, MAX_TAGGED)
    some, given = [texts[row] for row in rows], [tags[row] for row in rows]
    recipe = tagging.TaggerRecipe(name=name, encoder=encoder)
    return tagging.fit_tagger_model(
        tagging.encode_rows(some, given, recipe), _build_tag_reference(given), recipe
    )


def measure_tagger(
    texts: Sequence[str], tags: Sequence[Tags], encoder: str = "static", n_folds: int = 1
) -> Figures:
    """Held-out agreement of a tagger with these tags, on `n_folds` of the fifths, each with a
    training of its own.

    Gives "n" (tested), "trained on" (the fewest of a fold), "fuzzy by", "exact" and "fuzzy" (see
    `agreement.figures`), the same of the "most frequent tags", "calibration error", "reliability",
    "tags per row" and "without a tag".
    """
    folds = assign_folds(texts)
    found: list[Confident] = []
    truth: list[Tags] = []
    common: list[Tags] = []
    n_trained = len(texts)
    for fold in range(n_folds):
        seen, unseen = (
            np.flatnonzero(folds != fold).tolist(),
            np.flatnonzero(folds == fold).tolist(),
        )
        shown = [tags[row] for row in seen]
        made = tagger_files.assemble_tagger(
            *tagging.freeze_tagger(fit_tagger([texts[row] for row in seen], shown, "", encoder))
        )
        found += [
            [(tag, p) for tag, p, _ in row]
            for row in tagger.tag_instructions(made, [texts[row] for row in unseen])
        ]
        truth += [tags[row] for row in unseen]
        common += [find_frequent_tags(shown)] * len(unseen)
        n_trained = min(n_trained, len(seen), MAX_TAGGED)
    return {
        "n": len(truth),
        "trained on": n_trained,
        **_summarise_agreement(found, truth, common, _load_fuzzy_encoder()),
    }


def _load_fuzzy_encoder() -> Encoder:
    """MiniLM, which reads a phrase as a whole."""
    return encoders.load("minilm")


def _summarise_agreement(
    found: Sequence[Confident], truth: Sequence[Tags], common: Sequence[Tags], judged_by: Encoder
) -> Figures:
    """The figures of tags with confidences, and of the most frequent ones, against the truth."""
    given = [[tag for tag, _ in row] for row in found]
    said = [p for row in found for _, p in row]
    right = [
        tagging.lowercase_text(tag) in tag_agreement.lowercase_tags(own)
        for row, own in zip(given, truth, strict=True)
        for tag in row
    ]
    return {
        "fuzzy by": judged_by.name,
        **tag_agreement.measure_tag_agreement(given, truth, judged_by),
        "most frequent tags": tag_agreement.measure_tag_agreement(common, truth, judged_by),
        "calibration error": round(tag_agreement.calibration_error(said, right), 4),
        "reliability": tag_agreement.bin_reliability(said, right, [0, 0.2, 0.4, 0.6, 0.8, 1.01]),
        "tags per row": round(float(np.mean([len(row) for row in given])), 2),
        "without a tag": round(float(np.mean([not row for row in given])), 4),
    }


def find_frequent_tags(tags: Sequence[Tags]) -> list[str]:
    """The `N_FREQUENT` tags that most rows have (ties: the first in the alphabet)."""
    counts = Counter(tag for row in tags for tag in tag_agreement.lowercase_tags(row))
    return sorted(counts, key=lambda tag: (-counts[tag], tag))[:N_FREQUENT]


# --- judge


def fit_judge(pairs: Sequence[PreferencePair]) -> judge.JudgeWeights:
    """A judge from a language model's verdicts: see `judging.fit`."""
    some = [pairs[row] for row in draw_rows([pair.a[0] + pair.b[0] for pair in pairs], MAX_PAIRS)]
    with threadpool_limits(1):
        return judging.fit_judge_weights(some, encoders.load("static"))


def measure_judge(pairs: Sequence[PreferencePair]) -> Figures:
    """Held-out agreement of a judge with the preferences of these pairs; ties of the language model
    are left out.

    Gives "n" (pairs tested), "trained on" (the fewest of a fold), "agreement" and that of "length
    only" (each a share with its interval, see `bootstrap_share`), "brier" (mean squared error of the
    probability; .25 is a coin's) and "reliability" (of the probability that the preferred side of
    the judge wins).
    """
    some = [pairs[row] for row in draw_rows([pair.a[0] + pair.b[0] for pair in pairs], MAX_PAIRS)]
    vectors = encoders.load("static")
    sides = [assign_folds([getattr(pair, side)[0] for pair in some]) for side in ("a", "b")]
    with threadpool_limits(1):
        data = judging.encode_pairs(some, vectors)
        z, tested, n_trained = _predict_holdout(data, sides[0], sides[1])
    lengths = np.array([len(pair.a[1]) - len(pair.b[1]) for pair in some], dtype=np.float64)
    decided = tested & (data.preference != 0.5)
    won, p = data.preference[decided], 1 / (1 + np.exp(-z[decided]))
    number: dict[str, int] = {}
    asked = [
        number.setdefault(tagging.lowercase_text(text), len(number))
        for pair in some
        for text, _ in (pair.a, pair.b)
    ]
    instructions = np.array(asked, dtype=np.int64).reshape(-1, 2)[decided]
    return {
        "n": int(decided.sum()),
        "trained on": n_trained,
        "ties left out": int((tested & ~decided).sum()),
        "agreement": bootstrap_share(_mark_hits(z[decided], won), instructions),
        "length only": bootstrap_share(_mark_hits(lengths[decided], won), instructions),
        "brier": round(float(np.mean((p - won) ** 2)), 4) if len(p) else None,
        "reliability": tag_agreement.bin_reliability(
            np.maximum(p, 1 - p).tolist(),
            np.where(p >= 0.5, won, 1 - won).tolist(),
            [0.5, 0.6, 0.7, 0.8, 0.9, 1.01],
        ),
    }


def _predict_holdout(
    data: judging.PreferenceData, left: Rows, right: Rows
) -> tuple[Numbers, Flags, int]:
    """The logit of every pair whose sides are in one fold, by a judge that saw neither; which these
    are; trained on.
    """
    z, tested, n_trained = np.zeros(len(left)), left == right, len(left)
    for fold in np.unique(left[tested]):
        seen, unseen = (left != fold) & (right != fold), (left == fold) & (right == fold)
        part = judging.PreferenceData(
            data.difference[seen], data.preference[seen], data.weight[seen]
        )
        z[unseen] = data.difference[unseen] @ judging.solve_weights(part)
        n_trained = min(n_trained, int(seen.sum()))
    return z, tested, n_trained


def _mark_hits(z: Numbers, won: Numbers) -> Numbers:
    """1 where the sign of `z` says who won (won > .5: the first), .5 where it says nothing."""
    return np.where(z == 0, 0.5, ((z > 0) == (won > 0.5)).astype(np.float64))


def bootstrap_share(
    values: Numbers, instructions: Rows, n_draws: int = 1000, seed: int = 0
) -> Figures:
    """The mean of values in 0..1 with its 95% interval; `instructions` (n, 2) are the numbers of
    each pair's two.

    Instructions are drawn with replacement, and a pair counts as often as both of its own are
    drawn: an instruction stands in many pairs, on either side (the pigeonhole bootstrap; Owen,
    2007, Annals of Applied Statistics 1).
    """
    if not len(values):
        return {"value": None, "interval": None}
    names, numbers = np.unique(instructions, return_inverse=True)
    rng, (left, right) = np.random.default_rng(seed), numbers.reshape(-1, 2).T
    n, drawn = len(names), []
    for _ in range(n_draws):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        weight = np.where(left == right, times[left], times[left] * times[right])
        if weight.any():
            drawn.append(float(weight @ values / weight.sum()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "value": round(float(values.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }
