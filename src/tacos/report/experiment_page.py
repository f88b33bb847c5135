"""The report of an experiment: one page with the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterable

from tacos.counts import count_words
from tacos.methods.evaluating.duels import OUTCOMES
from tacos.methods.evaluating.experiment_plan import (
    ARMS,
    FEW_SEEDS,
    INSTRUMENTS,
    UNSEEDED_ARMS,
    ArmName,
    ExperimentPlan,
)
from tacos.methods.evaluating.experiment_results import (
    DuelCounts,
    ExperimentResults,
    SpeedClaim,
    TrainedArm,
)
from tacos.report import html
from tacos.report.figure_texts import NOT_KNOWN, format_amount, format_measure
from tacos.report.page_parts import DataTable, Section
from tacos.report.plots.experiment_plots import draw_comparisons, draw_trainings

TWELVE_TIMES = (
    'The "12x" of the TACOS paper is the best of its six cells: LLaMA-2-13B on Evol-Instruct-70k, '
    "19,270 seconds against 1,667 (11.6 times); the other five are 3.3 to 6.8 times. There, the "
    "full data and the 1,000 rows were trained with different epochs, learning rates, schedules "
    "and batch sizes. Here, all arms have one recipe."
)


UNEVEN = 1.5
"""Where trainings differ more in their seconds per token, something else took the machine."""


def render_experiment(results: ExperimentResults) -> str:
    """The report of an experiment as HTML: one file without a network."""
    plan = results.plan
    return html.render_page(
        list_experiment_sections(results),
        title=f"experiment of {plan.n_selected:,} of {plan.n_pool:,} rows",
        kind="report of an experiment",
        heading="Does a model get better by the selection?",
    )


def list_experiment_sections(results: ExperimentResults) -> list[Section]:
    """The sections of the page, without those that have nothing to show yet."""
    sections = [
        _build_verdict(results),
        _build_trainings(results),
        _build_duels(results),
        _build_speed(results),
        _build_plan(results),
    ]
    return [section for section in sections if section is not None]


def list_cautions(results: ExperimentResults) -> list[str]:
    """What a reader must keep in mind, a sentence each."""
    plan = results.plan
    n_seeds = min(len(arm.seeds) for arm in plan.arms if arm.name not in UNSEEDED_ARMS)
    cautions = [*results.left_out, *_compare_with_full(results)]
    if n_seeds < FEW_SEEDS:
        cautions.append(
            f"{count_words(n_seeds, 'seed')} per arm: how far trainings of one arm differ is "
            f"hardly known, and the intervals may be too narrow; take {FEW_SEEDS} or more."
        )
    if plan.is_circular or results.circular:
        cautions.append(
            f"Circular: {plan.judge} selected the rows and judges the duels. It rewards its own "
            "taste, so the duels show nothing."
        )
    if not plan.judge:
        cautions.append(
            "No duels: no judge is named that did not select (--judge, with --questions). How well "
            "the models write was not judged."
        )
    cautions.append(
        "Loss on answers of people says how well a model predicts them, not how well it writes: in "
        "LIMA's own trainings it went up while the answers got better (arXiv 2305.11206, appendix "
        "B). It compares arms of one recipe, and nothing else."
    )
    cautions.append(
        "Length is the strongest confounder: a longer answer is more training. The arm "
        "length-matched has as long answers as the selection; what the selection gains on that "
        "arm is not length."
    )
    return cautions


def _compare_with_full(results: ExperimentResults) -> list[str]:
    """That the full pool does better by the primary instrument, where it does."""
    primary = results.plan.primary
    for part in results.comparisons:
        if (part.instrument, part.other) == (primary, "full") and part.gain < 0:
            amount = format_amount(primary, -part.gain)
            steps = [
                sum(each.n_steps or 0 for each in results.trainings if each.arm == arm)
                for arm in ("full", "selection")
            ]
            more = steps[0] * part.n_seeds / steps[1] if steps[1] else 0
            return [
                f"The model of the full pool is better than those of the selection by {amount} "
                f"({primary}), and took {more:,.1f} times as many steps: how much of that is its "
                "rows, and how much longer training, is not told here. It was trained once, so "
                "there is no interval."
            ]
    return []


def _build_verdict(results: ExperimentResults) -> Section:
    """The answer, and the figure that it is read from."""
    is_drawn = any(part.other not in UNSEEDED_ARMS for part in results.comparisons)
    values = {
        "label": results.label,
        "verdict": results.verdict,
        "missing": [f"{arm}, seed {seed}" for arm, seed in results.missing],
        "figure": draw_comparisons(results) if is_drawn else None,
        "cautions": list_cautions(results),
    }
    return Section("experiment-verdict", "The verdict", values)


def _build_trainings(results: ExperimentResults) -> Section | None:
    """Every training with its figures."""
    if not results.trainings:
        return None
    instruments = results.plan.instruments
    names = [item.name for item in instruments if item.name != "duels"]
    strata = list(
        dict.fromkeys(key for part in results.trainings for key in part.strata)
    )
    head = (
        "arm",
        "seed",
        "rows",
        "trained tokens",
        "steps",
        "seconds",
        *names,
        *(f"answer-loss, {stratum}" for stratum in strata),
    )
    rows = []
    for part in results.trainings:
        means = [format_measure(name, part.means.get(name)) for name in names]
        losses = [format_measure("answer-loss", part.strata.get(key)) for key in strata]
        rows.append((*_list_cost_cells(part), *means, *losses))
    table = DataTable(head, rows, frozenset(range(1, len(head))), "One line per model")
    values = {
        "figure": draw_trainings(results),
        "table": table,
        "arms": [(arm.name, ARMS[arm.name]) for arm in results.plan.arms],
    }
    return Section("experiment-trainings", "The arms", values)


def _list_cost_cells(part: TrainedArm) -> tuple[str, ...]:
    """What a training was and took."""
    return (
        part.arm,
        str(part.seed),
        f"{part.n_rows:,}",
        _format_count(part.n_trained_tokens),
        _format_count(part.n_steps),
        _format_count(part.seconds),
    )


def _format_count(value: float | None) -> str:
    """A count; none of the untrained base."""
    return NOT_KNOWN if value is None else f"{value:,.0f}"


def _build_duels(results: ExperimentResults) -> Section | None:
    """What a judge says of the models' answers, arm by arm."""
    if not results.plan.judge:
        return None
    head = (
        "selection against",
        "duels",
        *OUTCOMES,
        "win score",
        "95% interval",
        "at equal length",
        "characters",
        "judge",
    )
    rows = [
        (
            part.other,
            f"{part.n:,}",
            *(f"{part.outcomes[name]:,}" for name in OUTCOMES),
            format_measure("duels", part.score),
            _format_duel_interval(results, part.other),
            format_measure("duels", part.adjusted),
            _format_lengths(part),
            ", ".join(part.judges) or NOT_KNOWN,
        )
        for part in results.duels
    ]
    numbers = frozenset(range(1, len(head) - 1))
    values = {
        "circular": list(results.circular),
        "unjudged": [f"{other}, seed {seed}" for other, seed in results.unjudged],
        "table": DataTable(head, rows, numbers, "The duels, of all seeds together"),
    }
    return Section("experiment-duels", "What a judge says", values)


