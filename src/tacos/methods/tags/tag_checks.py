"""Draws cases for checking tags: are they right, and do they mean the same everywhere? (InsTag,
section 3.3)

*Precision*: given an instruction and one of its tags, is the tag right? Cases are drawn from all
tag occurrences, so frequent tags come up often. *Consistency*: given a tag and several instructions
that carry it, does it mean the same in all of them? Cases are drawn from all tags that enough
samples carry, each tag once.

Some cases are planted: a tag that the instruction does not have, or one instruction without the tag
among those with it. The judge does not know which. The share of planted cases that a judge notices
(the detection rate) says how much its approval is worth. Where possible, a planted tag occurs
nowhere in the data together with any tag of that sample, so that it is hardly right by chance. It
is drawn by frequency, so that its rarity does not give it away.

A model judges through `build_check_request` and `parse_check_reply`, people through a sheet
(`tacos.methods.tags.annotation_sheets`); `tacos.methods.tags.tag_quality` evaluates the judgements.
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

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PRECISION = "precision"
CONSISTENCY = "consistency"
FIELD = {
    PRECISION: "right",
    CONSISTENCY: "consistent",
}
"""Field of the answer, per task."""
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


class _UnnumberedCase(NamedTuple):
    """A case before it is numbered: tag and rows by number."""

    task: str
    tag: int
    rows: list[int]
    planted: bool = False
    odd: int | None = None


# Drawing cases


def draw_check_cases(
    x: sparse.csr_array,
    ids: Sequence[str],
    names: Sequence[str],
    wanted: CheckSettings,
    seed: int = 1,
) -> pl.DataFrame:
    """Cases by `CASES`, shuffled and numbered from 1.

    `x` is samples x tags, with `ids` of its rows and `names` of its columns. There are fewer cases
    than `wanted` if the data has no more. Raises `InputError` if there is no tag.
    """
    if x.nnz == 0:
        raise InputError("no tags to check")
    rng = np.random.default_rng(seed)
    by_tag = x.T.tocsr()
    n_instructions = wanted.n_instructions
    # One generator serves all: the order of the four is part of the result.
    cases = _draw_precision_cases(x, wanted.n_precision, rng)
    cases += _plant_wrong_tags(
        x,
        by_tag,
        wanted.n_planted,
        rng,
    )
    cases += _draw_consistency_cases(
        by_tag,
        wanted.n_consistency,
        n_instructions,
        rng,
    )
    cases += _plant_odd_instructions(
        x,
        by_tag,
        wanted.n_planted,
        n_instructions,
        rng,
    )

    order = rng.permutation(len(cases))
    rows = []
    for number, place in enumerate(order, start=1):
        case = cases[place]
        row = {
            "case": number,
            "task": case.task,
            "tag": names[case.tag],
            "ids": [ids[sample] for sample in case.rows],
            "planted": case.planted,
            "odd": case.odd,
        }
        rows.append(row)
    return pl.DataFrame(rows, CASES)


def _draw_precision_cases(
    x: sparse.csr_array,
    n: int,
    rng: np.random.Generator,
) -> list[_UnnumberedCase]:
    """Tag occurrences, each at most once."""
    places = rng.choice(
        x.nnz,
        size=min(n, x.nnz),
        replace=False,
    )
    # The row of the place-th entry of a CSR matrix.
    rows = np.searchsorted(x.indptr, places, side="right") - 1
    tags = x.indices[places]
    cases = []
    for tag, row in zip(tags.tolist(), rows.tolist(), strict=True):
        case = _UnnumberedCase(PRECISION, tag, [row])
        cases.append(case)
    return cases


def _plant_wrong_tags(
    x: sparse.csr_array,
    by_tag: sparse.csr_array,
    n: int,
    rng: np.random.Generator,
) -> list[_UnnumberedCase]:
    """Samples with a tag that they do not have."""
    tagged = np.flatnonzero(np.diff(x.indptr))
    drawn = rng.choice(
        tagged,
        size=min(n, len(tagged)),
        replace=False,
    )
    cases = []
    for row in drawn.tolist():
        weights = _weigh_wrong_tags(x, by_tag, row)
        total = weights.sum()
        # A sample with all tags has no wrong one.
        if total == 0:
            continue
        tag = rng.choice(len(weights), p=weights / total)
        case = _UnnumberedCase(
            PRECISION,
            int(tag),
            [row],
            planted=True,
        )
        cases.append(case)
    return cases


def _weigh_wrong_tags(
    x: sparse.csr_array,
    by_tag: sparse.csr_array,
    row: int,
) -> Floats:
    """Weights for drawing a tag that a sample does not have, by frequency, shape (tags,)."""
    own = x.indices[x.indptr[row] : x.indptr[row + 1]]
    weights: Floats = np.diff(by_tag.indptr).astype(np.float64)
    weights[own] = 0
    # Tags that never occur together with one of the sample's own are preferred.
    cooccurring = (by_tag[own] @ x).indices
    foreign = weights.copy()
    foreign[cooccurring] = 0
    if foreign.any():
        return foreign
    return weights


def _draw_consistency_cases(
    by_tag: sparse.csr_array,
    n: int,
    size: int,
    rng: np.random.Generator,
) -> list[_UnnumberedCase]:
    """Tags with `size` of their samples."""
    cases = []
    for tag in _draw_frequent_tags(
        by_tag,
        n,
        size,
        rng,
    ):
        rows = _draw_carriers(
            by_tag,
            tag,
            size,
            rng,
        )
        case = _UnnumberedCase(CONSISTENCY, tag, rows)
        cases.append(case)
    return cases


def _plant_odd_instructions(
    x: sparse.csr_array,
    by_tag: sparse.csr_array,
    n: int,
    size: int,
    rng: np.random.Generator,
) -> list[_UnnumberedCase]:
    """Tags with `size` - 1 of their samples and, at a random place, one without the tag."""
    cases = []
    for tag in _draw_frequent_tags(
        by_tag,
        n,
        size - 1,
        rng,
    ):
        others = _find_other_samples(x, by_tag, tag)
        # A tag of all samples has no odd one.
        if len(others) == 0:
            continue
        place = int(rng.integers(size))
        rows = _draw_carriers(
            by_tag,
            tag,
            size - 1,
            rng,
        )
        rows.insert(place, int(rng.choice(others)))
        case = _UnnumberedCase(
            CONSISTENCY,
            tag,
            rows,
            planted=True,
            odd=place,
        )
        cases.append(case)
    return cases


def _find_other_samples(
    x: sparse.csr_array,
    by_tag: sparse.csr_array,
    tag: int,
) -> Ints:
    """Tagged samples without a tag."""
    is_tagged = np.diff(x.indptr) > 0
    # Samples without any tag that occurs together with this one are preferred.
    cooccurring = (by_tag[[tag]] @ x).indices
    is_near = np.zeros(x.shape[1], np.int32)
    is_near[cooccurring] = 1
    n_near_tags = x @ is_near
    foreign = np.flatnonzero((n_near_tags == 0) & is_tagged)
    if len(foreign):
        return foreign
    tagged = np.flatnonzero(is_tagged)
    return np.setdiff1d(tagged, _find_carriers(by_tag, tag))


def _draw_frequent_tags(
    by_tag: sparse.csr_array,
    n: int,
    min_samples: int,
    rng: np.random.Generator,
) -> list[int]:
    """Up to `n` distinct tags that at least `min_samples` samples carry."""
    counts = np.diff(by_tag.indptr)
    frequent = np.flatnonzero(counts >= min_samples)
    tags: list[int] = rng.choice(
        frequent,
        size=min(n, len(frequent)),
        replace=False,
    ).tolist()
    return tags


def _draw_carriers(
    by_tag: sparse.csr_array,
    tag: int,
    n: int,
    rng: np.random.Generator,
) -> list[int]:
    """`n` distinct samples that carry a tag."""
    carriers = _find_carriers(by_tag, tag)
    rows: list[int] = rng.choice(
        carriers,
        size=n,
        replace=False,
    ).tolist()
    return rows


def _find_carriers(
    by_tag: sparse.csr_array,
    tag: int,
) -> npt.NDArray[Any]:
    """The samples that carry a tag, by number."""
    start = by_tag.indptr[tag]
    end = by_tag.indptr[tag + 1]
    return np.asarray(by_tag.indices[start:end])


# Asking a model


def build_check_questions(
    cases: pl.DataFrame,
    texts: Mapping[str, str],
    task: str,
) -> pl.DataFrame:
    """The cases of one task with instructions in place of their ids: case, task, tag, texts."""
    of_task = cases.filter(pl.col("task") == task)
    case_texts = []
    for ids in of_task["ids"].to_list():
        instructions = [texts[id_] for id_ in ids]
        case_texts.append(instructions)
    column = pl.Series(
        "texts",
        case_texts,
        dtype=pl.List(pl.String),
    )
    return of_task.select(
        "case",
        "task",
        "tag",
        column,
    )


def build_check_request(
    row: Mapping[str, Any],
    template: str,
    template_hash: str,
    config: CheckSettings,
) -> Request:
    """The question about one case (a row of `build_check_questions`)."""
    task = row["task"]
    fields = {"label": row["tag"]}
    for letter, text in zip(LETTERS, row["texts"], strict=False):
        name = "instruction" if task == PRECISION else f"instruction_{letter}"
        fields[name] = truncate_text(text, config.max_chars)
    return Request(
        f"check-{task}",
        fields=fields,
        template=template,
        template_hash=template_hash,
        schema=build_answer_schema(task),
        sampling={
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
        },
    )


def build_answer_schema(task: str) -> dict[str, Any]:
    """The JSON schema of an answer; the reason comes first, so that it guides the verdict."""
    properties = {
        "reason": {"type": "string"},
        FIELD[task]: {"type": "boolean"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def parse_check_reply(
    case: Mapping[str, Any],
    reply: Reply,
) -> dict[str, Any] | Reject:
    """A row of `JUDGEMENTS`, or a `Reject` if there is no usable answer."""
    if reply.text is None:
        reason = reply.failure or "no reply"
        return Reject(
            f"case {case['case']}",
            "check-tags",
            reason,
            reply.raw,
        )
    answer = orjson.loads(reply.text)
    field = FIELD[case["task"]]
    return {
        "case": case["case"],
        "judge": reply.model,
        "person": False,
        "answer": answer[field],
        "reason": answer["reason"],
        "reply": reply.key,
    }
