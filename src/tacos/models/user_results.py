"""Reads what a user's function returned; an error names the first odd result and what it must be.

A missing result is never replaced by a default: a score that is no number, or lies outside 1..100,
becomes a failure of its row; a result of a wrong type stops the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.errors import ModelError
from tacos.models.judge_requests import JudgeScores

N_SHOWN = 60
"""Characters of an odd result that an error quotes."""
TAGS = "a list of tags (texts) per instruction, in order"
SCORES = "a score from 1 to 100, or a pair (value, correctness), per sample, in order"
VECTORS = "an array of numbers with one row per text"
IDS = "a list of ids of the pool"


def read_tag_lists(results: Any, n_texts: int) -> list[list[str]]:
    """The tags of each instruction. Raises `ModelError` for anything but lists of texts."""
    rows = _list_results("tagger", results, n_texts, TAGS)
    return [_read_tags(tags, number) for number, tags in enumerate(rows)]


def read_scores(results: Any, n_samples: int) -> list[float | JudgeScores]:
    """The score of each sample, or its value and correctness; NaN for None.

    Raises `ModelError` for anything else, and for single scores among pairs, which could not be
    ranked together.
    """
    rows = _list_results("judge", results, n_samples, SCORES)
    scores = [_read_score(score, number) for number, score in enumerate(rows)]
    are_pairs = [isinstance(score, JudgeScores) for score in scores]
    if any(are_pairs) and not all(are_pairs):
        raise ModelError(
            f"your judge returned a single score for sample {are_pairs.index(False)} of a batch, "
            "but pairs (value, correctness) for others; it must return one or the other for all"
        )
    return scores


def read_vectors(results: Any, n_texts: int) -> npt.NDArray[np.float32]:
    """Vectors as returned, shape (n_texts, dim).

    Raises `ModelError` for another shape, and for numbers that are not finite.
    """
    try:
        vectors = np.asarray(results, dtype=np.float32)
    except (TypeError, ValueError):
        raise _describe_misfit("encoder", results, VECTORS) from None
    if vectors.ndim == 0:
        raise _describe_misfit("encoder", results, VECTORS)
    _check_count("encoder", len(vectors), n_texts)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ModelError(
            f"your encoder returned an array of shape {vectors.shape}; it must return {VECTORS}"
        )
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        number = int(np.argmin(is_finite))
        raise ModelError(
            f"your encoder returned a vector with NaN or infinity for text {number} of a batch; "
            f"it must return {VECTORS}"
        )
    return vectors


def read_ids(results: Any, pool_ids: Sequence[str], n: int) -> list[str]:
    """The ids that a selector chose, 1 to n of the pool.

    Raises `ModelError` for no id, more ids, one id twice, unknown ids, and what is no list of ids.
    """
    chosen = _list_iterable(results)
    if chosen is None:
        raise _describe_misfit("selector", results, IDS)
    ids = [str(sample_id) for sample_id in chosen]
    distinct = set(ids)
    unknown = distinct.difference(pool_ids)
    if unknown or len(distinct) != len(ids) or not 1 <= len(ids) <= n:
        raise ModelError(
            f"your selector must return 1 to {n} distinct ids of the pool; "
            f"it returned {len(ids)}: {', '.join(ids[:3]) or 'none'}"
        )
    return ids


def _list_results(
    kind: str,
    results: Any,
    n_texts: int,
    wanted: str,
) -> list[Any]:
    """The results of a function, one per text."""
    rows = _list_iterable(results)
    if rows is None:
        raise _describe_misfit(kind, results, wanted)
    _check_count(kind, len(rows), n_texts)
    return rows


def _list_iterable(results: Any) -> list[Any] | None:
    """The items of a list, an array, a column or a generator; None for anything else.

    Texts, mappings and tables can be iterated over, too, but not by result.
    """
    is_table = hasattr(results, "columns")
    if is_table or isinstance(results, str | bytes | Mapping):
        return None
    if isinstance(results, np.ndarray) and results.ndim == 0:
        return None
    if not isinstance(results, Iterable):
        return None
    return list(results)


def _check_count(kind: str, n_results: int, n_texts: int) -> None:
    """Raise `ModelError` unless a function answers every row."""
    if n_results != n_texts:
        raise ModelError(
            f"your {kind} returned {n_results} results for {n_texts} texts; "
            "it must return one per text, in order"
        )


def _describe_misfit(kind: str, results: Any, wanted: str) -> ModelError:
    """The error for a result that is no collection of results."""
    return ModelError(
        f"your {kind} returned {_quote(results)}; it must return {wanted}"
    )


def _quote(result: Any) -> str:
    """A result as an error shows it: short, and with its type."""
    if result is None:
        return "None"
    shown = " ".join(repr(result).split())
    if len(shown) > N_SHOWN:
        shown = shown[:N_SHOWN] + "..."
    return f"{shown} ({type(result).__name__})"


def _read_tags(tags: Any, number: int) -> list[str]:
    """The tags of one instruction."""
    items = _list_iterable(tags)
    if items is None or not all(isinstance(tag, str) for tag in items):
        raise ModelError(
            f"your tagger returned {_quote(tags)} for instruction {number} of a batch; "
            f"it must return {TAGS}"
        )
    return [str(tag) for tag in items]


def _read_score(result: Any, number: int) -> float | JudgeScores:
    """The score of one sample, or its value and correctness."""
    items = [result]
    # A set has no order, so it cannot tell which of two numbers is which.
    if not isinstance(result, str | set | frozenset):
        items = _list_iterable(result) or items
    numbers = [_read_number(item) for item in items]
    if None in numbers or len(numbers) > 2:
        raise ModelError(
            f"your judge returned {_quote(result)} for sample {number} of a batch; "
            f"it must return {SCORES}"
        )
    given = [float(item) for item in numbers if item is not None]
    return JudgeScores(*given) if len(given) == 2 else given[0]


def _read_number(value: Any) -> float | None:
    """A number, also written as text; NaN for None; None for what is no number."""
    if value is None:
        return float("nan")
    # True counts as 1 for Python, but is no score.
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
