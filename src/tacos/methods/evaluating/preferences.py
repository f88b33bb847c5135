"""Ask a judge which of two outputs is better, as AlpacaEval 2.0 does, and read its preference.

The judge answers with a letter. Where the server gives log-probabilities, the preference is how
likely each letter was as the first token; elsewhere the letter alone counts, as 0 or 1. Both orders
are asked, and the preference is their mean: AlpacaEval asks one order, drawn by a seed. A reply
that is no letter is asked about once more, and is a `Reject` after that, never a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from tacos.config import AlpacaEvalSettings
from tacos.methods.samples.truncation import truncate_text
from tacos.records import Reject, Reply, Request

Row = dict[str, Any]

TASK = "alpaca-eval"
"""Of requests, as the ledger names it."""
ORDERS = ("ab", "ba")
"""`ab` shows the baseline as A, `ba` the model."""
NO_LETTER = "the reply is not one of the letters A and B"
# Some judges repeat the word before it, or put signs around it.
LETTER_PATTERN = r"^\W*(?:(?:[Oo]utput|[Aa]nswer)\W+)?([AB])\W*$"
SCHEMA = {"type": "string", "pattern": LETTER_PATTERN, "description": NO_LETTER}

COMPARED_OUTPUTS = pl.Schema(
    {
        "model": pl.String(),
        "instruction": pl.String(),  # its hash
        "text": pl.String(),
        "output": pl.String(),
        "baseline": pl.String(),
    }
)
"""The outputs to compare: a row per model and instruction."""
PREFERENCES = pl.Schema(
    {
        "model": pl.String(),
        "instruction": pl.String(),
        "order": pl.String(),
        "preference": pl.Float64(),  # for the model, from 0 to 1
        "choice": pl.Float64(),  # by the letter alone: 0 or 1; 0.5 for the same text
        "weighed": pl.Boolean(),  # whether the preference is of log-probabilities
        "judge": pl.String(),  # as the server calls it; "" where none was asked
        "reply": pl.String(),  # ledger key
    }
)


def ask_preference(
    row: Row,
    template: str,
    template_hash: str,
    config: AlpacaEvalSettings,
) -> Request:
    """The question about both outputs in one order."""
    texts = [
        truncate_text(row[name], config.max_chars) for name in ("baseline", "output")
    ]
    if row["order"] == "ba":
        texts.reverse()
    fields = {"instruction": row["text"], "output_a": texts[0], "output_b": texts[1]}
    sampling: dict[str, float | int] = {
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }
    if config.top_logprobs:
        sampling |= {"logprobs": True, "top_logprobs": config.top_logprobs}
    return Request(TASK, fields, template, template_hash, SCHEMA, sampling)


def parse_preference(row: Row, reply: Reply) -> Row | Reject:
    """A row of `PREFERENCES`, or a `Reject` whose id is `format_pair` of the row."""
    text = "" if reply.text is None else orjson.loads(reply.text)
    match = re.search(LETTER_PATTERN, text)
    if match is None:
        reason = reply.failure or NO_LETTER
        return Reject(format_pair(row), "prefer", reason, reply.raw)
    # In the order "ab" the baseline is shown as A.
    own_letter = "B" if row["order"] == "ab" else "A"
    choice = float(match[1] == own_letter)
    likelihood = weigh_letters(reply.alternatives)
    if likelihood is None:
        return _build_row(row, choice, choice, reply, weighed=False)
    preference = likelihood if own_letter == "B" else 1 - likelihood
    return _build_row(row, preference, choice, reply, weighed=True)


def prefer_neither(row: Row) -> Row | None:
    """Half a win each where both outputs are the same text: no judge need be asked."""
    if row["output"] != row["baseline"]:
        return None
    return _build_row(row, 0.5, 0.5, Reply(""), weighed=False)


def weigh_letters(alternatives: Sequence[tuple[str, float]]) -> float | None:
    """How likely B is, of A and B, by the likeliest first tokens and their log-probabilities; None
    where neither letter is among them.

    A letter that is not among them is less likely than each of them, and not likelier than what
    they leave: half of that is assumed, since 0 (as in AlpacaEval) is too little.

    >>> half = math.log(0.5)
    >>> weigh_letters([("A", half), (" B", half)]), weigh_letters([("The", half)])
    (0.5, None)
    """
    shares = {"A": 0.0, "B": 0.0}
    listed = []
    for token, logprob in alternatives:
        # Some servers give a rounding error above 0.
        share = math.exp(min(logprob, 0.0))
        listed.append(share)
        letter = token.strip()
        if letter in shares:
            shares[letter] += share
    if not any(shares.values()):
        return None
    left_over = 1 - sum(listed)
    most = max(0.0, min(*listed, left_over))
    for letter, share in shares.items():
        if share == 0:
            shares[letter] = most / 2
    return shares["B"] / (shares["A"] + shares["B"])


def format_pair(row: Row) -> str:
    """What is compared, in words."""
    return f"{row['model']}, instruction {row['instruction']}, order {row['order']}"


def _build_row(
    row: Row, preference: float, choice: float, reply: Reply, *, weighed: bool
) -> Row:
    """A row of `PREFERENCES`."""
    return {
        "model": row["model"],
        "instruction": row["instruction"],
        "order": row["order"],
        "preference": preference,
        "choice": choice,
        "weighed": weighed,
        "judge": reply.model,
        "reply": reply.key,
    }
