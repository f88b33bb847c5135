"""What the answers of a run cost, by stage: requests, tokens and dollars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.store.artifacts import Artifact

COUNTS = ("requests", "vectors", "prompt_tokens", "answer_tokens")


def list_spending(artifacts: Mapping[str, Artifact]) -> dict[str, list[dict[str, Any]]]:
    """Stage -> a line per model and way ("online", "batch", "exchange", "grouped"): requests (or
    vectors), prompt_tokens, answer_tokens and usd (None: no price is known), over all rounds.
    """
    spending: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for artifact in artifacts.values():
        notes = artifact.manifest.get("notes") or {}
        for line in notes.get("spending", []):
            of_stage = spending.setdefault(artifact.manifest["stage"], {})
            key = (line["model"], line["way"])
            if key in of_stage:
                _add_line(of_stage[key], line)
            else:
                of_stage[key] = dict(line)
    return {stage: list(lines.values()) for stage, lines in spending.items()}


def describe_spending(spending: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """A text per stage, and one for all of them."""
    texts = {}
    every_line = []
    for stage, lines in spending.items():
        texts[stage] = _describe_lines(lines)
        every_line += lines
    if len(spending) > 1:
        texts["in all"] = _describe_lines(every_line)
    return texts


def sum_dollars(spending: Mapping[str, list[dict[str, Any]]]) -> float | None:
    """The dollars of all stages (`list_spending`), 0 where nothing was paid for; None where a price
    is not known.
    """
    total = 0.0
    for lines in spending.values():
        for line in lines:
            if line["usd"] is None:
                return None
            total += line["usd"]
    return total


def describe_dollars(spending: Mapping[str, list[dict[str, Any]]]) -> str:
    """The dollars of all stages; "" for a run without a paid reply, and what is not known is said.

    >>> describe_dollars({"tag": [{"usd": 0.5}], "judge": [{"usd": 1.25}]})
    '$1.75'
    """
    prices = [line["usd"] for lines in spending.values() for line in lines]
    if not prices:
        return ""
    known = [price for price in prices if price is not None]
    if not known:
        return "price not known"
    more = " and more" if len(known) < len(prices) else ""
    total = sum(known)
    return f"${total:,.2f}{more}" if total >= 0.01 else f"${total:.4f}{more}"


def _add_line(total: dict[str, Any], line: Mapping[str, Any]) -> None:
    """Add the figures of another round."""
    for name in COUNTS:
        if name in total or name in line:
            total[name] = total.get(name, 0) + line.get(name, 0)
    is_known = total["usd"] is not None and line["usd"] is not None
    total["usd"] = total["usd"] + line["usd"] if is_known else None


def _describe_lines(lines: list[dict[str, Any]]) -> str:
    """Requests, tokens and dollars."""
    sums = {name: sum(line.get(name, 0) for line in lines) for name in COUNTS}
    texts = []
    if sums["requests"]:
        texts.append(f"{sums['requests']:,} requests")
    if sums["vectors"]:
        texts.append(f"{sums['vectors']:,} vectors")
    texts.append(f"{sums['prompt_tokens']:,} tokens in, {sums['answer_tokens']:,} out")
    texts.append(_describe_dollars(lines))
    return ", ".join(texts)


def _describe_dollars(lines: list[dict[str, Any]]) -> str:
    """Dollars as far as prices are known, and which settings would tell the others."""
    priced = [line["usd"] for line in lines if line["usd"] is not None]
    text = f"{sum(priced):.4f} usd"
    unpriced = [line for line in lines if line["usd"] is None]
    if not unpriced:
        return text
    # Vectors have a section of their own, and no answer.
    settings = []
    if any("vectors" not in line for line in unpriced):
        settings.append("llm.price_in and llm.price_out")
    if any("vectors" in line for line in unpriced):
        settings.append("embed.price_in")
    unknown = f"unknown price (set {' and '.join(settings)})"
    return f"{text} and an {unknown}" if priced else unknown
