"""Trains the embedded judge from rows with two grades each, and from spoilt copies of some of them.

It is kernel ridge regression of several outputs at once, in two steps:

1. f(x_i) = y_i, the grades of graded rows as normal scores, each row with its noise.
2. A correction g with g(x_i) = 0 at these rows, and g(x_i) - g(copy_i) = what is lacking: what a
   spoilt copy should cost, less what f already takes off for it. It leaves the order of honest
   rows much as it is. Learned in one step, the copies would cost a tenth of the correlation.

With k the kernel (Gaussian, of the columns, plus a linear one of the token terms) and A the matrix
that maps the values of g to what is observed, the coefficients of g are A'(A K A' + noise)^-1 times
that. Every grade that the scales, the fault curves and the reliabilities are fitted to was
predicted by a judge that had seen neither the row's instruction nor its response.

    # -> src/tacos/models/data/judge.json and judge.safetensors
    python -m tacos.models.train judge --data ../shared/data
    # -> close_judge.json and close_judge.safetensors; reads 6,000 samples with SmolLM2
    python -m tacos.models.train close-judge --data ../shared/data
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.stats import rankdata
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

from tacos.models import (
    close_judge,
    judge,
    judge_model,
    kernel_machine,
    smollm2,
    token_terms,
)
from tacos.models.judge_model import (
    FAULTS,
    HEADS,
    OUTPUTS,
    SIDES,
    FaultCurve,
    JudgeModel,
    SampleColumns,
    StateReader,
)
from tacos.models.kernel_machine import Block, KernelMachine
from tacos.models.static_encoder import StaticEncoder
from tacos.models.training import graded_rows, spoilt_responses
from tacos.models.training.graded_rows import GradedRow
from tacos.models.training.judge_recipes import (
    CLOSE,
    FAST,
    BlockRecipe,
    JudgeRecipe,
    find_copy_costs,
)
from tacos.models.training.judge_scales import (
    fit_fault_curve,
    fit_scale,
    measure_reliability,
)
from tacos.models.training.spoilt_responses import Contrast

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
KINDS = {
    "coachlm-raw": "alpaca",
    "pandalm-1": "pandalm",
    "pandalm-2": "pandalm",
}
"""Sources that are of one kind of data; the others are kinds of their own."""


@dataclass(frozen=True)
class TrainingData:
    """What a judge is fitted to.

    `columns` are those of n rows, then of m copies. `targets` (n, outputs) and the `kinds` of data
    (n,) belong to the rows, `originals` (m,), the rows of the copies, and `costs` (m, outputs) to
    the copies. `noise` (n + m,) is that of both, in order.
    """

    columns: SampleColumns
    targets: Array
    noise: Array
    originals: Rows
    costs: Array
    kinds: npt.NDArray[np.str_]

    def take(self, rows: Rows, copies: Rows) -> TrainingData:
        """The data of some rows, and of those copies whose original is among them."""
        n_rows = len(self.targets)
        position = np.full(n_rows, -1)
        position[rows] = np.arange(len(rows))
        return TrainingData(
            columns=self.columns.take(np.concatenate([rows, n_rows + copies])),
            targets=self.targets[rows],
            noise=self.noise[np.concatenate([rows, n_rows + copies])],
            originals=position[self.originals[copies]],
            costs=self.costs[copies],
            kinds=self.kinds[rows],
        )


def build_targets(rows: Sequence[GradedRow], score_share: float = 0.0) -> Array:
    """Return the targets of rows, (n, outputs): normal scores of both grades, then the faults.

    With `score_share`, the ranks of `score` count that much beside those of correctness.
    """
    sources = [row.source for row in rows]
    annotators = [row.annotator for row in rows]
    value = np.array([row.value for row in rows])
    correctness = rankdata([row.correctness for row in rows])
    if score_share:
        correctness = correctness + score_share * rankdata([row.score for row in rows])
    columns = [
        graded_rows.rank_grades(value, sources, annotators),
        graded_rows.rank_grades(correctness, sources, annotators),
    ]
    for fault in FAULTS:
        has_fault = np.array([row.fault == fault for row in rows])
        columns += [has_fault.astype(np.float64)]
    return np.stack(columns, axis=1)


def build_costs(contrasts: Sequence[Contrast], recipe: JudgeRecipe) -> Array:
    """Return by how much each output of an original lies above its copy's, (m, outputs)."""
    costs = np.zeros((len(contrasts), len(OUTPUTS)))
    for number, contrast in enumerate(contrasts):
        way = spoilt_responses.WAYS[contrast.way]
        own = find_copy_costs(contrast.way, recipe)
        costs[number, :2] = own.value, own.correctness
        # A copy has the fault of its way rather more, and rather less no fault, than its original.
        costs[number, OUTPUTS.index(way.fault)] = -0.5
        costs[number, OUTPUTS.index("none")] = 0.3
    return costs


