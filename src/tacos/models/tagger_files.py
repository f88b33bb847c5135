"""Reads and writes the tagger's two files, and checks that they fit together.

A file that is damaged, of another version, made for another encoder, or changed since it was loaded
is a `ModelError`, never a tagger that tags otherwise.
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
from tacos.models import (
    encoder,
    int8_tensors,
    ngrams,
    tag_candidates,
    tag_evidence,
    tag_phrases,
)
from tacos.models.chunk_numbers import Runs
from tacos.models.tagger_texts import TextReader
from tacos.records import Encoder

FILES = ("tagger.json", "tagger.safetensors")
Matrix = npt.NDArray[np.float32]


class TagScorer(NamedTuple):
    """Scores every learned tag.

    `idf` weighs the `n_grams`. `n_gram_weights` is (n-grams, tags), `landmarks` (m, dim), `head`
    (m, tags).
    """

    n_grams: ngrams.NGramTable
    idf: Matrix
    n_gram_weights: sp.csr_array
    landmarks: Matrix
    head: Matrix
    gamma: float

    def score_texts(
        self,
        words: Runs,
        vectors: Matrix,
    ) -> tag_candidates.TextScores:
        """Score tags: near 1 for a sure tag, near 0 for any other; `n_grams` numbers `words`."""
        # What the n-grams say
        tf_idf = ngrams.tf_idf_matrix(
            words,
            self.n_grams,
            self.idf,
        )
        by_words = tag_evidence.list_contributions(tf_idf, self.n_gram_weights)

        # What the meaning says. A float64 factor would turn the whole kernel into float64.
        gamma = np.float32(self.gamma)
        cosines = vectors @ self.landmarks.T  # (texts, m)
        kernel = np.exp(gamma * (cosines - 1))
        by_meaning = kernel @ self.head
        return tag_candidates.TextScores(
            total=by_words.sum_scores() + by_meaning,
            by_words=by_words,
        )


class TagThresholds(NamedTuple):
    """How many tags are given, see `tacos.models.tagger.choose_tags`."""

    floor: float
    first_floor: float
    expected_tags: float


class TaggerModel(NamedTuple):
    """A tagger in memory: `encoder` feeds the scorer, `closeness` compares texts with tags.

    `reader` numbers the texts' words for the scorer, their stems for what is known of tags.
    """

    reader: TextReader
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
    """Load a tagger; raises `ModelError` if its files cannot be read or no longer fit `digest`."""
    meta, packed = read_tagger_bytes(folder, digest)
    try:
        return unpack_tagger(meta, packed)
    except ModelError as error:
        raise ModelError(f"the tagger in {folder}: {error}") from None


def read_tagger_bytes(folder: str, digest: str = "") -> list[bytes]:
    """Read the bytes of a tagger's two files.

    Raises `ModelError` if they cannot be read or no longer fit `digest`.
    """
    paths = [Path(folder) / name for name in FILES]
    try:
        meta, packed = [path.read_bytes() for path in paths]
    except OSError as error:
        raise ModelError(f"cannot read the tagger in {folder}: {error}") from None
    if digest and digest != hash_tagger_files(meta, packed):
        raise ModelError(
            f"the tagger in {folder} changed while it was in use: start again"
        )
    return [meta, packed]


@lru_cache(maxsize=4)
def read_tagger_meta(folder: str, digest: str) -> dict[str, Any]:
    """Read what a tagger says of itself, enough to identify it without loading it.

    Raises `ModelError` if it is damaged or of another version.
    """
    content, _ = read_tagger_bytes(folder, digest)
    keys = ("name", "encoder", "closeness")
    try:
        meta: dict[str, Any] = orjson.loads(content)
        named = [meta.get(key) for key in keys]
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise ModelError(
            f"the tagger in {folder}: of another version or damaged: {error!r}"
        ) from None
    if not all(isinstance(value, str) for value in named):
        raise ModelError(f"the tagger in {folder}: of another version")
    return meta


def hash_tagger_files(meta: bytes, packed: bytes) -> str:
    """Hash a tagger's files, 16 hex digits."""
    return hashlib.blake2b(meta + packed, digest_size=8).hexdigest()