def _format_duel_interval(results: ExperimentResults, other: ArmName) -> str:
    """The interval of a win score, over seeds and questions, from that of its distance to half."""
    for part in results.comparisons:
        is_this = (part.instrument, part.other) == ("duels", other)
        if is_this and part.low is not None and part.high is not None:
            low, high = (
                format_measure("duels", 0.5 + end) for end in (part.low, part.high)
            )
            return f"{low} to {high}"
    return NOT_KNOWN


def _format_lengths(part: DuelCounts) -> str:
    """The mean characters of both arms' answers."""
    if part.lengths is None:
        return NOT_KNOWN
    own, other = part.lengths
    return f"{own:,.0f} against {other:,.0f}"


def describe_duels(results: ExperimentResults) -> list[str]:
    """What the judge says, a line for each other arm."""
    lines = []
    for part in results.duels:
        counts = ", ".join(f"{name} {part.outcomes[name]:,}" for name in OUTCOMES)
        equal = format_measure("duels", part.adjusted)
        lines.append(
            f"duels, selection against {part.other}: win score "
            f"{format_measure('duels', part.score)} of {part.n:,}, 95% interval "
            f"{_format_duel_interval(results, part.other)} ({counts}; at equal length {equal})"
        )
    return lines


def _build_speed(results: ExperimentResults) -> Section | None:
    """How much shorter training is, and what the papers' figure is."""
    if results.speed is None:
        return None
    values = {
        "sentence": describe_speed(results.speed),
        "papers": TWELVE_TIMES,
    }
    return Section("experiment-speed", "What training costs", values)


