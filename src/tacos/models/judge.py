"""The embedded judge: a score on 1..100 for one instruction and its response, and the features
behind it.

    s(instruction, response) = sum over features f of g_f(x_f) + v . e(response)      (a generalised additive model)
    P(a better than b)       = sigmoid(s(a) - s(b))                                   (Bradley and Terry, 1952)
    score                    = 1 + 99 sigmoid(slope (s - centre))

The x_f are the readable features of `tacos.models.feature_ramps`, g_f a saturating line through a
few knots, e the sentence encoder (its part is the feature "wording"), fitted to pairs of which
people preferred one (`tacos.models.training.judge`). `centre` and `slope` put the quartiles of a
reference set at about 25, 50 and 75. The judge sees one sample at a time, so it is pointwise: it
has no position bias to measure.

What it does not know: whether an answer is true, whether code runs, what a reader needs. On such
pairs its scores say nothing; the card (`data/judge.md`) has the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson

from tacos.errors import ModelError
from tacos.models import (
    encoder,
    feature_ramps,
    response_features,
)
from tacos.records import Encoder, Reply, Request, canonical_hash

DATA = Path(__file__).parent / "data"
FEATURES_VERSION = 1
"""Raised whenever a feature of any text comes out otherwise; a test holds the features of fixed
texts to it."""
EARLIER_FINGERPRINTS = {"1-9b0b4f14cf1c33ab": "6bdd98e15a290201"}
"""Fingerprints that runs made before 0.2.0 know the same judge by: they hashed the features' code,
so that moving a file would have graded everything again."""
FILE = "judge.json"
CHUNK = 2048
NAMES = (*feature_ramps.NAMES, "wording")
Array = npt.NDArray[np.float64]
Text = tuple[str, str]
"""An instruction and its response."""
Grade = tuple[float, str]
"""A score and what moves it most."""
MAX_REMEMBERED = 100_000
"""Grades that a process remembers, some 20 MB; then it forgets them all."""


@dataclass(frozen=True)
class JudgeWeights:
    """A fitted judge: one weight per ramp (see `features.ramps`) and per dimension of the encoder,
    and the scale.

    `typical` is the mean contribution of each feature on the reference set: `explain` counts from
    there.
    """

    ramps: tuple[float, ...]
    wording: tuple[float, ...]
    typical: tuple[float, ...]
    centre: float
    slope: float
    encoder: str = "static"
    encoder_fingerprint: str = ""


@dataclass(frozen=True)
class EmbeddedJudge:
    """A pointwise judge; its weights are read once per process, when first needed.

    `digest` is its file's when it was loaded: a file that changes after that is an error, not
    another judge.
    """

    folder: str
    name: str
    digest: str
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def fingerprint(self) -> str:
        """Of the weights, the version of the features and the encoder."""
        digest = hashlib.blake2b(_read_judge_file(self.folder, self.digest), digest_size=8)
        own = f"{FEATURES_VERSION}-{digest.hexdigest()}"
        own = EARLIER_FINGERPRINTS.get(own, own)
        return f"judge-{own}-{_load_encoder(self.weights.encoder).fingerprint}"

    @property
    def weights(self) -> JudgeWeights:
        """The fitted model."""
        return _read_weights(self.folder, self.digest)

    def score(self, instructions: Sequence[str], responses: Sequence[str]) -> Array:
        """float64 of shape (n,) on 1..100, two decimals, higher is better; the same whatever the
        batch or the order.
        """
        if isinstance(instructions, str) or isinstance(responses, str):
            raise TypeError(
                "lists of instructions and responses are asked for, not one text: give [text]"
            )
        if len(instructions) != len(responses):
            raise ValueError(f"{len(instructions)} instructions, but {len(responses)} responses")
        return self.calibrate(self.contributions(instructions, responses).sum(axis=1))

    def preference(self, first: Sequence[Text], second: Sequence[Text]) -> Array:
        """P(the first is better) of shape (n,), each in (0, 1); `first` and `second` hold
        (instruction, response).
        """
        left, right = (
            self.contributions(*_split_columns(side)).sum(axis=1) for side in (first, second)
        )
        return np.asarray(1.0 / (1.0 + np.exp(right - left)))

    def explain(self, instruction: str, response: str) -> list[tuple[str, float]]:
        """(feature, contribution), the largest first by size: how far each moves s from a typical
        one, in logits.
        """
        moved = self.contributions([instruction], [response])[0] - np.array(self.weights.typical)
        order = np.argsort(-np.abs(moved), kind="stable")
        return [(NAMES[i], round(float(moved[i]), 3)) for i in order if abs(moved[i]) >= 0.001]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request of task "judge" (two samples) or "grade" (one); a process scores
        equal samples once.
        """
        sides = [_read_request_samples(request) for request in requests]
        graded = self.graded(list(dict.fromkeys(text for each in sides for text in each.values())))
        return [self.reply({side: graded[text] for side, text in each.items()}) for each in sides]

    def graded(self, texts: Sequence[Text]) -> dict[Text, Grade]:
        """Score and reasons of each of the distinct (instruction, response); those of earlier calls
        are remembered, since rounds of comparisons ask about the same samples again and again.
        """
        keys, memory = (
            [canonical_hash([*map(_repair_surrogates, text)]) for text in texts],
            recall_grades(self.digest),
        )
        known = {
            text: grade
            for text, key in zip(texts, keys, strict=True)
            if (grade := memory.get(key)) is not None
        }
        fresh = [text for text in texts if text not in known]
        parts = self.contributions(*_split_columns(fresh))
        new = dict(
            zip(
                fresh,
                zip(self.calibrate(parts.sum(axis=1)).tolist(), self.reasons(parts), strict=True),
                strict=True,
            )
        )
        if len(memory) + len(new) > MAX_REMEMBERED:
            memory.clear()
        memory.update(
            (key, new[text]) for text, key in zip(texts, keys, strict=True) if text in new
        )
        return known | new

    def reply(self, graded: dict[str, tuple[float, str]]) -> Reply:
        """The reply to one request, by side: "" for a grade, "a" and "b" for a pair."""
        analysis = "; ".join(
            f"{side.upper()}: {why}" if side else why for side, (_, why) in graded.items()
        )
        numbers = {
            f"score_{side}" if side else "score": score for side, (score, _) in graded.items()
        }
        return Reply(orjson.dumps({"analysis": analysis, **numbers}).decode(), model=self.name)

    def contributions(self, instructions: Sequence[str], responses: Sequence[str]) -> Array:
        """The terms of s, of shape (n, len(NAMES)), in logits."""
        blocks = [
            _compute_contributions(
                self.weights, instructions[at : at + CHUNK], responses[at : at + CHUNK]
            )
            for at in range(0, len(instructions), CHUNK)
        ]
        return np.concatenate([np.zeros((0, len(NAMES))), *blocks])

    def calibrate(self, sums: Array) -> Array:
        """From s to 1..100: 1 + 99 sigmoid(slope (s - centre)), rounded to two decimals."""
        z = np.clip(self.weights.slope * (sums - self.weights.centre), -30, 30)
        return np.round(1.0 + 99.0 / (1.0 + np.exp(-z)), 2)

    def reasons(self, parts: Array) -> list[str]:
        """For each sample the three features that move it most, with their sign."""
        moved = parts - np.array(self.weights.typical)
        largest = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :3]
        return [
            ", ".join(f"{'+' if row[i] > 0 else '-'} {NAMES[i]}" for i in top)
            for row, top in zip(moved.tolist(), largest.tolist(), strict=True)
        ]


