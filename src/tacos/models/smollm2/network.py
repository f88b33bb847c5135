"""Runs the layers of SmolLM2 in onnxruntime, with the published weights rounded to 8-bit integers.

The graph (`data/smollm2.onnx`, built by `training/smollm2_graph.py`) holds no weights. Each column
of a matrix is rounded to 127 steps, -63 to 63: with one bit more, processors without VNNI would
overflow, and give other states.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tacos.models import token_batches
from tacos.models.smollm2.chat_tokens import SampleTokens
from tacos.models.smollm2.gguf import GgufFile

# From 1.31 on, onnxruntime reports its use to its maker as soon as it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

GRAPH = Path(__file__).parents[1] / "data" / "smollm2.onnx"
EMBEDDINGS = "token_embd.weight"
HIDDEN = 576
HEADS = 9
GROUPS = 3
"""The number of heads of keys and of values; three heads of queries share one."""
HEAD_DIM = 64
INNER = 1536
LAYERS = 21
"""The number of layers computed, of 30."""
OUTPUT_LAYERS = (18, 21)
PARTS = ("response", "end", "instruction", "question")
"""What a state is the mean over: the part's tokens; of "end", the response's last one alone."""
MAX_TOKENS = 1024
ROTARY_BASE = 100_000.0
LARGEST_STEP = 63
SMALLEST_MAXIMUM = 1e-12
Vectors = npt.NDArray[np.float32]
Steps = npt.NDArray[np.int8]
Rows = npt.NDArray[np.int64]


class Network:
    """The loaded network: the file with the tokens' vectors, and a session with the layers."""

    def __init__(self, file: GgufFile, threads: int | None) -> None:
        self.file = file
        self.session = _load_session(file, threads)

    def read_states(
        self,
        samples: Sequence[SampleTokens],
        layers: Sequence[int],
        batch: int,
    ) -> Vectors:
        """Return means of states, float32 of shape (samples, layers, 4, 576).

        The four are as in `PARTS`. A row's numbers do not depend on its batch, which holds at most
        `batch` tokens.
        """
        lengths = np.array(
            [len(sample.ids) for sample in samples],
            dtype=np.int64,
        )
        states = np.zeros(
            (len(samples), len(layers), len(PARTS), HIDDEN),
            dtype=np.float32,
        )
        outputs = [f"layer_{layer}" for layer in layers]
        for rows in token_batches.cut_batches(lengths, batch):
            batch_samples = [samples[row] for row in rows]
            inputs = self._pad_samples(batch_samples, lengths[rows])
            batch_states = self.session.run(outputs, inputs)
            # Back to where the samples stand.
            states[rows] = np.stack(batch_states, axis=1)
        return states

    def _pad_samples(
        self,
        samples: Sequence[SampleTokens],
        lengths: Rows,
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Return the graph's inputs, see `training/smollm2_graph.py`.

        Padding stands on the right, where no token attends to it.
        """
        n_rows = len(samples)
        width = int(lengths.max())
        embeddings = np.zeros(
            (n_rows, width, HIDDEN),
            dtype=np.float32,
        )
        pooling = np.zeros(
            (n_rows, len(PARTS), width),
            dtype=np.float32,
        )
        for row, sample in enumerate(samples):
            ids = sample.ids
            # Read when they are needed, because all of them would take 113 MB.
            vectors = self.file.load_rows(EMBEDDINGS, ids)
            embeddings[row, : len(ids)] = vectors
            start = len(sample.instruction)
            end = start + len(sample.response)
            # One line per part.
            pooling[row, 0, start:end] = 1 / (end - start)
            pooling[row, 1, end - 1] = 1
            pooling[row, 2, :start] = 1 / start
            pooling[row, 3, end : len(ids)] = 1 / (len(ids) - end)
        return {
            "embeddings": embeddings,
            "pooling": pooling,
            "last": (lengths - 1).astype(np.int32),
            "n_tokens": np.array([width], dtype=np.int32),
        }


def _load_session(
    file: GgufFile,
    threads: int | None,
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that wait would otherwise keep their cores busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    arrays = _load_weights(file)
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    return ort.InferenceSession(
        GRAPH.read_bytes(),
        options,
        providers=["CPUExecutionProvider"],
    )


def _load_weights(file: GgufFile) -> dict[str, npt.NDArray[np.generic]]:
    """Load the weights under the graph's names; matrices become (inputs, outputs)."""
    angles = _compute_angles()
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "cosines": np.cos(angles).astype(np.float32),
        "sines": np.sin(angles).astype(np.float32),
    }
    for layer in range(LAYERS):
        published = f"blk.{layer}."
        layer_arrays = _quantise_matrices(
            _load_matrices(file, published),
        )
        layer_arrays["attention.gamma"] = file.load_tensor(
            f"{published}attn_norm.weight"
        )
        layer_arrays["network.gamma"] = file.load_tensor(f"{published}ffn_norm.weight")
        for name, array in layer_arrays.items():
            arrays[f"{layer}.{name}"] = array
    return arrays


