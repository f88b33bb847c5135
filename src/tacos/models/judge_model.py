"""What the embedded judge computes: two numbers and the chances of faults, from a kernel machine.

    output_o(instruction, response) = kernel machine over its features and sentence vectors
                                      + weights of its tokens and of pairs of tokens

The first two outputs are value and correctness, on a scale of normal scores; the others tell faults
apart. `Scale` turns the former into 1..100, `FaultCurve` the latter into probabilities. Everything
is fitted by `tacos.models.training.judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tacos.models import (
    feature_names,
    int8_tensors,
    kernel_machine,
    response_features,
    sorted_keys,
    static_encoder,
    task_features,
    token_terms,
)
from tacos.models.kernel_machine import KernelMachine
from tacos.models.static_encoder import StaticEncoder

Array = npt.NDArray[np.float64]
HEADS = ("value", "correctness")
FAULTS = (
    "none",
    "incomplete",
    "wrong",
    "unclear",
    "unsupported",
    "filler",
    "format",
    "bad-instruction",
    "off-topic",
    "empty",
    "unsafe",
)
"""The faults that annotators named, "none" first."""
OUTPUTS = (*HEADS, *FAULTS)
SIDES = ("instruction", "response")
STATE_LAYER = 21
STATES = {
    "response states": 0,
    "instruction states": 2,
    "question states": 3,
}
"""The close judge's further columns: the mean states of SmolLM2 after `STATE_LAYER` over a part, by
its number in `tacos.models.smollm2.PARTS`. Reading a question about the response, the model goes
through the sample once more.
"""
RARITY_NAMES = (
    "rarity of the response's tokens",
    "rarity of its rarest tokens",
    "rarity of the instruction's tokens",
)
FEATURE_NAMES = (*feature_names.NAMES, *task_features.NAMES, *RARITY_NAMES)
"""The columns of the block "features"."""
_LENGTH = feature_names.NAMES.index("length")
_CLOSENESS = feature_names.NAMES.index("closeness of meaning")


class StateReader(Protocol):
    """What reads samples word by word, see `tacos.models.smollm2.SmolLM2`."""

    @property
    def fingerprint(self) -> str:
        """What decides the states."""

    def read_states(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
        layers: Sequence[int],
    ) -> npt.NDArray[np.float32]:
        """States of shape (n, layers, parts, dim)."""


@dataclass(frozen=True)
class SampleColumns:
    """Samples as numbers: `blocks` for the kernel machine, `terms` (see `token_terms`) by side."""

    blocks: dict[str, npt.NDArray[np.floating[Any]]]
    terms: dict[str, sp.csr_array]

    def take(self, rows: npt.NDArray[np.int64]) -> SampleColumns:
        """The columns of some rows, in this order."""
        blocks = {name: values[rows] for name, values in self.blocks.items()}
        terms = {side: counts[rows] for side, counts in self.terms.items()}
        return SampleColumns(blocks, terms)


@dataclass(frozen=True)
class Scale:
    """A rising line through knots: from an output to the grade that it lets one expect."""

    knots: tuple[float, ...]
    grades: tuple[float, ...]

    def apply(self, outputs: Array) -> Array:
        """Grades on 1..100, two decimals, of shape (n,)."""
        grades = np.interp(outputs, self.knots, self.grades)
        return np.round(grades, 2)


@dataclass(frozen=True)
class FaultCurve:
    """How an output becomes a probability, sigmoid(slope output + offset), and its held-out AUC."""

    slope: float
    offset: float
    auc: float

    def apply(self, outputs: Array) -> Array:
        """Probabilities of shape (n,), three decimals."""
        logits = np.clip(self.slope * outputs + self.offset, -30, 30)
        return np.round(1 / (1 + np.exp(-logits)), 3)


@dataclass(frozen=True)
class JudgeModel:
    """A fitted judge.

    `idf` (N_COLUMNS,) and `term_weights` (N_COLUMNS, outputs) are by side; `scales` by head;
    `faults` by those faults that the judge tells better than chance.
    """

    machine: KernelMachine
    idf: Mapping[str, Array]
    term_weights: Mapping[str, Array]
    scales: Mapping[str, Scale]
    faults: Mapping[str, FaultCurve]

    def predict(self, samples: SampleColumns) -> Array:
        """The outputs of samples, float64 of shape (n, len(OUTPUTS))."""
        outputs = self.machine.predict(samples.blocks)
        for side in SIDES:
            terms = token_terms.weight_terms(samples.terms[side], self.idf[side])
            outputs += terms @ self.term_weights[side]
        return outputs


def measure_samples(
    instructions: Sequence[str],
    responses: Sequence[str],
    encoder: StaticEncoder,
    reader: StateReader | None = None,
) -> SampleColumns:
    """Measure samples: each text is split and tokenised once, for all that is made of it.

    With a `reader`, the columns of `STATES` are measured, too.
    """
    instructions = [repair_surrogates(text) for text in instructions]
    raw, kept_responses, chunks = response_features.measure_responses(
        instructions,
        [repair_surrogates(text) for text in responses],
    )
    n_base = len(feature_names.NAMES)
    base = raw[:, :n_base]
    n_words = np.exp2(base[:, _LENGTH]) - 1
    task = task_features.expand_features(raw[:, n_base:], n_words)

    # Pleas are not part of what is read.
    texts = dict(zip(SIDES, (instructions, kept_responses), strict=True))
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    terms: dict[str, sp.csr_array] = {}
    rarity: dict[str, Array] = {}
    chunks_of_sides = chunks or (None, None)
    for (side, side_texts), own_chunks in zip(
        texts.items(), chunks_of_sides, strict=True
    ):
        tokens, vectors[side] = static_encoder.encode_tokens(
            encoder, side_texts, own_chunks
        )
        terms[side] = token_terms.count_terms(tokens)
        rarity[side] = _measure_rarity(tokens)
    base[:, _CLOSENESS] = _cosine(vectors["instruction"], vectors["response"])
    blocks: dict[str, npt.NDArray[np.floating[Any]]]
    features = [base, task, rarity["response"], rarity["instruction"][:, :1]]
    blocks = {"features": np.concatenate(features, axis=1), **vectors}
    if reader is not None:
        states = reader.read_states(instructions, kept_responses, (STATE_LAYER,))
        for name, part in STATES.items():
            blocks[name] = states[:, 0, part]
    return SampleColumns(blocks, terms)


def _measure_rarity(tokens: sp.csr_array) -> Array:
    """Measure how rare the tokens of each text are: the mean, and the mean of the rarest tenth.

    The tokenizer's numbers rise as its words become rarer, so the logarithm of the number serves.
    """
    lengths = np.diff(tokens.indptr).astype(np.int64)
    n_rarest = np.maximum(lengths // 10, np.minimum(lengths, 1))
    row_of_token = np.repeat(np.arange(len(lengths)), lengths)
    n_tokens = tokens.shape[1]
    # Sorted within each text, the rarest token last
    ordered = sorted_keys.sort_keys(row_of_token * n_tokens + tokens.indices) % n_tokens
    rarity = _list_rarities(n_tokens)[ordered]
    places_to_end = tokens.indptr[1:][row_of_token] - np.arange(len(ordered))
    is_rarest = places_to_end <= n_rarest[row_of_token]

    rows = np.zeros((len(lengths), 2))
    # `bincount` adds up in the order of the tokens, whatever stands beside a text.
    sums = np.bincount(row_of_token, rarity, minlength=len(lengths))
    sums_of_rarest = np.bincount(
        row_of_token[is_rarest], rarity[is_rarest], minlength=len(lengths)
    )
    np.divide(sums, lengths, out=rows[:, 0], where=lengths > 0)
    np.divide(sums_of_rarest, n_rarest, out=rows[:, 1], where=lengths > 0)
    return rows


@lru_cache(maxsize=2)
def _list_rarities(n_tokens: int) -> Array:
    """How rare each token is."""
    return np.asarray(np.log2(1.0 + np.arange(n_tokens)))


def _cosine(
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
) -> Array:
    products = left.astype(np.float64) * right
    return np.asarray(products.sum(axis=1))


def repair_surrogates(text: str) -> str:
    """Replace lone surrogates, which no encoder reads, and join those that are pairs."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def pack_model(
    model: JudgeModel,
) -> tuple[dict[str, Any], dict[str, int8_tensors.Array]]:
    """Pack a model as a JSON object and tensors."""
    meta = {
        "blocks": [block.name for block in model.machine.blocks],
        "columns": [block.columns for block in model.machine.blocks],
        "scales": {
            head: {"knots": scale.knots, "grades": scale.grades}
            for head, scale in model.scales.items()
        },
        "faults": {
            fault: {"slope": curve.slope, "offset": curve.offset, "auc": curve.auc}
            for fault, curve in model.faults.items()
        },
    }
    tensors = kernel_machine.pack_machine(model.machine)
    for side in SIDES:
        tensors[f"{side}.idf"] = model.idf[side].astype(np.float32)
        tensors[f"{side}.terms"] = model.term_weights[side].astype(np.float16)
    return meta, tensors