def prepare_data(
    rows: Sequence[GradedRow],
    contrasts: Sequence[Contrast],
    columns: SampleColumns,
    recipe: JudgeRecipe = FAST,
) -> TrainingData:
    """Prepare graded rows and spoilt copies of them; `columns` are those of both, in order."""
    noise = [recipe.source_noise.get(row.source, 1.0) for row in rows]
    for contrast in contrasts:
        costs = find_copy_costs(contrast.way, recipe)
        noise.append(recipe.copy_noise * costs.noise)
    return TrainingData(
        columns=columns,
        targets=build_targets(rows, recipe.score_share),
        noise=np.array(noise),
        originals=np.array([contrast.row for contrast in contrasts], dtype=np.int64),
        costs=build_costs(contrasts, recipe),
        kinds=np.array([KINDS.get(row.source, row.source) for row in rows]),
    )


def fit_machine(data: TrainingData, recipe: JudgeRecipe) -> JudgeModel:
    """Fit all outputs at once; scales and fault curves are left to `fit_scales`."""
    n_rows = len(data.targets)
    n_points = n_rows + len(data.originals)
    rows = np.arange(n_rows)
    graded = data.columns.take(rows)
    # What is noisy counts less for the axes and spreads as well.
    shares = 1 / data.noise[:n_rows] ** 2
    blocks = tuple(
        fit_block(name, graded.blocks, block, shares, data.kinds)
        for name, block in recipe.blocks.items()
    )
    supports = kernel_machine.quantise_columns(blocks, data.columns.blocks)
    kernel = _compute_whole_kernel(blocks, supports, recipe.gamma)

    idf: dict[str, Array] = {}
    terms = {}
    for side in SIDES:
        idf[side] = token_terms.learn_idf(graded.terms[side])
        terms[side] = token_terms.weight_terms(data.columns.terms[side], idf[side])
        products = (terms[side] @ terms[side].T).toarray()
        kernel += (recipe.terms * products).astype(np.float32)

    intercept = data.targets.mean(axis=0)
    noise = data.noise.copy()
    noise[:n_rows] *= recipe.noise
    coefficients = np.zeros((n_points, len(intercept)))
    coefficients[:n_rows] = _solve_kernel(
        kernel[:n_rows, :n_rows].copy(),
        noise[:n_rows],
        data.targets - intercept,
    )
    lacking = _find_lacking_costs(data, kernel[:, :n_rows] @ coefficients[:n_rows])
    noise[:n_rows] *= recipe.correction
    coefficients += _fit_correction(kernel, data.originals, noise, lacking)
    # What a file holds
    coefficients = coefficients.astype(np.float32).astype(np.float64)
    term_weights = {}
    for side in SIDES:
        weights = recipe.terms * (terms[side].T @ coefficients)
        term_weights[side] = weights.astype(np.float16).astype(np.float64)
    machine = KernelMachine(blocks, recipe.gamma, supports, coefficients, intercept)
    return JudgeModel(machine, idf, term_weights, scales={}, faults={})