def load(path: str | Path | None = None) -> EmbeddedJudge:
    """The shipped judge, or the one in the folder `path`.

    Raises `ModelError` where there is none, or one of other features or another encoder than this
    version's.
    """
    folder = Path(path) if path is not None else DATA
    digest = _hash_judge_file(_read_judge_file(str(folder)))
    _read_weights(str(folder), digest)
    return EmbeddedJudge(
        str(folder), "embedded-judge" if path is None else folder.absolute().name, digest
    )


@lru_cache(maxsize=8)
def recall_grades(digest: str) -> dict[str, Grade]:
    """What this process has graded with the judge of this digest: key -> score and reasons."""
    return {}


def _hash_judge_file(content: bytes) -> str:
    """A hash of a judge's file."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _read_judge_file(folder: str, digest: str = "") -> bytes:
    """A judge's file; raises `ModelError` where it cannot be read, or where its digest is not the
    one expected.
    """
    try:
        content = (Path(folder) / FILE).read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no judge: {FILE} missing") from None
    except OSError as error:
        raise ModelError(f"{folder} holds no judge ({FILE}): {error!r}") from None
    if digest and digest != _hash_judge_file(content):
        raise ModelError(f"the judge in {folder} has changed while it was in use: start again")
    return content


@lru_cache(maxsize=8)
def _read_weights(folder: str, digest: str) -> JudgeWeights:
    """The weights in `folder`; raises `ModelError` where there are none, or of other features than
    this version's.
    """
    content = _read_judge_file(folder, digest)
    try:
        found: dict[str, Any] = orjson.loads(content)
        table = found["features"]
        known = (
            [feature.name for feature in feature_ramps.FEATURES],
            [list(map(float, f.knots)) for f in feature_ramps.FEATURES],
        )
        if (
            [row["name"] for row in table],
            [list(map(float, row["knots"])) for row in table],
        ) != known:
            raise ModelError(
                f"the judge in {folder} was trained with other features: train it again"
            )
        weights = JudgeWeights(
            ramps=tuple(float(weight) for row in table for weight in row["weights"]),
            wording=tuple(map(float, found["wording"]["weights"])),
            typical=(*(float(row["typical"]) for row in table), float(found["wording"]["typical"])),
            centre=float(found["centre"]),
            slope=float(found["slope"]),
            encoder=found["encoder"],
            encoder_fingerprint=found["encoder_fingerprint"],
        )
        _check_weights(weights, [len(row["weights"]) for row in table])
    except (KeyError, TypeError, ValueError) as error:  # a JSONDecodeError is a ValueError
        raise ModelError(f"{folder} holds no judge ({FILE}): {error!r}") from None
    if weights.encoder_fingerprint != _load_encoder(weights.encoder).fingerprint:
        raise ModelError(
            f"the judge in {folder} was trained with another encoder {weights.encoder!r}: train it again"
        )
    return weights


def _check_weights(weights: JudgeWeights, n_ramps: list[int]) -> None:
    """Raise `ValueError` for weights that are too few or too many (`n_ramps`: of each feature), or
    not finite.
    """
    dim = _load_encoder(weights.encoder).dim
    if (
        n_ramps != np.bincount(feature_ramps.index_ramp_features()).tolist()
        or len(weights.wording) != dim
    ):
        raise ValueError("other numbers of weights than features and the encoder have")
    if not np.isfinite(
        [*weights.ramps, *weights.wording, *weights.typical, weights.centre, weights.slope]
    ).all():
        raise ValueError("weights that are not finite")


def _compute_contributions(
    weights: JudgeWeights, instructions: Sequence[str], responses: Sequence[str]
) -> Array:
    """The terms of s, of shape (n, len(NAMES)); sums run along rows, so that a row never depends on
    its batch.
    """
    found, vectors = measure_samples(instructions, responses, _load_encoder(weights.encoder))
    steps = feature_ramps.apply_ramps(found) * np.array(weights.ramps)
    wording = (vectors * np.array(weights.wording)).sum(axis=1, keepdims=True)
    return np.concatenate([np.add.reduceat(steps, STARTS, axis=1), wording], axis=1)


STARTS = np.flatnonzero(np.diff(feature_ramps.index_ramp_features(), prepend=-1))
"""The first ramp of each feature."""


def measure_samples(
    instructions: Sequence[str], responses: Sequence[str], vectors: Encoder
) -> tuple[Array, Array]:
    """The features of shape (n, len(FEATURES)) and the responses' vectors of shape (n, dim)."""
    measured = [
        response_features.measure_response(_repair_surrogates(i), _repair_surrogates(r))
        for i, r in zip(instructions, responses, strict=True)
    ]
    out = np.array([row for row, _ in measured], dtype=np.float64).reshape(
        len(measured), len(feature_ramps.FEATURES)
    )
    asked = vectors.encode([_repair_surrogates(text) for text in instructions])
    given = vectors.encode([text for _, text in measured]).astype(np.float64)
    out[:, feature_ramps.CLOSENESS] = (asked * given).sum(axis=1)
    return out, given


def _repair_surrogates(text: str) -> str:
    """The text with lone surrogates, which no encoder reads, replaced."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _read_request_samples(request: Request) -> dict[str, Text]:
    """The samples that a request asks about, by side."""
    sides = ("a", "b") if request.task == "judge" else ("",)
    ends = [f"_{side}" if side else "" for side in sides]
    return {
        side: (str(request.fields[f"instruction{end}"]), str(request.fields[f"response{end}"]))
        for side, end in zip(sides, ends, strict=True)
    }


def _split_columns(texts: Iterable[Text]) -> tuple[list[str], list[str]]:
    pairs = list(texts)
    return [instruction for instruction, _ in pairs], [response for _, response in pairs]


@lru_cache(maxsize=4)
def _load_encoder(name: str) -> Encoder:
    return encoder.load(name)
