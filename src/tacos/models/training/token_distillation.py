"""Distils a sentence encoder into a table of vectors, one per token (model2vec; Tulkens and van
Dongen, 2024).

Each token is encoded on its own. The vectors are rotated onto the main directions of reference
vectors, cut to `dim`, and weighted by smooth inverse frequency, with Zipf's law for the frequencies
(the vocabulary is ordered by frequency). No text is read, so the table does not know which tokens
matter in instructions: `token_table_fit` teaches it that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.models import minilm_encoder

Vectors = npt.NDArray[np.float32]
CLS = 101
SEP = 102
FIRST_WORD = 999
"""Ids below are [PAD], [UNK], [CLS], [SEP], [MASK] and [unused...]."""


def encode_tokens(teacher: minilm_encoder.MiniLM) -> Vectors:
    """Encode every token between [CLS] and [SEP]: float32 (30522, 384), 0 for special tokens."""
    n_tokens = minilm_encoder.VOCABULARY
    session = minilm_encoder.load_session(teacher.threads)
    tokens = range(FIRST_WORD, n_tokens)
    token_ids = [[CLS, token, SEP] for token in tokens]
    vectors = np.zeros(
        (n_tokens, minilm_encoder.DIM),
        dtype=np.float32,
    )
    vectors[FIRST_WORD:] = minilm_encoder.encode_token_ids(
        session,
        token_ids,
        teacher.batch,
    )
    return vectors


def find_main_directions(vectors: Vectors, dim: int) -> Vectors:
    """Find the `dim` orthonormal directions (384, dim) that hold most of the squared lengths.

    `vectors` is (n, 384). It is not centred: inner products of the projections then come closest to
    the teacher's.
    """
    # In float64, because float32 sums over all texts would be off.
    columns = vectors.T.astype(np.float64)
    squares = columns @ vectors  # (384, 384)
    _, ascending = np.linalg.eigh(squares)
    descending = ascending[:, ::-1]
    directions = descending[:, :dim]

    # An eigenvector's sign is arbitrary: make its largest entry positive.
    sizes = np.abs(directions)
    largest_rows = sizes.argmax(axis=0)
    largest = directions[
        largest_rows,
        np.arange(dim),
    ]
    signs = np.sign(largest)
    return np.asarray(
        directions * signs,
        dtype=np.float32,
    )


def zipf_weights(
    n_tokens: int,
    first: int = FIRST_WORD,
    a: float = 1e-3,
) -> Vectors:
    """Return smooth inverse frequencies a / (a + p) (Arora et al., 2017), shape (n_tokens,).

    By Zipf's law, the frequency p of the token of rank r is proportional to 1 / r. Tokens before
    `first` have 0.
    """
    # The vocabulary is ordered by frequency, so a word's rank is its place.
    n_words = n_tokens - first
    ranks = np.arange(1, n_words + 1)
    inverse_ranks = 1 / ranks
    frequencies = inverse_ranks / inverse_ranks.sum()
    weights = np.zeros(
        n_tokens,
        dtype=np.float32,
    )
    weights[first:] = a / (a + frequencies)
    return weights


def distil_table(tokens: Vectors, directions: Vectors) -> Vectors:
    """Return the table (tokens, dim): each vector less the words' mean, projected and weighted.

    `tokens` is (tokens, 384), `directions` (384, dim).
    """
    # Special tokens stay 0: they stand for no word.
    words = tokens[FIRST_WORD:]
    mean = words.mean(axis=0)
    centred = tokens.copy()
    centred[FIRST_WORD:] -= mean
    projected = centred @ directions
    weights = zipf_weights(len(tokens))
    return np.asarray(
        projected * weights[:, None],
        dtype=np.float32,
    )
