"""Rewriting selected rows (TACOS, its optional refinement): the response first, then the
instruction.

A model says what is wrong with a text before it rewrites it. What comes out is a proposal: judges
compare it with the original in both orders, and it is taken only where most of the sittings (judge
and repetition) prefer it in both. A reply that fails, a verdict that is missing, a text too long to
be shown in full: the original stays.

What it does not know: whether a rewrite is true. A model that judges its own rewrites favours them;
name another judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl

from tacos.config import IngestSettings, RefineSettings
from tacos.methods.judging import comparisons
from tacos.methods.samples import sample_parsing as ingesting
from tacos.methods.samples.row_layout import UnusableRow
from tacos.methods.samples.row_rewriting import extract_parts, rewrite_row
from tacos.records import (
    CANDIDATES,
    EXCERPTS,
    REFINEMENTS,
    Reject,
    Reply,
    Request,
    Sample,
    build_reject_frame,
)

REWRITTEN = "/rewritten"
"""Ends the id of a rewrite, beside the original's."""
RESPONSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"faults": {"type": "string"}, "response": {"type": "string"}},
    "required": ["faults", "response"],
}
INSTRUCTION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"faults": {"type": "string"}, "instruction": {"type": "string"}},
    "required": ["faults", "instruction"],
}
Row = dict[str, Any]


