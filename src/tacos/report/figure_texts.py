"""How figures are printed: the same digits in the terminal's tables, in charts and in the report.

Every figure is rounded once, here, from the exact value that `--json` shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NOT_KNOWN = "n/a"
"""A figure that rests on no row; never 0."""

LABELS = {
    "n": "rows",
    "share": "of the pool",
    "tokens": "tokens",
    "coverage": "tags covered",
    "by_chance": "random",
    "gain": "gain",
    "mean_tags": "tags per row",
    "mean_length": "mean length",
    "median_length": "median length",
    "mean_score": "mean score",
    "n_scored": "scored rows",
    "mean_grade": "mean grade",
    "n_clusters": "clusters",
    "cluster_distance": "distance from the pool",
}
"""Figure -> what tables call it."""

FORMATS = {
    "n": "{:,.0f}",
    "share": "{:.1%}",
    "tokens": "{:,.0f}",
    "coverage": "{:.1%}",
    "by_chance": "{:.1%}",
    "gain": "{:.2f}",
    "mean_tags": "{:.2f}",
    "mean_length": "{:,.0f}",
    "median_length": "{:,.0f}",
    "mean_score": "{:.1f}",
    "n_scored": "{:,.0f}",
    "mean_grade": "{:.1f}",
    "n_clusters": "{:,.0f}",
    "cluster_distance": "{:.2f}",
}
"""Figure -> its format."""


SUMMARY_FIGURES = (
    "n",
    "coverage",
    "mean_tags",
    "mean_length",
    "median_length",
    "mean_score",
    "n_scored",
)
"""What a summary and a report show of a selection; `tacos compare` shows all."""


REPEATS = {"n_scored": "n", "mean_grade": "mean_score"}
"""Figure -> the one that it often equals: where every row has a score, and where grades are the
scores."""


def drop_repeated_figures(
    names: Sequence[str],
    lines: Sequence[Mapping[str, float | None]],
) -> list[str]:
    """The names of the figures without those that are printed as another one is, in every line.

    >>> drop_repeated_figures(["n", "n_scored"], [{"n": 9, "n_scored": 9}])
    ['n']
    >>> drop_repeated_figures(["n", "n_scored"], [{"n": 9, "n_scored": 8}])
    ['n', 'n_scored']
    """
    kept = []
    for name in names:
        original = REPEATS.get(name, name)
        is_new = any(
            format_figure(name, line[name]) != format_figure(original, line[original])
            for line in lines
        )
        if is_new or original == name or original not in names:
            kept.append(name)
    return kept


def format_figure(name: str, value: float | None) -> str:
    """A figure of a selection, by its name.

    >>> format_figure("coverage", 0.5806)
    '58.1%'
    """
    return NOT_KNOWN if value is None else FORMATS[name].format(value)


def format_share(value: float | None, digits: int = 1) -> str:
    """A share as a percentage.

    >>> format_share(0.125, digits=0)
    '12%'
    """
    return NOT_KNOWN if value is None else f"{value:.{digits}%}"


def format_correlation(value: float | None) -> str:
    """A correlation, -1 to 1.

    >>> format_correlation(0.434)
    '0.43'
    """
    return NOT_KNOWN if value is None else f"{value:.2f}"


def format_score(value: float | None) -> str:
    """A score, 1 to 100.

    >>> format_score(47)
    '47.0'
    """
    return NOT_KNOWN if value is None else f"{value:.1f}"


def format_measure(
    instrument: str,
    value: float | None,
    *,
    sign: bool = False,
) -> str:
    """A figure of an instrument of an experiment: a loss in nats, all others as a percentage.

    >>> format_measure("answer-loss", 2.51249), format_measure("preference", 0.5831)
    ('2.5125', '58.3%')
    >>> format_measure("preference", -0.012, sign=True)
    '-1.2 points'
    """
    if value is None:
        return NOT_KNOWN
    plus = "+" if sign else ""
    if instrument == "answer-loss":
        return f"{value:{plus}.4f}"
    if sign:
        return f"{100 * value:+.1f} points"
    return f"{value:.1%}"


def format_amount(instrument: str, value: float | None) -> str:
    """The size of a difference on an instrument of an experiment.

    >>> format_amount("answer-loss", 0.0218), format_amount("preference", 0.314)
    ('0.0218', '31.4 points')
    """
    return format_measure(instrument, value, sign=True).removeprefix("+")


def format_p_value(value: float | None) -> str:
    """A p-value.

    >>> format_p_value(0.0312), format_p_value(8e-8)
    ('0.031', '< 0.001')
    """
    if value is None:
        return NOT_KNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
