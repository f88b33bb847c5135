"""Wraps a user's own function as a tagger, a judge, an encoder or a selector.

Pass plain functions to `tacos.select`; no class is needed:

- tagger: `f(instructions: list[str]) -> list[list[str]]`, the tags of each instruction
- judge: `f(instructions: list[str], responses: list[str]) -> list`, for each sample a score on
  1..100, or two: `(value, correctness)`; it scores one sample at a time, so it is pointwise
- encoder: `f(texts: list[str]) -> array` of shape (len(texts), dim); tacos scales the rows
- selector: `f(pool: polars.DataFrame, n: int) -> list[str]`, 1 to n distinct ids of the pool,
  which has the columns id, cluster, score, length and tags

Functions run in the caller's process, one batch after another. tacos asks again when a function's
fingerprint changes. It covers the function's own code and its attribute `__version__`, if it has
one, but nothing that the function calls or reads: set `__version__` when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from tacos.errors import ModelError
from tacos.models import judge_requests, user_results
from tacos.records import Reply, Request, canonical_hash

Tagger = Callable[[list[str]], Sequence[Sequence[str]]]
Judge = Callable[[list[str], list[str]], Sequence[float] | Sequence[Sequence[float]]]
Selector = Callable[[pl.DataFrame, int], Sequence[str]]


@dataclass(frozen=True)
class FunctionTagger:
    """A tagger made of a function from instructions to tags, see the module's docstring."""

    function: Tagger
    where: Literal["here"] = "here"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return getattr(self.function, "__qualname__", "own tagger")

    @property
    def fingerprint(self) -> str:
        """A hash of the function's code and version."""
        return _hash_code(self.function)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests of the task "tag", in order.

        Raises `ModelError` unless the function gives one list of tags per instruction.
        """
        instructions = [str(request.fields["instruction"]) for request in requests]
        tags_of_rows = user_results.read_tag_lists(
            self.function(instructions),
            len(instructions),
        )
        texts = map(_format_tag_reply, tags_of_rows)
        return [Reply(text, model=self.name) for text in texts]


@dataclass(frozen=True)
class FunctionJudge:
    """A pointwise judge made of a function from samples to scores, see the module's docstring."""

    function: Judge
    where: Literal["here"] = "here"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return getattr(self.function, "__qualname__", "own judge")

    @property
    def fingerprint(self) -> str:
        """A hash of the function's code and version."""
        return _hash_code(self.function)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests of the tasks "judge" (two samples) and "grade" (one), in order.

        The function scores each distinct sample once per call. Raises `ModelError` unless it gives
        one score, or value and correctness, per sample.
        """
        samples_of_requests = [
            judge_requests.read_samples(request) for request in requests
        ]
        # A dictionary, because it keeps the order of the samples.
        distinct: dict[judge_requests.Sample, None] = {}
        for samples in samples_of_requests:
            distinct.update(dict.fromkeys(samples.values()))

        instructions = [instruction for instruction, _ in distinct]
        responses = [response for _, response in distinct]
        scores = user_results.read_scores(
            self.function(instructions, responses),
            len(distinct),
        )
        score_of_sample = dict(zip(distinct, scores, strict=True))
        replies: list[Reply] = []
        for samples in samples_of_requests:
            own_scores = {
                side: score_of_sample[sample] for side, sample in samples.items()
            }
            reply = self.reply(own_scores)
            replies.append(reply)
        return replies

    def reply(self, scores: dict[str, float | judge_requests.JudgeScores]) -> Reply:
        """Reply to one request with the scores of its sides: "a" and "b", or "" for one sample.

        A score outside 1..100 makes a failure, never a default.
        """
        named = judge_requests.name_scores(scores)
        in_range = [1 <= number <= 100 for number in named.values()]
        if not all(in_range):
            return Reply(
                None,
                raw=repr(named),
                failure="score outside 1..100",
                model=self.name,
            )
        text = judge_requests.format_scores(scores, analysis="")
        return Reply(text, model=self.name)


@dataclass(frozen=True)
class FunctionEncoder:
    """An encoder made of a function from texts to vectors, see the module's docstring."""

    function: Callable[[list[str]], npt.ArrayLike]
    dims: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    """The length of its vectors, once it has made any."""

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return getattr(self.function, "__qualname__", "own encoder")

    @property
    def fingerprint(self) -> str:
        """A hash of the function's code and version."""
        return _hash_code(self.function)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode(["dimension"]).shape[1])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts as float32 of shape (len(texts), dim), each row of length 1 (or all 0).

        Raises `ModelError` unless the function gives one vector per text, all of one length.
        """
        if not texts:
            # Of a batch whose rows all repeat earlier ones; no function is asked about nothing.
            return np.zeros((0, self.dim), dtype=np.float32)
        vectors = user_results.read_vectors(self.function(list(texts)), len(texts))
        dim = self.dims.setdefault("dim", vectors.shape[1])
        if vectors.shape[1] != dim:
            raise ModelError(
                f"your encoder returned vectors of {dim} numbers, then of {vectors.shape[1]}; "
                "all must be of one length"
            )
        lengths = np.linalg.norm(
            vectors,
            axis=1,
            keepdims=True,
        )
        # A row of zeros stays as it is.
        divisors = np.where(lengths == 0, 1, lengths)
        return np.asarray(vectors / divisors, dtype=np.float32)


@dataclass(frozen=True)
class FunctionSelector:
    """A selector made of a function from the pool and n to ids, see the module's docstring."""

    function: Selector

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return getattr(self.function, "__qualname__", "own selector")

    @property
    def fingerprint(self) -> str:
        """A hash of the function's code and version."""
        return _hash_code(self.function)

    def choose(self, pool: pl.DataFrame, n: int) -> list[str]:
        """Choose at most n rows of the pool, by id.

        Raises `ModelError` if the function gives more ids, one id twice or unknown ids.
        """
        chosen = self.function(pool, n)
        return user_results.read_ids(chosen, pool["id"].to_list(), n)


def _hash_code(function: Callable[..., Any]) -> str:
    """Hash a function's name, byte code, constants and `__version__`, 32 hex digits."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    version = str(getattr(function, "__version__", ""))
    code = getattr(function, "__code__", None)
    if code is None:
        # An object with __call__: its type must do.
        parts = [repr(type(function))]
    else:
        parts = [
            code.co_code.hex(),
            repr(code.co_consts),
            repr(code.co_names),
        ]
    return canonical_hash([name, version, *parts])


def _format_tag_reply(tags: Sequence[str]) -> str:
    """Format tags as the JSON of the tag task."""
    items = [{"tag": str(tag), "explanation": ""} for tag in tags]
    return orjson.dumps({"tags": items}).decode()
