"""The tables at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from tacos.cli.shared import console
from tacos.counts import count_words
from tacos.llm.transport.endpoint_names import NOT_NOTED
from tacos.methods.samples.reading_notes import describe_answers, describe_unread
from tacos.report import figure_texts
from tacos.report.extension_facts import describe_extension
from tacos.report.facts import UNCLUSTERED, RunSummary
from tacos.report.judge_words import NO_FACTS
from tacos.report.score_figures import describe_length_correlation
from tacos.report.selection_request import describe_request
from tacos.report.spending_figures import describe_spending

EXCLUDED = "on the exclude list"
N_NAMED = 3
"""Clusters and tags that a line names."""
N_REMARKS = 5
N_REASONS = 5
LABEL_WIDTH = 24
"""Longer labels, such as a judge's name, are folded, to leave room for what is said of them."""
SHORTEST = 0.05
"""Seconds from which on a stage is listed."""
RATES = (
    ("flips", "flip_rate"),
    ("ties", "tie_rate"),
    ("first position wins", "first_share"),
)

Lines = Iterator[tuple[str, str]]
"""Label and text of each line."""


def print_summary(summary: RunSummary, waited: float | None = None) -> None:
    """Print a summary; `waited` are the seconds that a person waited for the command."""
    lines = format_summary(summary, waited)
    console.print_pairs("", lines, label_width=LABEL_WIDTH)
    if summary.selection:
        console.out.print(_build_selection_table(summary))


def format_summary(
    summary: RunSummary,
    waited: float | None = None,
) -> list[tuple[str, str]]:
    """Label and text of each line of the first table; a stage that did not run has none."""
    return [
        ("preset", f"{summary.preset}, seed {summary.seed}"),
        *_format_input(summary),
        *_format_tags(summary),
        *_format_pool(summary),
        *_format_judging(summary),
        *_format_scores(summary),
        *_format_selection(summary),
        ("models", _join_pairs(summary.models)),
        *_format_spending(summary),
        *_format_replies(summary),
        ("seconds", _format_seconds(summary, waited)),
    ]


def _build_selection_table(summary: RunSummary) -> Table:
    """Pool and selection, with as many random rows and as many of the longest: a line each."""
    names = figure_texts.drop_repeated_figures(
        figure_texts.SUMMARY_FIGURES,
        list(summary.selection.values()),
    )
    labels = [figure_texts.LABELS[name] for name in names]
    table = console.build_figure_table(
        "pool and selection",
        columns=["", *labels],
    )
    for name, figures in summary.selection.items():
        cells = [figure_texts.format_figure(each, figures[each]) for each in names]
        table.add_row(name, *cells)
    return table


def _format_input(summary: RunSummary) -> Lines:
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


def _format_spending(summary: RunSummary) -> Lines:
    """What the answers cost, by stage and in all."""
    for stage, text in describe_spending(summary.spending).items():
        yield f"paid for {stage}", text


def _format_replies(summary: RunSummary) -> Lines:
    """Questions asked anew, and replies of other endpoints, by stage."""
    for stage, origins in summary.replies.items():
        n_anew = origins["asked_anew"]
        if n_anew:
            yield (
                f"replies to {stage}",
                f"{count_words(n_anew, 'question')} asked anew: earlier replies could not be used",
            )
        for endpoint, n_replies in origins["other_endpoints"].items():
            source = f"by another endpoint: {endpoint}"
            if endpoint == NOT_NOTED:
                source = (
                    "of which no endpoint was noted (a reply file, or an older ledger)"
                )
            yield f"replies to {stage}", f"{n_replies:,} from the ledger, {source}"


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


def _format_tags(summary: RunSummary) -> Lines:
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


def _format_pool(summary: RunSummary) -> Lines:
    """Clusters and shortlist."""
    if summary.clusters:
        yield "clusters", _format_clusters(summary.clusters)
    if summary.n_shortlisted:
        yield "shortlist", _format_shortlist(summary)


def _format_selection(summary: RunSummary) -> Lines:
    """Rows selected, how certain their scores are, and what the scores are worth."""
    if not summary.selection:
        return
    selected = count_words(summary.n_selected, "row")
    if summary.n_missing:
        n_requested = summary.n_selected + summary.n_missing
        selected = (
            f"{summary.n_selected:,} of {n_requested:,} requested; "
            "no more rows can be selected"
        )
    if summary.n_repeats:
        n_repeats = f"{summary.n_repeats:,}"
        selected += (
            f"; {n_repeats} of them repeat another selected row: there were no others"
        )
    yield "selected", selected
    asked = describe_request(summary.request)
    if asked:
        yield "selected by", asked
    if summary.n_pairs:
        yield "certainty", _format_certainty(summary.certainty)
    if summary.worth:
        yield "judge's worth", _format_worth(summary.worth)
    if summary.verdict:
        yield "verdict", summary.verdict["sentence"]


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


def _format_judging(summary: RunSummary) -> Lines:
    """What the judges did and how far they can be trusted."""
    if summary.n_graded:
        yield "judged", _format_single_grades(summary)
    if not summary.n_pairs:
        return
    diagnostics = summary.diagnostics
    yield "comparisons", f"{summary.n_pairs:,} pairs, {summary.n_verdicts:,} verdicts"
    # A single judge has no name of its own in the figures.
    by_judge = summary.judges or {"": diagnostics}
    for judge, rates in by_judge.items():
        label = f"judge {judge}".strip()
        yield label, _format_judge_rates(rates)
    for agreement in summary.agreement:
        judges = " and ".join(agreement["judges"])
        share = _format_rate(agreement)
        yield judges, f"prefer the same side in {share} pairs"
    silent = [name for name, rates in summary.judges.items() if not rates["n_verdicts"]]
    if silent:
        judges = " and ".join(silent)
        yield (
            "warning",
            f"no usable verdict by {judges}: the scores are the others' alone",
        )
    if diagnostics["collapsed"]:
        yield (
            "warning",
            "the judge gave nearly all rows the same score: its scores say little",
        )


def _format_single_grades(summary: RunSummary) -> str:
    """Who graded how many rows one by one, and why no pairs were compared."""
    n_graded = summary.n_graded
    texts = [f"{count_words(n_graded.get('grade', 0), 'row')}, one by one"]
    if "reread" in n_graded:
        texts.append(f"{n_graded['reread']:,} of them again by the slow tier")
    if summary.lacks_close_tier:
        texts.append(
            "once: the embedded judge's slower, second reading needs weights that are not "
            "installed (guide, Install)"
        )
    if summary.is_pointwise:
        texts.append("no pairs were compared, since this judge sees one row at a time")
    return "; ".join(texts)


def _format_scores(summary: RunSummary) -> Lines:
    """The judges' scores and how far they follow length."""
    for name, figures in summary.scores.items():
        mean = figure_texts.format_score(figures["mean"])
        text = f"mean {mean} of {count_words(figures['n'], 'row')}"
        if figures["selected"] is not None:
            selected = figure_texts.format_score(figures["selected"])
            text += f", {selected} of those selected"
        correlation = describe_length_correlation(figures)
        if correlation:
            text += f"; correlation with length {correlation}"
        yield name, text
    if summary.checks_no_facts:
        yield "note", NO_FACTS
    for warning in summary.warnings:
        yield "warning", warning


def _format_judge_rates(rates: Mapping[str, Any]) -> str:
    """The rates of one judge, and how many of its verdicts are missing."""
    texts = []
    for label, key in RATES:
        rate = _format_rate(rates[key])
        texts.append(f"{label} {rate}")
    # Before any rating: what rate.length takes out of the scores is still in these.
    correlation = rates["length_correlation"]["value"]
    if correlation is not None:
        shown = figure_texts.format_correlation(correlation)
        texts.append(f"correlation of its verdicts with length {shown}")
    n_missing = rates["n_missing"]
    if n_missing:
        n_asked = rates["n_verdicts"] + n_missing
        texts.append(f"missing {n_missing:,} of {n_asked:,}")
    return ", ".join(texts)


def _format_certainty(certainty: Mapping[str, float | None]) -> str:
    """How far the scores, and the cut by them, stand out from noise."""
    if not certainty:
        return "n/a: the judge never contradicts itself, so there is no error estimate"
    half_width = 1.96 * (certainty["error"] or 0)  # of a 95% interval
    scores = f"a score is sure to about +- {half_width:.1f} points"
    if certainty["recall"] is None:
        return scores
    return (
        f"{scores}; of the {certainty['n']:,} best by score, "
        f"{certainty['recall']:.0%} are expected to be truly the best"
    )


def _format_worth(worth: Mapping[str, Any]) -> str:
    """What the judge's scores are worth."""
    if worth["reliability"] is None:
        return f"unknown ({worth['basis']})"
    return (
        f"its scores explain {worth['reliability']:.0%} of the differences in quality "
        f"({worth['basis']})"
    )


def _format_rate(rate: Mapping[str, Any]) -> str:
    """A share and how many rows it rests on; one that does not apply is n/a, never 0%."""
    if rate["value"] is None:
        return "n/a"
    share = figure_texts.format_share(rate["value"])
    return f"{share} of {rate['n']:,}"


def _format_reasons(reasons: Mapping[str, int]) -> str:
    """The first reasons with their counts."""
    # The most frequent reasons come first.
    first_reasons = list(reasons.items())[:N_REASONS]
    shown = [f"{count:,} x {reason}" for reason, count in first_reasons]
    n_more = len(reasons) - N_REASONS
    if n_more > 0:
        shown.append(f"and {n_more} more reasons")
    return ", ".join(shown)


def _format_seconds(summary: RunSummary, waited: float | None) -> str:
    """How long the command took, the total of the stages, and those that took longest, the slowest
    first.
    """
    slowest_first = sorted(summary.seconds.items(), key=lambda item: -item[1])
    stages = [
        f"{stage} {value:.1f}" for stage, value in slowest_first if value >= SHORTEST
    ]
    details = f" ({', '.join(stages)})" if stages else ""
    total = summary.total_seconds
    if waited is None:
        return f"{total:.1f} in stages{details}"
    command = f"{waited:.1f} for this command"
    if total > waited:
        # Stages that are up to date did not run again.
        return f"{command}; the stages took {total:.1f} when they ran{details}"
    return f"{command}, of which {total:.1f} in stages{details}"


def _join_pairs(names: Mapping[str, str]) -> str:
    """`key: value` pairs on one line."""
    return ", ".join(f"{key}: {value}" for key, value in names.items())