def describe_speed(speed: SpeedClaim) -> str:
    """The speed claim in words."""
    claim = (
        f"The full pool ({count_words(speed.n_full_rows, 'row')}) trains on "
        f"{speed.token_ratio:.1f} times as many tokens as the selection "
        f"({count_words(speed.n_selected_rows, 'row')}): {speed.n_full_tokens:,} against "
        f"{speed.n_selected_tokens:,.0f}. Measured here, it took {speed.time_ratio:.1f} times as "
        f"long: {speed.full_seconds:,.0f} seconds against {speed.selected_seconds:,.0f}."
    )
    if speed.seconds_spread < UNEVEN:
        return claim
    return (
        f"{claim} But a token took up to {speed.seconds_spread:.1f} times as long in one training "
        "as in another, so the seconds say little: trust the tokens."
    )


def _build_plan(results: ExperimentResults) -> Section:
    """What was declared before the first training."""
    plan = results.plan
    values = {
        "declared": results.declared,
        "hash": plan.hash(),
        "plan": DataTable(("what", "value"), _list_plan_rows(plan)),
        "instruments": _tabulate_instruments(plan),
        "environment": DataTable(
            ("what", "value"),
            [(name, value) for name, value in results.environment.items()],
        ),
    }
    return Section("experiment-plan", "What was declared before training", values)


def _list_plan_rows(plan: ExperimentPlan) -> list[tuple[str, str]]:
    """The plan as pairs."""
    comparisons = ", ".join(f"{arm} against {other}" for arm, other in plan.comparisons)
    removed = ", ".join(f"{n:,} {reason}" for reason, n in plan.removed.items())
    return [
        ("recipe", f"{plan.recipe} ({plan.recipe_hash}), the same for all arms"),
        ("base model", f"{plan.base_model} ({plan.base_model_hash})"),
        ("pool", f"{count_words(plan.n_pool, 'row')} ({plan.pool_hash})"),
        ("taken out of the pool for all arms", removed or "none"),
        (
            "selection",
            f"{count_words(plan.n_selected, 'row')} ({plan.selection_hash})",
        ),
        ("arms have alike", plan.match),
        ("cut at", count_words(plan.max_length, "token")),
        ("primary instrument", plan.primary),
        ("primary comparisons", f"{comparisons}; Holm's correction"),
        (
            "intervals",
            f"{plan.n_draws:,} draws of seeds, then items (seed {plan.seed})",
        ),
        ("judge of duels", plan.judge or "none"),
    ]


def _tabulate_instruments(plan: ExperimentPlan) -> DataTable:
    """The instruments with their items."""
    rows = [
        (
            f"{item.name}{' (primary)' if item.name == plan.primary else ''}",
            INSTRUMENTS[item.name],
            f"{item.n_items:,}",
            _join_counts(item.sources.items()),
            _join_counts(item.strata.items()),
        )
        for item in plan.instruments
    ]
    head = ("instrument", "measures", "items", "from", "by length")
    return DataTable(head, rows, frozenset({2}), "The instruments")


def _join_counts(counts: Iterable[tuple[str, int]]) -> str:
    """Names with their counts."""
    return ", ".join(f"{name} {n:,}" for name, n in counts)
