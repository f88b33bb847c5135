"""From scores to verdicts: signs, missing trainings, and what a bias for length does."""

import re
from typing import get_args

import numpy as np
import pytest
from tests.experiments import make_instrument, make_plan

from tacos.methods.evaluating.experiment_plan import ExperimentPlan, InstrumentName
from tacos.methods.evaluating.experiment_table import (
    AnswerScore,
    DuelValues,
    Floats,
    InstrumentValues,
    Training,
    compare_experiment,
    measure_items,
)

N_ITEMS = 300


def make_values(
    plan: ExperimentPlan,
    means: dict[str, float],
    name: InstrumentName = "answer-loss",
) -> InstrumentValues:
    """Values that scatter by item (the same for all) and hardly by seed."""
    generator = np.random.default_rng(1)
    by_item = generator.normal(0, 0.5, N_ITEMS)
    values: dict[Training, Floats] = {}
    for arm, seed in plan.list_trainings():
        noise = generator.normal(0, 0.01, N_ITEMS)
        values[(arm, seed)] = means.get(arm, 2.5) + by_item + noise
    return InstrumentValues(name, values, np.arange(N_ITEMS))


def test_the_loss_is_per_token_and_positive() -> None:
    scores = [[AnswerScore(-20.0, 10)], [AnswerScore(-3.0, 1)]]
    assert measure_items("answer-loss", scores).tolist() == [2.0, 3.0]


def test_the_preference_is_per_token_so_a_longer_answer_is_not_punished() -> None:
    longer_is_better = [AnswerScore(-30.0, 30), AnswerScore(-20.0, 10)]
    equal = [AnswerScore(-10.0, 10), AnswerScore(-5.0, 5)]
    values = measure_items("preference", [longer_is_better, equal, equal[::-1]])
    assert values.tolist() == [1.0, 0.5, 0.5]


def test_a_lower_loss_is_a_gain_and_said_in_words() -> None:
    plan = make_plan()
    means = {"selection": 2.3, "random": 2.5, "longest": 2.2}
    comparisons = compare_experiment(plan, [make_values(plan, means)])
    random, longest = comparisons[:2]
    assert (random.other, longest.other) == ("random", "longest")
    assert random.is_primary
    assert longest.is_primary
    assert random.gain == pytest.approx(0.2, abs=0.01)
    assert random.low is not None
    assert 0 < random.low < random.gain
    assert random.verdict.startswith("selection is better than random by 0.")
    assert longest.gain == pytest.approx(-0.1, abs=0.01)
    assert longest.verdict.startswith("selection is worse than longest by 0.")


def test_a_higher_preference_is_a_gain_in_points() -> None:
    plan = make_plan(primary="preference")
    values = make_values(plan, {"selection": 0.6, "random": 0.5}, "preference")
    random = compare_experiment(plan, [values])[0]
    assert random.gain == pytest.approx(0.1, abs=0.01)
    assert " points (95% interval of the gain +" in random.verdict
    assert re.search(r"better than random by (9|10)\.\d points", random.verdict)


@pytest.mark.parametrize("mean", [-0.3, -0.01, 0, 0.01, 0.3])
@pytest.mark.parametrize("name", get_args(InstrumentName))
def test_a_sentence_has_the_sign_and_the_figures_of_its_comparison(
    name: InstrumentName, mean: float
) -> None:
    plan = make_plan(instruments=(make_instrument(name, {"short": 9}),), primary=name)
    if name == "duels":
        near_half = make_values(plan, {"selection": 0.5 + mean}, name).values
        scores = np.stack([near_half["selection", seed] for seed in (0, 1)])
        compared = {arm.name: scores for arm in plan.arms}
        duels = DuelValues(compared, np.arange(N_ITEMS))
        comparisons = compare_experiment(plan, [], duels)
    else:
        values = make_values(plan, {"selection": 2.5 + mean}, name)
        comparisons = compare_experiment(plan, [values])
    scale, digits = (1, 4) if name == "answer-loss" else (100, 1)
    for part in comparisons:
        if part.low is None or part.high is None or part.p is None:
            continue
        low, high = (f"{scale * end:+.{digits}f}" for end in (part.low, part.high))
        assert f"95% interval of the gain {low} to {high};" in part.verdict
        assert part.low < part.gain < part.high
        amount = f"{scale * abs(part.gain):.{digits}f}"
        if part.p >= 0.05:
            gain = f"{scale * part.gain:+.{digits}f}"
            assert f"selection and {part.other} (gain {gain}, " in part.verdict
        elif part.gain > 0:
            assert f"selection is better than {part.other} by {amount} " in part.verdict
        else:
            assert f"selection is worse than {part.other} by {amount} " in part.verdict


