"""Open tagging: which questions are asked of a sample, and what counts as an answer (as in TACOS
and InsTag).

Every user turn of a conversation is tagged on its own; in a cascade some tags are known before the
question. An answer without a tag is an answer: the sample carries none.
"""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl

from tacos.config import TagSettings
from tacos.methods.samples.truncation import truncate_text
from tacos.records import TAGS, Reject, Reply, Request

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tags": {
            "type": "array",
            "maxItems": 30,
            "items": {
                "type": "object",
                "properties": {"tag": {"type": "string"}, "explanation": {"type": "string"}},
                "required": ["tag", "explanation"],
            },
        }
    },
    "required": ["tags"],
}
"""A list of tags with a short explanation each; embedded taggers add a `confidence`."""


def build_turn_questions(samples: pl.DataFrame, known: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per user turn: id, turn (number in the conversation), instruction, given, known.

    Where the input already held tags, one row per sample carries them in `reuse_known_tags` and is not asked;
    where `known` (by `TAGS`) has a turn, its row carries that in `known` and is not asked either.
    """
    asked = (
        samples.filter(pl.col("given_tags").is_null())
        .select("id", pl.col("turns"), pl.int_ranges(0, pl.col("turns").list.len()).alias("turn"))
        .explode("turns", "turn")
        .filter(pl.col("turns").struct.field("role") == "user")
        .select("id", "turn", pl.col("turns").struct.field("text").alias("instruction"))
    )
    held = samples.filter(pl.col("given_tags").is_not_null()).select(
        "id",
        pl.lit(0).alias("turn"),
        pl.lit("").alias("instruction"),
        pl.col("given_tags").alias("given"),
    )
    frame = asked.with_columns(pl.lit(None, pl.List(pl.String)).alias("given")).cast(
        {"turn": pl.UInt16}
    )
    return pl.concat([frame, held.cast({"turn": pl.UInt16})]).join(
        _pack_known_tags(known), on=["id", "turn"], how="left", maintain_order="left"
    )


def _pack_known_tags(known: pl.DataFrame | None) -> pl.DataFrame:
    """id, turn, and the other columns of `TAGS` as one: `known`."""
    table = pl.DataFrame(schema=TAGS) if known is None else known
    return table.select(
        "id", "turn", known=pl.struct(name for name in TAGS if name not in ("id", "turn"))
    )


def reuse_known_tags(row: dict[str, Any]) -> dict[str, Any] | None:
    """The finished row where the tags are there: from the input, or from an earlier stage; else
    None.
    """
    if row["known"] is not None:
        return {"id": row["id"], "turn": row["turn"], **row["known"]}
    if row["given"] is None:
        return None
    return build_tags_row(
        row, [{"tag": tag, "explanation": "given in the input"} for tag in row["given"]], ""
    )


def build_tag_request(
    row: dict[str, Any], template: str, template_hash: str, config: TagSettings
) -> Request:
    """The question for one turn."""
    sampling: dict[str, float | int] = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
    }
    fields = {"instruction": truncate_text(row["instruction"], config.max_chars)}
    return Request("tag", fields, template, template_hash, SCHEMA, sampling)


def parse_tag_reply(row: dict[str, Any], reply: Reply) -> dict[str, Any] | Reject:
    """A row of `TAGS`, or a `Reject` where there is no usable answer."""
    if reply.text is None:
        return Reject(row["id"], "tag", reply.failure or "no reply", reply.raw)
    items = [item for item in orjson.loads(reply.text)["tags"] if item["tag"].strip()]
    return build_tags_row(row, items, reply.key, reply.model)


def build_tags_row(
    row: dict[str, Any], items: list[dict[str, Any]], key: str, model: str = ""
) -> dict[str, Any]:
    """A row of `TAGS`; repeated tags of one turn count once."""
    first = {item["tag"].strip(): item for item in reversed(items)}
    ordered = sorted(first.values(), key=items.index)
    confidences = [item.get("confidence") for item in ordered]
    return {
        "id": row["id"],
        "turn": row["turn"],
        "tags": [item["tag"].strip() for item in ordered],
        "explanations": [str(item.get("explanation", "")) for item in ordered],
        "confidences": None if None in confidences else confidences,
        "reply": key,
        "model": model,
    }


def join_turn_tags(tags: pl.DataFrame) -> pl.DataFrame:
    """One row per sample: id, tags of all its turns (each once), in the order of the samples."""
    return (
        tags.select("id", "tags")
        .explode("tags", empty_as_null=True)
        .group_by("id", maintain_order=True)
        .agg(pl.col("tags").drop_nulls().unique(maintain_order=True))
    )
