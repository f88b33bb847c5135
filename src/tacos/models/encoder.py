"""Loads sentence encoders by name: `load("static")`, `load("minilm")`, or a folder with a model.

An encoder turns texts into vectors of length 1, so that the inner product of two vectors is their
cosine similarity. Every encoder satisfies the protocol `tacos.records.Encoder`:

    encoder = load("static")
    encoder.encode(["Sort a list."])    # float32, shape (1, encoder.dim)

Encoders are small, frozen and picklable, so the engine can send them to worker processes. Each
process loads the weights once, at first use. `data/static.md` says which texts the static encoder
is good at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.errors import ModelError
from tacos.models import minilm_encoder, static_encoder, weights
from tacos.records import Encoder, canonical_hash

NAMES = ("static", "minilm")


def load(name: str = "static", threads: int | None = None) -> Encoder:
    """Load an encoder.

    Args:
        name: one of

            - "static": the shipped table of token vectors; fast, and enough for whole rows
            - "minilm": all-MiniLM-L6-v2, which reads word order and context; made for tags
            - a folder with a static encoder (static.safetensors and tokenizer.json) or with a
              sentence-transformers model
        threads: number of threads of MiniLM; None leaves it to onnxruntime. The others ignore it.

    Raises:
        ModelError: if there is no such encoder, or its files or its package are missing.
    """
    if name == "static":
        return static_encoder.StaticEncoder()
    if name == "minilm":
        weights.find_weights()  # missing weights stop a run before it starts, not half way
        return minilm_encoder.MiniLM(threads=threads)
    folder = Path(name)
    if (folder / static_encoder.TABLE).is_file():
        return static_encoder.load_static(folder)
    if folder.is_dir():
        return _load_user_encoder(folder)
    raise ModelError(
        f"unknown encoder {name!r}: use one of {', '.join(NAMES)}, a folder with a "
        "sentence-transformers model, or endpoint:MODEL for an embeddings endpoint"
    )


def load_topic_encoder(name: str = "static") -> Encoder:
    """Load an encoder for clusters of whole samples: as `load`, but a static one is damped."""
    loaded = load(name)
    if isinstance(loaded, static_encoder.StaticEncoder):
        return replace(loaded, damped=True)
    return loaded


def free_weights(encoder: Encoder) -> None:
    """Free the weights of an encoder that can load them again: MiniLM's take 170 MB."""
    free = getattr(encoder, "free_weights", None)
    if free is not None:
        free()


def _load_user_encoder(folder: Path) -> Encoder:
    """Load a sentence-transformers model; tacos does not install that package itself."""
    marker_files = ("modules.json", "config.json")
    if not any((folder / name).is_file() for name in marker_files):
        raise ModelError(
            f"no sentence-transformers model in {folder}: "
            "modules.json and config.json are both missing"
        )
    if find_spec("sentence_transformers") is None:
        raise ModelError(
            f"the model in {folder} needs the package sentence-transformers: "
            "install it with `pip install sentence-transformers`"
        )
    return SentenceTransformer(str(folder.resolve()), _fingerprint_folder(folder))


def _fingerprint_folder(folder: Path) -> str:
    """Hash the names, sizes and modification times of a folder's files.

    Hashing the contents, often gigabytes, at every start would take too long.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = []
    for path in paths:
        status = path.stat()
        entry = [
            path.name,
            status.st_size,
            status.st_mtime_ns,
        ]
        entries.append(entry)
    return canonical_hash(entries)


@dataclass(frozen=True)
class SentenceTransformer:
    """A sentence-transformers model in a folder.

    `fingerprint` identifies the files as they were when the model was loaded.
    """

    folder: str
    fingerprint: str

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.folder).name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode(["a"]).shape[1])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts as float32 of shape (len(texts), dim), each row of length 1.

        Raises:
            ModelError: if the model's files have changed since it was loaded.
        """
        if not texts:
            # The library would return vectors without a length.
            return np.zeros((0, self.dim), dtype=np.float32)
        model = _load_transformer(
            self.folder,
            self.fingerprint,
        )
        vectors = model.encode(
            list(texts),
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    def free_weights(self) -> None:
        """Free the model, which the next text loads again."""
        _load_transformer.cache_clear()


@lru_cache(maxsize=1)
def _load_transformer(folder: str, fingerprint: str) -> Any:
    """Load the model into memory; raise `ModelError` if its files no longer fit `fingerprint`."""
    if fingerprint != _fingerprint_folder(Path(folder)):
        raise ModelError(
            f"the encoder in {folder} changed while it was in use: start again"
        )
    # Imported only when it is needed: that takes seconds.
    package = import_module("sentence_transformers")
    return package.SentenceTransformer(folder)
