"""Plain distillation of a sentence encoder into a table, one vector per token (model2vec; Tulkens,
van Dongen, 2024).

Each token is encoded on its own, the vectors are rotated onto the main directions of `reference`
vectors and cut to `dim`, then weighted by smooth inverse frequency with Zipf's law for the
frequencies (the vocabulary is ordered by frequency). It sees no text, so it does not know which
tokens matter in instructions: `fitting` teaches that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tacos.models import minilm_encoder

Vectors = npt.NDArray[np.float32]
CLS, SEP = 101, 102
FIRST_WORD = 999
"""Ids below are [PAD], [UNK], [CLS], [SEP], [MASK] and [unused...]."""


def encode_tokens(teacher: minilm_encoder.MiniLM) -> Vectors:
    """The teacher's vector of every token between [CLS] and [SEP]: float32 (30522, 384); special
    tokens are 0.
    """
    session = minilm_encoder.load_session(teacher.threads)
    ids = [[CLS, token, SEP] for token in range(FIRST_WORD, minilm_encoder.VOCABULARY)]
    out = np.zeros((minilm_encoder.VOCABULARY, minilm_encoder.DIM), dtype=np.float32)
    out[FIRST_WORD:] = minilm_encoder.encode_token_ids(session, ids, teacher.batch)
    return out


def find_main_directions(vectors: Vectors, dim: int) -> Vectors:
    """The `dim` orthonormal directions (384, dim) that hold most of `vectors`' squared length,
    signs made unique.

    Not centred: inner products of the projections then come closest to the teacher's.
    """
    _, basis = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    basis = basis[:, ::-1][:, :dim]
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(dim)])
    return np.asarray(basis * signs, dtype=np.float32)


def zipf_weights(n_tokens: int, first: int = FIRST_WORD, a: float = 1e-3) -> Vectors:
    """Smooth inverse frequency a / (a + p) (Arora et al., 2017), p of the token of rank r
    proportional to 1 / r.
    """
    ranks = np.arange(1, n_tokens - first + 1)
    share = (1 / ranks) / (1 / ranks).sum()
    weights = np.zeros(n_tokens, dtype=np.float32)
    weights[first:] = a / (a + share)
    return weights


def distil_table(tokens: Vectors, directions: Vectors) -> Vectors:
    """The table (30522, dim): each token's vector, less the words' mean, projected and weighted."""
    centred = tokens.copy()
    centred[FIRST_WORD:] -= tokens[FIRST_WORD:].mean(axis=0)
    return np.asarray((centred @ directions) * zipf_weights(len(tokens))[:, None], dtype=np.float32)
