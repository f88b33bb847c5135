"""What is held out when a small model is measured against a language model, and the card's words."""

from pathlib import Path
from typing import Any

import numpy as np

from tacos.models import judge
from tacos.models.training import cards, llm_imitation
from tacos.models.training.llm_imitation import GradedText


def judged(n: int) -> list[GradedText]:
    """The model values whatever has a full stop, and finds everything about as correct."""
    return [
        GradedText(
            f"Question {i}?",
            f"It is {i}" + "." * (i % 2),
            20.0 + 60 * (i % 2),
            50.0 + i % 3,
        )
        for i in range(n)
    ]


def test_a_plain_habit_is_learned_and_length_is_measured_beside_it() -> None:
    found = llm_imitation.measure_judge(judged(100))
    assert found["n"] == 100
    assert 60 < found["trained on"] < 100
    assert found["value"]["value"] > 0.8
    low, high = found["value"]["interval"]
    assert low <= found["value"]["value"] <= high
    assert set(found["length only"]) == {"value", "interval"}


def test_a_judge_fitted_to_grades_gives_grades_on_their_scale(tmp_path: Path) -> None:
    model = llm_imitation.fit_judge(judged(100))
    judge.save_judge(model, tmp_path / "mine", {"all": 0.9})
    mine = judge.load(tmp_path / "mine")
    scores = mine.score(["Question 500?"] * 2, ["It is 500", "It is 501."])
    assert scores.value[0] < 40 < 60 < scores.value[1]
    assert mine.reliability == {"all": 0.9}
    assert mine.fingerprint != judge.load().fingerprint


def test_what_is_taken_does_not_depend_on_the_order() -> None:
    texts = [f"text {i}" for i in range(50)]
    taken = {texts[row] for row in llm_imitation.draw_rows(texts, 10)}
    back = texts[::-1]
    assert {back[row] for row in llm_imitation.draw_rows(back, 10)} == taken
    assert llm_imitation.draw_rows(texts, 99) == list(range(50))


def test_where_nothing_could_be_held_out_the_card_says_so() -> None:
    nothing = {"value": None, "interval": None}
    measured = dict.fromkeys(
        ("agreement", "value", "correctness", "length only"), nothing
    )
    counts = {"models": ["m"], "replies": 2, "learned from": 1, "n": 0, "trained on": 0}
    figures = {"judge": counts | measured}
    source = {
        "run": "a.run",
        "rows": 3,
        "preset": "robust",
        "seed": 1,
        "input": "f00",
        "unsure": 0,
    }
    card = cards.render_card(source, figures, {"tagger": "too few"})
    assert "| mean of both numbers | n/a |" in card
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


def test_the_interval_of_a_correlation_counts_instructions_not_samples() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 50)
    x = rng.normal(size=8)[groups] + rng.normal(size=400) / 20
    y = rng.normal(size=8)[groups] + rng.normal(size=400) / 20
    few = llm_imitation.bootstrap_correlation(x, y, groups)["interval"]
    many = llm_imitation.bootstrap_correlation(x, y, np.arange(400))["interval"]
    assert few[1] - few[0] > 3 * (many[1] - many[0])


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
    (said,) = cards.list_cautions({"tagger": poor, "judge": shares(0.6, 0.5, 0.3)})
    assert said.startswith("The tagger agrees no better than the most frequent tags")
    assert (
        "than chance"
        in cards.list_cautions({"tagger": fair, "judge": shares(0.1, -0.1, 0.0)})[0]
    )
    assert (
        "nothing to length"
        in cards.list_cautions({"tagger": fair, "judge": shares(0.6, 0.5, -0.8)})[0]
    )
    assert cards.list_cautions({"tagger": fair, "judge": shares(0.6, 0.5, 0.3)}) == []
