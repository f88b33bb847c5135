"""Sentence encoders behind one interface: `load("static")`, `load("minilm")`, or a folder of the
user's own model.

Every encoder is a light, frozen, picklable value whose weights are loaded once per process, when
first needed, so the engine may send it to workers. Which texts an encoder is good at, its card says
(`data/static.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.errors import ModelError
from tacos.models import minilm_encoder, static_encoder, weights
from tacos.records import Encoder, canonical_hash

NAMES = ("static", "minilm", "minilm-or-static")


def load(name: str = "static", threads: int | None = None) -> Encoder:
    """The encoder of that name, or the sentence-transformers model in a folder of that name.

    "minilm-or-static" is MiniLM where its weights are on this machine and the static table
    elsewhere; the `name` of what comes back says which. `threads` None leaves the number to the
    runtime; the static encoder uses one. Raises `ModelError` where there is no such model.
    """
    if name == "static":
        return static_encoder.StaticEncoder()
    if name == "minilm":
        return minilm_encoder.load_minilm(threads=threads)
    if name == "minilm-or-static":
        return (
            minilm_encoder.load_minilm(threads=threads)
            if weights.find_weights()
            else static_encoder.StaticEncoder()
        )
    if (Path(name) / static_encoder.TABLE).is_file():
        return static_encoder.load_static(Path(name))
    if Path(name).is_dir():
        return _load_user_encoder(Path(name))
    raise ModelError(
        f"no encoder {name!r}: there are {', '.join(NAMES)}, a folder with a sentence-transformers model, "
        "or endpoint:MODEL for a model of an embeddings endpoint"
    )


def _load_user_encoder(folder: Path) -> Encoder:
    """A user's own sentence-transformers model; needs that package, which tacos does not install."""
    if not any((folder / file).is_file() for file in ("modules.json", "config.json")):
        raise ModelError(
            f"{folder} holds no sentence-transformers model (no modules.json and no config.json)"
        )
    if find_spec("sentence_transformers") is None:
        raise ModelError(
            f"the model in {folder} needs the package sentence-transformers: pip install it, then go on"
        )
    return SentenceTransformer(str(folder.resolve()), _fingerprint_folder(folder))


def _fingerprint_folder(folder: Path) -> str:
    """Of names, sizes and modification times: hashing gigabytes at every start would cost too much."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return canonical_hash(
        [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    )


@dataclass(frozen=True)
class SentenceTransformer:
    """A sentence-transformers model in a folder; its fingerprint is of the files that were there
    when it was loaded.
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
        """float32 of shape (len(texts), dim), each row of length 1."""
        model = _load_transformer(self.folder, self.fingerprint)
        rows = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)


@lru_cache(maxsize=1)
def _load_transformer(folder: str, fingerprint: str) -> Any:
    """The model in memory; raises `ModelError` where its files have changed since they had this
    fingerprint.
    """
    from sentence_transformers import SentenceTransformer as Model  # type: ignore[import-not-found, unused-ignore]

    if fingerprint != _fingerprint_folder(Path(folder)):
        raise ModelError(f"the encoder in {folder} has changed while it was in use: start again")

    return Model(folder)
