"""Rewrite selected rows (TACOS, its optional refinement): the response, then the instruction.

A model says what is wrong with a text before it rewrites it. The rewrite is a proposal: judges
compare it with the original in both orders, and it is accepted only if most of the sittings (judge
and repetition) prefer it in both. The original stays if a reply fails, a verdict is missing, or a
text is too long to be shown in full.

What it does not know: whether a rewrite is true. A model that judges its own rewrites favours them;
name another judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import polars as pl

from tacos.config import IngestSettings, RefineSettings
from tacos.methods.judging import comparisons
from tacos.methods.samples import sample_parsing
from tacos.methods.samples.cells import UnusableRow
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
"""Ends the id of a rewrite; what comes before is the id of the original."""
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


# Excerpts: what of a row is rewritten


def build_excerpts(
    samples: pl.DataFrame,
    ingest: IngestSettings,
    max_chars: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`EXCERPTS` of samples (id, content_hash, instruction, raw), and the rejects.

    A row that cannot be rewritten is a reject.
    """
    rows = samples.iter_rows(named=True)
    excerpts, rejects = _split_rejects(
        _build_excerpt(row, ingest, max_chars) for row in rows
    )
    table = pl.DataFrame(
        excerpts,
        schema=EXCERPTS,
        orient="row",
    )
    return table, build_reject_frame(rejects)


def _build_excerpt(
    row: Row,
    ingest: IngestSettings,
    max_chars: int,
) -> Row | Reject:
    """What of one sample is rewritten, or why it is not, which is no failure."""
    try:
        parts = extract_parts(row["raw"], ingest)
        # Writing the parts back unchanged must give the same sample; else the format is beyond us.
        written_back = rewrite_row(
            row["raw"], ingest, parts.instruction, parts.response
        )
        sample = sample_parsing.parse_sample(written_back, row["id"], ingest)
    except UnusableRow as problem:
        return _leave_as_is(row, problem.reason)
    if isinstance(sample, Reject) or sample.content_hash != row["content_hash"]:
        return _leave_as_is(row, "its format cannot be rewritten")
    n_chars = sum(len(part) for part in parts)
    if n_chars > max_chars:
        return _leave_as_is(row, "too long to be rewritten as a whole", str(n_chars))
    return {
        "id": row["id"],
        **parts._asdict(),
        "question": row["instruction"],
        "raw": row["raw"],
    }


def _leave_as_is(
    row: Row,
    reason: str,
    raw: str = "",
) -> Reject:
    """A reject that does not count as a failure."""
    return Reject(
        row["id"],
        "excerpt",
        reason,
        raw,
        failure=False,
    )


def _split_rejects(results: Iterable[Row | Reject]) -> tuple[list[Row], list[Reject]]:
    """Rows and rejects apart, each in their order."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    for result in results:
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            rows.append(result)
    return rows, rejects


# Rewriting


def ask_response(
    row: Row,
    template: str,
    template_hash: str,
    config: RefineSettings,
) -> Request:
    """The question for a better response to one excerpt."""
    return Request(
        "rewrite",
        _question_fields(row, row["response"]),
        template,
        template_hash,
        RESPONSE_SCHEMA,
        _sampling_settings(config),
    )


def parse_response(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `RESPONSES`, or a `Reject`."""
    return _parse_rewrite(row, reply, "rewrite", "response")


def ask_instruction(
    row: Row,
    template: str,
    template_hash: str,
    config: RefineSettings,
) -> Request:
    """The question for a better instruction, given the new response."""
    return Request(
        "reword",
        _question_fields(row, row["new_response"]),
        template,
        template_hash,
        INSTRUCTION_SCHEMA,
        _sampling_settings(config),
    )


