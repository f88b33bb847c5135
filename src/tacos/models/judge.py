"""The embedded judge: scores one instruction with its response on 1..100, and says why.

It is a generalised additive model over readable features and the response's sentence vector:

    s(instruction, response) = sum over features f of g_f(x_f) + v . e(response)
    P(a better than b)       = sigmoid(s(a) - s(b))               (Bradley and Terry, 1952)
    score                    = 1 + 99 sigmoid(slope (s - centre))

The x_f are the features of `tacos.models.feature_ramps`; g_f is a saturating line through a few
knots; e is the sentence encoder, whose part is the feature "wording". All were fitted to pairs of
responses of which people preferred one (`tacos.models.training.judge`). `centre` and `slope` put
the quartiles of a reference set at about 25, 50 and 75. The judge sees one sample at a time
(pointwise), so it has no position bias to measure.

It does not know whether an answer is true, whether code runs, or what a reader needs. Where only
that differs, its scores say nothing; the card (`data/judge.md`) has the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson

from tacos.errors import ModelError
from tacos.models import encoder, feature_ramps, judge_requests, response_features
from tacos.records import Encoder, Reply, Request, canonical_hash

DATA = Path(__file__).parent / "data"
FEATURES_VERSION = 1
"""Raise it whenever a feature of any text changes: `test_features_change_only_with_their_version`
compares the features of fixed texts with the digest of this version."""
EARLIER_FINGERPRINTS = {"1-9b0b4f14cf1c33ab": "6bdd98e15a290201"}
"""The fingerprints that runs before 0.2.0 have for the same judge. They hashed the code of the
features, so that moving a file would have made every run grade again."""
FILE = "judge.json"
CHUNK = 2048
NAMES = (*feature_ramps.NAMES, "wording")
Array = npt.NDArray[np.float64]
Text = judge_requests.Sample
Grade = tuple[float, str]
"""A score and the features that move it most."""
MAX_REMEMBERED = 100_000
"""The number of grades that a process remembers, some 20 MB, before it forgets them all."""
N_REASONS = 3
SMALLEST_CONTRIBUTION = 0.001
"""`explain` leaves out features that move s by less."""
STARTS = np.flatnonzero(np.diff(feature_ramps.index_ramp_features(), prepend=-1))
"""The first ramp of each feature."""


@dataclass(frozen=True)
class JudgeWeights:
    """A fitted judge: one weight per ramp and per dimension of the encoder, and the scale.

    `ramps` are as in `feature_ramps.apply_ramps`. `typical` is the mean contribution of each
    feature on the reference set: `explain` counts from there.
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
    """A pointwise judge: a small, picklable value; each process reads the weights at first use.

    `digest` is the hash of the file when the judge was loaded: a file that changes after that is an
    error, not another judge.
    """

    folder: str
    name: str
    digest: str
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def fingerprint(self) -> str:
        """What decides the scores: the weights, the version of the features and the encoder."""
        content = _read_judge_file(self.folder, self.digest)
        digest = _hash_judge_file(content)
        own = f"{FEATURES_VERSION}-{digest}"
        own = EARLIER_FINGERPRINTS.get(own, own)
        vectors = _load_encoder(self.weights.encoder)
        return f"judge-{own}-{vectors.fingerprint}"

    @property
    def weights(self) -> JudgeWeights:
        """The fitted model."""
        return _read_weights(self.folder, self.digest)

    def score(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> Array:
        """Score samples on 1..100, higher is better: float64 of shape (n,), two decimals.

        A score does not depend on the batch or the order. Raises `TypeError` for one text instead
        of a list, `ValueError` if the lists differ in length.
        """
        if isinstance(instructions, str) or isinstance(responses, str):
            raise TypeError(
                "instructions and responses must be lists of texts, not one text: pass [text]"
            )
        if len(instructions) != len(responses):
            raise ValueError(
                f"{len(instructions)} instructions, but {len(responses)} responses"
            )
        contributions = self.contributions(instructions, responses)
        return self.calibrate(contributions.sum(axis=1))

    def preference(
        self,
        first: Sequence[Text],
        second: Sequence[Text],
    ) -> Array:
        """Return P(the first is better) in (0, 1), shape (n,), for samples against samples."""
        first_terms = self.contributions(*_split_columns(first))
        second_terms = self.contributions(*_split_columns(second))
        left = first_terms.sum(axis=1)
        right = second_terms.sum(axis=1)
        odds_against = np.exp(right - left)
        return np.asarray(1.0 / (1.0 + odds_against))

    def explain(
        self,
        instruction: str,
        response: str,
    ) -> list[tuple[str, float]]:
        """Return (feature, contribution) of one sample, the largest contribution first.

        A contribution is how far a feature moves s from a typical sample's, in logits.
        """
        (contributions,) = self.contributions([instruction], [response])
        typical = np.array(self.weights.typical)
        moved = contributions - typical
        order = np.argsort(
            -np.abs(moved),
            kind="stable",
        )
        explanation: list[tuple[str, float]] = []
        for feature in order:
            value = float(moved[feature])
            if abs(value) < SMALLEST_CONTRIBUTION:
                continue
            name = NAMES[feature]
            explanation.append((name, round(value, 3)))
        return explanation

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests of the tasks "judge" (two samples) and "grade" (one), in order.

        A process scores equal samples once.
        """
        samples_of_requests = [
            judge_requests.read_samples(request) for request in requests
        ]
        # A dictionary, because it keeps the order of the samples.
        distinct: dict[Text, None] = {}
        for samples in samples_of_requests:
            distinct.update(dict.fromkeys(samples.values()))
        graded = self.graded(list(distinct))

        replies: list[Reply] = []
        for samples in samples_of_requests:
            grades = {side: graded[text] for side, text in samples.items()}
            reply = self.reply(grades)
            replies.append(reply)
        return replies

    def graded(self, texts: Sequence[Text]) -> dict[Text, Grade]:
        """Return score and reasons of each of the distinct (instruction, response).

        Those of earlier calls are remembered, because rounds of comparisons ask about the same
        samples again and again.
        """
        memory = recall_grades(self.digest)
        grades: dict[Text, Grade] = {}
        unknown: dict[Text, str] = {}
        for text in texts:
            # Hashed, because the texts themselves would take too much memory.
            readable = [_repair_surrogates(part) for part in text]
            key = canonical_hash(readable)
            remembered = memory.get(key)
            if remembered is None:
                unknown[text] = key
            else:
                grades[text] = remembered

        new_grades = self._grade_texts(list(unknown))
        # The grades of this call are in `grades`, so the memory may be emptied.
        if len(memory) + len(unknown) > MAX_REMEMBERED:
            memory.clear()
        for text, key in unknown.items():
            grade = new_grades[text]
            grades[text] = grade
            memory[key] = grade
        return grades

    def _grade_texts(self, texts: Sequence[Text]) -> dict[Text, Grade]:
        """Compute score and reasons of each of these texts."""
        instructions, responses = _split_columns(texts)
        contributions = self.contributions(instructions, responses)
        sums = contributions.sum(axis=1)
        scores = self.calibrate(sums)
        reasons = self.reasons(contributions)
        grades = zip(
            scores.tolist(),
            reasons,
            strict=True,
        )
        return dict(zip(texts, grades, strict=True))

    def reply(self, graded: dict[str, Grade]) -> Reply:
        """Reply to one request with the grades of its sides: "a" and "b", or "" for one sample."""
        scores: dict[str, float] = {}
        explanations: list[str] = []
        for side, grade in graded.items():
            score, reasons = grade
            scores[side] = score
            # A single sample has no side to name.
            if side:
                reasons = f"{side.upper()}: {reasons}"
            explanations.append(reasons)
        analysis = "; ".join(explanations)
        text = judge_requests.format_scores(scores, analysis)
        return Reply(text, model=self.name)

    def contributions(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> Array:
        """Return the terms of s, of shape (n, len(NAMES)), in logits."""
        blocks = [np.zeros((0, len(NAMES)))]
        for start in range(0, len(instructions), CHUNK):
            chunk = slice(start, start + CHUNK)
            block = _compute_contributions(
                self.weights,
                instructions[chunk],
                responses[chunk],
            )
            blocks.append(block)
        return np.concatenate(blocks)

    def calibrate(self, sums: Array) -> Array:
        """Turn s into scores: 1 + 99 sigmoid(slope (s - centre)), rounded to two decimals."""
        logits = self.weights.slope * (sums - self.weights.centre)
        # Beyond 30 the sigmoid is 0 or 1 to all printed digits; the exponential must not overflow.
        bounded = np.clip(logits, -30, 30)
        scores = 1.0 + 99.0 / (1.0 + np.exp(-bounded))
        return np.round(scores, 2)

    def reasons(self, parts: Array) -> list[str]:
        """Name the three features that move each sample most, with their sign.

        `parts` are contributions of shape (n, len(NAMES)).
        """
        typical = np.array(self.weights.typical)
        moved = parts - typical
        order = np.argsort(
            -np.abs(moved),
            axis=1,
            kind="stable",
        )
        largest = order[:, :N_REASONS]
        # Plain lists: reading single numbers out of an array is slow.
        rows = zip(
            moved.tolist(),
            largest.tolist(),
            strict=True,
        )
        reasons: list[str] = []
        for row, features in rows:
            signed_names = []
            for feature in features:
                sign = "+" if row[feature] > 0 else "-"
                signed_names.append(f"{sign} {NAMES[feature]}")
            reasons.append(", ".join(signed_names))
        return reasons


def load(path: str | Path | None = None) -> EmbeddedJudge:
    """Load the shipped judge, or the one in a folder.

    Raises `ModelError` if the folder holds no judge, or one with other features or another encoder
    than this version's.
    """
    if path is None:
        folder = DATA
        name = "embedded-judge"
    else:
        folder = Path(path)
        name = folder.absolute().name
    content = _read_judge_file(str(folder))
    digest = _hash_judge_file(content)
    # Read once here, so that a damaged file stops a run before it starts.
    _read_weights(str(folder), digest)
    return EmbeddedJudge(
        str(folder),
        name,
        digest,
    )


@lru_cache(maxsize=8)
def recall_grades(digest: str) -> dict[str, Grade]:
    """Return what this process has graded with the judge of this digest: key -> grade."""
    return {}


def _hash_judge_file(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _read_judge_file(folder: str, digest: str = "") -> bytes:
    """Read a judge's file; raise `ModelError` if it is missing or no longer fits `digest`."""
    path = Path(folder) / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no judge: {FILE} missing") from None
    except OSError as error:
        raise ModelError(f"{folder} holds no judge ({FILE}): {error!r}") from None
    if digest and digest != _hash_judge_file(content):
        raise ModelError(
            f"the judge in {folder} changed while it was in use: start again"
        )
    return content


@lru_cache(maxsize=8)
def _read_weights(folder: str, digest: str) -> JudgeWeights:
    """Read the weights in `folder`.

    Raises `ModelError` if they are damaged, or made for other features or another encoder.
    """
    content = _read_judge_file(folder, digest)
    try:
        judge = orjson.loads(content)
        if not _has_current_features(judge["features"]):
            raise ModelError(
                f"the judge in {folder} was trained with other features: train it again"
            )
        weights = _parse_weights(judge)
        _check_weights(weights, [len(row["weights"]) for row in judge["features"]])
    except (
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # a JSONDecodeError is a ValueError
        raise ModelError(f"{folder} holds no judge ({FILE}): {error!r}") from None
    if weights.encoder_fingerprint != _load_encoder(weights.encoder).fingerprint:
        raise ModelError(
            f"the judge in {folder} was trained with another encoder {weights.encoder!r}: "
            "train it again"
        )
    return weights


def _has_current_features(table: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a judge's features have the names and knots of this version."""
    # All rows are read before any is compared: one that cannot be read means a damaged file.
    own = []
    for row in table:
        knots = tuple(map(float, row["knots"]))
        own.append((row["name"], knots))
    current = []
    for feature in feature_ramps.FEATURES:
        knots = tuple(map(float, feature.knots))
        current.append((feature.name, knots))
    return own == current


def _parse_weights(judge: Mapping[str, Any]) -> JudgeWeights:
    """Parse the content of a judge's file, see `training.judge.save_judge`."""
    ramps: list[float] = []
    typical: list[float] = []
    for row in judge["features"]:
        ramps += map(float, row["weights"])
        typical.append(float(row["typical"]))
    # Wording, the encoder's part, comes last, as in `NAMES`.
    wording = judge["wording"]
    wording_weights = map(float, wording["weights"])
    typical.append(float(wording["typical"]))
    return JudgeWeights(
        ramps=tuple(ramps),
        wording=tuple(wording_weights),
        typical=tuple(typical),
        centre=float(judge["centre"]),
        slope=float(judge["slope"]),
        encoder=judge["encoder"],
        encoder_fingerprint=judge["encoder_fingerprint"],
    )


def _check_weights(weights: JudgeWeights, n_ramps: list[int]) -> None:
    """Raise `ValueError` for a wrong number of weights, or weights that are not finite.

    `n_ramps` is the number of weights of each feature.
    """
    expected_ramps = np.bincount(feature_ramps.index_ramp_features()).tolist()
    if n_ramps != expected_ramps:
        raise ValueError("the numbers of weights do not fit the features")
    if len(weights.wording) != _load_encoder(weights.encoder).dim:
        raise ValueError("the number of weights does not fit the encoder")
    numbers = [
        *weights.ramps,
        *weights.wording,
        *weights.typical,
        weights.centre,
        weights.slope,
    ]
    if not np.isfinite(numbers).all():
        raise ValueError("not all weights are finite")


def _compute_contributions(
    weights: JudgeWeights,
    instructions: Sequence[str],
    responses: Sequence[str],
) -> Array:
    """Compute the terms of s, of shape (n, len(NAMES)).

    Sums run along rows (no matrix product), so that a row never depends on its batch.
    """
    vectors = _load_encoder(weights.encoder)
    features, response_vectors = measure_samples(
        instructions,
        responses,
        vectors,
    )
    ramps = feature_ramps.apply_ramps(features)  # (n, n_ramps)
    steps = ramps * np.array(weights.ramps)
    by_feature = np.add.reduceat(
        steps,
        STARTS,
        axis=1,
    )
    products = response_vectors * np.array(weights.wording)  # (n, dim)
    wording = products.sum(axis=1, keepdims=True)
    return np.concatenate(
        [by_feature, wording],
        axis=1,
    )


def measure_samples(
    instructions: Sequence[str],
    responses: Sequence[str],
    vectors: Encoder,
) -> tuple[Array, Array]:
    """Return the features (n, len(FEATURES)) and the responses' vectors (n, dim), both float64."""
    readable = [_repair_surrogates(instruction) for instruction in instructions]
    feature_rows: list[list[float]] = []
    kept_responses: list[str] = []
    for instruction, response in zip(
        readable,
        responses,
        strict=True,
    ):
        row, kept_response = response_features.measure_response(
            instruction,
            _repair_surrogates(response),
        )
        feature_rows.append(row)
        kept_responses.append(kept_response)

    # Reshaped, because an array of no rows would have no columns.
    shape = (len(feature_rows), len(feature_ramps.FEATURES))
    features = np.array(
        feature_rows,
        dtype=np.float64,
    ).reshape(shape)

    # Pleas are not part of what is compared in meaning.
    instruction_vectors = vectors.encode(readable)
    response_vectors = vectors.encode(kept_responses).astype(np.float64)
    cosines = (instruction_vectors * response_vectors).sum(axis=1)
    features[:, feature_ramps.CLOSENESS] = cosines
    return features, response_vectors


def _repair_surrogates(text: str) -> str:
    """Replace lone surrogates, which no encoder reads, and join those that are pairs."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _split_columns(texts: Iterable[Text]) -> tuple[list[str], list[str]]:
    """Split samples into instructions and responses."""
    samples = list(texts)
    instructions = [instruction for instruction, _ in samples]
    responses = [response for _, response in samples]
    return instructions, responses


@lru_cache(maxsize=4)
def _load_encoder(name: str) -> Encoder:
    return encoder.load(name)
