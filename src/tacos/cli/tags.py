"""`tacos tags`: the vocabulary of a run, the lineage of every tag, and publishing it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tacos.cli.shared import console, options
from tacos.methods.tags.tag_lineage import TagLineage
from tacos.visible_text import clean_line
from tacos.workflows import tags as workflow
from tacos.workflows.tags import TagVocabulary

N_MEMBERS = 6
"""Raw tags of a canonical tag that are shown."""
N_NEW = 10
"""New frequent tags that are shown."""

Tag = Annotated[
    str | None,
    typer.Option(help="a raw or canonical tag: where it went, or where it came from"),
]
Top = Annotated[int, typer.Option(help="how many canonical tags to show", min=0)]
Publish = Annotated[
    Path | None,
    typer.Option(help="write the vocabulary here (.json), for --vocabulary"),
]


def tags(
    run: options.RunDirectory,
    tag: Tag = None,
    top: Top = 30,
    publish: Publish = None,
    as_json: options.AsJson = False,
) -> None:
    """What became of the raw tags: counts per step, canonical tags, and the lineage of any tag.

    Examples:

      tacos tags selected.jsonl.run

      tacos tags selected.jsonl.run --tag "Data Analysis"

      tacos tags selected.jsonl.run --publish vocabulary.json
    """
    if publish is not None:
        path = workflow.publish_tags(run, publish)
        console.errors.print(f"vocabulary: {path}", soft_wrap=True)
        return
    vocabulary = workflow.tags(run)
    if tag is not None:
        _print_lineage(vocabulary.lineage(tag), as_json=as_json)
    elif as_json:
        console.print_json(vocabulary.as_dict(top))
    else:
        _print_vocabulary(vocabulary, top)


def print_normalisation(
    title: str,
    notes: Mapping[str, Any],
) -> None:
    """Print what normalisation did: counts per step, remarks, and the drift from a vocabulary."""
    steps = notes["steps"]
    lines = [(step["name"], _format_merge_step(step)) for step in steps]
    if notes.get("n_links"):
        lines.append(("links", f"{notes['n_links']:,} to a broader tag, not merged"))
    console.print_pairs(title, lines)
    for remark in notes.get("remarks", []):
        console.print_line(f"note: {remark}")
    if "drift" in notes:
        console.print_pairs("drift from the vocabulary", _format_drift(notes["drift"]))


def _print_lineage(lineage: TagLineage, *, as_json: bool) -> None:
    """Print the lineage of one tag."""
    if as_json:
        plain = {
            "name": lineage.name,
            "as_raw": lineage.as_raw.to_dicts(),
            "as_canonical": lineage.as_canonical.to_dicts(),
            "parents": lineage.parents.to_dicts(),
            "children": lineage.children.to_dicts(),
        }
        console.print_json(plain)
        return
    for row in lineage.as_raw.iter_rows(named=True):
        destination = _describe_destination(row)
        console.print_line(
            f"{lineage.name}: seen {row['count']:,} times, {destination}"
        )
    n_raw = lineage.as_canonical.height
    if n_raw:
        plural = "s" if n_raw > 1 else ""
        console.print_line(
            f"{lineage.name}: the canonical tag of {n_raw:,} raw tag{plural}"
        )
    for row in lineage.parents.iter_rows(named=True):
        console.print_line(f"  under '{row['tag']}'  {row['step']}: {row['reason']}")
    for row in lineage.children.iter_rows(named=True):
        console.print_line(f"  over '{row['tag']}'  {row['step']}: {row['reason']}")
    for row in lineage.as_canonical.iter_rows(named=True):
        reason = f"  {row['reason']}" if row["reason"] else ""
        console.print_line(f"  {row['count']:>7,}  {row['raw']}{reason}")


def _describe_destination(row: Mapping[str, Any]) -> str:
    """Where a raw tag went, in words."""
    if row["canonical"] is None:
        return f"dropped ({row['reason']})"
    if not row["step"]:
        return "kept as it is"
    return f"now '{row['canonical']}' ({row['reason']})"


def _print_vocabulary(
    vocabulary: TagVocabulary,
    top: int,
) -> None:
    """Print the steps of normalisation and the most frequent canonical tags."""
    n_raw = vocabulary.table.height
    n_canonical = vocabulary.canonical_tags.height
    title = f"{n_raw:,} raw tags -> {n_canonical:,} canonical tags"
    print_normalisation(title, vocabulary.notes)
    rows = []
    shown = vocabulary.canonical_tags.head(top)
    for row in shown.iter_rows(named=True):
        # Here a line break is a part of a tag, and shown as a sign, too.
        name = clean_line(row["canonical"])
        members = clean_line(_format_members(row))
        rows.append((name, members))
    if rows:
        console.print_pairs("most frequent", rows)


def _format_merge_step(step: Mapping[str, Any]) -> str:
    """Counts of one step."""
    changes = f"{step['n_merged']:,} merged, {step['n_dropped']:,} dropped"
    return f"{step['n_in']:,} -> {step['n_out']:,}  ({changes})"


def _format_members(row: Mapping[str, Any]) -> str:
    """Count of a canonical tag and its other raw tags."""
    canonical = row["canonical"]
    others = [raw for raw in row["raws"] if raw != canonical]
    text = f"{row['count']:,}"
    if not others:
        return text
    shown = ", ".join(others[:N_MEMBERS])
    text += f"  also {shown}"
    n_more = len(others) - N_MEMBERS
    if n_more > 0:
        text += f", and {n_more} more"
    return text


def _format_drift(drift: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a drift report."""
    # Shares are of tag occurrences, but for `share_new_distinct`.
    n_occurrences = drift["n_occurrences"]
    exact = drift["share_exact"]
    n_distinct = drift["n_distinct"]
    distinct = f"{drift['share_new_distinct']:.1%} of {n_distinct:,} raw tags"
    most_frequent = drift["new_frequent"][:N_NEW]
    # Examples of what the vocabulary lacks, for whoever extends it.
    frequent = [f"{tag} ({count:,})" for tag, count in most_frequent]
    return [
        ("found exactly", f"{exact:.1%} of {n_occurrences:,} tag occurrences"),
        ("found by words", f"{drift['share_rules']:.1%}"),
        ("found by meaning", f"{drift['share_semantic']:.1%}"),
        ("dropped by overrides", f"{drift['share_dropped']:.1%}"),
        ("new", f"{drift['share_new']:.1%} ({distinct})"),
        ("vocabulary unseen", f"{drift['share_unseen']:.1%} of its canonical tags"),
        (
            "shift of frequencies",
            f"{drift['shift']:.2f} (0: the same, 1: nothing in common)",
        ),
        ("new and frequent", ", ".join(frequent) or "none"),
    ]