def test_equal_arms_give_no_difference_larger_than_could_be_seen() -> None:
    plan = make_plan()
    random = compare_experiment(plan, [make_values(plan, {})])[0]
    assert random.verdict.startswith("No difference larger than ")
    assert random.smallest is not None
    assert random.smallest > abs(random.gain)


def test_holm_asks_more_of_the_primary_comparisons() -> None:
    plan = make_plan()
    values = make_values(plan, {"selection": 2.499})
    both = compare_experiment(plan, [values])
    alone = compare_experiment(
        make_plan(comparisons=(("selection", "random"),)), [values]
    )
    assert both[0].p is not None
    assert alone[0].p is not None
    assert both[0].p > alone[0].p


def test_a_missing_training_leaves_its_arm_out_and_the_verdict_open() -> None:
    plan = make_plan()
    values = make_values(plan, {})
    rest = {key: row for key, row in values.values.items() if key != ("longest", 1)}
    partial = InstrumentValues(values.name, rest, values.clusters)
    comparisons = compare_experiment(plan, [partial])
    assert not [part for part in comparisons if part.is_primary]
    assert "longest" not in {part.other for part in comparisons}


def test_an_arm_that_was_trained_once_has_no_interval_and_the_base_has_one() -> None:
    plan = make_plan()
    others = {
        part.other: part for part in compare_experiment(plan, [make_values(plan, {})])
    }
    assert others["full"].low is None
    assert others["full"].verdict.startswith("No verdict")
    assert others["untrained"].low is not None


def test_duels_are_measured_from_one_half_in_points() -> None:
    plan = make_plan(
        instruments=(make_instrument("duels", {"short": N_ITEMS}),), primary="duels"
    )
    generator = np.random.default_rng(3)
    scores = {
        "random": generator.choice([0.5, 0.75, 1.0], (2, N_ITEMS)),
        "longest": generator.choice([0.25, 0.5, 0.75], (2, N_ITEMS)),
        "full": generator.choice([0.0, 0.5], (2, N_ITEMS)),
        "untrained": generator.choice([0.75, 1.0], (2, N_ITEMS)),
    }
    duels = DuelValues(scores, np.arange(N_ITEMS))
    parts = {part.other: part for part in compare_experiment(plan, [], duels)}
    assert parts["random"].gain == pytest.approx(0.25, abs=0.03)
    assert re.search(r"better than random by 2\d\.\d points", parts["random"].verdict)
    assert parts["random"].is_primary
    assert parts["longest"].verdict.startswith("No difference larger than ")
    # One model on the other side: how far another would stray is unknown.
    assert parts["full"].low is None
    assert parts["untrained"].low is not None
    # Not judged yet, so not compared.
    assert "length-matched" not in parts


def test_the_primary_duels_wait_for_both_comparisons() -> None:
    plan = make_plan(
        instruments=(make_instrument("duels", {"short": N_ITEMS}),), primary="duels"
    )
    duels = DuelValues({"random": np.full((2, N_ITEMS), 0.75)}, np.arange(N_ITEMS))
    assert compare_experiment(plan, [], duels) == []
