"""Runs all-MiniLM-L6-v2 (Wang et al., 2020; sentence-transformers) in onnxruntime, without torch.

The graph (`data/minilm.onnx`, built by `training/minilm_graph.py`) holds no weights; they are read
from the published file (see `weights`) and handed to the session, in float32. A vector depends on
its neighbours in a batch only by rounding (about 1e-6). The model reads English: its vocabulary has
few characters of other scripts, and unknown ones become [UNK].
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from tacos.models import token_batches, weights
from tacos.models.word_tokenizer import replace_surrogates

# From 1.31 on, onnxruntime reports its use to its maker as soon as it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

DATA = Path(__file__).parent / "data"
GRAPH = DATA / "minilm.onnx"
LAYERS = 6
DIM = 384
VOCABULARY = 30_522
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MiniLM:
    """The encoder: a small, picklable value; each process loads the weights at first use.

    Texts are cut to `max_tokens` tokens, the two special ones included (512 at most). `batch` is
    the number of tokens in a batch, padding included.
    """

    threads: int | None = None
    max_tokens: int = 256
    batch: int = 1024
    dim: int = field(default=DIM, init=False)
    name: str = field(default="minilm", init=False)

    @property
    def fingerprint(self) -> str:
        """What decides the vectors: the weights' hash and the number of tokens read."""
        return f"minilm-{weights.SHA256[:16]}-{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as float32 of shape (len(texts), 384), each row of length 1."""
        tokenizer = load_tokenizer(self.max_tokens)
        readable = [replace_surrogates(text) for text in texts]
        encodings = tokenizer.encode_batch_fast(readable)
        token_ids = [encoding.ids for encoding in encodings]
        session = load_session(self.threads)
        return encode_token_ids(
            session,
            token_ids,
            self.batch,
        )

    def free_weights(self) -> None:
        """Free the weights, which the next text loads again in .3 s."""
        load_session.cache_clear()


def encode_token_ids(
    session: ort.InferenceSession,
    ids: Sequence[Sequence[int]],
    batch: int,
) -> Vectors:
    """Encode lists of token ids, special tokens included, as float32 of shape (len(ids), 384).

    Batches hold texts of similar length, so that little is padded.
    """
    n_texts = len(ids)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    vectors = np.zeros(
        (n_texts, DIM),
        dtype=np.float32,
    )
    for rows in token_batches.cut_batches(lengths, batch):
        batch_ids = [ids[row] for row in rows]
        (batch_vectors,) = session.run(
            ["vectors"],
            _pad_token_ids(batch_ids, lengths[rows]),
        )
        # Back to where the texts stand.
        vectors[rows] = batch_vectors
    return vectors


def _pad_token_ids(
    ids: Sequence[Sequence[int]],
    lengths: Rows,
) -> dict[str, npt.NDArray[np.int32]]:
    """Return the graph's inputs, both int32 (rows, longest): ids, and a mask of what is a token."""
    width = int(lengths.max())
    is_token = np.arange(width) < lengths[:, None]
    tokens = np.zeros(
        is_token.shape,
        dtype=np.int32,
    )
    # Row by row, which is the order of a boolean index.
    tokens[is_token] = np.concatenate(ids)
    return {
        "tokens": tokens,
        "mask": is_token.astype(np.int32),
    }


@lru_cache(maxsize=4)
def load_tokenizer(max_tokens: int) -> Tokenizer:
    """Load the model's WordPiece tokenizer, set to cut at `max_tokens` and not to pad."""
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer


@lru_cache(maxsize=2)
def load_session(threads: int | None) -> ort.InferenceSession:
    """Load the graph with its weights.

    `threads` None leaves the number to onnxruntime (one per physical core). Raises `ModelError` if
    the weights are missing or not the published ones.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    # Threads that wait sleep: most calls are for a text or two, and spinning took twice their time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    arrays = _load_weights(weights.find_weights())
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    return ort.InferenceSession(
        GRAPH.read_bytes(),
        options,
        providers=["CPUExecutionProvider"],
    )


def _load_weights(path: Path) -> dict[str, Vectors]:
    """Load the published tensors under the graph's names, see `training/minilm_graph.py`.

    Matrices become (inputs, outputs), with query, key and value side by side.
    """
    raw = load_file(path)
    positions = raw["embeddings.position_embeddings.weight"]
    token_types = raw["embeddings.token_type_embeddings.weight"]
    arrays = {
        "words": raw["embeddings.word_embeddings.weight"],
        # Every token has type 0, so its vector is added to the positions once and for all.
        "positions": positions + token_types[0],
        "embed.gamma": raw["embeddings.LayerNorm.weight"],
        "embed.beta": raw["embeddings.LayerNorm.bias"],
    }
    for layer in range(LAYERS):
        layer_arrays = _rename_layer_weights(raw, layer)
        for name, array in layer_arrays.items():
            arrays[f"{layer}.{name}"] = array
    # The session takes contiguous arrays only, so transposed views are copied.
    return {
        name: np.ascontiguousarray(array, dtype=np.float32)
        for name, array in arrays.items()
    }


def _rename_layer_weights(
    raw: Mapping[str, Vectors],
    layer: int,
) -> dict[str, Vectors]:
    prefix = f"encoder.layer.{layer}."
    own = {
        name.removeprefix(prefix): array
        for name, array in raw.items()
        if name.startswith(prefix)
    }
    attention = ("query", "key", "value")
    qkv = [own[f"attention.self.{part}.weight"] for part in attention]
    qkv_bias = [own[f"attention.self.{part}.bias"] for part in attention]
    return {
        "qkv": np.concatenate(qkv).T,
        "qkv.bias": np.concatenate(qkv_bias),
        "out": own["attention.output.dense.weight"].T,
        "out.bias": own["attention.output.dense.bias"],
        "out.gamma": own["attention.output.LayerNorm.weight"],
        "out.beta": own["attention.output.LayerNorm.bias"],
        "up": own["intermediate.dense.weight"].T,
        "up.bias": own["intermediate.dense.bias"],
        "down": own["output.dense.weight"].T,
        "down.bias": own["output.dense.bias"],
        "down.gamma": own["output.LayerNorm.weight"],
        "down.beta": own["output.LayerNorm.bias"],
    }