def fit_block(
    name: str,
    columns: kernel_machine.Columns,
    recipe: BlockRecipe,
    shares: Array,
    kinds: npt.NDArray[np.str_],
) -> Block:
    """Fit the mean, the axes and the spread of a block: one group of `columns`, each (n, d).

    `shares` (n,) say what each row counts for them, `kinds` (n,) which kind of data it is.
    """
    group = recipe.columns or name
    numbers = np.asarray(columns[group], dtype=np.float64)
    mean = np.average(numbers, axis=0, weights=shares)
    axes = np.zeros((0, numbers.shape[1]))
    if recipe.n_axes:
        covariance = np.cov(numbers, rowvar=False, aweights=shares)
        _, vectors = np.linalg.eigh(covariance)
        # In ascending order of variance
        axes = vectors[:, : -recipe.n_axes - 1 : -1].T
    if recipe.tells_kinds:
        axes = _find_discriminants((numbers - mean) @ axes.T, kinds) @ axes
    # What a file holds
    mean = mean.astype(np.float32).astype(np.float64)
    axes = axes.astype(np.float32).astype(np.float64)
    block = Block(name, group, mean, axes, np.ones(1), recipe.weight)
    projected = kernel_machine.project_columns(block, numbers)
    variance = np.average(projected**2, axis=0, weights=shares)
    spread = np.sqrt(variance) + 1e-6
    weight = recipe.weight
    if recipe.common_spread:
        largest = spread.max()
        # So that the block as a whole still counts its weight
        shares = (spread / largest) ** 2
        weight *= len(spread) / shares.sum()
        spread = np.full(len(spread), largest)
    spread = spread.astype(np.float32).astype(np.float64)
    return Block(name, group, mean, axes, spread, weight)


def _find_discriminants(values: Array, kinds: npt.NDArray[np.str_]) -> Array:
    """Find the directions that tell kinds apart, (kinds - 1, d), by Fisher's discriminants.

    The covariance within the kinds is shrunk, because there are many columns.
    """
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
    analysis.fit(values, kinds)
    n_directions = len(np.unique(kinds)) - 1
    return np.asarray(analysis.scalings_[:, :n_directions].T, dtype=np.float64)


def _compute_whole_kernel(
    blocks: Sequence[Block],
    supports: kernel_machine.Whole,
    gamma: float,
) -> npt.NDArray[np.float32]:
    scale = gamma / kernel_machine.unit_length(blocks) ** 2
    return kernel_machine.compute_kernel(
        supports,
        supports,
        scale,
    )


def _find_lacking_costs(data: TrainingData, fitted: Array) -> Array:
    """Find by how much copies lie too near their originals, (m, outputs), from values of f."""
    n_rows = len(data.targets)
    taken = fitted[data.originals] - fitted[n_rows:]
    direction = np.where(data.costs < 0, -1.0, 1.0)
    lacking = direction * np.maximum(direction * (data.costs - taken), 0)
    # Nothing is asked of a fault that has no cost; a number must not rise for a copy.
    is_free = data.costs == 0
    is_free[:, : len(HEADS)] = False
    lacking[is_free] = 0
    return lacking


def _fit_correction(
    kernel: npt.NDArray[np.float32],
    originals: Rows,
    noise: Array,
    lacking: Array,
) -> Array:
    """Fit g, see the module's docstring: its coefficients (n + m, outputs).

    The kernel (n + m, n + m) is overwritten.
    """
    n_rows = len(kernel) - len(originals)
    # Each copy's column becomes its original's less its own, and so do the rows.
    kernel[:, n_rows:] = kernel[:, originals] - kernel[:, n_rows:]
    kernel[n_rows:] = kernel[originals] - kernel[n_rows:]
    observed = np.zeros((len(kernel), lacking.shape[1]))
    observed[n_rows:] = lacking
    solution = _solve_kernel(kernel, noise, observed)
    # From what is observed back to rows and copies
    coefficients = solution.copy()
    coefficients[n_rows:] *= -1
    np.add.at(coefficients, originals, solution[n_rows:])
    return coefficients


def _solve_kernel(
    kernel: npt.NDArray[np.float32],
    noise: Array,
    observed: Array,
) -> Array:
    """Solve (kernel + noise) c = observed; the kernel is overwritten."""
    kernel[np.diag_indices(len(kernel))] += noise
    factor = scipy.linalg.cho_factor(kernel, overwrite_a=True, check_finite=False)
    solution = scipy.linalg.cho_solve(factor, observed.astype(np.float32))
    return np.asarray(solution, dtype=np.float64)


def predict_held_out(
    data: TrainingData,
    groups: Sequence[str],
    partners: Rows,
    recipe: JudgeRecipe,
    partition: int = 0,
) -> Array:
    """Predict each row, (n, outputs), by a judge that saw no row of its group.

    `groups` are those of the rows (`graded_rows.group_rows`), `partners` (m,) the rows that copies
    took an answer from: a judge sees no copy of a held-out row, nor one with its answer.
    """
    outputs, _ = predict_folds(data, groups, partners, recipe, partition)
    return outputs


