"""A user's own function as a model or an encoder: a tagger, a judge or an encoder needs no class.

- tagger: `f(instructions: list[str]) -> list[list[str]]`
- judge: `f(instructions: list[str], responses: list[str]) -> array of scores on 1..100`; it is
  pointwise
- encoder: `f(texts: list[str]) -> array (n, dim)`
- selector: `f(pool: polars.DataFrame, n: int) -> list[str]` of ids; the pool has id, cluster,
  score, length, tags

They run in the caller's process, one batch after another. The fingerprint covers a function's own
code and its `__version__` attribute, if it has one; what it reads elsewhere is not seen, so set
`__version__` when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from tacos.errors import ModelError
from tacos.records import Reply, Request, canonical_hash

Tagger = Callable[[list[str]], Sequence[Sequence[str]]]
Judge = Callable[[list[str], list[str]], Sequence[float]]
Selector = Callable[[pl.DataFrame, int], Sequence[str]]


def _hash_code(function: Callable[..., Any]) -> str:
    """32 hex digits of a function's name, byte code, constants and `__version__`."""
    code = getattr(function, "__code__", None)
    parts = (
        [code.co_code.hex(), repr(code.co_consts), repr(code.co_names)]
        if code
        else [repr(type(function))]
    )
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return canonical_hash([name, str(getattr(function, "__version__", "")), *parts])


@dataclass(frozen=True)
class FunctionTagger:
    """A tagger made of a function from instructions to tags."""

    function: Tagger
    where: Literal["here"] = "here"
    pointwise: bool = True

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", "own tagger")

    @property
    def fingerprint(self) -> str:
        return _hash_code(self.function)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        found = self.function([str(request.fields["instruction"]) for request in requests])
        _check_result_count("tagger", len(found), len(requests))
        return [Reply(_format_tag_reply(tags), model=self.name) for tags in found]


@dataclass(frozen=True)
class FunctionJudge:
    """A pointwise judge made of a function from instructions and responses to scores."""

    function: Judge
    where: Literal["here"] = "here"
    pointwise: bool = True

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", "own judge")

    @property
    def fingerprint(self) -> str:
        return _hash_code(self.function)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        sides = [("a", "b") if request.task == "judge" else ("",) for request in requests]
        texts = [
            _read_sample_text(request, side)
            for request, each in zip(requests, sides, strict=True)
            for side in each
        ]
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        scores = self.function([text[0] for text in distinct], [text[1] for text in distinct])
        _check_result_count("judge", len(scores), len(distinct))
        return [
            self.reply({side: scores[distinct[_read_sample_text(request, side)]] for side in each})
            for request, each in zip(requests, sides, strict=True)
        ]

    def reply(self, scores: dict[str, float]) -> Reply:
        """The reply for one request; a score that is no number on 1..100 is a failure, never a
        default.
        """
        values = {
            f"score_{side}" if side else "score": float(score) for side, score in scores.items()
        }
        if not all(1 <= value <= 100 for value in values.values()):
            return Reply(None, repr(values), "score outside 1..100", model=self.name)
        return Reply(orjson.dumps({"analysis": "", **values}).decode(), model=self.name)


@dataclass(frozen=True)
class FunctionEncoder:
    """An encoder made of a function from texts to vectors; rows are scaled to length 1."""

    function: Callable[[list[str]], npt.ArrayLike]

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", "own encoder")

    @property
    def fingerprint(self) -> str:
        return _hash_code(self.function)

    @property
    def dim(self) -> int:
        return int(self.encode(["dimension"]).shape[1])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = np.asarray(self.function(list(texts)), dtype=np.float32)
        _check_result_count("encoder", len(vectors), len(texts))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)


@dataclass(frozen=True)
class FunctionSelector:
    """A selector made of a function from the scored pool and n to ids."""

    function: Selector

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", "own selector")

    @property
    def fingerprint(self) -> str:
        return _hash_code(self.function)

    def choose(self, pool: pl.DataFrame, n: int) -> list[str]:
        """At most n distinct ids of the pool; `ModelError` for anything else."""
        ids = [str(each) for each in self.function(pool, n)]
        unknown = set(ids) - set(pool["id"])
        if unknown or len(set(ids)) != len(ids) or len(ids) > n:
            raise ModelError(
                f"your selector must give at most {n} distinct ids of the pool; it gave {len(ids)}, e.g. {ids[:3]}"
            )
        return ids


def _read_sample_text(request: Request, side: str) -> tuple[str, str]:
    """Instruction and response of one side ("a", "b") of a comparison, or of a single sample ("")."""
    suffix = f"_{side}" if side else ""
    return str(request.fields[f"instruction{suffix}"]), str(request.fields[f"response{suffix}"])


def _format_tag_reply(tags: Sequence[str]) -> str:
    """Tags as the JSON of the tag task."""
    return orjson.dumps({"tags": [{"tag": str(tag), "explanation": ""} for tag in tags]}).decode()


def _check_result_count(what: str, n_found: int, n_asked: int) -> None:
    """A function must answer every row."""
    if n_found != n_asked:
        raise ModelError(
            f"your {what} gave {n_found} results for {n_asked} texts; it must give one per text, in order"
        )
