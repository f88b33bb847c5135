"""Trains the embedded judge from pairs of which one response was preferred, by people or by an LLM.

    minimise  sum_k w_k [ p_k log(1 + exp(-z_k)) + (1 - p_k) log(1 + exp(z_k)) ] + l2 / 2 |b|^2,   z_k = (x_k - x'_k) . b

over the weights b of the ramps, each kept to its feature's direction. Deterministic: weights are rounded to four
decimals, far above what the order of sums can change.

    python -m tacos.models.training.judging ../shared/data        # -> src/tacos/models/data/judge.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from scipy.optimize import minimize
from scipy.special import expit

from tacos.models import encoder, features, judge
from tacos.models.training import pairs as sources
from tacos.models.training.pairs import Pair
from tacos.records import Encoder

Array = npt.NDArray[np.float64]
L2 = 3.0


@dataclass(frozen=True)
class Design:
    """Pairs as numbers: ramps of either side, of shape (n, ramps), preferences and weights of shape (n,)."""

    a: Array
    b: Array
    preference: Array
    weight: Array


def fit(pairs: Sequence[Pair], vectors: Encoder, l2: float = L2, reference: Sequence[judge.Text] = ()) -> judge.Weights:
    """A judge from pairs of texts with soft preferences; `reference` (by default both sides of the pairs) sets the scale.

    Works as well on an LLM's verdicts: `preference` is then, for example, the mean of both orders.
    """
    weights = solve(design(pairs, vectors), l2)
    return scale(weights, reference or [text for pair in pairs for text in (pair.a, pair.b)], vectors)


def design(pairs: Sequence[Pair], vectors: Encoder) -> Design:
    """The pairs' ramps."""
    a, b = (steps([getattr(pair, side) for pair in pairs], vectors) for side in ("a", "b"))
    preference = np.array([pair.preference for pair in pairs], dtype=np.float64)
    return Design(a, b, preference, np.array([pair.weight for pair in pairs], dtype=np.float64))


def steps(texts: Sequence[judge.Text], vectors: Encoder) -> Array:
    """Ramps of (instruction, response) texts, of shape (n, ramps)."""
    return features.ramps(judge.values([text[0] for text in texts], [text[1] for text in texts], vectors))


def solve(data: Design, l2: float = L2) -> Array:
    """The weights of shape (ramps,), four decimals."""
    x = data.a - data.b

    def loss(b: Array) -> tuple[float, Array]:
        z = x @ b
        value = data.weight @ (np.logaddexp(0, z) - data.preference * z)
        slope = x.T @ (data.weight * (expit(z) - data.preference)) + l2 * b
        return float(value + l2 / 2 * b @ b), np.asarray(slope, dtype=np.float64)

    limits = [LIMITS[features.FEATURES[i].sign] for i in features.ramp_features()]
    start = np.zeros(x.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options=PRECISE)  # type: ignore[call-overload]
    return np.round(np.asarray(found.x, dtype=np.float64), 4) + 0.0


LIMITS = {1: (0.0, None), -1: (None, 0.0), 0: (None, None)}
PRECISE = {"maxiter": 5000, "maxfun": 50000, "ftol": 1e-13, "gtol": 1e-7}


def scale(ramps: Array, reference: Sequence[judge.Text], vectors: Encoder) -> judge.Weights:
    """The judge whose quartiles on `reference` lie at about 25, 50 and 75: sigmoid(slope (q3 - q1) / 2) = 3 / 4."""
    parts = steps(reference, vectors) * ramps
    low, centre, high = np.quantile(parts.sum(axis=1), [0.25, 0.5, 0.75])
    starts = np.flatnonzero(np.diff(features.ramp_features(), prepend=-1))
    typical = np.add.reduceat(parts.mean(axis=0), starts)
    slope = 2 * np.log(3) / max(float(high - low), 1e-6)
    return judge.Weights(
        ramps=tuple(ramps.tolist()),
        typical=tuple(np.round(typical, 4).tolist()),
        centre=round(float(centre), 4),
        slope=round(float(slope), 4),
        encoder=vectors.name,
        encoder_fingerprint=vectors.fingerprint,
    )


def save(weights: judge.Weights, folder: str | Path) -> Path:
    """Write `judge.json`, one line per feature, so that a person can read it and a diff shows what moved."""
    values, at, lines = list(weights.ramps), 0, []
    for feature, typical in zip(features.FEATURES, weights.typical, strict=True):
        n = len(feature.knots) - 1
        row = {"name": feature.name, "knots": feature.knots, "weights": values[at : at + n], "typical": typical}
        lines.append(orjson.dumps(row).decode())
        at += n
    rest = {name: getattr(weights, name) for name in ("encoder", "encoder_fingerprint", "centre", "slope")}
    head = orjson.dumps(rest).decode()[:-1]
    path = Path(folder) / judge.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{head},"features":[\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    judge.read.cache_clear()
    return path


def train(data: Path, folder: Path = judge.DATA) -> Path:
    """Train the shipped judge from the files under `data` and write it to `folder`."""
    revised, voted = sources.revisions(data), sources.votes(data)
    reference = [text for pair in revised for text in (pair.a, pair.b)]
    return save(fit([*revised, *voted], encoder.load("static"), reference=reference), folder)


if __name__ == "__main__":
    print(train(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")))
