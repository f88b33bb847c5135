"""What the evaluations print alike: intervals, differences, forecasts, faults of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tacos.cli.shared import console
from tacos.counts import count_words
from tacos.errors import ConfigError
from tacos.methods.evaluating.clustered_means import MeanEstimate
from tacos.workflows.evaluated_models import EvaluatedModel
from tacos.workflows.evaluation_forecast import QuestionForecast
from tacos.workflows.files_read import FilesRead, iterate_unpinned

PINNED_ROLES = ("questions", "references", "baseline", "difficulty", "leaderboard")
"""Files that others publish; answers are the user's own."""
LONGEST_LABEL = 20
"""Characters of a model's name that tables of several models have room for."""


def format_bounds(estimate: MeanEstimate, form: str) -> str:
    """The 95% interval; n/a where one question tells nothing of others."""
    if estimate.low is None or estimate.high is None:
        return "n/a"
    return f"{form.format(estimate.low)} to {form.format(estimate.high)}"


def refuse_beside(option: str, counted: str, others: Mapping[str, object]) -> None:
    """Raise `ConfigError` for options (name -> value) that have no meaning beside one by which what
    exists already is counted.

    >>> refuse_beside("--judgments", "verdicts", {"--judge": None})
    """
    for name, value in others.items():
        if value:
            message = f"{option} counts {counted} that exist already: leave out {name}"
            # The shell makes several names of `--judgments *.jsonl`; the option takes one.
            if not name.startswith("--"):
                message += f", or write {option} before each file of {counted}"
            raise ConfigError(message)


def print_differences(
    rows: Sequence[tuple[str, MeanEstimate]],
    signed: str,
    plain: str,
    title: str = "paired differences",
) -> None:
    """Print paired differences, and what each could have shown; the forms are those of numbers.

    Differences of rates are points, so the title says so in place of a percent sign.
    """
    table = console.build_figure_table(
        title,
        ["models", "difference", "95% interval", "can show", "items"],
    )
    for label, estimate in rows:
        detectable = estimate.smallest_detectable_difference()
        table.add_row(
            label,
            signed.format(estimate.mean).replace("%", ""),
            format_bounds(estimate, signed).replace("%", ""),
            "n/a" if detectable is None else plain.format(detectable).replace("%", ""),
            f"{estimate.n:,}",
        )
    console.out.print(table)
    n_clear = sum(1 for _, estimate in rows if _excludes_zero(estimate))
    text = "No interval excludes 0: none of these differences can be told from chance."
    if n_clear:
        text = f"The intervals of {n_clear:,} of {count_words(len(rows), 'difference')} exclude 0."
    if len(rows) > 1:
        text += (
            " Where there is no difference, one in 20 intervals excludes 0 by chance."
        )
    console.print_text(text)


def shorten_labels(labels: Sequence[str]) -> dict[str, str]:
    """Label -> what stands for it in tables: a number where names are too long for them.

    >>> shorten_labels(["a", "b"])
    {'a': 'a', 'b': 'b'}
    """
    if max(map(len, labels)) <= LONGEST_LABEL:
        return {label: label for label in labels}
    return {label: f"#{number}" for number, label in enumerate(labels, 1)}


def print_forecast(forecast: QuestionForecast, *, as_json: bool) -> None:
    """Print what would be asked, and what that costs at most."""
    if as_json:
        console.print_json(forecast.as_dict())
        return
    n_known = forecast.n_requests - forecast.n_open
    cost = (
        "not known (set llm.price_in and llm.price_out)"
        if forecast.max_usd is None
        else f"at most ${forecast.max_usd:,.2f}"
    )
    console.print_pairs(
        f"would ask {forecast.model}",
        [
            (
                "requests",
                f"{forecast.n_open:,} ({n_known:,} more are answered already)",
            ),
            ("prompt tokens", f"about {forecast.prompt_tokens:,}"),
            ("reply tokens", f"at most {forecast.max_reply_tokens:,}"),
            ("cost", cost),
        ],
    )


def print_hashes(files: FilesRead) -> None:
    """Print the hashes of the sets that were read without one, to name them with the next time."""
    unpinned = [
        (role, file) for role, file in iterate_unpinned(files) if role in PINNED_ROLES
    ]
    if not unpinned:
        return
    console.print_text(
        "To read exactly these files again, name them with their hashes:"
    )
    for role, file in unpinned:
        console.print_line(f"  {role}: {file.pinned_name}")


def describe_faults(model: EvaluatedModel, n_shown: int) -> str:
    """Which answers of a model are empty or were cut."""
    shown = ", ".join(model.faults[:n_shown])
    n_more = len(model.faults) - n_shown
    more = f" and {n_more:,} more" if n_more > 0 else ""
    return (
        f"{model.label}: {len(model.faults):,} of {model.n_answers:,} answers are empty or were "
        f"cut off: {shown}{more}."
    )


def _excludes_zero(estimate: MeanEstimate) -> bool:
    """Whether an interval holds no 0."""
    if estimate.low is None or estimate.high is None:
        return False
    return estimate.low > 0 or estimate.high < 0
