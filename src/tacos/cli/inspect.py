"""`tacos inspect`: what is in these files?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tacos.cli.shared import console, option_settings, options
from tacos.cli.shared.option_settings import EndpointOptions
from tacos.counts import count_words
from tacos.formats.paths import choose_inputs
from tacos.methods.measures.input_profile import (
    OddRows,
    list_most_frequent,
    summarise_counts,
)
from tacos.methods.samples.reading_notes import describe_answers, describe_unread
from tacos.workflows import inspect as workflow
from tacos.workflows.inspect import InspectedFile, Inspection, RejectedRows

N_TEXT_CHARS = 300
"""Characters of a turn that are shown."""
N_REJECT_CHARS = 80
"""Characters of a rejected row that are shown."""
N_FILES = 20
"""Files that are shown one by one."""

Lines = Iterator[tuple[str, str]]


def inspect(
    data: options.Data = None,
    glob: options.Glob = None,
    maps: options.Map = None,
    preference: options.Preference = None,
    preset: options.Preset = "robust",
    settings: options.SettingsFile = None,
    sets: options.Sets = None,
    as_json: options.AsJson = False,
) -> None:
    """What is in these files, and what would a run reject? Nothing is run or written.

    Shows how each file was read, the first three rows, counts of roles, turns, lengths and
    languages, rows that look odd, and rows that would be rejected, with their reasons. Every row
    is read as `tacos select` reads it. Lengths are in characters.

    Examples:

      tacos inspect data.jsonl

      tacos inspect a.json.gz b.parquet --json

      tacos inspect data.csv --map instruction=Frage --map response=Antwort

      tacos inspect corpora --glob '**/train*.jsonl'
    """
    chosen = option_settings.build_settings(
        preset,
        settings,
        sets,
        EndpointOptions(),
        **option_settings.build_ingest_settings(maps, preference),
    )
    found = workflow.inspect(choose_inputs(data or (), glob or ()), chosen)
    if as_json:
        console.print_json(found.as_dict())
        return
    _print_inspection(found)


def _print_inspection(found: Inspection) -> None:
    """Print files, examples, counts and rejects."""
    console.print_pairs("files", list(_describe_files(found)))
    for example in found.examples:
        console.print_pairs(example["id"], list(_show_turns(example)))
    console.print_pairs("rows", list(_describe_rows(found)))
    if found.profile.odd:
        console.print_pairs("rows that look odd", list(_describe_odd(found)))
    if found.rejects:
        lines = list(_describe_rejects(found.rejects))
        console.print_pairs("would be rejected", lines)
    console.print_text(_describe_verdict(found))


def _describe_files(found: Inspection) -> Lines:
    """Each file: its format, its rows and how they were read."""
    for file in found.files[:N_FILES]:
        yield file.name, _describe_file(file)
    n_more = len(found.files) - N_FILES
    if n_more > 0:
        yield "...", f"and {n_more:,} more (--json lists all)"


def _describe_file(file: InspectedFile) -> str:
    lines = [
        f"{file.format}; {count_words(file.n_rows, 'row')}, {file.n_samples:,} usable"
    ]
    read_as = file.read_as
    for columns, count in read_as.get("columns", {}).items():
        lines.append(f"read as {columns} ({count_words(count, 'row')})")
    speakers = read_as.get("roles", {})
    if speakers:
        lines.append(f"speakers: {_join_counts(speakers)}")
    for text, count in describe_answers(read_as).items():
        lines.append(f"{text} ({count_words(count, 'row')})")
    unread = describe_unread(read_as)
    if unread:
        lines.append(f"not read: {unread}")
    for template, count in file.templates.items():
        lines.append(
            f"prompt template {template!r} ({count_words(count, 'row')}): kept in the rows, "
            "left out of tags and of the rows shown here"
        )
    return "\n".join(lines)


def _show_turns(example: Mapping[str, Any]) -> Lines:
    """The turns of a sample, shortened."""
    for turn in example["turns"]:
        text = turn["text"]
        if len(text) > N_TEXT_CHARS:
            text = f"{text[:N_TEXT_CHARS]} [...] ({len(text):,} characters)"
        yield turn["role"], text


def _describe_rows(found: Inspection) -> Lines:
    """Counts over all samples."""
    profile = found.profile
    yield "rows", f"{found.n_rows:,}, of which {found.n_samples:,} usable"
    yield "turns", _join_counts(list_most_frequent(profile.roles))
    distributions = {
        "questions per row": profile.n_questions,
        "question length": profile.question_lengths,
        "answer length": profile.answer_lengths,
    }
    for label, counts in distributions.items():
        yield label, _describe_numbers(summarise_counts(counts))
    of = ""
    if profile.n_language_rows < profile.n_samples:
        of = f" (of {count_words(profile.n_language_rows, 'row')})"
    yield f"language{of}", _join_counts(list_most_frequent(profile.languages))


def _describe_numbers(summary: Mapping[str, float]) -> str:
    """A distribution in words; "none" where there is no row."""
    if not summary:
        return "none"
    if summary["min"] == summary["max"]:
        return f"always {summary['min']:,}"
    return (
        f"{summary['min']:,} to {summary['max']:,}, "
        f"median {summary['median']:,}, 95% up to {summary['p95']:,}, "
        f"mean {summary['mean']:,.1f}"
    )


def _join_counts(counts: Mapping[str, int]) -> str:
    """Names with their counts."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _describe_odd(found: Inspection) -> Lines:
    """Odd rows by kind, with their first ids."""
    for kind, rows in found.profile.odd.items():
        yield kind, f"{rows.n_rows:,}: {_list_ids(rows)}"


def _list_ids(rows: OddRows) -> str:
    """The first ids, and how many more there are."""
    n_more = rows.n_rows - len(rows.ids)
    listed = ", ".join(rows.ids)
    return f"{listed} and {n_more:,} more" if n_more else listed


def _describe_rejects(rejects: Mapping[str, RejectedRows]) -> Lines:
    """Rejects by reason, with the first rows."""
    for reason, rows in rejects.items():
        lines = [count_words(rows.n_rows, "row")]
        for example in rows.examples:
            text = " ".join(example["text"].split())
            cut = "..." if len(text) > N_REJECT_CHARS else ""
            lines.append(f"{example['id']}: {text[:N_REJECT_CHARS]}{cut}")
        yield reason, "\n".join(lines)


def _describe_verdict(found: Inspection) -> str:
    """Whether `tacos select` would run."""
    share = found.n_failures / found.n_rows
    limit = f"{found.max_failure_rate:.1%}"
    if not found.would_stop:
        return (
            f"tacos select would use {count_words(found.n_samples, 'row')} "
            f"({share:.1%} unreadable, the limit is {limit})."
        )
    if not found.n_samples:
        return (
            "tacos select would stop: no row is usable. Fix the rows, or say which fields hold "
            "what: --map instruction=FIELD --map response=FIELD (data.text leads into an object)."
        )
    verb = "is" if found.n_failures == 1 else "are"
    return (
        f"tacos select would stop: {count_words(found.n_failures, 'row')} ({share:.1%}) {verb} "
        "unreadable, "
        f"the limit is {limit}. Fix them, or go on without them: "
        "--set ingest.max_failure_rate=..."
    )