def _quantise_matrices(
    matrices: Mapping[str, Vectors],
) -> dict[str, npt.NDArray[np.generic]]:
    """Return each matrix as int8 (inputs, outputs), with one scale per output."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, rows in matrices.items():
        steps, scale = _quantise_rows(rows)
        # The session takes contiguous arrays only, so transposed views are copied.
        arrays[name] = np.ascontiguousarray(steps.T)
        arrays[f"{name}.scale"] = scale
    return arrays


def _load_matrices(
    file: GgufFile,
    published: str,
) -> dict[str, Vectors]:
    """Load the matrices of a layer as they are published, one row per output."""
    query = file.load_tensor(f"{published}attn_q.weight")
    key = file.load_tensor(f"{published}attn_k.weight")
    value = file.load_tensor(f"{published}attn_v.weight")
    parts = [
        _separate_halves(query),
        _separate_halves(key),
        value,
    ]
    return {
        "qkv": np.concatenate(parts),
        "out": file.load_tensor(f"{published}attn_output.weight"),
        "gate": file.load_tensor(f"{published}ffn_gate.weight"),
        "up": file.load_tensor(f"{published}ffn_up.weight"),
        "down": file.load_tensor(f"{published}ffn_down.weight"),
    }


def _separate_halves(rows: Vectors) -> Vectors:
    """Order each head's rows as onnxruntime rotates them: first halves of pairs, then second.

    llama.cpp has the two numbers of a pair next to each other.
    """
    n_pairs = HEAD_DIM // 2
    pairs = rows.reshape(-1, n_pairs, 2, HIDDEN)
    halves = pairs.swapaxes(1, 2)
    return halves.reshape(rows.shape)


def _quantise_rows(rows: Vectors) -> tuple[Steps, Vectors]:
    """Round each row to -63..63 steps of its own scale.

    >>> steps, scale = _quantise_rows(np.array([[0.63, -0.3]], dtype=np.float32))
    >>> steps.tolist(), scale.round(4).tolist()
    ([[63, -30]], [0.009999999776482582])
    """
    sizes = np.abs(rows)
    largest = sizes.max(axis=1)
    bounded = np.maximum(largest, SMALLEST_MAXIMUM)
    scale = bounded / LARGEST_STEP

    divisors = scale[:, None]
    quotients = rows / divisors
    steps = np.rint(quotients)
    return (
        steps.astype(np.int8),
        scale.astype(np.float32),
    )


def _compute_angles() -> npt.NDArray[np.float64]:
    """Return the angles of rotary positions (Su et al., 2021), shape (tokens, 32)."""
    exponents = np.arange(0, HEAD_DIM, 2) / HEAD_DIM
    frequencies = ROTARY_BASE**-exponents
    return np.outer(np.arange(MAX_TOKENS), frequencies)
