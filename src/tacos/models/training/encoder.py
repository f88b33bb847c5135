"""Trains the shipped static encoder: distils MiniLM's tokens, then fits the table to real text."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tacos.models import int8_tensors, minilm_encoder, static_encoder
from tacos.models.static_encoder import Vectors
from tacos.models.training import corpora, token_distillation, token_table_fit
from tacos.models.word_tokenizer import WordTokenizer


def train_encoder(
    data: Path,
    out: Path,
    dim: int = 256,
    seed: int = 0,
) -> Path:
    """Write `static.safetensors` and its tokenizer into `out` from the corpora in `data`.

    Two trainings give equal bytes. One takes about ten minutes on two cores, nearly all of it
    MiniLM at work. Raises `ModelError` if MiniLM's weights are missing.
    """
    teacher = minilm_encoder.MiniLM(threads=2, max_tokens=128)
    texts = corpora.read_training_texts(data, seed=seed)
    vectors = teacher.encode(texts)
    # One thread: more would add up in another order, and give other bits on other machines.
    with threadpool_limits(1):
        table = _fit_table(teacher, texts, vectors, dim, seed)
    return _write_encoder(out, table)


def _fit_table(
    teacher: minilm_encoder.MiniLM,
    texts: list[str],
    vectors: Vectors,
    dim: int,
    seed: int,
) -> Vectors:
    """Fit the table (tokens, dim) to the teacher's vectors (texts, 384)."""
    # Plain distillation: each token alone.
    directions = token_distillation.find_main_directions(vectors, dim)
    token_vectors = token_distillation.encode_tokens(teacher)
    prior = token_distillation.distil_table(token_vectors, directions)

    # Fit to whole texts, first in closed form, then by gradient descent.
    tokenizer = WordTokenizer(
        minilm_encoder.load_tokenizer(static_encoder.MAX_TOKENS),
        static_encoder.MAX_TOKENS,
    )
    occurrences = static_encoder.count_tokens(
        tokenizer,
        texts,
        static_encoder.MAX_TOKENS,
        len(prior),
    )
    counts = token_table_fit.weigh_counts(occurrences)
    targets = token_table_fit.project_targets(vectors, directions)
    prior = token_table_fit.scale_prior(counts, targets, prior)
    table = token_table_fit.solve_token_table(counts, targets, prior, pull=0.1)
    table = token_table_fit.descend_gradient(counts, targets, table, seed=seed)
    return np.asarray(table, dtype=np.float32)


def _write_encoder(out: Path, table: Vectors) -> Path:
    """Write the two files of a static encoder; the tokenizer is the teacher's."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / static_encoder.TABLE
    packed = int8_tensors.pack_matrix("table", table)
    int8_tensors.save_tensors(path, packed)

    tokenizer = out / static_encoder.TOKENIZER
    shipped = minilm_encoder.DATA / static_encoder.TOKENIZER
    # Trained in place, the tokenizer is there already.
    if tokenizer.resolve() != shipped.resolve():
        shutil.copyfile(shipped, tokenizer)
    return path
