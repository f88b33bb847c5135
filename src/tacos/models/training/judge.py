"""Trains the embedded judge from pairs of which people or an LLM preferred one response.

With x_k the columns of the preferred sample and x'_k those of the other one, it minimises

    sum_k w_k [p_k log(1 + exp(-z_k)) + (1 - p_k) log(1 + exp(z_k))] + penalty(b),
    z_k = (x_k - x'_k) . b

over the weights b of the ramps, each kept to its feature's sign, and of the encoder's dimensions.
The penalty is a ridge, and for the ramps of one feature also one on the differences of neighbours,
so that g_f is a smooth line (Eilers and Marx, 1996). Training is deterministic: weights are rounded
to four decimals, far above what the order of sums can change.

    # -> src/tacos/models/data/judge.json
    python -m tacos.models.train judge --data ../shared/data
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from scipy.optimize import minimize
from scipy.special import expit

from tacos.models import encoder, feature_ramps, judge
from tacos.models.training import preference_pairs, spoilt_responses
from tacos.models.training.preference_pairs import PreferencePair
from tacos.records import Encoder

Array = npt.NDArray[np.float64]
RIDGE = 2.0
"""Penalty of the ramps."""
SMOOTH = 6.0
"""Penalty of the differences of neighbouring ramps."""
WORDING = 2.0
"""Penalty of the encoder's dimensions."""
LEVEL = 0.5
"""The share of what an instruction lets one expect that is subtracted, see `level_weights`."""
LIMITS = {1: (0.0, None), -1: (None, 0.0), 0: (None, None)}
"""Bounds of a weight, by the sign of its feature."""
PRECISE = {"maxiter": 5000, "maxfun": 50000, "ftol": 1e-12, "gtol": 1e-6}


@dataclass(frozen=True)
class PreferenceData:
    """Pairs as numbers, one row per pair.

    `difference` holds the columns (ramps, then the encoder's dimensions) of a less those of b;
    `preference` is the probability that a is better.
    """

    difference: Array
    preference: Array
    weight: Array


def fit_judge_weights(
    pairs: Sequence[PreferencePair],
    vectors: Encoder,
    reference: Sequence[judge.Text] = (),
    share: float = 0.0,
) -> judge.JudgeWeights:
    """Fit a judge to pairs of texts with soft preferences.

    `reference` (or else the pairs' texts) sets the scale. An LLM's verdicts serve as well as
    people's: `preference` is then, for example, the share of both orders that a won. Leave `share`
    at 0 if the two samples of a pair answer different instructions; else see `level_weights`.
    """
    texts = list(reference)
    if not texts:
        for pair in pairs:
            texts += [pair.a, pair.b]
    columns = encode_sample_texts(texts, vectors)
    weights = solve_weights(encode_pairs(pairs, vectors))
    levelled = level_weights(weights, columns, share)
    return _scale_weights(levelled, columns, vectors)


def encode_pairs(pairs: Sequence[PreferencePair], vectors: Encoder) -> PreferenceData:
    """Encode pairs as numbers; a text that stands in several pairs is measured once."""
    row_of: dict[judge.Text, int] = {}
    for pair in pairs:
        for text in (pair.a, pair.b):
            row_of.setdefault(text, len(row_of))
    columns = encode_sample_texts(list(row_of), vectors)
    a = np.array([row_of[pair.a] for pair in pairs])
    b = np.array([row_of[pair.b] for pair in pairs])
    return PreferenceData(
        difference=columns[a] - columns[b],
        preference=np.array([pair.preference for pair in pairs], dtype=np.float64),
        weight=np.array([pair.weight for pair in pairs], dtype=np.float64),
    )


def encode_sample_texts(texts: Sequence[judge.Text], vectors: Encoder) -> Array:
    """Return ramps and vector of each (instruction, response), of shape (n, columns)."""
    instructions = [instruction for instruction, _ in texts]
    responses = [response for _, response in texts]
    features, response_vectors = judge.measure_samples(instructions, responses, vectors)
    ramps = feature_ramps.apply_ramps(features)
    return np.concatenate([ramps, response_vectors], axis=1)


def solve_weights(
    data: PreferenceData,
    penalty: tuple[float, float, float] = (RIDGE, SMOOTH, WORDING),
) -> Array:
    """Find the weights of shape (columns,), rounded to four decimals."""
    x = data.difference
    n_columns = x.shape[1]
    cost = _build_penalty_matrix(n_columns, *penalty)

    def loss(b: Array) -> tuple[float, Array]:
        z = x @ b
        value = data.weight @ (np.logaddexp(0, z) - data.preference * z)
        gradient = x.T @ (data.weight * (expit(z) - data.preference)) + cost @ b
        return float(value + b @ cost @ b / 2), np.asarray(gradient, dtype=np.float64)

    ramp_features = feature_ramps.index_ramp_features()
    limits = [LIMITS[feature_ramps.FEATURES[index].sign] for index in ramp_features]
    limits += [LIMITS[0]] * (n_columns - len(limits))
    solution = minimize(  # type: ignore[call-overload]
        loss,
        np.zeros(n_columns),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options=PRECISE,
    )
    weights: Array = np.round(solution.x, 4) + 0.0  # no -0.0 in the file
    return weights