@lru_cache(maxsize=4)
def unpack_tagger(meta: bytes, packed: bytes) -> TaggerModel:
    """Build a tagger from the bytes of its two files; raises `ModelError` if they hold none."""
    digest = hash_tagger_files(meta, packed)
    try:
        content = orjson.loads(meta)
        tensors = int8_tensors.parse_tensors(packed)
        return assemble_tagger(content, tensors, digest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"of another version or damaged: {error!r}") from None


def pack_tagger(
    meta: dict[str, Any],
    packed: dict[str, int8_tensors.Array],
) -> list[tuple[str, bytes]]:
    """Return name and bytes of a tagger's two files; equal taggers give equal bytes."""
    meta_name, tensors_name = FILES
    # Sorted keys, because equal dictionaries may differ in their order.
    meta_bytes = orjson.dumps(meta, option=orjson.OPT_SORT_KEYS)
    tensor_bytes = int8_tensors.dump_tensors(packed)
    return [
        (meta_name, meta_bytes),
        (tensors_name, tensor_bytes),
    ]


def assemble_tagger(
    meta: dict[str, Any],
    packed: dict[str, int8_tensors.Array],
    digest: str = "",
) -> TaggerModel:
    """Build a tagger from the content of its two files.

    Raises `ValueError` or `KeyError` if they do not fit together.
    """
    closeness = encoder.load(meta["closeness"])
    scorer_encoder = encoder.load(meta["encoder"])
    # Weights that were fitted to another encoder's vectors mean nothing for this one.
    fingerprints = fingerprint_encoders(meta["encoder"], meta["closeness"])
    if meta.get("fingerprints", fingerprints) != fingerprints:
        raise ValueError(f"trained with another encoder than {meta['encoder']} is now")

    shapes = _list_tensor_shapes(
        meta,
        packed,
        scorer_encoder.dim,
        closeness.dim,
    )
    int8_tensors.check_shapes(packed, shapes)
    n_grams = ngrams.NGramTable.build(meta["n_grams"])
    scorer = TagScorer(
        n_grams=n_grams,
        idf=_as_float32(packed["idf"]),
        n_gram_weights=int8_tensors.unpack_sparse(packed, "n_gram_weights"),
        landmarks=int8_tensors.unpack_matrix(packed, "landmarks"),
        head=int8_tensors.unpack_matrix(packed, "head"),
        gamma=float(meta["gamma"]),
    )
    lexicon = tag_phrases.Lexicon(
        tuple(meta["tags"]),
        meta["stems"],
        meta["rare"],
    )
    tag_columns = np.asarray(packed["columns"], dtype=np.int64)
    _check_columns(tag_columns, n_learned=scorer.head.shape[1])
    tag_vectors = closeness.encode(meta["tags"])
    known = tag_candidates.TagTable(
        lexicon=lexicon,
        vectors=tag_vectors,
        given=_as_float32(packed["given"]),
        published=_as_float32(packed["published"]),
        columns=tag_columns,
        evidence=build_evidence_table(
            n_grams.names,
            lexicon,
            tag_vectors,
            tag_columns,
            prototypes=int8_tensors.unpack_matrix(packed, "prototypes"),
            ambiguous=frozenset(meta["ambiguous"]),
            closeness=closeness,
        ),
    )
    return TaggerModel(
        reader=TextReader(n_grams, lexicon),
        scorer=scorer,
        known=known,
        network=_read_network(packed),
        choice=TagThresholds(**meta["choice"]),
        encoder=scorer_encoder,
        closeness=closeness,
        meta=meta,
        digest=digest,
    )


