"""A tagger in memory, and its two files: what is written, what is read, and whether it fits
together.

A file that is damaged, of another version, made for another encoder, or changed since it was loaded
is a `ModelError`: never a tagger that tags otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import scipy.sparse as sp

from tacos.errors import ModelError
from tacos.models import encoder, int8_tensors, ngrams, tag_candidates, tag_phrases
from tacos.records import Encoder

FILES = ("tagger.json", "tagger.safetensors")
Matrix = npt.NDArray[np.float32]


class TagScorer(NamedTuple):
    """Scores of learned tags: `n_gram_weights` is (n-grams, tags), `landmarks` (m, dim), `head` (m,
    tags).
    """

    columns: dict[str, int]
    idf: Matrix
    n_gram_weights: sp.csr_array
    landmarks: Matrix
    head: Matrix
    gamma: float

    def scores(self, texts: Sequence[str], vectors: Matrix) -> Matrix:
        """float32 (texts, tags): near 1 for a sure tag, near 0 for any other."""
        by_words = (
            ngrams.tf_idf_matrix(
                [ngrams.tokenise_text(text) for text in texts], self.columns, self.idf
            )
            @ self.n_gram_weights
        )
        kernel = np.exp(np.float32(self.gamma) * (vectors @ self.landmarks.T - 1))
        return np.asarray(by_words.toarray() + kernel @ self.head, dtype=np.float32)


class TagThresholds(NamedTuple):
    """How many tags are given: see `tacos.models.tagger.choose_tags`."""

    floor: float
    first_floor: float
    expected_tags: float


class TaggerModel(NamedTuple):
    """A tagger in memory: `encoder` feeds the scorer, `closeness` compares texts with tags."""

    scorer: TagScorer
    known: tag_candidates.TagTable
    network: tag_candidates.Perceptron
    choice: TagThresholds
    encoder: Encoder
    closeness: Encoder
    meta: dict[str, Any]
    digest: str


@lru_cache(maxsize=4)
def load_tagger_files(folder: str, digest: str) -> TaggerModel:
    """Read a tagger's files; raises `ModelError` where they cannot be read, or have another digest
    by now.
    """
    try:
        return unpack_tagger(*read_tagger_bytes(folder, digest))
    except ModelError as error:
        raise ModelError(f"the tagger in {folder}: {error}") from None


def read_tagger_bytes(folder: str, digest: str = "") -> list[bytes]:
    """The bytes of a tagger's files; raises `ModelError` where they cannot be read, or have another
    digest by now.
    """
    try:
        meta, packed = ((Path(folder) / name).read_bytes() for name in FILES)
    except OSError as error:
        raise ModelError(f"cannot read the tagger in {folder}: {error}") from None
    if digest and digest != hash_tagger_files(meta, packed):
        raise ModelError(f"the tagger in {folder} has changed while it was in use: start again")
    return [meta, packed]


@lru_cache(maxsize=4)
def read_tagger_meta(folder: str, digest: str) -> dict[str, Any]:
    """What a tagger says of itself: enough to know it by, without making it."""
    try:
        found: dict[str, Any] = orjson.loads(read_tagger_bytes(folder, digest)[0])
        if not all(isinstance(found.get(key), str) for key in ("name", "encoder", "closeness")):
            raise ModelError(f"the tagger in {folder}: of another version")
        return found
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise ModelError(
            f"the tagger in {folder}: of another version or damaged: {error!r}"
        ) from None


def hash_tagger_files(meta: bytes, packed: bytes) -> str:
    """A hash of a tagger's files."""
    return hashlib.blake2b(meta + packed, digest_size=8).hexdigest()


@lru_cache(maxsize=4)
def unpack_tagger(meta: bytes, packed: bytes) -> TaggerModel:
    """A tagger from the bytes of its two files; raises `ModelError` where they are none."""
    try:
        return assemble_tagger(
            orjson.loads(meta), int8_tensors.parse_tensors(packed), hash_tagger_files(meta, packed)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"of another version or damaged: {error!r}") from None


