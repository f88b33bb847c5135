"""Trains a tagger or a judge to answer as a language model did, and measures how well it agrees.

Agreement is measured on what the model has not seen. A fifth of the instructions is held out, by
their hash, or one fifth after the other; instructions that differ only in case or blanks go
together. A judge's pair is tested if both its instructions are held out, and trained on if neither
is.

Training runs on one thread, so that it gives the same numbers on any number of cores, and on at
most `MAX_TAGGED` instructions or `MAX_PAIRS` pairs, drawn by hash, so that its memory has a limit
(1.4 GiB). The small model learns what the language model says, errors included: agreement does not
measure truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tacos.models import judge, tag_agreement, tagger, tagger_files
from tacos.models.encoder import load as load_encoder
from tacos.models.training.judge import (
    PreferenceData,
    encode_pairs,
    fit_judge_weights,
    solve_weights,
)
from tacos.models.training.preference_pairs import PreferencePair
from tacos.models.training.tagger import (
    TaggerRecipe,
    TagReference,
    encode_rows,
    fit_tagger_model,
    freeze_tagger,
    hash_fold,
    pick_spellings,
)
from tacos.records import Encoder

MAX_TAGGED = 8_000
MAX_PAIRS = 20_000
N_FOLDS = 5
N_FREQUENT = 3
Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Figures = dict[str, Any]
Tags = Sequence[str]
Confident = list[tuple[str, float]]


def assign_folds(texts: Sequence[str]) -> Rows:
    """Assign each instruction to a fifth (0 to 4), whatever its case and blanks.

    >>> len(set(assign_folds(["Name a colour.", "name  a colour. "]).tolist()))
    1
    """
    folds: list[int] = []
    for text in texts:
        name = tag_agreement.lowercase_tag(text)
        fold = hash_fold(
            name,
            N_FOLDS,
            salt="distill",
        )
        folds.append(fold)
    return np.array(folds, dtype=np.int64)


def find_distinct_rows(texts: Sequence[str]) -> list[int]:
    """Return the first row of each instruction, whatever its case and blanks.

    >>> find_distinct_rows(["Name a colour.", "name  a colour. ", "Name a fruit."])
    [0, 2]
    """
    first_row: dict[str, int] = {}
    for row, text in enumerate(texts):
        name = tag_agreement.lowercase_tag(text)
        if name not in first_row:
            first_row[name] = row
    return list(first_row.values())


def draw_rows(texts: Sequence[str], n: int) -> list[int]:
    """Draw at most `n` rows by the hash of their text, in the order of the rows."""
    hashes = [hash_fold(text, 1 << 61, "drawn") for text in texts]
    order = sorted(range(len(texts)), key=lambda row: (hashes[row], row))
    return sorted(order[:n])


# --- tagger


def fit_tagger(
    texts: Sequence[str],
    tags: Sequence[Tags],
    name: str,
    encoder: str = "static",
) -> tagger_files.TaggerModel:
    """Fit a tagger to the tags that a language model gave these instructions.

    Raises `ModelError` unless two tags are given twice.
    """
    rows = draw_rows(texts, MAX_TAGGED)
    drawn_texts = [texts[row] for row in rows]
    drawn_tags = [tags[row] for row in rows]
    recipe = TaggerRecipe(name=name, encoder=encoder)
    training_rows = encode_rows(drawn_texts, drawn_tags, recipe)
    reference = _build_tag_reference(drawn_tags)
    return fit_tagger_model(training_rows, reference, recipe)


def _build_tag_reference(tags: Sequence[Tags]) -> TagReference:
    """Collect how each tag is written, and the published counts that the shipped tagger knows."""
    shipped = tagger.load()
    known = shipped.loaded.known
    published = zip(
        known.lexicon.tags,
        known.published,
        strict=True,
    )
    counts: dict[str, int] = {}
    for tag, count in published:
        # The lexicon also has tags that only our annotators gave.
        if count > 0:
            name = tag_agreement.lowercase_tag(tag)
            counts[name] = int(count)
    return TagReference(
        pick_spellings(tags),
        counts,
    )


def measure_tagger(
    texts: Sequence[str],
    tags: Sequence[Tags],
    encoder: str = "static",
    n_folds: int = 1,
) -> Figures:
    """Measure held-out agreement of a tagger with these tags.

    Tests on `n_folds` of the fifths, each with a training of its own. Gives "n" (tested), "trained
    on" (the fewest of a fold), "fuzzy by", "exact" and "fuzzy" (see
    `tag_agreement.measure_tag_agreement`), the same of the "most frequent tags", "calibration
    error", "reliability", "tags per row" and "without a tag".
    """
    folds = assign_folds(texts)
    # One entry per tested instruction: the tagger's tags, the true ones, a rule's.
    predicted: list[Confident] = []
    truth: list[Tags] = []
    frequent: list[Tags] = []
    n_trained = len(texts)
    for fold in range(n_folds):
        seen = np.flatnonzero(folds != fold).tolist()
        unseen = np.flatnonzero(folds == fold).tolist()
        seen_tags = [tags[row] for row in seen]
        fitted = fit_tagger(
            [texts[row] for row in seen],
            seen_tags,
            name="",
            encoder=encoder,
        )
        predicted += _tag_holdout(
            fitted,
            [texts[row] for row in unseen],
        )
        truth += [tags[row] for row in unseen]
        frequent_tags = find_frequent_tags(seen_tags)
        frequent += [frequent_tags] * len(unseen)
        n_trained = min(
            n_trained,
            len(seen),
            MAX_TAGGED,
        )
    agreement = _summarise_agreement(
        predicted,
        truth,
        frequent,
        _load_fuzzy_encoder(),
    )
    return {
        "n": len(truth),
        "trained on": n_trained,
        **agreement,
    }


def _tag_holdout(
    fitted: tagger_files.TaggerModel,
    texts: Sequence[str],
) -> list[Confident]:
    """Tag instructions by a tagger that has not seen them."""
    # Frozen and thawed, so that what is measured is what a file would hold.
    meta, packed = freeze_tagger(fitted)
    model = tagger_files.assemble_tagger(meta, packed)
    confident: list[Confident] = []
    for ranked in tagger.tag_instructions(model, texts):
        row = [(tag, probability) for tag, probability, _ in ranked]
        confident.append(row)
    return confident


def _load_fuzzy_encoder() -> Encoder:
    """Load MiniLM, which reads a phrase as a whole."""
    return load_encoder("minilm")


def _summarise_agreement(
    predicted: Sequence[Confident],
    truth: Sequence[Tags],
    frequent: Sequence[Tags],
    fuzzy_encoder: Encoder,
) -> Figures:
    """Compare tags with confidences, and the most frequent tags, with the truth."""
    given: list[Tags] = []
    confidences: list[float] = []
    right: list[bool] = []
    for row, true_tags in zip(predicted, truth, strict=True):
        true_names = tag_agreement.lowercase_tags(true_tags)
        given.append([tag for tag, _ in row])
        for tag, confidence in row:
            name = tag_agreement.lowercase_tag(tag)
            confidences.append(confidence)
            right.append(name in true_names)
    counts = [len(tags) for tags in given]
    is_empty = [not tags for tags in given]
    error = tag_agreement.calibration_error(confidences, right)
    # The last bin includes a confidence of 1.
    edges = [0, 0.2, 0.4, 0.6, 0.8, 1.01]
    return {
        "fuzzy by": fuzzy_encoder.name,
        **tag_agreement.measure_tag_agreement(
            given,
            truth,
            fuzzy_encoder,
        ),
        "most frequent tags": tag_agreement.measure_tag_agreement(
            frequent,
            truth,
            fuzzy_encoder,
        ),
        "calibration error": round(error, 4),
        "reliability": tag_agreement.bin_reliability(
            confidences,
            right,
            edges,
        ),
        "tags per row": round(float(np.mean(counts)), 2),
        "without a tag": round(float(np.mean(is_empty)), 4),
    }


def find_frequent_tags(tags: Sequence[Tags]) -> list[str]:
    """Return the `N_FREQUENT` tags that most rows have (ties: the first in the alphabet)."""
    counts: Counter[str] = Counter()
    for row in tags:
        counts.update(tag_agreement.lowercase_tags(row))
    ordered = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return ordered[:N_FREQUENT]


# --- judge


def fit_judge(pairs: Sequence[PreferencePair]) -> judge.JudgeWeights:
    """Fit a judge to a language model's verdicts, see `training.judge.fit_judge_weights`."""
    drawn_pairs = _draw_pairs(pairs)
    with threadpool_limits(1):
        return fit_judge_weights(drawn_pairs, load_encoder("static"))