def build_excerpts(
    samples: pl.DataFrame, ingest: IngestSettings, max_chars: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`EXCERPTS` of samples (id, content_hash, instruction, raw), and rejects for rows that cannot
    be rewritten.
    """
    made = [_build_excerpt(row, ingest, max_chars) for row in samples.iter_rows(named=True)]
    kept = pl.DataFrame(
        [row for row in made if not isinstance(row, Reject)], schema=EXCERPTS, orient="row"
    )
    return kept, build_reject_frame([row for row in made if isinstance(row, Reject)])


def _build_excerpt(row: Row, ingest: IngestSettings, max_chars: int) -> Row | Reject:
    """What of one sample is rewritten, or why it is not: that is no failure."""
    try:
        parts = extract_parts(row["raw"], ingest)
        same = ingesting.parse_sample(
            rewrite_row(row["raw"], ingest, parts.instruction, parts.response), row["id"], ingest
        )
    except UnusableRow as problem:
        return Reject(row["id"], "excerpt", problem.reason, failure=False)
    if isinstance(same, Reject) or same.content_hash != row["content_hash"]:
        return Reject(row["id"], "excerpt", "its shape cannot take a rewrite", failure=False)
    n_chars = sum(map(len, parts))
    if n_chars > max_chars:
        return Reject(
            row["id"], "excerpt", "too long to be rewritten as a whole", str(n_chars), failure=False
        )
    return {"id": row["id"], **parts._asdict(), "question": row["instruction"], "raw": row["raw"]}


def _question_fields(row: Row, response: str) -> dict[str, Any]:
    """The data of a question; a context only where there is one."""
    fields = {"instruction": row["instruction"], "response": response}
    return fields | ({"context": row["context"]} if row["context"] else {})


def _sampling_settings(config: RefineSettings) -> dict[str, float | int]:
    """Sampling settings of a rewrite."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens}


def ask_response(row: Row, template: str, template_hash: str, config: RefineSettings) -> Request:
    """The question for a better response to one excerpt."""
    fields = _question_fields(row, row["response"])
    return Request(
        "rewrite", fields, template, template_hash, RESPONSE_SCHEMA, _sampling_settings(config)
    )


def parse_response(row: Row, reply: Reply) -> Row | Reject:
    """A row of `RESPONSES`, or a `Reject`."""
    return _parse_rewrite(row, reply, "rewrite", "response")


def ask_instruction(row: Row, template: str, template_hash: str, config: RefineSettings) -> Request:
    """The question for a better instruction, given the new response."""
    fields = _question_fields(row, row["new_response"])
    return Request(
        "reword", fields, template, template_hash, INSTRUCTION_SCHEMA, _sampling_settings(config)
    )


def parse_instruction(row: Row, reply: Reply) -> Row | Reject:
    """A row of `INSTRUCTIONS`, or a `Reject`."""
    return _parse_rewrite(row, reply, "reword", "instruction")


def _parse_rewrite(row: Row, reply: Reply, stage: str, field: str) -> Row | Reject:
    """id, faults, the new text, ledger key; an empty text is no rewrite."""
    if reply.text is None:
        return Reject(row["id"], stage, reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    if not answer[field].strip():
        return Reject(row["id"], stage, f"empty {field}", reply.raw)
    return {
        "id": row["id"],
        "faults": answer["faults"],
        field: answer[field].strip(),
        "reply": reply.key,
    }


def rebuild_candidates(
    proposals: pl.DataFrame, ingest: IngestSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`CANDIDATES` of excerpts with `new_instruction` and `new_response`, and rejects for those
    that fit no row.
    """
    made = [_rebuild_candidate(row, ingest) for row in proposals.iter_rows(named=True)]
    kept = pl.DataFrame(
        [row for row in made if not isinstance(row, Reject)], schema=CANDIDATES, orient="row"
    )
    return kept, build_reject_frame([row for row in made if isinstance(row, Reject)])


def _rebuild_candidate(row: Row, ingest: IngestSettings) -> Row | Reject:
    """The row with its new texts in their place, read again as any input is, to see that it says
    what it should.
    """
    texts = row["new_instruction"], row["new_response"]
    changed = [
        new != old.strip()
        for new, old in zip(texts, (row["instruction"], row["response"]), strict=True)
    ]
    try:
        new_row = (
            rewrite_row(row["raw"], ingest, *texts) if any(changed) else json.loads(row["raw"])
        )
        old = ingesting.parse_sample(json.loads(row["raw"]), row["id"], ingest)
        new = ingesting.parse_sample(new_row, row["id"], ingest)
    except UnusableRow as problem:
        return Reject(row["id"], "rebuild", problem.reason)
    if (
        isinstance(old, Reject)
        or isinstance(new, Reject)
        or (any(changed) and not _changes_last_turn_only(new, old, *texts))
    ):
        return Reject(row["id"], "rebuild", "the row would not read as the rewrite was meant")
    raw = ingesting.row_to_json(new_row)
    found = {"question": ingesting.extract_instruction(new.turns), "response": new.turns[-1].text}
    return {"id": row["id"], **found, "raw": raw, "changed": any(changed)}


def _changes_last_turn_only(new: Sample, old: Sample, instruction: str, response: str) -> bool:
    """Whether only the last question and the last answer changed, and to these texts."""
    last = max(number for number, turn in enumerate(old.turns) if turn.role == "user")
    others = set(range(len(old.turns))) - {last, len(old.turns) - 1}
    return (
        [turn.role for turn in new.turns] == [turn.role for turn in old.turns]
        and all(new.turns[number] == old.turns[number] for number in others)
        and instruction in new.turns[last].text
        and new.turns[-1].text.strip() == response
    )


def list_confirmations(
    candidates: pl.DataFrame, originals: pl.DataFrame, judges: tuple[str, ...], repetitions: int
) -> pl.DataFrame:
    """The questions of `judging.questions`: every changed candidate (right) against its original
    (left).
    """
    changed = candidates.filter("changed").with_columns(left="id", right=pl.col("id") + REWRITTEN)
    constant = {"cluster": pl.lit(0, pl.UInt32), "bridge": pl.lit(False), "orders": pl.lit("both")}
    pairs = changed.select("left", "right", **constant)
    texts = [
        originals.select("id", pl.col("question").alias("instruction"), "response"),
        changed.select(
            pl.col("right").alias("id"), pl.col("question").alias("instruction"), "response"
        ),
    ]
    return comparisons.list_comparison_questions(
        pairs.with_row_index("pair"), pl.concat(texts), judges, repetitions
    )


def parse_confirmation(row: Row, reply: Reply) -> Row | Reject:
    """A row of `VERDICTS`, or a `Reject` under the id of the original."""
    found = comparisons.parse_verdict(row, reply)
    return (
        Reject(row["left"], "confirm", found.reason, found.raw)
        if isinstance(found, Reject)
        else found
    )


def settle_refinements(
    selected: pl.DataFrame,
    proposals: pl.DataFrame,
    candidates: pl.DataFrame,
    verdicts: pl.DataFrame,
    rejects: pl.DataFrame,
    n_sittings: int,
) -> pl.DataFrame:
    """`REFINEMENTS`: for every selected row (id, content_hash, instruction, response) what came of
    it, in its order.

    A row's instruction is what of it was to be rewritten. `proposals` has id, new_instruction,
    new_response, faults; `rejects` are those of all stages of the refinement.
    """
    confirmed = _count_wins(verdicts)
    told = {row["id"]: row for row in rejects.iter_rows(named=True)}
    known = {row["id"]: row["changed"] for row in candidates.iter_rows(named=True)}
    outcomes = [_decide_outcome(id_, known, confirmed, told, n_sittings) for id_ in selected["id"]]
    what = pl.DataFrame(outcomes, schema={"status": pl.String, "reason": pl.String}, orient="row")
    table = pl.concat([selected, what], how="horizontal").join(
        proposals, on="id", how="left", maintain_order="left"
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in REFINEMENTS.items())


def _decide_outcome(
    id_: str,
    changed: Mapping[str, bool],
    confirmed: Mapping[str, int],
    told: Mapping[str, Row],
    n_sittings: int,
) -> tuple[str, str]:
    """Status and reason of one row: rewritten, kept or failed."""
    n_won = confirmed.get(id_, 0)
    if 2 * n_won > n_sittings:
        return "rewritten", f"better in both orders in {n_won} of {n_sittings} sittings"
    if id_ in told:
        reject = told[id_]
        return ("failed" if reject["failure"] else "kept"), f"{reject['stage']}: {reject['reason']}"
    if not changed[id_]:
        return "kept", "no fault was found"
    return "kept", f"the rewrite was not better in both orders ({n_won} of {n_sittings} sittings)"


def _count_wins(verdicts: pl.DataFrame) -> dict[str, int]:
    """Original's id -> sittings in which the rewrite (right) won in both orders."""
    better = (pl.col("score_right") > pl.col("score_left")).fill_null(False)
    sittings = verdicts.group_by("left", "judge", "repetition").agg(
        better.all().alias("all"), pl.col("order").n_unique().alias("n_orders")
    )
    both = sittings.filter(pl.col("all") & (pl.col("n_orders") == 2))
    return dict(both.group_by("left").len().iter_rows())
