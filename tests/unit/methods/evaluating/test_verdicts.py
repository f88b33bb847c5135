"""Verdicts in words: a difference, none that could be seen, or none to speak of."""

import dataclasses

import pytest

from tacos.methods.evaluating.arm_differences import ArmDifference
from tacos.methods.evaluating.verdicts import Measure, Verdict, decide_verdict

LOSS = Measure("nats per token", decimals=3)
SHARE = Measure("points", decimals=1)
NAMES = ("selection", "random")
SEEN = ArmDifference(0.5, 0.1, 8.0, 0.27, 0.73, 0.001, 5, 5, 4277)


def decide(
    measure: Measure, adjusted_p: float | None, seen: ArmDifference = SEEN
) -> Verdict:
    return decide_verdict(seen, adjusted_p, 2, measure, NAMES)


def test_above_zero_is_better_and_every_figure_has_the_sign_of_the_gain() -> None:
    assert decide(SHARE, 0.002).word == "better"
    turned = dataclasses.replace(SEEN, difference=-0.5, low=-0.73, high=-0.27)
    assert decide(SHARE, 0.002, turned).sentence == (
        "selection is worse than random by 0.5 points (95% interval of the gain -0.7 to -0.3; 5 "
        "seeds against 5, 4,277 items; p = 0.002 after Holm over 2 tests)."
    )


def test_what_cannot_be_told_apart_is_said_with_what_could_have_been() -> None:
    near = dataclasses.replace(SEEN, difference=-0.05, low=-0.28, high=0.18)
    verdict = decide(LOSS, 0.6, near)
    assert verdict.word == "no difference seen"
    # 2.75 (level of 5% over two tests, 8 degrees of freedom) + .89 standard errors.
    assert verdict.smallest == pytest.approx(0.1 * (2.752 + 0.889), abs=0.001)
    assert verdict.sentence == (
        "No difference larger than 0.364 nats per token could be seen between selection and "
        "random (gain -0.050, 95% interval of the gain -0.280 to +0.180; 5 seeds against 5, "
        "4,277 items; p = 0.600 after Holm over 2 tests)."
    )


def test_exactly_five_percent_is_no_difference() -> None:
    assert decide(LOSS, 0.05).word == "no difference seen"
    assert "p < 0.001" in decide(LOSS, 0.0002).sentence


def test_one_seed_gives_no_verdict() -> None:
    alone = ArmDifference(0.5, None, None, None, None, None, 1, 5, 100)
    verdict = decide(LOSS, None, alone)
    assert verdict == Verdict(
        "no verdict",
        "No verdict on selection and random: an arm was trained with one seed, so how far "
        "another would stray is unknown.",
        None,
    )
    clustered = dataclasses.replace(alone, n_seeds=5)
    assert "one cluster" in decide(LOSS, None, clustered).sentence
    alike = dataclasses.replace(clustered, difference=0.0)
    assert "no item tells them apart" in decide(LOSS, None, alike).sentence