def _build_penalty_matrix(
    n_columns: int, ridge: float, smooth: float, wording: float
) -> Array:
    """Build the matrix Q of the penalty b' Q b / 2, of shape (columns, columns)."""
    ramp_features = feature_ramps.index_ramp_features()
    n_ramps = len(ramp_features)
    diagonal = np.full(n_columns, float(wording))
    diagonal[:n_ramps] = ridge
    cost: Array = np.diag(diagonal).astype(np.float64)
    neighbours = np.array([[1.0, -1.0], [-1.0, 1.0]])
    # (b_left - b_right)^2 for neighbouring ramps of one feature.
    for left in np.flatnonzero(ramp_features[:-1] == ramp_features[1:]):
        pair = slice(left, left + 2)
        cost[pair, pair] += smooth * neighbours
    return cost


def level_weights(b: Array, reference: Array, share: float = LEVEL) -> Array:
    """Return `b` with weights for what is asked, about which pairs of one instruction say nothing.

    Regresses s on what is asked over `reference` (n, columns) and subtracts `share` of that. With 1
    the judge expects as much as is usual for an instruction of that kind; with 0 a one-word answer
    to a yes-no question scores as a one-word answer to an essay's.
    """
    is_asked = np.isin(feature_ramps.index_ramp_features(), feature_ramps.ASKED)
    asked = np.flatnonzero(is_asked)
    columns = reference[:, asked]
    x = columns - columns.mean(axis=0)
    s = reference @ b
    ridge = 1e-3 * len(x) * np.eye(len(asked))
    expected = np.linalg.solve(
        x.T @ x + ridge,
        x.T @ (s - s.mean()),
    )
    levelled = b.copy()
    levelled[asked] -= share * expected
    return np.round(levelled, 4) + 0.0


def _scale_weights(b: Array, reference: Array, vectors: Encoder) -> judge.JudgeWeights:
    """Build the judge whose quartiles on `reference` (n, columns) lie at about 25, 50 and 75."""
    low, centre, high = np.quantile(reference @ b, [0.25, 0.5, 0.75])
    # So that sigmoid(slope (high - low) / 2) = 3 / 4.
    slope = 2 * np.log(3) / max(float(high - low), 1e-6)
    n_ramps = len(feature_ramps.index_ramp_features())
    mean = reference.mean(axis=0) * b
    typical = np.add.reduceat(mean[:n_ramps], judge.STARTS).tolist()
    typical.append(float(mean[n_ramps:].sum()))
    return judge.JudgeWeights(
        ramps=tuple(b[:n_ramps].tolist()),
        wording=tuple(b[n_ramps:].tolist()),
        typical=tuple(round(value, 4) + 0.0 for value in typical),
        centre=round(float(centre), 4),
        slope=round(float(slope), 4),
        encoder=vectors.name,
        encoder_fingerprint=vectors.fingerprint,
    )


def save_judge(weights: judge.JudgeWeights, folder: str | Path) -> Path:
    """Write `judge.json`, one line per feature: people can read it, and a diff shows what moved."""
    head = {
        "encoder": weights.encoder,
        "encoder_fingerprint": weights.encoder_fingerprint,
        "centre": weights.centre,
        "slope": weights.slope,
        "wording": {"typical": weights.typical[-1], "weights": weights.wording},
    }
    lines: list[str] = []
    start = 0
    for feature, typical in zip(feature_ramps.FEATURES, weights.typical, strict=False):
        end = start + len(feature.knots) - 1
        row = {
            "name": feature.name,
            "knots": feature.knots,
            "weights": weights.ramps[start:end],
            "typical": typical,
        }
        lines.append(orjson.dumps(row).decode())
        start = end
    opening = orjson.dumps(head).decode().removesuffix("}")
    rows = ",\n".join(lines)
    path = Path(folder) / judge.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{opening},"features":[\n{rows}\n]}}\n', encoding="utf-8")
    return path


def train_judge(data: Path, folder: Path = judge.DATA) -> Path:
    """Train the shipped judge from the files under `data` and write it to `folder`."""
    revised = preference_pairs.read_revisions(data)
    voted = preference_pairs.read_votes(data)
    spoilt = spoilt_responses.spoil_texts(preference_pairs.read_answers(data))
    reference: list[judge.Text] = []
    for pair in revised:
        reference += [pair.a, pair.b]
    weights = fit_judge_weights(
        [*revised, *voted, *spoilt],
        encoder.load("static"),
        reference,
        LEVEL,
    )
    return save_judge(weights, folder)