def parse_instruction(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `INSTRUCTIONS`, or a `Reject`."""
    return _parse_rewrite(row, reply, "reword", "instruction")


def _question_fields(
    row: Row,
    response: str,
) -> dict[str, Any]:
    """The data of a question, with a context only if there is one."""
    fields = {"instruction": row["instruction"], "response": response}
    if row["context"]:
        fields["context"] = row["context"]
    return fields


def _sampling_settings(config: RefineSettings) -> dict[str, float | int]:
    """Sampling settings of a rewrite."""
    return {"temperature": config.temperature, "max_tokens": config.max_tokens}


def _parse_rewrite(
    row: Row,
    reply: Reply,
    stage: str,
    field: str,
) -> Row | Reject:
    """id, faults, the new text, ledger key; an empty text is no rewrite."""
    if reply.text is None:
        return Reject(row["id"], stage, reply.failure or "no reply", reply.raw)
    answer = orjson.loads(reply.text)
    text = answer[field].strip()
    if not text:
        return Reject(row["id"], stage, f"empty {field}", reply.raw)
    return {
        "id": row["id"],
        "faults": answer["faults"],
        field: text,
        "reply": reply.key,
    }


# Candidates: rows with their new texts


def rebuild_candidates(
    proposals: pl.DataFrame,
    ingest: IngestSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`CANDIDATES` of excerpts with `new_instruction` and `new_response`, and the rejects.

    A proposal that does not fit into its row is a reject.
    """
    rows = proposals.iter_rows(named=True)
    candidates, rejects = _split_rejects(
        _rebuild_candidate(row, ingest) for row in rows
    )
    table = pl.DataFrame(
        candidates,
        schema=CANDIDATES,
        orient="row",
    )
    return table, build_reject_frame(rejects)


def _rebuild_candidate(
    row: Row,
    ingest: IngestSettings,
) -> Row | Reject:
    """The row with its new texts in place, parsed again to check that it says what it should."""
    instruction = row["new_instruction"]
    response = row["new_response"]
    has_new_instruction = instruction != row["instruction"].strip()
    has_new_response = response != row["response"].strip()
    changed = has_new_instruction or has_new_response
    old_row = json.loads(row["raw"])
    try:
        new_row = old_row
        if changed:
            new_row = rewrite_row(row["raw"], ingest, instruction, response)
        old = sample_parsing.parse_sample(old_row, row["id"], ingest)
        new = sample_parsing.parse_sample(new_row, row["id"], ingest)
    except UnusableRow as problem:
        return Reject(row["id"], "rebuild", problem.reason)

    misread = Reject(
        row["id"], "rebuild", "the rewritten row does not read back as intended"
    )
    if isinstance(old, Reject) or isinstance(new, Reject):
        return misread
    if changed and not _changes_last_turn_only(new, old, instruction, response):
        return misread
    return {
        "id": row["id"],
        "question": sample_parsing.extract_instruction(new.turns),
        "response": new.turns[-1].text,
        "raw": sample_parsing.row_to_json(new_row),
        "changed": changed,
    }


def _changes_last_turn_only(
    new: Sample,
    old: Sample,
    instruction: str,
    response: str,
) -> bool:
    """Whether only the last question and the last answer changed, and to these texts."""
    new_roles = [turn.role for turn in new.turns]
    old_roles = [turn.role for turn in old.turns]
    if new_roles != old_roles:
        return False
    last_answer = len(old.turns) - 1
    questions = [place for place, role in enumerate(old_roles) if role == "user"]
    last_question = max(questions)
    for place, turn in enumerate(old.turns):
        if place in (last_question, last_answer):
            continue
        if new.turns[place] != turn:
            return False
    if instruction not in new.turns[last_question].text:
        return False
    return new.turns[-1].text.strip() == response


# Confirming


def list_confirmations(
    candidates: pl.DataFrame,
    originals: pl.DataFrame,
    judges: tuple[str, ...],
    repetitions: int,
) -> pl.DataFrame:
    """The questions that compare each changed candidate (right) with its original (left)."""
    changed = candidates.filter("changed")
    pairs = changed.select(
        left="id",
        right=pl.col("id") + REWRITTEN,
        cluster=pl.lit(0, pl.UInt32),
        bridge=pl.lit(False),
        orders=pl.lit("both"),
    )
    original_texts = originals.select(
        "id",
        pl.col("question").alias("instruction"),
        "response",
    )
    new_texts = changed.select(
        pl.col("id") + REWRITTEN,
        pl.col("question").alias("instruction"),
        "response",
    )
    return comparisons.list_comparison_questions(
        pairs.with_row_index("pair"),
        pl.concat([original_texts, new_texts]),
        judges,
        repetitions,
    )


def parse_confirmation(
    row: Row,
    reply: Reply,
) -> Row | Reject:
    """A row of `VERDICTS`, or a `Reject` under the id of the original."""
    verdict = comparisons.parse_verdict(row, reply)
    if isinstance(verdict, Reject):
        return Reject(row["left"], "confirm", verdict.reason, verdict.raw)
    return verdict


# Outcomes


def settle_refinements(
    selected: pl.DataFrame,
    proposals: pl.DataFrame,
    candidates: pl.DataFrame,
    verdicts: pl.DataFrame,
    rejects: pl.DataFrame,
    n_sittings: int,
) -> pl.DataFrame:
    """`REFINEMENTS`: the outcome of every selected row, in their order.

    `selected` has id, content_hash, instruction (the part that was to be rewritten) and response;
    `proposals` has id, new_instruction, new_response, faults; `rejects` are those of all stages of
    the refinement.
    """
    n_won = _count_wins(verdicts)
    reject_by_id = {row["id"]: row for row in rejects.iter_rows(named=True)}
    changed = dict(candidates.select("id", "changed").iter_rows())
    outcomes = [
        _decide_outcome(
            id_,
            changed,
            n_won,
            reject_by_id,
            n_sittings,
        )
        for id_ in selected["id"]
    ]
    outcome_table = pl.DataFrame(
        outcomes,
        schema={"status": pl.String, "reason": pl.String},
        orient="row",
    )
    settled = pl.concat([selected, outcome_table], how="horizontal")
    settled = settled.join(
        proposals,
        on="id",
        how="left",
        maintain_order="left",
    )
    return settled.select(
        pl.col(name).cast(dtype) for name, dtype in REFINEMENTS.items()
    )


def _decide_outcome(
    id_: str,
    changed: Mapping[str, bool],
    n_won_by_id: Mapping[str, int],
    reject_by_id: Mapping[str, Row],
    n_sittings: int,
) -> tuple[str, str]:
    """Status and reason of one row: rewritten, kept or failed."""
    n_won = n_won_by_id.get(id_, 0)
    if 2 * n_won > n_sittings:
        return "rewritten", f"better in both orders in {n_won} of {n_sittings} sittings"
    if id_ in reject_by_id:
        reject = reject_by_id[id_]
        status = "failed" if reject["failure"] else "kept"
        return status, f"{reject['stage']}: {reject['reason']}"
    if not changed[id_]:
        return "kept", "no fault was found"
    return (
        "kept",
        f"the rewrite was not better in both orders ({n_won} of {n_sittings} sittings)",
    )


def _count_wins(verdicts: pl.DataFrame) -> dict[str, int]:
    """Id of the original -> sittings in which the rewrite (right) won in both orders."""
    is_better = pl.col("score_right") > pl.col("score_left")
    # A verdict without a score proves nothing: it counts as not better.
    always_better = is_better.fill_null(False).all()
    n_orders = pl.col("order").n_unique()
    sittings = verdicts.group_by("left", "judge", "repetition").agg(
        always_better.alias("always_better"),
        n_orders.alias("n_orders"),
    )
    won = sittings.filter(
        pl.col("always_better"),
        pl.col("n_orders") == 2,
    )
    counts = won.group_by("left").len()
    return dict(counts.iter_rows())
