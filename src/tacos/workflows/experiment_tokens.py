"""The tokens of a pool's rows, by which arms get as many where `--match tokens` asks for it.

What counts are the tokens that training is about, by the base model's own tokenizer, in the
recipe's template and cut at its longest length; the training environment counts them once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from tacos.errors import InputError, RunError
from tacos.records import canonical_hash
from tacos.store import files
from tacos.trainers.training_preparation import (
    count_trained_tokens,
    digest_model,
)
from tacos.workflows.chat_pool import read_chat_pool
from tacos.workflows.experiment_arms import ExperimentPool
from tacos.workflows.experiment_folder import (
    PLAN,
    TOKENS,
    ExperimentFolder,
    write_json,
    write_rows,
)
from tacos.workflows.experiment_models import ModelMaker

Ints = npt.NDArray[np.int64]


def count_pool_tokens(
    folder: ExperimentFolder,
    pool: ExperimentPool,
    maker: ModelMaker,
) -> Ints:
    """The trained tokens of each row of the pool, shape (n_rows,), kept in the folder.

    Raises:
        ConfigError: There is no environment, or the tokenizer cannot be loaded.
        InputError: No selected row can be trained on.
        RunError: The file of a declared experiment is of another pool, model or recipe.
    """
    key = canonical_hash(
        [pool.pool_hash, maker.recipe.hash, digest_model(maker.base_model)]
    )
    place = folder.root / TOKENS
    tokens = _read_tokens(place, key, pool.rows.height)
    if tokens is not None:
        return tokens
    if place.is_file() and (folder.root / PLAN).is_file():
        raise RunError(
            f"{place} has the tokens of another pool, base model or recipe: give the same options "
            "and data, or name another folder (-o)"
        )
    tokens = _count_rows(pool, maker)
    if not tokens[pool.selected].sum():
        raise InputError(
            "no selected row can be trained on by this recipe, so no arm can have as many tokens: "
            "give another recipe, or match rows (--match rows)"
        )
    write_json({"key": key, "tokens": tokens.tolist()}, place)
    return tokens


def _count_rows(pool: ExperimentPool, maker: ModelMaker) -> Ints:
    """Have the training environment count."""
    job = maker.make_job("pool")
    n_rows = pool.rows.height
    with files.make_temporary_folder() as folder:
        file = folder / "pool.jsonl"
        write_rows(file, pool.read_rows(np.arange(n_rows)))
        chats = read_chat_pool(file, maker.reading).chats
        by_id = count_trained_tokens(chats, job)
    tokens = np.zeros(n_rows, np.int64)
    for id_, n_tokens in by_id.items():
        # An id is the file and the place in it.
        tokens[int(id_.rpartition(":")[2])] = n_tokens
    return tokens


def _read_tokens(place: Path, key: str, n_rows: int) -> Ints | None:
    """The tokens that were counted before; None where there are none of this pool, model and
    recipe.
    """
    try:
        content = orjson.loads(place.read_bytes())
        tokens = np.array(content["tokens"], np.int64)
        is_same = content["key"] == key and tokens.shape == (n_rows,)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tokens if is_same else None
