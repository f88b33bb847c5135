"""all-MiniLM-L6-v2 (Wang et al., 2020; sentence-transformers) in onnxruntime, float32, without
torch.

The graph (`data/minilm.onnx`, made by `training/graph.py`) holds no weights; they are read from
`model.safetensors` and handed to the session. A vector does not depend on its neighbours in a batch
beyond rounding (about 1e-6). English only: its vocabulary has few characters of other scripts, and
what it does not know becomes [UNK].
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from tacos.errors import ModelError
from tacos.models import weights
from tacos.models.static_encoder import replace_surrogates

os.environ["ORT_DISABLE_TELEMETRY"] = (
    "1"  # from 1.31 on, onnxruntime reports its use to its maker when it is imported
)
import onnxruntime as ort

GRAPH = Path(__file__).parent / "data" / "minilm.onnx"
LAYERS, DIM, VOCABULARY = 6, 384, 30522
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MiniLM:
    """The encoder as a light, picklable value; the weights are loaded once per process, when first
    needed.

    `max_tokens` (up to 512, with the two special ones) cuts longer texts; `batch` counts tokens,
    padding included.
    """

    folder: str
    threads: int | None = None
    max_tokens: int = 256
    batch: int = 2048
    dim: int = field(default=DIM, init=False)
    name: str = field(default="minilm", init=False)

    @property
    def fingerprint(self) -> str:
        """What decides the vectors: the weights' hash and the cut."""
        return f"minilm-{weights.SHA256[:16]}-{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 of shape (len(texts), 384), each row of length 1."""
        tokenizer = load_tokenizer(self.folder, self.max_tokens)
        ids = [
            encoding.ids
            for encoding in tokenizer.encode_batch_fast(
                [replace_surrogates(text) for text in texts]
            )
        ]
        return encode_token_ids(load_session(self.folder, self.threads), ids, self.batch)


def load_minilm(
    folder: str | Path | None = None, threads: int | None = None, fetch: bool | None = None
) -> MiniLM:
    """MiniLM from the first place that has its weights (see `tacos.models.weights`), checked
    against their hash.

    Raises `ModelError` where there are none.
    """
    return MiniLM(str(weights.obtain_weights(folder, fetch)), threads)


def encode_token_ids(
    session: ort.InferenceSession, ids: Sequence[Sequence[int]], batch: int
) -> Vectors:
    """Vectors of token-id lists (special tokens included), in batches of similar length so that
    little is padded.
    """
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    out = np.zeros((len(ids), DIM), dtype=np.float32)
    for rows in _cut_batches(lengths, batch):
        width = int(lengths[rows].max())
        tokens = np.zeros((len(rows), width), dtype=np.int32)
        mask = (np.arange(width) < lengths[rows, None]).astype(np.int32)
        tokens[mask.astype(bool)] = np.concatenate([ids[row] for row in rows])
        out[rows] = session.run(["vectors"], {"tokens": tokens, "mask": mask})[0]
    return out


def _cut_batches(lengths: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers, shortest first, cut where a batch would exceed `size` tokens with its padding.

    >>> [rows.tolist() for rows in _cut_batches(np.array([9, 2, 3, 2]), 6)]
    [[1, 3], [2], [0]]
    """
    out: list[npt.NDArray[np.int64]] = []
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - start) * lengths[order[end]] > size:
            out.append(order[start:end])
            start = end
    return out


@lru_cache(maxsize=4)
def load_tokenizer(folder: str, max_tokens: int) -> Tokenizer:
    """The model's own WordPiece tokenizer, cutting at `max_tokens` and not padding."""
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ModelError(
            f"{folder}/tokenizer.json is not all-MiniLM-L6-v2's: {tokenizer.get_vocab_size()} tokens"
        )
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer


@lru_cache(maxsize=2)
def load_session(folder: str, threads: int | None) -> ort.InferenceSession:
    """The graph with its weights; `threads` None leaves the choice to onnxruntime (one per physical
    core).
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    arrays = _load_weights(Path(folder) / "model.safetensors")
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    return ort.InferenceSession(GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"])


def _load_weights(path: Path) -> dict[str, Vectors]:
    """The published tensors under the graph's names: matrices as (inputs, outputs), query, key and
    value side by side.

    The vector of token type 0, which every token gets, is added to the positions.
    """
    raw = load_file(path)
    out = {
        "words": raw["embeddings.word_embeddings.weight"],
        "positions": raw["embeddings.position_embeddings.weight"]
        + raw["embeddings.token_type_embeddings.weight"][0],
        "embed.gamma": raw["embeddings.LayerNorm.weight"],
        "embed.beta": raw["embeddings.LayerNorm.bias"],
    }
    for n in range(LAYERS):
        at = f"encoder.layer.{n}."
        qkv = [at + f"attention.self.{part}." for part in ("query", "key", "value")]
        out[f"{n}.qkv"] = np.concatenate([raw[part + "weight"] for part in qkv]).T
        out[f"{n}.qkv.bias"] = np.concatenate([raw[part + "bias"] for part in qkv])
        names = {"out": "attention.output.", "up": "intermediate.", "down": "output."}
        for name, part in names.items():
            out[f"{n}.{name}"] = raw[f"{at}{part}dense.weight"].T
            out[f"{n}.{name}.bias"] = raw[f"{at}{part}dense.bias"]
            if name != "up":
                out[f"{n}.{name}.gamma"] = raw[f"{at}{part}LayerNorm.weight"]
                out[f"{n}.{name}.beta"] = raw[f"{at}{part}LayerNorm.bias"]
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in out.items()}