def unpack_model(
    meta: Mapping[str, Any],
    tensors: Mapping[str, int8_tensors.Array],
) -> JudgeModel:
    """Unpack what `pack_model` packed.

    Raises `KeyError`, `TypeError` or `ValueError` if something is missing or of a wrong shape.
    """
    names = meta["blocks"]
    # Judges from before have one block for each group of columns, of the same name.
    machine = kernel_machine.unpack_machine(
        tensors,
        names,
        meta.get("columns", names),
    )
    n_outputs = len(OUTPUTS)
    idf: dict[str, Array] = {}
    term_weights: dict[str, Array] = {}
    shapes: dict[str, tuple[int, ...]] = {
        "coefficients": (len(machine.supports), n_outputs),
        "intercept": (n_outputs,),
    }
    for side in SIDES:
        shapes[f"{side}.idf"] = (token_terms.N_COLUMNS,)
        shapes[f"{side}.terms"] = (token_terms.N_COLUMNS, n_outputs)
    int8_tensors.check_shapes(tensors, shapes)
    for side in SIDES:
        idf[side] = np.asarray(tensors[f"{side}.idf"], dtype=np.float64)
        term_weights[side] = np.asarray(tensors[f"{side}.terms"], dtype=np.float64)
    scales: dict[str, Scale] = {}
    for head in HEADS:
        entry = meta["scales"][head]
        scales[head] = Scale(
            tuple(map(float, entry["knots"])),
            tuple(map(float, entry["grades"])),
        )
    faults: dict[str, FaultCurve] = {}
    for fault, entry in meta["faults"].items():
        faults[fault] = FaultCurve(
            float(entry["slope"]),
            float(entry["offset"]),
            float(entry["auc"]),
        )
    return JudgeModel(machine, idf, term_weights, scales, faults)
