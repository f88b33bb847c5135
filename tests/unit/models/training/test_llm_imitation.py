"""What is held out when a small model is measured against a language model, and the card's words."""

from typing import Any

import numpy as np

from tacos.models.training import cards, llm_imitation
from tacos.models.training.preference_pairs import PreferencePair


def pairs(n: int) -> list[PreferencePair]:
    """Each of n samples against the next ones; the model prefers whatever has a full stop."""
    texts = [(f"Question {i}?", f"It is {i}" + "." * (i % 2)) for i in range(n)]
    return [
        PreferencePair(texts[i], texts[j], 0.5 + 0.5 * ((i % 2) - (j % 2)))
        for i in range(n)
        for j in (i + 1, i + 4)
        if j < n
    ]


def test_a_pair_is_tested_only_by_a_judge_that_saw_neither_of_its_instructions() -> (
    None
):
    some = pairs(60)
    folds = [
        llm_imitation.assign_folds([getattr(pair, side)[0] for pair in some])
        for side in ("a", "b")
    ]
    found = llm_imitation.measure_judge(some)
    same = folds[0] == folds[1]
    assert found["n"] + found["ties left out"] == int(same.sum())
    assert found["trained on"] == min(
        int(((folds[0] != k) & (folds[1] != k)).sum())
        for k in np.unique(folds[0][same])
    )


def test_a_plain_habit_is_learned_and_length_is_measured_beside_it() -> None:
    found = llm_imitation.measure_judge(pairs(120))
    assert found["agreement"]["value"] > 0.9
    low, high = found["agreement"]["interval"]
    assert low <= found["agreement"]["value"] <= high
    assert found["brier"] < 0.25


def test_what_is_taken_does_not_depend_on_the_order() -> None:
    texts = [f"text {i}" for i in range(50)]
    taken = {texts[row] for row in llm_imitation.draw_rows(texts, 10)}
    back = texts[::-1]
    assert {back[row] for row in llm_imitation.draw_rows(back, 10)} == taken
    assert llm_imitation.draw_rows(texts, 99) == list(range(50))


def test_where_nothing_could_be_held_out_the_card_says_so() -> None:
    nothing = {"value": None, "interval": None}
    judge = {
        "models": ["m"],
        "replies": 2,
        "learned from": 1,
        "n": 0,
        "trained on": 0,
        "ties left out": 0,
    }
    figures = {
        "judge": judge
        | {
            "agreement": nothing,
            "length only": nothing,
            "brier": None,
            "reliability": [],
        }
    }
    source = {
        "run": "a.run",
        "rows": 3,
        "preset": "robust",
        "seed": 1,
        "input": "f00",
        "unsure": 0,
    }
    card = cards.render_card(source, figures, {"tagger": "too few"})
    assert "| distilled | 0 | n/a |" in card
    assert card.endswith("No tagger here: too few.\n")
    assert "Use it with `--set judge.model=FOLDER`." in card


def test_instructions_that_differ_in_case_and_blanks_only_are_held_out_together_and_teach_once() -> (
    None
):
    texts = [f"Question {i}?" for i in range(40)]
    others = [f"  {text.upper()}\n" for text in texts]
    assert (
        llm_imitation.assign_folds(texts).tolist()
        == llm_imitation.assign_folds(others).tolist()
    )
    assert llm_imitation.find_distinct_rows([*texts, *others]) == list(range(40))


def test_the_interval_of_pairs_counts_an_instruction_on_either_side() -> None:
    """Ten instructions on the right decide everything, so hundreds of pairs are no hundreds of
    observations.
    """
    rng = np.random.default_rng(0)
    right, left = rng.integers(0, 10, 600), 10 + np.arange(600)
    won = np.where(right % 3 == 0, 0.0, 1.0)
    low, high = llm_imitation.bootstrap_share(won, np.stack([left, right], axis=1))[
        "interval"
    ]
    low_, high_ = llm_imitation.bootstrap_share(won, np.stack([right, left], axis=1))[
        "interval"
    ]
    assert high - low > 0.4
    assert abs(high - low - (high_ - low_)) < 0.1


def shares(agreement: float, low: float, length: float) -> dict[str, Any]:
    """What `cautions` reads of a judge."""
    return {
        "agreement": {"value": agreement, "interval": [low, 1.0]},
        "length only": {"value": length},
    }


def test_what_agrees_no_better_than_a_rule_that_learned_nothing_is_better_not_used() -> (
    None
):
    poor = {"exact": {"micro": 0.04}, "most frequent tags": {"exact": {"micro": 0.14}}}
    fair = {"exact": {"micro": 0.36}, "most frequent tags": {"exact": {"micro": 0.04}}}
    (said,) = cards.list_cautions({"tagger": poor, "judge": shares(0.8, 0.7, 0.6)})
    assert said.startswith("The tagger agrees no better than the most frequent tags")
    assert (
        "than a coin"
        in cards.list_cautions({"tagger": fair, "judge": shares(0.55, 0.47, 0.5)})[0]
    )
    assert (
        "nothing to length"
        in cards.list_cautions({"tagger": fair, "judge": shares(0.8, 0.7, 0.9)})[0]
    )
    assert cards.list_cautions({"tagger": fair, "judge": shares(0.8, 0.7, 0.6)}) == []
