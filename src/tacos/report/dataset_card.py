"""The card of an exported data set: the README.md that the Hugging Face hub shows.

It says where the rows come from, how they were selected and by which settings and models, what the
run measured, and what its warnings were. What shows this machine (addresses, folders) stays out.

Source: the front matter is that of huggingface/hub-docs, datasetcard.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tacos.config import Settings, load_settings
from tacos.report import figure_texts
from tacos.report.facts import RunSummary
from tacos.report.judge_words import NO_FACTS
from tacos.report.selection_request import describe_request
from tacos.visible_text import clean_line

NOT_GIVEN = "not given"
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
LARGEST = "100M<n<1B"
PRIVATE_SECTIONS = frozenset({"llm", "embed", "refine", "check"})
"""Sections of the settings that select nothing, or hold addresses."""
MARKUP = str.maketrans(
    {"&": "&amp;", "<": "&lt;", "[": "\\[", "]": "\\]", "|": "\\|", "\\": "\\\\"}
)
"""What begins a link, HTML or a cell in Markdown, and what stands for it."""
LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.\-]*")
"""A licence as the hub names it."""
MEANINGS = {
    "prompt": "the messages before the answer",
    "completion": "the answer that is trained on",
    "messages": "the conversation: `role` and `content`, calls of tools in `tool_calls`",
    "tools": "the declared tools as JSON, null for none",
    "tacos_id": "the row in the pool: file and number from 0",
    "tacos_content_hash": "the hash of the row's content",
    "tacos_rank": "the place in the selection, from 1",
    "tacos_cluster": "the cluster of the row",
    "tacos_score": "the judge's score, 1 to 100; null: not judged",
    "tacos_value": "the judge's figure for how valuable the answer is, 1 to 100",
    "tacos_correctness": "the judge's figure for how correct the answer is, 1 to 100",
    "tacos_rule": "the rule by which the row was selected",
    "tacos_tags": "the canonical tags of the row",
    "tacos_length": "characters of the answer",
}


@dataclass(frozen=True)
class Origin:
    """What a user says of the pool; "" for what was not said."""

    source: str = ""
    licence: str = ""


@dataclass(frozen=True)
class CardFacts:
    """What a card says."""

    name: str
    n_rows: int
    columns: Sequence[str]
    version: str
    """Of tacos."""
    origin: Origin = field(default_factory=Origin)
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why rows were not exported -> rows."""
    summary: RunSummary | None = None
    """The figures of the run, None where the rows are not a selection."""
    settings: Settings | None = None


