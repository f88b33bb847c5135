"""Makes the shipped static encoder: distil MiniLM's tokens, then fit the table to MiniLM's vectors
of real text.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tacos.models import int8_tensors, minilm_encoder, static_encoder
from tacos.models.training import corpora, token_distillation, token_table_fit


def train_encoder(data: Path, out: Path, dim: int = 256, seed: int = 0) -> Path:
    """Write `static.safetensors` and its tokenizer into `out` from the corpora in `data`; the same
    bytes every time.

    About ten minutes on two cores, nearly all of it MiniLM at work. Raises `ModelError` if MiniLM's
    weights are missing.
    """
    teacher = minilm_encoder.MiniLM(threads=2, max_tokens=128)
    texts = corpora.read_training_texts(data, seed=seed)
    vectors = teacher.encode(texts)
    with threadpool_limits(1):  # the same bits on any number of cores
        directions = token_distillation.find_main_directions(vectors, dim)
        prior = token_distillation.distil_table(
            token_distillation.encode_tokens(teacher), directions
        )
        tokenizer = minilm_encoder.load_tokenizer(static_encoder.MAX_TOKENS)
        counts = token_table_fit.weigh_counts(
            static_encoder.count_tokens(tokenizer, texts, static_encoder.MAX_TOKENS, len(prior))
        )
        targets = token_table_fit.project_targets(vectors, directions)
        table = token_table_fit.solve_token_table(
            counts, targets, token_table_fit.scale_prior(counts, targets, prior), pull=0.1
        )
        table = token_table_fit.descend_gradient(counts, targets, table, seed=seed)
    return _write_encoder(out, np.asarray(table, dtype=np.float32))


def _write_encoder(out: Path, table: static_encoder.Vectors) -> Path:
    """The two files of a static encoder."""
    out.mkdir(parents=True, exist_ok=True)
    int8_tensors.save_tensors(out / static_encoder.TABLE, int8_tensors.pack_matrix("table", table))
    tokenizer = out / static_encoder.TOKENIZER
    shipped = minilm_encoder.DATA / static_encoder.TOKENIZER
    if tokenizer.resolve() != shipped.resolve():
        shutil.copyfile(shipped, tokenizer)
    return out / static_encoder.TABLE
