"""The embedded judge: two numbers for one instruction with its response, and the likeliest faults.

*Value* says how much the sample is worth imitating in training, *correctness* how right and
faithful to its instruction it is, however plain; both are what annotators would be expected to
give, from 1 to 100. `tacos.models.judge_model` says how they are computed. The judge sees one
sample at a time (pointwise), so it has no position bias to measure.

It does not know whether an answer is true, whether code runs, or what a reader needs. Where only
that differs, its scores say nothing; the card (`data/judge.md`) has the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from tacos.errors import ModelError
from tacos.models import int8_tensors, judge_model, judge_requests
from tacos.models.judge_model import (
    FEATURE_NAMES,
    HEADS,
    JudgeModel,
    SampleColumns,
    StateReader,
)
from tacos.models.judge_requests import JudgeScores
from tacos.models.static_encoder import StaticEncoder
from tacos.records import Reply, Request, canonical_hash

DATA = Path(__file__).parent / "data"
NAME = "embedded-judge"
"""What the shipped judge is called."""
FEATURES_VERSION = 2
"""Raise it whenever a feature of any text changes: `test_features_change_only_with_their_version`
compares the features of fixed texts with the digest of this version."""
ARITHMETIC_VERSION = 2
"""Raise it whenever equal features and weights give other scores, by a last digit even."""
FILES = ("judge.json", "judge.safetensors")
CHUNK = 1024
Array = npt.NDArray[np.float64]
Text = judge_requests.Sample
MAX_REMEMBERED = 100_000
"""The number of grades that a process remembers, some 20 MB, before it forgets them all."""
N_REASONS = 4
SMALLEST_MOVE = 0.5
"""`explain` leaves out features that move a number by less, in points."""
SMALLEST_CHANCE = 0.2
"""An analysis leaves out faults that are less likely."""


class Scores(NamedTuple):
    """Value and correctness of some samples, on 1..100: float64 of shape (n,), two decimals."""

    value: Array
    correctness: Array


class Grade(NamedTuple):
    """Both numbers of one sample, and the faults that it probably has."""

    value: float
    correctness: float
    analysis: str


class Grades(NamedTuple):
    """`Grade` in columns: value and correctness float64 (n,), n analyses."""

    value: Array
    correctness: Array
    analyses: list[str]


class Explanation(NamedTuple):
    """Why a sample has its numbers.

    `faults` are (fault, probability), the likeliest first; `value` and `correctness` are (feature,
    points by which it moves the number from where a typical feature would leave it).
    """

    faults: list[tuple[str, float]]
    value: list[tuple[str, float]]
    correctness: list[tuple[str, float]]


@dataclass(frozen=True)
class EmbeddedJudge:
    """A pointwise judge: a small, picklable value; each process reads the weights at first use.

    `digest` is the hash of the files when the judge was loaded: files that change after that are an
    error, not another judge.
    """

    folder: str
    name: str
    digest: str
    files: tuple[str, str] = FILES
    reader: StateReader | None = None
    """What the close judge (`tacos.models.close_judge`) reads samples with."""
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def fingerprint(self) -> str:
        """What decides the scores: the weights, how features and scores are computed, a reader."""
        read_judge_files(self.folder, self.files, self.digest)
        parts = [
            "judge",
            f"{FEATURES_VERSION}.{ARITHMETIC_VERSION}",
            self.digest,
            StaticEncoder().fingerprint,
        ]
        if self.reader is not None:
            parts.append(self.reader.fingerprint)
        return "-".join(parts)

    @property
    def model(self) -> JudgeModel:
        """The fitted model; raises `ModelError` if its files are damaged or changed."""
        return _load_model(self.folder, self.files, self.digest)

    @property
    def reliability(self) -> dict[str, float]:
        """The share of the variance of reference grades that held-out scores explain.

        By kind of data, which the card describes; "all" is the mean over the kinds.
        """
        meta, _ = read_judge_files(self.folder, self.files, self.digest)
        reliability = orjson.loads(meta)["reliability"]
        return {kind: float(share) for kind, share in reliability.items()}

    def score(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> Scores:
        """Score samples.

        The scores of a sample depend on no other one. Raises `TypeError` for one text instead of a
        list, `ValueError` if the lists differ in length.
        """
        outputs = self.predict(instructions, responses)
        return self._scale(outputs)

    def fault_chances(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> dict[str, Array]:
        """Return the probability of each fault that the judge can tell, (n,) each.

        "none" is the probability that an annotator would name no fault. Raises as `score` does.
        """
        outputs = self.predict(instructions, responses)
        return self._compute_chances(outputs)

    def predict(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> Array:
        """Compute the model's outputs, (n, len(judge_model.OUTPUTS)). Raises as `score` does."""
        if isinstance(instructions, str) or isinstance(responses, str):
            raise TypeError(
                "instructions and responses must be lists of texts, not one text: pass [text]"
            )
        if len(instructions) != len(responses):
            raise ValueError(
                f"{len(instructions)} instructions, but {len(responses)} responses"
            )
        blocks = [np.zeros((0, len(judge_model.OUTPUTS)))]
        for start in range(0, len(instructions), CHUNK):
            chunk = slice(start, start + CHUNK)
            samples = self._measure(instructions[chunk], responses[chunk])
            blocks.append(self.model.predict(samples))
        return np.concatenate(blocks)

    def grade_columns(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> Grades:
        """Grade samples as `grade` does, which may repeat; none is remembered. Raises as `score`
        does.
        """
        return grade_outputs(self.model, self.predict(instructions, responses))

    def explain(self, instruction: str, response: str) -> Explanation:
        """Explain one sample: its likeliest faults, and the features that move each number most.

        A feature's move is the number less what it would be with a typical feature in its place.
        """
        samples = self._measure([instruction], [response])
        chances = self._compute_chances(self.model.predict(samples))
        faults = [
            (fault, float(chance[0]))
            for fault, chance in chances.items()
            if fault != "none"
        ]
        ordered = sorted(faults, key=lambda item: -item[1])
        names, variants = self._replace_features(samples)
        scores = self._scale(self.model.predict(variants))
        return Explanation(
            ordered[:N_REASONS],
            _list_moves(names, scores.value),
            _list_moves(names, scores.correctness),
        )

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
        graded = self.grade(list(distinct))

        replies: list[Reply] = []
        for samples in samples_of_requests:
            grades = {side: graded[text] for side, text in samples.items()}
            replies.append(Reply(format_grades(grades), model=self.name))
        return replies

    def grade(self, texts: Sequence[Text]) -> dict[Text, Grade]:
        """Grade each of the distinct (instruction, response).

        Those of earlier calls are remembered, because rounds of comparisons ask about the same
        samples again and again.
        """
        memory = recall_grades(self.digest)
        grades: dict[Text, Grade] = {}
        unknown: dict[Text, str] = {}
        for text in texts:
            # Hashed, because the texts themselves would take too much memory.
            readable = list(map(judge_model.repair_surrogates, text))
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

    def _measure(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
    ) -> SampleColumns:
        return judge_model.measure_samples(
            instructions,
            responses,
            StaticEncoder(),
            self.reader,
        )

    def _grade_texts(self, texts: Sequence[Text]) -> dict[Text, Grade]:
        """Compute the grades of these texts."""
        grades = self.grade_columns(*split_columns(texts))
        rows = zip(
            grades.value.tolist(),
            grades.correctness.tolist(),
            grades.analyses,
            strict=True,
        )
        return {text: Grade(*row) for text, row in zip(texts, rows, strict=True)}

    def _scale(self, outputs: Array) -> Scores:
        return scale_outputs(self.model, outputs)

    def _compute_chances(self, outputs: Array) -> dict[str, Array]:
        return compute_chances(self.model, outputs)

    def _replace_features(
        self, samples: SampleColumns
    ) -> tuple[list[str], SampleColumns]:
        """The sample itself, then copies with one feature each at its mean; and their names."""
        groups: dict[str, list[int]] = {}
        for column, name in enumerate(FEATURE_NAMES):
            groups.setdefault(_name_concept(name), []).append(column)
        names = [*groups, "wording"]
        rows = np.zeros(len(names) + 1, dtype=np.int64)
        variants = samples.take(rows)
        means = {block.name: block.mean for block in self.model.machine.blocks}
        for number, columns in enumerate(groups.values(), start=1):
            variants.blocks["features"][number, columns] = means["features"][columns]
        # Vectors and states read the wording.
        for name in means.keys() - {"features"}:
            variants.blocks[name][-1] = means[name]
        return names, variants


def scale_outputs(model: JudgeModel, outputs: Array) -> Scores:
    """Turn a model's outputs (n, outputs) into grades on 1..100."""
    value, correctness = (
        model.scales[head].apply(outputs[:, number])
        for number, head in enumerate(HEADS)
    )
    return Scores(value, correctness)


def compute_chances(model: JudgeModel, outputs: Array) -> dict[str, Array]:
    """Turn a model's outputs (n, outputs) into the probability of each fault, (n,) each."""
    chances: dict[str, Array] = {}
    for fault, curve in model.faults.items():
        column = judge_model.OUTPUTS.index(fault)
        chances[fault] = curve.apply(outputs[:, column])
    return chances


def grade_outputs(model: JudgeModel, outputs: Array) -> Grades:
    """Turn a model's outputs (n, outputs) into grades."""
    scores = scale_outputs(model, outputs)
    chances = compute_chances(model, outputs)
    faults = [fault for fault in chances if fault != "none"]
    analyses = [describe_faults([], [])] * len(outputs)
    if faults:
        table = np.stack([chances[fault] for fault in faults], axis=1)
        for row in np.flatnonzero(table.max(axis=1) >= SMALLEST_CHANCE).tolist():
            analyses[row] = describe_faults(faults, table[row].tolist())
    return Grades(scores.value, scores.correctness, analyses)


def describe_faults(faults: Sequence[str], chances: Sequence[float]) -> str:
    """Describe the likeliest faults of one sample.

    >>> describe_faults(["wrong", "filler"], [0.41, 0.05])
    'wrong (41%)'
    >>> describe_faults(["wrong", "filler"], [0.1, 0.05])
    'no fault is likely'
    """
    likely = [
        (chance, fault)
        for fault, chance in zip(faults, chances, strict=True)
        if chance >= SMALLEST_CHANCE
    ]
    if not likely:
        return "no fault is likely"
    likely.sort(reverse=True)
    return ", ".join(f"{fault} ({chance:.0%})" for chance, fault in likely[:3])


def format_grades(grades: Mapping[str, Grade]) -> str:
    """Format the grades of a request's sides as the JSON of the judge's tasks."""
    scores: dict[str, float | JudgeScores] = {}
    explanations: list[str] = []
    for side, grade in grades.items():
        scores[side] = JudgeScores(grade.value, grade.correctness)
        # A single sample has no side to name.
        prefix = f"{side.upper()}: " if side else ""
        explanations.append(f"{prefix}{grade.analysis}")
    return judge_requests.format_scores(scores, "; ".join(explanations))


def load(path: str | Path | None = None) -> EmbeddedJudge:
    """Load the shipped judge, or the one in a folder.

    Raises `ModelError` if the folder holds no judge, or one with other features or another encoder
    than this version's.
    """
    if path is None:
        folder = DATA
        name = NAME
    else:
        folder = Path(path)
        name = folder.absolute().name
    return load_files(folder, name, FILES)


def load_files(
    folder: Path,
    name: str,
    files: tuple[str, str],
    reader: StateReader | None = None,
) -> EmbeddedJudge:
    """Load a judge from these files of a folder; raises as `load` does."""
    digest = hash_judge_files(*read_judge_files(str(folder), files))
    # Read once here, so that a damaged file stops a run before it starts.
    _load_model(str(folder), files, digest)
    return EmbeddedJudge(
        str(folder),
        name,
        digest,
        files,
        reader,
    )


def save_judge(
    model: JudgeModel,
    folder: str | Path,
    reliability: Mapping[str, float],
    files: tuple[str, str] = FILES,
) -> Path:
    """Write a judge into a folder; equal judges give equal bytes."""
    meta, tensors = judge_model.pack_model(model)
    head = {
        "version": FEATURES_VERSION,
        "encoder": StaticEncoder().fingerprint,
        "reliability": dict(reliability),
        **meta,
        "features": FEATURE_NAMES,
    }
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    text = orjson.dumps(head, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    path = target / files[0]
    path.write_bytes(text)
    int8_tensors.save_tensors(target / files[1], tensors)
    return path


@lru_cache(maxsize=8)
def recall_grades(digest: str) -> dict[str, Grade]:
    """Return what this process has graded with the judge of this digest: key -> grade."""
    return {}


def hash_judge_files(meta: bytes, tensors: bytes) -> str:
    """Hash the contents of a judge's files."""
    return hashlib.blake2b(meta + tensors, digest_size=8).hexdigest()


def read_judge_files(
    folder: str,
    files: tuple[str, str],
    digest: str = "",
) -> tuple[bytes, bytes]:
    """Read a judge's files; raise `ModelError` if one is missing or no longer fits `digest`."""
    contents: list[bytes] = []
    for name in files:
        path = Path(folder) / name
        try:
            contents.append(path.read_bytes())
        except FileNotFoundError:
            _check_age(folder, name)
            raise ModelError(f"{folder} holds no judge: {name} missing") from None
        except OSError as error:
            raise ModelError(f"{folder} holds no judge ({name}): {error!r}") from None
    meta, tensors = contents
    if digest and digest != hash_judge_files(meta, tensors):
        raise ModelError(
            f"the judge in {folder} changed while it was in use: start again"
        )
    return meta, tensors


def _check_age(folder: str, missing: str) -> None:
    """Raise `ModelError` for a judge from before 0.3, which was a single file."""
    is_old = missing == FILES[1] and (Path(folder) / FILES[0]).is_file()
    if is_old:
        raise ModelError(
            f"the judge in {folder} was trained with other features: train it again"
        )


@lru_cache(maxsize=8)
def _load_model(
    folder: str,
    files: tuple[str, str],
    digest: str,
) -> JudgeModel:
    """Read the model in `folder`.

    Raises `ModelError` if it is damaged, or made for other features or another encoder.
    """
    meta_bytes, tensor_bytes = read_judge_files(folder, files, digest)
    try:
        tensors = int8_tensors.parse_tensors(tensor_bytes)
        meta = orjson.loads(meta_bytes)
        version = meta["version"]
        features = tuple(meta["features"])
        if (version, features) != (FEATURES_VERSION, FEATURE_NAMES):
            raise ModelError(
                f"the judge in {folder} was trained with other features: train it again"
            )
        if meta["encoder"] != StaticEncoder().fingerprint:
            raise ModelError(
                f"the judge in {folder} was trained with another encoder: train it again"
            )
        return judge_model.unpack_model(meta, tensors)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # a JSONDecodeError is a ValueError
        raise ModelError(f"{folder} holds no judge: {error!r}") from None


def split_columns(texts: Iterable[Text]) -> tuple[list[str], list[str]]:
    """Split samples into instructions and responses."""
    samples = list(texts)
    instructions = [instruction for instruction, _ in samples]
    responses = [response for _, response in samples]
    return instructions, responses


def _name_concept(name: str) -> str:
    """Name what several columns say together, so that `explain` replaces them together.

    >>> _name_concept("length where the task edits"), _name_concept("vague words, share")
    ('length', 'vague words')
    """
    if name.startswith(("length", "more than")):
        return "length"
    if name.startswith("task: "):
        return "kind of task"
    return name.split(",", maxsplit=1)[0]


def _list_moves(names: Sequence[str], scores: Array) -> list[tuple[str, float]]:
    """Name the features that move a number most; `scores` has the sample's own first."""
    own, *others = scores.tolist()
    moves = [
        (name, round(own - other, 1)) for name, other in zip(names, others, strict=True)
    ]
    large = [move for move in moves if abs(move[1]) >= SMALLEST_MOVE]
    large.sort(key=lambda move: -abs(move[1]))
    return large[:N_REASONS]
