"""What became of the rows before anything was judged: lines of the summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tacos.counts import count_words
from tacos.methods.samples.reading_notes import describe_answers, describe_unread
from tacos.report.extension_facts import describe_extension
from tacos.report.facts import UNCLUSTERED, RunSummary

EXCLUDED = "on the exclude list"
N_NAMED = 3
"""Clusters and tags that a line names."""
N_REMARKS = 5
N_REASONS = 5

Lines = Iterator[tuple[str, str]]
"""Label and text of each line."""


def format_input(summary: RunSummary) -> Lines:
    """Rows read and rejected."""
    yield "rows read", f"{summary.n_read:,}"
    if summary.taken:
        yield "read as", _format_taken(summary.taken)
    if summary.extended:
        yield "extends", describe_extension(summary.extended)
    unread = describe_unread(summary.taken)
    if unread:
        yield "not read", unread
    for stage, reasons in summary.rejects.items():
        if stage != "shortlist":  # has a line of its own
            yield f"rejected by {stage}", _format_reasons(reasons)
    for template, n_rows in summary.templates.items():
        yield (
            "template",
            f"not tagged or encoded, but kept in the rows; around the instructions of "
            f"{count_words(n_rows, 'row')}: {template!r} (ingest.templates=false: tagged, too)",
        )


def format_tags(summary: RunSummary) -> Lines:
    """Tags, vocabulary, and who tagged."""
    if summary.n_raw_tags:
        text = f"{summary.n_raw_tags:,} raw -> {summary.n_canonical_tags:,} canonical"
        if summary.n_untagged:
            text += f"; {count_words(summary.n_untagged, 'row')} without a tag"
        yield "tags", text
    if summary.drift:
        yield "vocabulary", _format_drift(summary.drift)
    for remark in _shorten_remarks(summary.remarks):
        yield "note", remark
    if summary.tagged_by:
        yield from _format_cascade(summary)


def format_pool(summary: RunSummary) -> Lines:
    """Clusters and shortlist."""
    if summary.clusters:
        yield "clusters", _format_clusters(summary.clusters)
    if summary.n_shortlisted:
        yield "shortlist", _format_shortlist(summary)


def _format_taken(taken: Mapping[str, Mapping[str, int]]) -> str:
    """The columns that were read, with their rows where there are several, and the roles."""
    columns = taken.get("columns", {})
    names = list(columns)
    if len(names) > 1:
        names = [
            f"{name} ({count_words(count, 'row')})" for name, count in columns.items()
        ]
    texts = ["; ".join(names[:N_REASONS])]
    if len(names) > N_REASONS:
        texts[0] += f"; and {len(names) - N_REASONS} more"
    roles = list(taken.get("roles", {}))
    if roles:
        texts.append(f"speakers: {', '.join(roles)}")
    for text, count in describe_answers(taken).items():
        texts.append(f"{text} ({count_words(count, 'row')})")
    return "; ".join(texts)


def _format_reasons(reasons: Mapping[str, int]) -> str:
    """The first reasons with their counts."""
    # The most frequent reasons come first.
    first_reasons = list(reasons.items())[:N_REASONS]
    shown = [f"{count:,} x {reason}" for reason, count in first_reasons]
    n_more = len(reasons) - N_REASONS
    if n_more > 0:
        shown.append(f"and {n_more} more reasons")
    return ", ".join(shown)


def _format_drift(drift: Mapping[str, Any]) -> str:
    """How far a given vocabulary covers the tags."""
    exact = drift["share_exact"]
    by_rules = drift["share_rules"]
    by_meaning = drift["share_semantic"]
    known = exact + by_rules + by_meaning
    new = drift["share_new"]
    n_occurrences = drift["n_occurrences"]
    text = f"has {known:.1%} of {n_occurrences:,} tag occurrences; {new:.1%} are new and left out"
    most_frequent = drift["new_frequent"][:N_NAMED]
    if not most_frequent:
        return text
    names = [f"{tag} ({count:,})" for tag, count in most_frequent]
    return f"{text}, most often {', '.join(names)}"


def _shorten_remarks(remarks: Sequence[str]) -> list[str]:
    """The first remarks, and how many more there are."""
    n_more = len(remarks) - N_REMARKS
    shown = list(remarks[:N_REMARKS])
    if n_more > 0:
        shown.append(f"and {n_more:,} more; see `tacos tags`")
    return shown


def _format_cascade(summary: RunSummary) -> Lines:
    """Who tagged what, and how far the distilled tagger agrees with the language model."""
    counts = [f"{model} {n:,} instructions" for model, n in summary.tagged_by.items()]
    yield "tagged by", ", ".join(counts)
    figures = summary.distilled
    exact = figures["exact"]
    low, high = exact["interval"]
    fuzzy = figures["fuzzy"]
    # The trivial baseline: the same few tags for every row.
    baseline = figures["most frequent tags"]["exact"]
    yield (
        "distilled tagger",
        f"tag F1 {exact['micro']:.2f} ({low:.2f} to {high:.2f}), "
        f"fuzzy {fuzzy['micro']:.2f}, "
        f"on {figures['n']:,} held out; "
        f"most frequent tags {baseline['micro']:.2f}",
    )


def _format_clusters(clusters: Sequence[Mapping[str, Any]]) -> str:
    """The number of clusters, their sizes, and the names of the largest; largest first."""
    real = [cluster for cluster in clusters if cluster["name"] != UNCLUSTERED]
    n_left = sum(cluster["n_members"] for cluster in clusters)
    n_left -= sum(cluster["n_members"] for cluster in real)
    if not real:
        return f"none; {count_words(n_left, 'row')} in no cluster"
    largest = real[0]["n_members"]
    smallest = real[-1]["n_members"]
    names = []
    for cluster in real[:N_NAMED]:
        n_members = cluster["n_members"]
        names.append(f"{cluster['name']} ({n_members:,})")
    n_clusters = len(real)
    sizes = f"{n_clusters:,}, of {smallest:,} to {count_words(largest, 'row')}"
    if n_left:
        sizes += f", {count_words(n_left, 'row')} in none"
    return f"{sizes}; the largest: {'; '.join(names)}"


def _format_shortlist(summary: RunSummary) -> str:
    """How many rows are compared, and how many each rule left out."""
    kept = summary.shortlist["kept"]
    dropped = summary.shortlist["left out"]
    text = count_words(summary.n_shortlisted, "row")
    if summary.shortlist_note:
        text += f" ({summary.shortlist_note})"
    elif len(kept) > 1:
        text += f" ({_join_rules(kept)})"
    left_out = _join_rules(dropped) or "none"
    return f"{text}; left out: {left_out}"


def _join_rules(counts: Mapping[str, int]) -> str:
    """Rows by rule."""
    texts = []
    for rule, n in counts.items():
        if rule == EXCLUDED:
            texts.append(f"{n:,} {rule}")
        else:
            texts.append(f"{n:,} by {rule}")
    return ", ".join(texts)
