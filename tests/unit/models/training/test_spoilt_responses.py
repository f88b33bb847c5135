"""Spoilt copies of good answers, and the readers of pairs."""

import random
from pathlib import Path

import pytest

from tacos.models.training import preference_pairs, spoilt_responses

TEXTS = [
    (
        "Name rivers.",
        "The Rhine is long. The Rhone is shorter than it. The Danube is the longest of the three, by far.",
    ),
    (
        "Bake bread.",
        "Mix flour and water first. Knead the dough well for a while. Bake it until it is brown and crisp.",
    ),
    ("Say no.", "No."),
]


def test_a_copy_keeps_its_instruction_and_never_its_response() -> None:
    contrasts = spoilt_responses.draw_contrasts(TEXTS)
    assert {contrast.way for contrast in contrasts} == set(spoilt_responses.WAYS)
    for contrast in contrasts:
        instruction, response = TEXTS[contrast.row]
        assert contrast.text[0] == instruction
        assert contrast.text[1] != response
        if contrast.way == "another's answer":
            assert contrast.text[1] == TEXTS[contrast.partner][1]
        else:
            assert contrast.partner == contrast.row


def test_the_seed_decides_what_is_spoilt() -> None:
    first = spoilt_responses.draw_contrasts(TEXTS, seed=1)
    assert spoilt_responses.draw_contrasts(TEXTS, seed=1) == first
    assert spoilt_responses.draw_contrasts(TEXTS, seed=2) != first


@pytest.mark.parametrize("name", spoilt_responses.WAYS)
def test_each_way_gives_another_text_or_nothing(name: str) -> None:
    good, other = TEXTS[0], TEXTS[1]
    spoilt = spoilt_responses.WAYS[name].spoil(good, other, random.Random(0))
    assert spoilt != good[1]


def test_an_answer_off_the_topic_is_next_in_length() -> None:
    texts = [("a", "x" * n) for n in (1, 50, 2, 51)]
    assert [
        len(texts[row][1]) for row in spoilt_responses.find_length_neighbours(texts)
    ] == [
        2,
        51,
        50,
        50,
    ]


def test_inputs_that_say_there_is_none_are_left_out() -> None:
    assert preference_pairs.join_input("Name a river.", "<noinput>") == "Name a river."
    assert preference_pairs.join_input("Name it.", "Rhine") == "Name it.\nRhine"


@pytest.mark.data
def test_the_pairs_of_the_shared_data(shared_data: Path) -> None:
    revised, voted, chosen = (
        preference_pairs.read_revisions(shared_data),
        preference_pairs.read_votes(shared_data),
        preference_pairs.read_expert_choices(shared_data),
    )
    assert (len(revised), len(voted), len(chosen)) == (1747, 894, 1985)
    assert not any(
        r"\n" in pair.b[1] and "\n" not in pair.b[1] for pair in chosen[:200]
    )
    assert all(pair.a[1] != pair.b[1] for pair in revised)