def build_evidence_table(
    n_grams: Sequence[str],
    lexicon: tag_phrases.Lexicon,
    tag_vectors: Matrix,
    tag_columns: npt.NDArray[np.int64],
    *,
    prototypes: Matrix,
    ambiguous: frozenset[str],
    closeness: Encoder,
) -> tag_evidence.EvidenceTable:
    """Build what is known of tags and n-grams.

    `prototypes` (learned tags, dim) are in the order of the scores' columns; `ambiguous` holds the
    stems of words with several meanings.
    """
    is_learned = tag_columns >= 0
    all_prototypes = tag_vectors.copy()
    all_prototypes[is_learned] = prototypes[tag_columns[is_learned]]
    # "^" marks how a text begins.
    phrases = [n_gram.lstrip("^") for n_gram in n_grams]
    n_gram_flags = [
        not ambiguous.isdisjoint(tag_phrases.stem_text(phrase)) for phrase in phrases
    ]
    tag_flags = [not ambiguous.isdisjoint(stems) for stems in lexicon.stems]
    return tag_evidence.EvidenceTable(
        prototypes=all_prototypes,
        n_gram_vectors=closeness.encode(phrases),
        ambiguous_n_grams=np.array(n_gram_flags, dtype=np.bool_),
        ambiguous_tags=np.array(tag_flags, dtype=np.bool_),
    )


def _as_float32(tensor: int8_tensors.Array) -> Matrix:
    return np.asarray(tensor, dtype=np.float32)


def _check_columns(
    columns: npt.NDArray[np.int64],
    n_learned: int,
) -> None:
    """Raise `ValueError` unless every learned tag has one column and every column one tag."""
    learned = columns[columns >= 0]
    if sorted(learned.tolist()) != list(range(n_learned)):
        raise ValueError("the columns of the scores do not fit the learned tags")


def fingerprint_encoders(*names: str) -> list[str]:
    """Return the fingerprints of these encoders."""
    return [encoder.load(name).fingerprint for name in names]


def _list_tensor_shapes(
    meta: dict[str, Any],
    packed: dict[str, int8_tensors.Array],
    dim: int,
    closeness_dim: int,
) -> dict[str, tuple[int, ...]]:
    """List the shapes that a tagger's tensors must have, for encoders of these dimensions."""
    n_n_grams = len(meta["n_grams"])
    n_tags = len(meta["tags"])
    n_inputs = len(tag_candidates.NAMES)
    n_landmarks = len(packed["landmarks"])
    n_learned = int(packed["n_gram_weights.width"][0])
    return {
        "idf": (n_n_grams,),
        "n_gram_weights.scale": (n_n_grams,),
        "given": (n_tags,),
        "published": (n_tags,),
        "columns": (n_tags,),
        "network.mean": (n_inputs,),
        "network.spread": (n_inputs,),
        "landmarks": (n_landmarks, dim),
        "head": (n_landmarks, n_learned),
        "prototypes": (n_learned, closeness_dim),
    }


def _read_network(packed: dict[str, int8_tensors.Array]) -> tag_candidates.Perceptron:
    """Build the network; raise `ValueError` if its layers do not fit together."""
    n_layers = sum(name.startswith("network.bias") for name in packed)
    weights: list[Matrix] = []
    biases: list[Matrix] = []
    for layer in range(n_layers):
        layer_weights = packed[f"network.weights{layer}"]
        layer_bias = packed[f"network.bias{layer}"]
        weights.append(_as_float32(layer_weights))
        biases.append(_as_float32(layer_bias))
    network = tag_candidates.Perceptron(
        mean=_as_float32(packed["network.mean"]),
        spread=_as_float32(packed["network.spread"]),
        weights=weights,
        biases=biases,
    )
    # One row on trial: numpy raises where the shapes of two layers do not fit.
    one_row = network.mean[None]
    network.probability(one_row)
    return network
