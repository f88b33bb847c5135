"""Trains the embedded judge from pairs of which one response was preferred, by people or by an LLM.

    minimise  sum_k w_k [p_k log(1 + exp(-z_k)) + (1 - p_k) log(1 + exp(z_k))] + penalty(b),   z_k = (x_k - x'_k) . b

over the weights b of the ramps, each kept to its feature's direction, and of the encoder's
dimensions. The penalty is a ridge, and for the ramps of one feature also on the differences of
neighbours, so that g_f is a smooth line (Eilers and Marx, 1996). Deterministic: weights are rounded
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
from tacos.models.training import preference_pairs as sources
from tacos.models.training import spoilt_responses
from tacos.models.training.preference_pairs import PreferencePair
from tacos.records import Encoder

Array = npt.NDArray[np.float64]
RIDGE, SMOOTH, WORDING = 2.0, 6.0, 2.0
"""Penalties of ramps, of the differences of neighbouring ramps, and of the encoder's dimensions."""
LEVEL = 0.5
"""The share of what an instruction lets one expect that is taken off, see `level_weights`."""


@dataclass(frozen=True)
class PreferenceData:
    """Pairs as numbers: columns (ramps, then the encoder's dimensions) of a less those of b,
    preference, weight.
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
    """A judge from pairs of texts with soft preferences; `reference` (or else the pairs' texts)
    sets the scale.

    Works as well on an LLM's verdicts: `preference` is then, for example, the share of both orders
    that a won. Where the two samples of a pair answer different instructions, leave `share` at 0;
    else see `level_weights`.
    """
    known = encode_sample_texts(
        reference or [text for pair in pairs for text in (pair.a, pair.b)], vectors
    )
    return _scale_weights(
        level_weights(solve_weights(encode_pairs(pairs, vectors)), known, share), known, vectors
    )


def encode_pairs(pairs: Sequence[PreferencePair], vectors: Encoder) -> PreferenceData:
    """The pairs as numbers; a text that stands in several pairs is measured once."""
    rows = {
        text: row
        for row, text in enumerate(
            dict.fromkeys(text for pair in pairs for text in (pair.a, pair.b))
        )
    }
    found = encode_sample_texts(list(rows), vectors)
    a, b = (np.array([rows[getattr(pair, side)] for pair in pairs]) for side in ("a", "b"))
    preference = np.array([pair.preference for pair in pairs], dtype=np.float64)
    return PreferenceData(
        found[a] - found[b], preference, np.array([pair.weight for pair in pairs], dtype=np.float64)
    )


def encode_sample_texts(texts: Sequence[judge.Text], vectors: Encoder) -> Array:
    """Ramps and vector of each (instruction, response), of shape (n, columns)."""
    found, given = judge.measure_samples(
        [text[0] for text in texts], [text[1] for text in texts], vectors
    )
    return np.concatenate([feature_ramps.apply_ramps(found), given], axis=1)


def solve_weights(
    data: PreferenceData, penalty: tuple[float, float, float] = (RIDGE, SMOOTH, WORDING)
) -> Array:
    """The weights of shape (columns,), four decimals."""
    x, cost = data.difference, _build_penalty_matrix(data.difference.shape[1], *penalty)

    def loss(b: Array) -> tuple[float, Array]:
        z = x @ b
        value = data.weight @ (np.logaddexp(0, z) - data.preference * z)
        slope = x.T @ (data.weight * (expit(z) - data.preference)) + cost @ b
        return float(value + b @ cost @ b / 2), np.asarray(slope, dtype=np.float64)

    limits = [LIMITS[feature_ramps.FEATURES[i].sign] for i in feature_ramps.index_ramp_features()]
    limits += [LIMITS[0]] * (x.shape[1] - len(limits))
    start = np.zeros(x.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options=PRECISE)  # type: ignore[call-overload]
    weights: Array = np.round(found.x, 4) + 0.0
    return weights


def _build_penalty_matrix(n_columns: int, ridge: float, smooth: float, wording: float) -> Array:
    """The matrix Q of the penalty b' Q b / 2, of shape (columns, columns)."""
    of = feature_ramps.index_ramp_features()
    cost: Array = np.diag(
        np.repeat([float(ridge), float(wording)], [len(of), n_columns - len(of)])
    ).astype(np.float64)
    for left in np.flatnonzero(of[:-1] == of[1:]):
        cost[left : left + 2, left : left + 2] += smooth * np.array([[1.0, -1.0], [-1.0, 1.0]])
    return cost


LIMITS = {1: (0.0, None), -1: (None, 0.0), 0: (None, None)}
PRECISE = {"maxiter": 5000, "maxfun": 50000, "ftol": 1e-12, "gtol": 1e-6}


def level_weights(b: Array, reference: Array, share: float = LEVEL) -> Array:
    """`b` with weights for what is asked, which pairs of answers to the same instruction cannot
    tell.

    Regresses s on what is asked over `reference` and takes `share` of that off: with 1 the judge
    expects as much as is usual for an instruction of that kind, with 0 a one-word answer to a
    yes-no question scores as one to an essay's.
    """
    asked = np.flatnonzero(np.isin(feature_ramps.index_ramp_features(), feature_ramps.ASKED))
    x = reference[:, asked] - reference[:, asked].mean(axis=0)
    s = reference @ b
    expected = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(len(asked)), x.T @ (s - s.mean()))
    out = b.copy()
    out[asked] -= share * expected
    return np.round(out, 4) + 0.0


