"""Tag quality: are tags right, and do they mean the same everywhere? (InsTag, section 3.3)

*Precision*: given an instruction and one of its tags, is the tag right? Cases are drawn from all
tag occurrences, so frequent tags come up often. *Consistency*: given a tag and several instructions
that carry it, does it mean the same in all of them? Cases are drawn from all tags that enough
samples carry, each tag once.

Some cases are planted: a tag that the instruction does not have, or one instruction without the tag
among those with it. Who judges does not know which. The share of them that is noticed (the
detection rate) says what a good mark is worth. A planted tag never stands with any tag of that
sample anywhere in the data, where there is such a tag, so that it is hardly right by chance; it is
drawn by frequency, so that its rarity does not betray it.

A model judges by `build_check_request` and `parse_check_reply`, people by a sheet (`annotating`); `assessing` says what the
judgements come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from scipy import sparse

from tacos.config import CheckSettings
from tacos.errors import InputError
from tacos.methods.samples.truncation import truncate_text
from tacos.records import Reject, Reply, Request

Ints = npt.NDArray[np.int64]
PRECISION, CONSISTENCY = "precision", "consistency"
FIELD = {PRECISION: "right", CONSISTENCY: "consistent"}
LETTERS = "abcdef"
"""The instructions of a consistency case; `check.n_instructions` is at most as many."""

CASES = pl.Schema(
    {
        "case": pl.UInt32(),
        "task": pl.String(),
        "tag": pl.String(),
        "ids": pl.List(pl.String()),
        "planted": pl.Boolean(),
        "odd": pl.UInt8(),  # place of the planted instruction, from 0; null elsewhere
    }
)
JUDGEMENTS = pl.Schema(
    {
        "case": pl.UInt32(),
        "judge": pl.String(),
        "person": pl.Boolean(),
        "answer": pl.Boolean(),  # the tag is right, or means the same everywhere; null: no answer
        "reason": pl.String(),
        "reply": pl.String(),  # ledger key, "" for people
    }
)


class UnnumberedCase(NamedTuple):
    """A case before it is numbered: tag and rows by number."""

    task: str
    tag: int
    rows: list[int]
    planted: bool = False
    odd: int | None = None


def draw_check_cases(
    x: sparse.csr_array,
    ids: Sequence[str],
    names: Sequence[str],
    wanted: CheckSettings,
    seed: int = 1,
) -> pl.DataFrame:
    """Cases by `CASES`, shuffled, numbered from 1; fewer than wanted where the data has no more.

    `x` is samples x tags, with `ids` of its rows and `names` of its columns. Raises `InputError`
    where there is no tag.
    """
    if x.nnz == 0:
        raise InputError("there are no tags to check")
    rng = np.random.default_rng(seed)
    by_tag = x.T.tocsr()
    cases = [
        *_draw_precision_cases(x, wanted.n_precision, rng),
        *_plant_wrong_tags(x, by_tag, wanted.n_planted, rng),
        *_draw_consistency_cases(by_tag, wanted.n_consistency, wanted.n_instructions, rng),
        *_plant_odd_instructions(x, by_tag, wanted.n_planted, wanted.n_instructions, rng),
    ]
    shuffled = [cases[i] for i in rng.permutation(len(cases))]
    rows = [
        (
            number,
            case.task,
            names[case.tag],
            [ids[row] for row in case.rows],
            case.planted,
            case.odd,
        )
        for number, case in enumerate(shuffled, start=1)
    ]
    return pl.DataFrame(rows, CASES, orient="row")


def _draw_precision_cases(
    x: sparse.csr_array, n: int, rng: np.random.Generator
) -> list[UnnumberedCase]:
    """Tag occurrences, each at most once."""
    places = rng.choice(x.nnz, size=min(n, x.nnz), replace=False)
    rows = np.searchsorted(x.indptr, places, side="right") - 1
    return [
        UnnumberedCase(PRECISION, int(x.indices[p]), [int(row)])
        for p, row in zip(places, rows, strict=True)
    ]


def _plant_wrong_tags(
    x: sparse.csr_array, by_tag: sparse.csr_array, n: int, rng: np.random.Generator
) -> list[UnnumberedCase]:
    """Samples with a tag that they do not have."""
    tagged = np.flatnonzero(np.diff(x.indptr))
    cases = []
    for row in rng.choice(tagged, size=min(n, len(tagged)), replace=False).tolist():
        own = x.indices[x.indptr[row] : x.indptr[row + 1]]
        weights = np.diff(by_tag.indptr).astype(np.float64)
        weights[own] = 0
        foreign = weights.copy()
        foreign[(by_tag[own] @ x).indices] = 0
        weights = foreign if foreign.any() else weights
        if weights.any():
            cases.append(
                UnnumberedCase(
                    PRECISION, int(rng.choice(len(weights), p=weights / weights.sum())), [row], True
                )
            )
    return cases


def _draw_consistency_cases(
    by_tag: sparse.csr_array, n: int, size: int, rng: np.random.Generator
) -> list[UnnumberedCase]:
    """Tags with `size` samples of theirs."""
    enough = np.flatnonzero(np.diff(by_tag.indptr) >= size)
    tags = rng.choice(enough, size=min(n, len(enough)), replace=False).tolist()
    return [
        UnnumberedCase(CONSISTENCY, tag, _draw_carriers(by_tag, tag, size, rng)) for tag in tags
    ]


def _plant_odd_instructions(
    x: sparse.csr_array, by_tag: sparse.csr_array, n: int, size: int, rng: np.random.Generator
) -> list[UnnumberedCase]:
    """Tags with one sample less, and in a place drawn by chance one sample without the tag."""
    enough = np.flatnonzero(np.diff(by_tag.indptr) >= size - 1)
    n_own = np.diff(x.indptr)
    cases = []
    for tag in rng.choice(enough, size=min(n, len(enough)), replace=False).tolist():
        near = np.zeros(x.shape[1], np.int32)
        near[(by_tag[[tag]] @ x).indices] = 1
        foreign = np.flatnonzero((x @ near == 0) & (n_own > 0))
        others = (
            foreign
            if len(foreign)
            else np.setdiff1d(np.flatnonzero(n_own), _find_carriers(by_tag, tag))
        )
        if len(others):
            odd, rows = int(rng.integers(size)), _draw_carriers(by_tag, tag, size - 1, rng)
            cases.append(
                UnnumberedCase(
                    CONSISTENCY, tag, [*rows[:odd], int(rng.choice(others)), *rows[odd:]], True, odd
                )
            )
    return cases


def _find_carriers(by_tag: sparse.csr_array, tag: int) -> npt.NDArray[Any]:
    """The rows that carry a tag."""
    return np.asarray(by_tag.indices[by_tag.indptr[tag] : by_tag.indptr[tag + 1]])


def _draw_carriers(
    by_tag: sparse.csr_array, tag: int, n: int, rng: np.random.Generator
) -> list[int]:
    """n rows that carry a tag, drawn by chance."""
    return [int(row) for row in rng.choice(_find_carriers(by_tag, tag), size=n, replace=False)]


def _build_answer_schema(task: str) -> dict[str, Any]:
    """The JSON schema of an answer."""
    properties = {"reason": {"type": "string"}, FIELD[task]: {"type": "boolean"}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def build_check_questions(cases: pl.DataFrame, texts: Mapping[str, str], task: str) -> pl.DataFrame:
    """The cases of one task with the instructions in place of their ids: case, task, tag, texts."""
    rows = cases.filter(pl.col("task") == task).select("case", "task", "tag", "ids")
    shown = [[texts[id_] for id_ in ids] for ids in rows["ids"].to_list()]
    return rows.drop("ids").with_columns(pl.Series("texts", shown, dtype=pl.List(pl.String)))


def build_check_request(
    row: Mapping[str, Any], template: str, template_hash: str, config: CheckSettings
) -> Request:
    """The question of one case (a row of `build_check_questions`)."""
    shown = [truncate_text(text, config.max_chars) for text in row["texts"]]
    names = (
        ["instruction"]
        if row["task"] == PRECISION
        else [f"instruction_{letter}" for letter in LETTERS]
    )
    fields = {"label": row["tag"], **dict(zip(names, shown, strict=False))}
    sampling: dict[str, float | int] = {
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }
    return Request(
        f"check-{row['task']}",
        fields,
        template,
        template_hash,
        _build_answer_schema(row["task"]),
        sampling,
    )


def parse_check_reply(case: Mapping[str, Any], reply: Reply) -> dict[str, Any] | Reject:
    """A row of `JUDGEMENTS`, or a `Reject` where there is no usable answer."""
    if reply.text is None:
        return Reject(f"case {case['case']}", "check-tags", reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    found = {"answer": answer[FIELD[case["task"]]], "reason": answer["reason"], "reply": reply.key}
    return {"case": case["case"], "judge": reply.model, "person": False} | found