def build_card(facts: CardFacts) -> str:
    """The card as Markdown, with YAML in front."""
    sections = [
        _build_front_matter(facts),
        f"# {_escape_text(facts.name)}",
        _describe_rows(facts),
        _describe_selection(facts),
        _describe_figures(facts.summary),
        _describe_warnings(facts.summary),
        _describe_columns(facts.columns),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _build_front_matter(facts: CardFacts) -> str:
    """What the hub reads of a card; a text in quotes is YAML, too."""
    lines = ["---"]
    licence = facts.origin.licence
    if LICENCE_NAME.fullmatch(licence):
        lines.append(f"license: {json.dumps(licence)}")
    elif licence:
        lines.append("license: other")
        lines.append(f"license_name: {json.dumps(licence, ensure_ascii=False)}")
    lines += [
        "task_categories:",
        "- text-generation",
        "size_categories:",
        f"- {_name_size(facts.n_rows)}",
        "tags:",
        "- instruction-tuning",
    ]
    if facts.summary is not None:
        lines.append("- data-selection")
    lines.append("---")
    return "\n".join(lines)


def _name_size(n_rows: int) -> str:
    """The hub's name for a number of rows.

    >>> _name_size(999), _name_size(1000)
    ('n<1K', '1K<n<10K')
    """
    for bound, name in SIZES:
        if n_rows < bound:
            return name
    return LARGEST


def _describe_rows(facts: CardFacts) -> str:
    """Rows, source and licence."""
    lines = [
        ("rows", f"{facts.n_rows:,}"),
        ("source of the pool", facts.origin.source or NOT_GIVEN),
        ("licence of the pool", facts.origin.licence or NOT_GIVEN),
        ("made by", f"tacos {facts.version}"),
    ]
    if facts.left_out:
        reasons = "; ".join(f"{n:,} x {reason}" for reason, n in facts.left_out.items())
        lines.append(("left out", reasons))
    return _build_table(("", ""), lines)


def _describe_selection(facts: CardFacts) -> str:
    """How the rows were selected, by whom, and with which settings."""
    summary = facts.summary
    if summary is None:
        return ""
    share = figure_texts.format_share(summary.n_selected / max(1, summary.n_samples))
    lines = [
        ("rows read", f"{summary.n_read:,}"),
        ("usable rows", f"{summary.n_samples:,}"),
        ("selected", f"{summary.n_selected:,} ({share})"),
        ("preset", f"{summary.preset}, seed {summary.seed}"),
    ]
    asked = describe_request(summary.request)
    if asked:
        lines.append(("selected by", asked))
    if summary.n_canonical_tags:
        tags = f"{summary.n_canonical_tags:,} from {summary.n_raw_tags:,} raw tags"
        lines.append(("tags", tags))
    if summary.n_clusters:
        lines.append(("clusters", f"{summary.n_clusters:,}"))
    lines += [
        (f"model of {stage}", _hide_folder(model))
        for stage, model in summary.models.items()
    ]
    lines += _describe_judge(summary)
    table = _build_table(("", ""), lines)
    return f"## How the rows were selected\n\n{table}{_list_changes(facts.settings)}"


def _describe_judge(summary: RunSummary) -> Iterator[tuple[str, str]]:
    """How far the scores can be trusted."""
    if summary.n_pairs:
        health = summary.diagnostics
        flips = figure_texts.format_share(health.get("flip_rate"))
        ties = figure_texts.format_share(health.get("tie_rate"))
        yield (
            "judge",
            f"{summary.n_verdicts:,} verdicts on {summary.n_pairs:,} pairs; "
            f"flips {flips}, ties {ties}",
        )
    elif summary.n_graded:
        graded = ", ".join(f"{n:,} by {stage}" for stage, n in summary.n_graded.items())
        yield "judge", f"rows graded one by one: {graded}"
    if summary.worth:
        worth = summary.worth["reliability"]
        yield "judge's reliability", figure_texts.format_correlation(worth)


def _list_changes(settings: Settings | None) -> str:
    """The settings that differ from those of their preset, as TOML."""
    if settings is None:
        return ""
    made = settings.model_dump(mode="json")
    usual = load_settings(settings.preset).model_dump(mode="json")
    lines = []
    for section, values in made.items():
        if section in PRIVATE_SECTIONS or not isinstance(values, Mapping):
            continue
        for name, value in values.items():
            if value == usual[section][name] or name.endswith("_file"):
                continue
            lines.append(f"{section}.{name} = {_format_setting(value)}")
    if not lines:
        return ""
    return "\n\nSettings that differ from the preset:\n\n```toml\n{}\n```".format(
        "\n".join(lines)
    )


def _format_setting(value: Any) -> str:
    """A value of a setting; of lists and tables, which may be long, only the size."""
    if isinstance(value, Mapping | list):
        return f'"{len(value):,} entries"'
    if isinstance(value, str):
        return json.dumps(_hide_folder(value), ensure_ascii=False)
    return json.dumps(value)


def _hide_folder(name: str) -> str:
    """A name without the folders of this machine that it lies in.

    >>> _hide_folder("/home/me/judge"), _hide_folder("org/model")
    ('judge', 'org/model')
    """
    path = Path(name).expanduser()
    return path.name if path.is_absolute() or name.startswith(".") else name


def _describe_figures(summary: RunSummary | None) -> str:
    """Pool and selection, with as many random rows and as many of the longest."""
    if summary is None or not summary.selection:
        return ""
    names = figure_texts.drop_repeated_figures(
        figure_texts.SUMMARY_FIGURES,
        list(summary.selection.values()),
    )
    rows = []
    for name, figures in summary.selection.items():
        cells = [figure_texts.format_figure(each, figures[each]) for each in names]
        rows.append((name, *cells))
    labels = [figure_texts.LABELS[name] for name in names]
    table = _build_table(("", *labels), rows)
    return (
        f"## Figures\n\n{table}\n\n"
        "`random` and `longest` are as many rows of the pool. Lengths are characters of the answer."
    )


def _describe_warnings(summary: RunSummary | None) -> str:
    """What a user of the rows must know."""
    if summary is None:
        return ""
    warnings = list(summary.warnings)
    if summary.checks_no_facts:
        warnings.append(NO_FACTS)
    if not warnings:
        return ""
    lines = "\n".join(f"- {_escape_text(warning)}" for warning in warnings)
    return f"## What to know\n\n{lines}"


def _describe_columns(columns: Sequence[str]) -> str:
    """The columns of the rows."""
    lines = [(_format_code(name), MEANINGS.get(name, "")) for name in columns]
    return "## Columns\n\n" + _lay_out_table(("column", "meaning"), lines)


def _format_code(name: str) -> str:
    """A name as code in a cell, whatever it holds.

    >>> _format_code("messages"), _format_code("a`b")
    ('`messages`', '`` a`b ``')
    """
    longest = max(map(len, re.findall("`+", name)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    # In code Markdown knows no escape but that of a table's bar.
    code = _join_lines(name).replace("|", "\\|")
    return f"{fence}{space}{code}{space}{fence}"


def _build_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> str:
    """A table of texts in Markdown."""
    escaped = [[_escape_text(cell) for cell in row] for row in rows]
    return _lay_out_table(head, escaped)


def _lay_out_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> str:
    """A table whose cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape_text(text: str) -> str:
    """A text that may name people's data, in one line without links, images or HTML.

    >>> print(_escape_text("<b> [x](javascript:0)"))
    &lt;b> \\[x\\](javascript:0)
    """
    return _join_lines(text).translate(MARKUP)


def _join_lines(text: str) -> str:
    return clean_line(" ".join(text.split()))
