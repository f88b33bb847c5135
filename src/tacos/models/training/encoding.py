"""Makes the shipped static encoder: distil MiniLM's tokens, then fit the table to MiniLM's vectors of real text."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tacos.models import minilm, static, tensors
from tacos.models.training import corpora, distilling, fitting


def make(data: Path, out: Path, dim: int = 256, seed: int = 0) -> Path:
    """Write `static.safetensors` and its tokenizer into `out` from the corpora in `data`; the same bytes every time.

    About ten minutes on two cores, nearly all of it MiniLM at work. Needs MiniLM's weights (`ModelError` otherwise).
    """
    found = minilm.load()
    teacher = minilm.MiniLM(found.folder, threads=2, max_tokens=128)
    texts = corpora.training_texts(data, seed=seed)
    vectors = teacher.encode(texts)
    with threadpool_limits(1):  # the same bits on any number of cores
        directions = distilling.main_directions(vectors, dim)
        prior = distilling.distil(distilling.encode_tokens(teacher), directions)
        tokenizer = minilm.load_tokenizer(teacher.folder, static.MAX_TOKENS)
        counts = fitting.weigh(static.count_tokens(tokenizer, texts, static.MAX_TOKENS, len(prior)))
        targets = fitting.unit_targets(vectors, directions)
        table = fitting.least_squares(counts, targets, fitting.scale_prior(counts, targets, prior), pull=0.1)
        table = fitting.descend(counts, targets, table, seed=seed)
    return write(out, np.asarray(table, dtype=np.float32), Path(teacher.folder))


def write(out: Path, table: static.Vectors, teacher: Path) -> Path:
    """The two files of a static encoder."""
    out.mkdir(parents=True, exist_ok=True)
    tensors.save(out / static.TABLE, tensors.pack("table", table))
    shutil.copyfile(teacher / "tokenizer.json", out / static.TOKENIZER)
    return out / static.TABLE
