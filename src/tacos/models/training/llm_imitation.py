"""Trains a tagger or a judge to answer as a language model did, and measures how well it agrees.

Agreement is measured on what the model has not seen. A fifth of the instructions is held out, by
their hash, or one fifth after the other; instructions that differ only in case or blanks go
together.

Training runs on one thread, so that it gives the same numbers on any number of cores, and on at
most `MAX_TAGGED` instructions or `MAX_GRADED` samples, drawn by hash, so that its memory has a
limit (1.4 GiB). The small model learns what the language model says, errors included: agreement
does not measure truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.special import ndtri
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from tacos.models import (
    judge,
    judge_model,
    kernel_machine,
    tag_agreement,
    tagger,
    tagger_files,
    token_terms,
)
from tacos.models.encoder import load as load_encoder
from tacos.models.static_encoder import StaticEncoder
from tacos.models.training.judge import measure_texts
from tacos.models.training.judge_recipes import FAST
from tacos.models.training.judge_scales import fit_scale
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
MAX_GRADED = 4_000
N_FOLDS = 5
N_FREQUENT = 3
Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
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


@dataclass(frozen=True)
class GradedText:
    """A sample with the numbers that a language model gave it, each a mean if there were several.

    Where it gave one score only, both numbers are that score.
    """

    instruction: str
    response: str
    value: float
    correctness: float


def fit_judge(rows: Sequence[GradedText]) -> judge_model.JudgeModel:
    """Fit a judge to a language model's grades: what the shipped one misses is learned on top.

    Each number is a line in the shipped judge's output plus a kernel machine's over the residuals.
    The scales map held-out outputs to the language model's numbers.
    """
    drawn = _draw_graded(rows)
    with threadpool_limits(1):
        data = _encode_graded(drawn)
        outputs, _ = _predict_holdout(data)
        model = _fit_on_shipped(data, np.arange(len(drawn)))
    scales = {
        head: fit_scale(outputs[:, number], data.numbers[:, number])
        for number, head in enumerate(judge_model.HEADS)
    }
    return replace(model, scales=scales)


def measure_judge(rows: Sequence[GradedText]) -> Figures:
    """Measure held-out rank correlations of a judge with the numbers of these samples.

    Gives "n" (samples tested), "trained on" (the fewest of a fold) and, each with its interval (see
    `bootstrap_correlation`), "agreement" (with the mean of both numbers), "value", "correctness"
    and "length only" (of the response's length with the mean).
    """
    drawn = _draw_graded(rows)
    with threadpool_limits(1):
        data = _encode_graded(drawn)
        outputs, n_trained = _predict_holdout(data)
    both = data.numbers.mean(axis=1)
    lengths = np.array([float(len(row.response)) for row in drawn])
    names = [tag_agreement.lowercase_tag(row.instruction) for row in drawn]
    _, groups = np.unique(names, return_inverse=True)
    return {
        "n": len(drawn),
        "trained on": n_trained,
        "agreement": bootstrap_correlation(outputs.mean(axis=1), both, groups),
        "value": bootstrap_correlation(outputs[:, 0], data.numbers[:, 0], groups),
        "correctness": bootstrap_correlation(outputs[:, 1], data.numbers[:, 1], groups),
        "length only": bootstrap_correlation(lengths, both, groups),
    }


class _GradedData(NamedTuple):
    """Samples as numbers: their columns, the grades (n, 2) and the folds (n,)."""

    columns: judge_model.SampleColumns
    numbers: Numbers
    folds: Rows


def _draw_graded(rows: Sequence[GradedText]) -> list[GradedText]:
    """Draw at most `MAX_GRADED` samples by their instructions."""
    drawn = draw_rows([row.instruction for row in rows], MAX_GRADED)
    return [rows[row] for row in drawn]


def _encode_graded(rows: Sequence[GradedText]) -> _GradedData:
    texts = [(row.instruction, row.response) for row in rows]
    numbers = [(row.value, row.correctness) for row in rows]
    return _GradedData(
        measure_texts(texts, StaticEncoder()),
        np.array(numbers, dtype=np.float64).reshape(-1, 2),
        assign_folds([row.instruction for row in rows]),
    )


def _predict_holdout(data: _GradedData) -> tuple[Numbers, int]:
    """Predict both numbers of each sample, (n, 2), by a judge that did not see its instruction.

    Also returns the fewest samples that a judge was trained on.
    """
    outputs = np.zeros_like(data.numbers)
    n_trained = len(data.folds)
    for fold in np.unique(data.folds):
        seen = np.flatnonzero(data.folds != fold)
        unseen = np.flatnonzero(data.folds == fold)
        model = _fit_on_shipped(data, seen)
        outputs[unseen] = model.predict(data.columns.take(unseen))[:, :2]
        n_trained = min(n_trained, len(seen))
    return outputs, n_trained


def _fit_on_shipped(data: _GradedData, rows: Rows) -> judge_model.JudgeModel:
    """Fit both numbers of some rows: a line in the shipped outputs, and what that leaves."""
    base = judge.load().model
    recipe = FAST
    columns = data.columns.take(rows)
    targets = _rank_numbers(data.numbers[rows])
    lines = _fit_lines(base.predict(columns), targets)

    machine = base.machine
    supports = kernel_machine.quantise_columns(machine.blocks, columns.blocks)
    scale = machine.gamma / kernel_machine.unit_length(machine.blocks) ** 2
    whole_kernel = kernel_machine.compute_kernel(supports, supports, scale)
    kernel = whole_kernel.astype(np.float64)
    terms = {}
    for side in judge_model.SIDES:
        idf = base.idf[side]
        terms[side] = token_terms.weight_terms(columns.terms[side], idf)
        kernel += recipe.terms * (terms[side] @ terms[side].T).toarray()
    kernel[np.diag_indices(len(rows))] += recipe.noise
    solution = np.zeros((len(rows), len(judge_model.OUTPUTS)))
    if len(rows):
        solution[:, :2] = scipy.linalg.solve(kernel, lines.residuals, assume_a="pos")
    # What a file holds
    solution = solution.astype(np.float32).astype(np.float64)

    shipped = machine.coefficients * lines.slopes
    return judge_model.JudgeModel(
        machine=replace(
            machine,
            supports=np.concatenate([machine.supports, supports]),
            coefficients=np.concatenate([shipped, solution]),
            intercept=machine.intercept * lines.slopes + lines.offsets,
        ),
        idf=base.idf,
        term_weights={
            side: base.term_weights[side] * lines.slopes
            + recipe.terms * (terms[side].T @ solution)
            for side in judge_model.SIDES
        },
        scales=base.scales,
        faults=base.faults,
    )


def _rank_numbers(numbers: Numbers) -> Numbers:
    """Turn each column of numbers (n, 2) into normal scores of its ranks."""
    if not len(numbers):
        return numbers
    ranks = rankdata(numbers, axis=0)
    return np.asarray(ndtri((ranks - 0.5) / len(numbers)), dtype=np.float64)


class _Lines(NamedTuple):
    """Lines in a judge's outputs: slopes and offsets (outputs,), and what they leave (n, 2)."""

    slopes: Numbers
    offsets: Numbers
    residuals: Numbers


def _fit_lines(outputs: Numbers, targets: Numbers) -> _Lines:
    """Fit each target (n, 2) by a rising line in its own output; faults keep theirs."""
    n_outputs = len(judge_model.OUTPUTS)
    slopes = np.ones(n_outputs)
    offsets = np.zeros(n_outputs)
    residuals = np.zeros_like(targets)
    for head in range(targets.shape[1]):
        x = outputs[:, head]
        y = targets[:, head]
        if len(x):
            spread = x - x.mean()
            # The 1 keeps the slope of a few rows near 0.
            slope = float(spread @ (y - y.mean())) / (float(spread @ spread) + 1)
            # A judge of another taste starts from nothing rather than from the reverse.
            slopes[head] = max(slope, 0.0)
            offsets[head] = y.mean() - slopes[head] * x.mean()
        residuals[:, head] = y - slopes[head] * x - offsets[head]
    return _Lines(slopes, offsets, residuals)


def bootstrap_correlation(
    left: Numbers,
    right: Numbers,
    groups: Rows,
    n_draws: int = 500,
    seed: int = 0,
) -> Figures:
    """Return a rank correlation with its 95% interval; None for both where it has no value.

    `groups` (n,) are drawn with replacement: samples of one instruction are not independent.
    """
    value = _correlate_ranks(left, right)
    if value is None:
        return {"value": None, "interval": None}
    rng = np.random.default_rng(seed)
    n_groups = int(groups.max()) + 1
    members = [np.flatnonzero(groups == group) for group in range(n_groups)]
    draws: list[float] = []
    for _ in range(n_draws):
        drawn = rng.integers(0, n_groups, n_groups)
        rows = np.concatenate([members[group] for group in drawn])
        correlation = _correlate_ranks(left[rows], right[rows])
        # A draw of few groups may hold one value only.
        if correlation is not None:
            draws.append(correlation)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "value": round(value, 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def _correlate_ranks(left: Numbers, right: Numbers) -> float | None:
    """Spearman's rank correlation; None where one side is constant."""
    left_ranks = rankdata(left)
    right_ranks = rankdata(right)
    if len(left) < 2 or left_ranks.std() == 0 or right_ranks.std() == 0:
        return None
    return float(np.corrcoef(left_ranks, right_ranks)[0, 1])
