"""`tacos tags RUN`: the vocabulary of a run, the way of every tag, and publishing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import polars as pl
import typer

from tacos.cli.shared import console
from tacos.errors import InputError, RunError
from tacos.methods.tags import published_vocabulary, tag_lineage
from tacos.methods.tags.tag_lineage import TagLineage
from tacos.store import files
from tacos.store.artifacts import Artifact
from tacos.workflows import select

N_MEMBERS = 6


def tags(
    run: Annotated[Path, typer.Argument(help="the run directory, e.g. selected.jsonl.run")],
    tag: Annotated[
        str | None,
        typer.Option(help="a raw or canonical tag: where it went, or where it came from"),
    ] = None,
    top: Annotated[int, typer.Option(help="how many canonical tags to show", min=0)] = 30,
    publish: Annotated[
        Path | None, typer.Option(help="write the vocabulary, for --vocabulary (.json)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """What became of the raw tags: counts per step, canonical tags, and for any tag the steps that
    moved it and why.

    Examples:

      tacos tags selected.jsonl.run

      tacos tags selected.jsonl.run --tag "data analysis"

      tacos tags selected.jsonl.run --publish vocabulary.json
    """
    selection = select.load(run)
    artifact = selection.artifacts.get("vocabulary")
    if artifact is None:
        raise RunError(
            f"{run} was stopped before its tags were normalised; run it again with --until normalise"
        )
    vocabulary = artifact.scan().collect()
    if publish is not None:
        written = _write_new_file(_render_vocabulary(vocabulary, selection, artifact), publish)
        console.errors.print(f"vocabulary: {written}", soft_wrap=True)
    elif tag is not None:
        _print_tag_lineage(tag_lineage.find_lineage(vocabulary, tag), as_json=as_json)
    else:
        _print_vocabulary(vocabulary, artifact.manifest["notes"], top, as_json=as_json)


def _render_vocabulary(
    vocabulary: pl.DataFrame, selection: select.Selection, artifact: Artifact
) -> str:
    """The vocabulary as the text of a JSON file."""
    config, notes = selection.settings.normalise, artifact.manifest["notes"]
    n_samples = int(
        selection.artifacts["tags"].scan().select(pl.col("id").n_unique()).collect().item()
    )
    encoder = str(artifact.manifest["model"]) if config.semantic else ""
    found = published_vocabulary.publish_vocabulary(
        vocabulary, n_samples, notes["alpha"], config, encoder
    )
    return orjson.dumps(
        published_vocabulary.vocabulary_to_json(found), option=orjson.OPT_INDENT_2
    ).decode()


def _write_new_file(text: str, path: Path) -> Path:
    """Write a file that people may edit: `InputError` where there is one that says something else."""
    if path.exists() and (not path.is_file() or path.read_bytes() != text.encode()):
        raise InputError(
            f"{path} exists, and somebody may have edited it: give another name, or remove it"
        )
    return files.write_text(text, path)


def _print_tag_lineage(found: TagLineage, *, as_json: bool) -> None:
    """Print the lineage of one tag."""
    if as_json:
        plain = {
            "name": found.name,
            "as_raw": found.as_raw.to_dicts(),
            "as_canonical": found.as_canonical.to_dicts(),
        }
        console.out.print_json(orjson.dumps(plain).decode())
        return
    for row in found.as_raw.iter_rows(named=True):
        console.out.print(
            f"{found.name}: seen {row['count']:,} times, {_describe_destination(row)}".translate(
                console.UNSEEN
            ),
            soft_wrap=True,
            markup=False,
        )
    if found.as_canonical.height:
        n = found.as_canonical.height
        text = f"{found.name}: the canonical tag of {n:,} raw tag{'s' if n > 1 else ''}".translate(
            console.UNSEEN
        )
        console.out.print(text, markup=False)
    for row in found.as_canonical.iter_rows(named=True):
        why = f"  {row['reason']}" if row["reason"] else ""
        console.out.print(
            f"  {row['count']:>7,}  {row['raw']}{why}".translate(console.UNSEEN),
            soft_wrap=True,
            markup=False,
        )


def _describe_destination(row: dict[str, Any]) -> str:
    """Where a raw tag went, in words."""
    if row["canonical"] is None:
        return f"dropped ({row['reason']})"
    if not row["step"]:
        return "kept as it is"
    return f"now '{row['canonical']}' ({row['reason']})"


def _print_vocabulary(
    vocabulary: pl.DataFrame, notes: dict[str, Any], top: int, *, as_json: bool
) -> None:
    """Print the steps and the most frequent canonical tags."""
    groups = tag_lineage.list_canonical_tags(vocabulary)
    if as_json:
        print(
            orjson.dumps(
                {**notes, "tags": groups.head(top).to_dicts()}, option=orjson.OPT_INDENT_2
            ).decode()
        )
        return
    steps = [(step["name"], format_merge_step(step)) for step in notes["steps"]]
    console.out.print(
        console.build_table(
            f"{vocabulary.height:,} raw tags -> {groups.height:,} canonical tags", steps
        )
    )
    for remark in notes.get("remarks", []):
        console.out.print(f"note: {remark}".translate(console.UNSEEN), soft_wrap=True, markup=False)
    if "drift" in notes:
        console.out.print(
            console.build_table("drift from the vocabulary", format_drift_report(notes["drift"]))
        )
    rows = [
        (row["canonical"].translate(console.UNSEEN), _format_members(row).translate(console.UNSEEN))
        for row in groups.head(top).iter_rows(named=True)
    ]
    if rows:
        console.out.print(console.build_table("most frequent", rows))


def format_merge_step(step: dict[str, Any]) -> str:
    """Counts of one step."""
    return f"{step['n_in']:,} -> {step['n_out']:,}  ({step['n_merged']:,} merged, {step['n_dropped']:,} dropped)"


def _format_members(row: dict[str, Any]) -> str:
    """Count of a canonical tag and its other raw tags."""
    others = [raw for raw in row["raws"] if raw != row["canonical"]]
    more = f", and {len(others) - N_MEMBERS} more" if len(others) > N_MEMBERS else ""
    return f"{row['count']:,}" + (f"  also {', '.join(others[:N_MEMBERS])}{more}" if others else "")


def format_drift_report(drift: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of a drift report."""
    new = ", ".join(f"{tag} ({count:,})" for tag, count in drift["new_frequent"][:10])
    return [
        (
            "found exactly",
            f"{drift['share_exact']:.1%} of {drift['n_occurrences']:,} tag occurrences",
        ),
        ("found by words", f"{drift['share_rules']:.1%}"),
        ("found by meaning", f"{drift['share_semantic']:.1%}"),
        ("dropped by hand", f"{drift['share_dropped']:.1%}"),
        (
            "new",
            f"{drift['share_new']:.1%} ({drift['share_new_distinct']:.1%} of {drift['n_distinct']:,} raw tags)",
        ),
        ("vocabulary unseen", f"{drift['share_unseen']:.1%} of its canonical tags"),
        ("shift of frequencies", f"{drift['shift']:.2f} (0: the same, 1: nothing in common)"),
        ("new and frequent", new or "none"),
    ]