def pack_tagger(
    meta: dict[str, Any], packed: dict[str, int8_tensors.Array]
) -> list[tuple[str, bytes]]:
    """Name and bytes of a tagger's two files; equal taggers give equal bytes."""
    return list(
        zip(
            FILES,
            (orjson.dumps(meta, option=orjson.OPT_SORT_KEYS), int8_tensors.dump_tensors(packed)),
            strict=True,
        )
    )


def assemble_tagger(
    meta: dict[str, Any], packed: dict[str, int8_tensors.Array], digest: str = ""
) -> TaggerModel:
    """A tagger from the content of its two files; raises `ValueError` (or `KeyError`) where they
    don't fit together.
    """
    closeness, own = encoder.load(meta["closeness"]), encoder.load(meta["encoder"])
    now = fingerprint_encoders(meta["encoder"], meta["closeness"])
    if meta.get("fingerprints", now) != now:
        raise ValueError(f"trained with another encoder than {meta['encoder']} is now")
    int8_tensors.check_shapes(packed, _list_tensor_shapes(meta, packed, own.dim))
    scorer = TagScorer(
        {gram: number for number, gram in enumerate(meta["n_grams"])},
        np.asarray(packed["idf"], dtype=np.float32),
        int8_tensors.unpack_sparse(packed, "n_gram_weights"),
        int8_tensors.unpack_matrix(packed, "landmarks"),
        int8_tensors.unpack_matrix(packed, "head"),
        float(meta["gamma"]),
    )
    lexicon = tag_phrases.Lexicon(tuple(meta["tags"]), meta["stems"], meta["rare"])
    given, published = (
        np.asarray(packed[name], dtype=np.float32) for name in ("given", "published")
    )
    columns = np.asarray(packed["columns"], dtype=np.int64)
    known = tag_candidates.TagTable(
        lexicon, closeness.encode(meta["tags"]), given, published, columns
    )
    if sorted(columns[columns >= 0].tolist()) != list(range(scorer.head.shape[1])):
        raise ValueError("other columns than learned tags")
    return TaggerModel(
        scorer,
        known,
        _read_network(packed),
        TagThresholds(**meta["choice"]),
        own,
        closeness,
        meta,
        digest,
    )


def fingerprint_encoders(*names: str) -> list[str]:
    """Of these encoders."""
    return [encoder.load(name).fingerprint for name in names]


def _list_tensor_shapes(
    meta: dict[str, Any], packed: dict[str, int8_tensors.Array], dim: int
) -> dict[str, tuple[int, ...]]:
    """The shapes that a tagger's tensors must have to fit together, for an encoder of this
    dimension.
    """
    n_landmarks, n_learned = len(packed["landmarks"]), int(packed["n_gram_weights.width"][0])
    return {
        **dict.fromkeys(("idf", "n_gram_weights.scale"), (len(meta["n_grams"]),)),
        **dict.fromkeys(("given", "published", "columns"), (len(meta["tags"]),)),
        **dict.fromkeys(("network.mean", "network.spread"), (len(tag_candidates.NAMES),)),
        "landmarks": (n_landmarks, dim),
        "head": (n_landmarks, n_learned),
    }


def _read_network(packed: dict[str, int8_tensors.Array]) -> tag_candidates.Perceptron:
    """The network's arrays."""
    n_layers = sum(name.startswith("network.bias") for name in packed)
    layers = [
        [np.asarray(packed[f"network.{part}{n}"], dtype=np.float32) for n in range(n_layers)]
        for part in ("weights", "bias")
    ]
    mean, spread = (
        np.asarray(packed[f"network.{part}"], dtype=np.float32) for part in ("mean", "spread")
    )
    network = tag_candidates.Perceptron(mean, spread, *layers)
    network.probability(mean[None])  # a ValueError where the layers don't fit
    return network