def _scale_weights(b: Array, reference: Array, vectors: Encoder) -> judge.JudgeWeights:
    """The judge whose quartiles on `reference` (columns) lie at about 25, 50 and 75.

    So that sigmoid(slope (q3 - q1) / 2) = 3 / 4.
    """
    low, centre, high = np.quantile(reference @ b, [0.25, 0.5, 0.75])
    n, mean = len(feature_ramps.index_ramp_features()), reference.mean(axis=0) * b
    typical = [*np.add.reduceat(mean[:n], judge.STARTS).tolist(), float(mean[n:].sum())]
    slope = 2 * np.log(3) / max(float(high - low), 1e-6)
    return judge.JudgeWeights(
        ramps=tuple(b[:n].tolist()),
        wording=tuple(b[n:].tolist()),
        typical=tuple(round(value, 4) + 0.0 for value in typical),
        centre=round(float(centre), 4),
        slope=round(float(slope), 4),
        encoder=vectors.name,
        encoder_fingerprint=vectors.fingerprint,
    )


def save_judge(weights: judge.JudgeWeights, folder: str | Path) -> Path:
    """Write `judge.json`, one line per feature, so that a person can read it and a diff shows what
    moved.
    """
    values, at, lines = list(weights.ramps), 0, []
    for feature, typical in zip(feature_ramps.FEATURES, weights.typical, strict=False):
        n = len(feature.knots) - 1
        row = {
            "name": feature.name,
            "knots": feature.knots,
            "weights": values[at : at + n],
            "typical": typical,
        }
        lines.append(orjson.dumps(row).decode())
        at += n
    head = {
        name: getattr(weights, name)
        for name in ("encoder", "encoder_fingerprint", "centre", "slope")
    }
    head["wording"] = {"typical": weights.typical[-1], "weights": weights.wording}
    path = Path(folder) / judge.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    start = orjson.dumps(head).decode()[:-1]
    path.write_text(f'{start},"features":[\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    return path


def train_judge(data: Path, folder: Path = judge.DATA) -> Path:
    """Train the shipped judge from the files under `data` and write it to `folder`."""
    revised, voted, spoilt = (
        sources.read_revisions(data),
        sources.read_votes(data),
        spoilt_responses.spoil_texts(sources.read_answers(data)),
    )
    reference = [text for pair in revised for text in (pair.a, pair.b)]
    return save_judge(
        fit_judge_weights([*revised, *voted, *spoilt], encoder.load("static"), reference, LEVEL),
        folder,
    )