def predict_folds(
    data: TrainingData,
    groups: Sequence[str],
    partners: Rows,
    recipe: JudgeRecipe,
    partition: int = 0,
) -> tuple[Array, list[tuple[JudgeModel, Rows]]]:
    """As `predict_held_out`, with each fold's judge and the rows that it did not see."""
    folds = graded_rows.assign_group_folds(groups, partition)
    outputs = np.zeros_like(data.targets)
    fitted: list[tuple[JudgeModel, Rows]] = []
    for fold in range(graded_rows.N_FOLDS):
        is_seen = folds != fold
        rows = np.flatnonzero(is_seen)
        copies = np.flatnonzero(is_seen[data.originals] & is_seen[partners])
        model = fit_machine(data.take(rows, copies), recipe)
        unseen = np.flatnonzero(~is_seen)
        outputs[unseen] = model.predict(data.columns.take(unseen))
        fitted.append((model, unseen))
    return outputs, fitted


def fit_scales(
    model: JudgeModel,
    rows: Sequence[GradedRow],
    outputs: Array,
) -> JudgeModel:
    """Add scales and fault curves, fitted to held-out `outputs` (n, len(OUTPUTS)) of the rows."""
    grades = {
        "value": np.array([row.value for row in rows]),
        "correctness": np.array([row.correctness for row in rows]),
    }
    scales = {
        head: fit_scale(outputs[:, number], grades[head])
        for number, head in enumerate(HEADS)
    }
    curves: dict[str, FaultCurve] = {}
    for number, fault in enumerate(FAULTS, start=len(HEADS)):
        has_fault = np.array([row.fault == fault for row in rows])
        curve = fit_fault_curve(outputs[:, number], has_fault)
        if curve is not None:
            curves[fault] = curve
    return JudgeModel(model.machine, model.idf, model.term_weights, scales, curves)


def train_judge(data: Path, folder: Path = judge.DATA) -> Path:
    """Train the shipped judge from the files under `data` and write it to `folder`."""
    return _train_tier(data, folder, FAST, judge.FILES)


def train_close_judge(
    data: Path,
    folder: Path = judge.DATA,
    reader: StateReader | None = None,
) -> Path:
    """Train the shipped close judge, which reads samples with `reader` (None: SmolLM2)."""
    return _train_tier(
        data,
        folder,
        CLOSE,
        close_judge.FILES,
        reader or smollm2.load(),
    )


def _train_tier(
    data: Path,
    folder: Path,
    recipe: JudgeRecipe,
    files: tuple[str, str],
    reader: StateReader | None = None,
) -> Path:
    """Train one tier, and write it with the reliability of its held-out scores."""
    rows = graded_rows.read_graded_rows(data)
    texts = [(row.instruction, row.response) for row in rows]
    contrasts = spoilt_responses.draw_contrasts(texts, shares=recipe.copies)
    copies = [contrast.text for contrast in contrasts]
    columns = measure_texts([*texts, *copies], StaticEncoder(), reader)
    training_data = prepare_data(rows, contrasts, columns, recipe)
    partners = np.array([contrast.partner for contrast in contrasts], dtype=np.int64)
    with threadpool_limits(1):
        groups = graded_rows.group_rows(texts)
        outputs = predict_held_out(training_data, groups, partners, recipe)
        model = fit_scales(fit_machine(training_data, recipe), rows, outputs)
    scores = judge.scale_outputs(model, outputs)
    reliability = measure_reliability(rows, scores.value, scores.correctness)
    return judge.save_judge(model, folder, reliability, files)


def fit_graded_rows(rows: Sequence[GradedRow]) -> JudgeModel:
    """Fit a judge without scales and fault curves to some rows, see `fit_machine`."""
    texts = [(row.instruction, row.response) for row in rows]
    contrasts = spoilt_responses.draw_contrasts(texts)
    copies = [contrast.text for contrast in contrasts]
    columns = measure_texts([*texts, *copies], StaticEncoder())
    with threadpool_limits(1):
        return fit_machine(prepare_data(rows, contrasts, columns), FAST)


def measure_texts(
    texts: Sequence[tuple[str, str]],
    encoder: StaticEncoder,
    reader: StateReader | None = None,
) -> SampleColumns:
    """Measure samples given as pairs, see `judge_model.measure_samples`."""
    instructions = [instruction for instruction, _ in texts]
    responses = [response for _, response in texts]
    return judge_model.measure_samples(instructions, responses, encoder, reader)
