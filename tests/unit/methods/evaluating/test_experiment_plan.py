"""The plan of an experiment: its hash, its checks, and the order of the trainings."""

import re

import pytest
from pydantic import ValidationError
from tests.experiments import make_instrument, make_plan

from tacos.methods.evaluating.experiment_plan import compare_plans


def test_everything_in_the_plan_changes_its_hash() -> None:
    plan = make_plan()
    assert plan.hash() == make_plan().hash()
    for name, value in {
        "recipe_hash": "f" * 32,
        "primary": "preference",
        "seed": 3,
        "comparisons": (("selection", "random"),),
        "removed": {},
        "judge": "gpt",
    }.items():
        changed = make_plan(**{name: value})
        assert changed.hash() != plan.hash(), name
        (difference,) = compare_plans(plan, changed)
        assert not re.search('[{}"]|[0-9a-f]{9}', difference)


def test_differences_between_plans_are_said_in_words() -> None:
    plan = make_plan()
    loss, *others = plan.instruments
    fewer = make_instrument("answer-loss", {"short": 1})
    of_three = [
        arm if len(arm.seeds) == 1 else arm.model_copy(update={"seeds": (0, 1, 2)})
        for arm in plan.arms
    ]
    for changes, words in (
        ({"primary": "preference"}, "primary: answer-loss, not preference"),
        ({"arms": of_three}, "seeds: 2, not 3"),
        ({"instruments": (fewer, *others)}, "items of answer-loss: 120, not 1"),
        ({"instruments": (loss,)}, "instruments: answer-loss, preference, "),
        ({"recipe_hash": "f" * 32}, "other values in the recipe"),
        ({"pool_hash": "f" * 32}, "other rows in the pool"),
    ):
        (difference,) = compare_plans(plan, plan.model_copy(update=changes))
        assert difference.startswith(words)


def test_other_items_of_an_instrument_change_the_hash() -> None:
    other = make_instrument("answer-loss", {"short": 1})
    assert make_plan(instruments=(other,)).hash() != make_plan().hash()


def test_a_primary_instrument_that_is_not_measured_is_refused() -> None:
    with pytest.raises(ValidationError, match="duels is not measured"):
        make_plan(primary="duels")


def test_a_compared_arm_that_is_not_trained_is_refused() -> None:
    arms = [arm for arm in make_plan().arms if arm.name != "longest"]
    with pytest.raises(ValidationError, match="longest is compared"):
        make_plan(arms=tuple(arms))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        make_plan(best="selection")


def test_trainings_come_in_whole_rounds_and_the_full_pool_last() -> None:
    trainings = make_plan().list_trainings()
    assert [seed for _, seed in trainings[:8]] == [0] * 4 + [1] * 4
    assert trainings[8:] == [("untrained", 0), ("full", 0)]