def _draw_pairs(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Draw at most `MAX_PAIRS` pairs by their instructions."""
    instructions = [pair.a[0] + pair.b[0] for pair in pairs]
    drawn = draw_rows(instructions, MAX_PAIRS)
    return [pairs[row] for row in drawn]


def measure_judge(pairs: Sequence[PreferencePair]) -> Figures:
    """Measure held-out agreement of a judge with the preferences of these pairs.

    Ties of the language model are left out. Gives "n" (pairs tested), "trained on" (the fewest of a
    fold), "ties left out", "agreement" and that of "length only" (each a share with its interval,
    see `bootstrap_share`), "brier" (mean squared error of the probability; a coin has .25) and
    "reliability" (of the probability that the judge's preferred side wins).
    """
    drawn_pairs = _draw_pairs(pairs)
    left_folds = assign_folds([pair.a[0] for pair in drawn_pairs])
    right_folds = assign_folds([pair.b[0] for pair in drawn_pairs])
    with threadpool_limits(1):
        data = encode_pairs(drawn_pairs, load_encoder("static"))
        logits, tested, n_trained = _predict_holdout(data, left_folds, right_folds)

    # Only pairs that the language model decided
    is_tie = data.preference == 0.5
    decided = tested & ~is_tie
    won = data.preference[decided]
    decided_logits = logits[decided]
    probability = 1 / (1 + np.exp(-decided_logits))
    length_differences = _measure_length_differences(drawn_pairs)
    instructions = _number_instructions(drawn_pairs)[decided]
    judge_hits = _mark_hits(decided_logits, won)
    length_hits = _mark_hits(length_differences[decided], won)
    brier = None
    if len(won):
        squared_errors = (probability - won) ** 2
        brier = round(float(np.mean(squared_errors)), 4)
    # Read from the side that the judge prefers: its probability is at least a half.
    preferred_probability = np.maximum(probability, 1 - probability)
    preferred_won = np.where(probability >= 0.5, won, 1 - won)
    return {
        "n": int(decided.sum()),
        "trained on": n_trained,
        "ties left out": int((tested & is_tie).sum()),
        "agreement": bootstrap_share(judge_hits, instructions),
        "length only": bootstrap_share(length_hits, instructions),
        "brier": brier,
        "reliability": tag_agreement.bin_reliability(
            preferred_probability.tolist(),
            preferred_won.tolist(),
            edges=[0.5, 0.6, 0.7, 0.8, 0.9, 1.01],
        ),
    }


def _measure_length_differences(pairs: Sequence[PreferencePair]) -> Numbers:
    """Return by how many characters the first response of each pair is longer, shape (n,)."""
    differences = [len(pair.a[1]) - len(pair.b[1]) for pair in pairs]
    return np.array(differences, dtype=np.float64)


def _number_instructions(pairs: Sequence[PreferencePair]) -> Rows:
    """Number instructions, whatever their case and blanks: the two of each pair, shape (n, 2)."""
    number_of: dict[str, int] = {}
    numbers: list[int] = []
    for pair in pairs:
        for sample in (pair.a, pair.b):
            instruction, _ = sample
            name = tag_agreement.lowercase_tag(instruction)
            # A name that is new has the next number.
            n_names = len(number_of)
            number = number_of.setdefault(name, n_names)
            numbers.append(number)
    flat = np.array(numbers, dtype=np.int64)
    return flat.reshape(-1, 2)


def _predict_holdout(
    data: PreferenceData,
    left: Rows,
    right: Rows,
) -> tuple[Numbers, Flags, int]:
    """Predict the pairs whose sides are in one fold by a judge that saw neither instruction.

    `left` and `right` are the folds of each pair's sides. Returns the logits (0 where there is no
    prediction), which pairs were tested, and the fewest pairs that a judge was trained on.
    """
    logits = np.zeros(len(left))
    tested = left == right
    n_trained = len(left)
    for fold in np.unique(left[tested]):
        seen = (left != fold) & (right != fold)
        unseen = (left == fold) & (right == fold)
        training_data = PreferenceData(
            data.difference[seen],
            data.preference[seen],
            data.weight[seen],
        )
        weights = solve_weights(training_data)
        logits[unseen] = data.difference[unseen] @ weights
        n_seen = int(seen.sum())
        n_trained = min(n_trained, n_seen)
    return logits, tested, n_trained


def _mark_hits(z: Numbers, won: Numbers) -> Numbers:
    """Return 1 where the sign of `z` tells who won (won > .5: the first), .5 where `z` is 0."""
    agrees = (z > 0) == (won > 0.5)
    return np.where(
        z == 0,
        0.5,
        agrees.astype(np.float64),
    )


def bootstrap_share(
    values: Numbers,
    instructions: Rows,
    n_draws: int = 1000,
    seed: int = 0,
) -> Figures:
    """Return the mean of values in 0..1 with its 95% interval; None for both without values.

    `instructions` (n, 2) are the numbers of each pair's two. They are drawn with replacement, and a
    pair counts as often as both of its own are drawn: an instruction stands in many pairs, on
    either side (the pigeonhole bootstrap; Owen, 2007, Annals of Applied Statistics 1).
    """
    if not len(values):
        return {"value": None, "interval": None}
    names, numbers = np.unique(instructions, return_inverse=True)
    left, right = numbers.reshape(-1, 2).T
    n_instructions = len(names)
    rng = np.random.default_rng(seed)
    shares: list[float] = []
    for _ in range(n_draws):
        drawn = rng.integers(0, n_instructions, n_instructions)
        times = np.bincount(drawn, minlength=n_instructions)
        # A pair of one instruction with itself counts once per draw, not squared.
        weight = np.where(
            left == right,
            times[left],
            times[left] * times[right],
        )
        # A draw of few instructions may hold no pair.
        if weight.any():
            share = weight @ values / weight.sum()
            shares.append(float(share))
    low, high = np.quantile(shares, [0.025, 0.975])
    return {
        "value": round(float(values.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }
