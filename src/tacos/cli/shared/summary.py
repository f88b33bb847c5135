"""The closing table of a run."""

from __future__ import annotations

from typing import Any

from tacos.cli.shared import console
from tacos.report.facts import RunSummary

EXCLUDED = "on the exclude list"
N_NAMED = 3
N_REMARKS = 5


def print_summary(summary: RunSummary) -> None:
    """Print a summary as a table."""
    console.out.print(console.build_table("", format_summary(summary)))


def format_summary(summary: RunSummary) -> list[tuple[str, str]]:
    """Label and text of each line; what did not run has none."""
    lines = [
        ("preset", f"{summary.preset}, seed {summary.seed}"),
        ("rows read", f"{summary.n_read:,}"),
    ]
    lines += [
        (f"rejected by {stage}", _format_reasons(found))
        for stage, found in summary.rejects.items()
        if stage != "shortlist"
    ]
    if summary.n_raw_tags:
        untagged = f"; {summary.n_untagged:,} rows without one" if summary.n_untagged else ""
        lines.append(
            (
                "tags",
                f"{summary.n_raw_tags:,} raw -> {summary.n_canonical_tags:,} canonical{untagged}",
            )
        )
    if summary.drift:
        lines.append(("vocabulary", _format_drift(summary.drift)))
    lines += [("note", remark) for remark in _shorten_remarks(summary.remarks)]
    if summary.tagged_by:
        lines += _format_cascade(summary)
    if summary.clusters:
        lines.append(("clusters", _format_clusters(summary.clusters)))
    if summary.n_shortlisted:
        lines.append(("shortlist", _format_shortlist(summary)))
    if summary.n_pairs:
        lines += _format_judging(summary)
    if summary.selection:
        n, missing = summary.n_selected, summary.n_missing
        short = (
            f" of {n + missing:,} asked for; there are no more that can be taken" if missing else ""
        )
        lines.append(("selected", f"{n:,}{short}"))
        if summary.n_pairs:
            lines.append(("certainty", _format_certainty(summary.certainty)))
        lines += [
            (name, _format_row_figures(figures)) for name, figures in summary.selection.items()
        ]
    lines += [("models", ", ".join(f"{stage}: {name}" for stage, name in summary.models.items()))]
    lines.append(
        ("seconds", f"{sum(summary.seconds.values()):.1f} ({_format_stage_times(summary.seconds)})")
    )
    return lines


def _format_drift(found: dict[str, Any]) -> str:
    """How far a given vocabulary covers the tags."""
    frequent = ", ".join(f"{tag} ({count:,})" for tag, count in found["new_frequent"][:N_NAMED])
    known = found["share_exact"] + found["share_rules"] + found["share_semantic"]
    often = f", most often {frequent}" if frequent else ""
    n = found["n_occurrences"]
    return f"has {known:.1%} of {n:,} tag occurrences; {found['share_new']:.1%} are new and left out{often}"


def _shorten_remarks(remarks: list[str]) -> list[str]:
    """The first remarks, and how many more there are."""
    more = len(remarks) - N_REMARKS
    return remarks[:N_REMARKS] + ([f"and {more:,} more; see `tacos tags`"] if more > 0 else [])


def _format_clusters(found: list[dict[str, Any]]) -> str:
    """How many clusters there are, how large they are, and what the largest are called."""
    largest, least = found[0]["n_members"], found[-1]["n_members"]
    names = "; ".join(f"{each['name']} ({each['n_members']:,})" for each in found[:N_NAMED])
    return f"{len(found):,}, of {least:,} to {largest:,} rows; the largest: {names}"


def _format_shortlist(summary: RunSummary) -> str:
    """How many rows enter comparison, and how many each rule left out."""
    kept = summary.shortlist["kept"]
    how = f" ({', '.join(f'{n:,} by {rule}' for rule, n in kept.items())})" if len(kept) > 1 else ""
    gone = [
        f"{n:,} by {rule}" if rule != EXCLUDED else f"{n:,} {rule}"
        for rule, n in summary.shortlist["left out"].items()
    ]
    return f"{summary.n_shortlisted:,} rows{how}; left out: {', '.join(gone) or 'none'}"


def _format_cascade(summary: RunSummary) -> list[tuple[str, str]]:
    """Who tagged what, and how far the distilled model agrees with the one that it learned from."""
    found = summary.distilled
    micro, (low, high) = found["exact"]["micro"], found["exact"]["interval"]
    who = ", ".join(f"{model} {n:,} instructions" for model, n in summary.tagged_by.items())
    exact = f"tag F1 {micro:.2f} ({low:.2f} to {high:.2f})"
    worth = f"{exact}, fuzzy {found['fuzzy']['micro']:.2f}, on {found['n']:,} held out"
    return [
        ("tagged by", who),
        ("distilled tagger", f"{worth}; most frequent tags {_format_baseline(found)}"),
    ]


def _format_baseline(found: dict[str, Any]) -> str:
    """What the trivial baseline of a distilled tagger comes to."""
    return f"{found['most frequent tags']['exact']['micro']:.2f}"


def _format_judging(summary: RunSummary) -> list[tuple[str, str]]:
    """What the judge did and how far it can be trusted."""
    found = summary.diagnostics
    lines = [("comparisons", f"{summary.n_pairs:,} pairs, {summary.n_verdicts:,} verdicts")]
    for name, own in (summary.judges or {"": found}).items():
        lines.append((f"judge {name}".strip(), _format_judge_rates(own)))
    lines += [
        (f"{' and '.join(each['judges'])}", f"prefer the same side in {_format_rate(each)} pairs")
        for each in summary.agreement
    ]
    correlation = found["length_correlation"]
    if correlation["value"] is not None:
        lines.append(
            (
                "score and length",
                f"correlation {correlation['value']:.2f} over {correlation['n']:,} rows",
            )
        )
    silent = [name for name, own in summary.judges.items() if not own["n_verdicts"]]
    if silent:
        lines.append(
            (
                "warning",
                f"no usable verdict by {' and '.join(silent)}: the scores are the others' alone",
            )
        )
    if found["collapsed"]:
        lines.append(
            ("warning", "the judge gave nearly all rows the same score: its scores tell little")
        )
    return lines


def _format_judge_rates(own: dict[str, Any]) -> str:
    """The rates of one judge, and how many of its verdicts are missing."""
    rates = ", ".join(f"{label} {_format_rate(own[key])}" for label, key in RATES)
    n_missing = own["n_missing"]
    return (
        f"{rates}, missing {n_missing:,} of {own['n_verdicts'] + n_missing:,}"
        if n_missing
        else rates
    )


def _format_certainty(found: dict[str, float | None]) -> str:
    """How far the scores, and the cut by them, can be told from noise."""
    if not found:
        return "n/a: no standard errors, since the verdicts never contradict each other"
    scores = f"a score is sure to about +- {1.96 * (found['error'] or 0):.1f} points"
    if found["recall"] is None:
        return scores
    return f"{scores}; of the {found['n']:,} best by score, {found['recall']:.0%} are expected to be truly the best"


RATES = (("flips", "flip_rate"), ("ties", "tie_rate"), ("first position wins", "first_share"))


def _format_rate(found: dict[str, Any]) -> str:
    """A share and how many rows it rests on; one that does not apply is n/a, never 0%."""
    return "n/a" if found["value"] is None else f"{found['value']:.1%} of {found['n']:,}"


def _format_reasons(found: dict[str, int]) -> str:
    """Reasons with their counts."""
    shown = [f"{count:,} x {reason}" for reason, count in list(found.items())[:5]]
    return ", ".join(shown) + (f", and {len(found) - 5} more reasons" if len(found) > 5 else "")


def _format_row_figures(figures: dict[str, float]) -> str:
    """One side of the comparison of pool and selection."""
    return (
        f"{figures['n']:,} rows, mean length {figures['mean_length']:,.0f} characters "
        f"(median {figures['median_length']:,.0f}), "
        f"{figures['mean_tags']:.2f} tags a row, {figures['coverage']:.1%} of the tags covered"
    )


def _format_stage_times(seconds: dict[str, float]) -> str:
    """Stages by time, the slowest first."""
    slowest = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{stage} {value:.1f}" for stage, value in slowest if value >= 0.05)
