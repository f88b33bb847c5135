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

    About ten minutes on two cores, nearly all of it MiniLM at work. Needs MiniLM's weights
    (`ModelError` otherwise).
    """
    found = minilm_encoder.load_minilm()
    teacher = minilm_encoder.MiniLM(found.folder, threads=2, max_tokens=128)
    texts = corpora.read_training_texts(data, seed=seed)
    vectors = teacher.encode(texts)
    with threadpool_limits(1):  # the same bits on any number of cores
        directions = token_distillation.find_main_directions(vectors, dim)
        prior = token_distillation.distil_table(
            token_distillation.encode_tokens(teacher), directions
        )
        tokenizer = minilm_encoder.load_tokenizer(teacher.folder, static_encoder.MAX_TOKENS)
        counts = token_table_fit.weigh_counts(
            static_encoder.count_tokens(tokenizer, texts, static_encoder.MAX_TOKENS, len(prior))
        )
        targets = token_table_fit.project_targets(vectors, directions)
        table = token_table_fit.solve_token_table(
            counts, targets, token_table_fit.scale_prior(counts, targets, prior), pull=0.1
        )
        table = token_table_fit.descend_gradient(counts, targets, table, seed=seed)
    return _write_encoder(out, np.asarray(table, dtype=np.float32), Path(teacher.folder))


def _write_encoder(out: Path, table: static_encoder.Vectors, teacher: Path) -> Path:
    """The two files of a static encoder."""
    out.mkdir(parents=True, exist_ok=True)
    int8_tensors.save_tensors(out / static_encoder.TABLE, int8_tensors.pack_matrix("table", table))
    shutil.copyfile(teacher / "tokenizer.json", out / static_encoder.TOKENIZER)
    return out / static_encoder.TABLE
