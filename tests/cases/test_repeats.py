"""Rows that repeat themselves: growing prefixes of one conversation, and near-duplicates.

Issue 13, C7. Multi-turn sets hold a conversation once per answer (OASST: 410 of 766 rows share
theirs with another row), and a selection from them was full of beginnings of itself. Single-turn
sets hold the same question in other words, in different clusters.
"""

from pathlib import Path
from typing import Any

import pytest
from tests.small_world import MODELS

import tacos
from tacos.cli.shared import summary
from tacos.methods.samples.last_question import find_last_question

THEMES = [
    "the tides of the sea",
    "baking rye bread",
    "sorting a list in Python",
    "the rules of chess",
    "caring for tomatoes",
    "the French Revolution",
    "how a violin is tuned",
    "saving for a pension",
    "the life of bees",
    "fixing a bicycle chain",
]


def talk(theme: str, n_answers: int) -> dict[str, Any]:
    """The first answers of the conversation on a theme; later ones are longer, and so better."""
    messages = []
    for number in range(n_answers):
        question = f"Please explain part {number + 1} of {theme} to me."
        answer = f"Part {number + 1} of {theme}: " + "more and more. " * (number + 1)
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages}


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """Ten of thirty rows, which are three stages each of ten conversations."""
    rows = [talk(theme, n) for n in (1, 2, 3) for theme in THEMES]
    return tacos.select(rows, 10, run=tmp_path_factory.mktemp("talks"), **MODELS)


def test_one_row_of_each_conversation_is_taken_the_one_with_the_best_score(
    talks: tacos.Selection,
) -> None:
    """Growing prefixes: before, several stages of the same conversations were taken."""
    numbers = [int(id_.partition(":")[2]) for id_ in talks.table["id"]]
    assert sorted(number % 10 for number in numbers) == list(range(10))
    assert min(numbers) >= 20


def test_the_summary_and_explain_say_what_was_left_out(talks: tacos.Selection) -> None:
    (text,) = [
        text
        for label, text in summary.format_summary(talks.summary)
        if label == "rejected by selection"
    ]
    assert text == "20 x another row of its conversation is selected"
    verdict = talks.explain("data:3")["verdict"]
    assert verdict == ("dropped: another row of its conversation is selected: data:23")


def test_lists_show_what_is_asked_last(talks: tacos.Selection, tmp_path: Path) -> None:
    """Before, all stages of a conversation looked alike: lists showed how transcripts begin."""
    page = talks.report(tmp_path / "report.html").read_text("utf-8")
    for theme in THEMES:
        assert f". Please explain part 3 of {theme} to me." in page
    assert talks.explain("data:23")["instruction"] == (
        "Please explain part 3 of the rules of chess to me."
    )
    # A single question that looks like a turn is shown whole.
    assert find_last_question("User: a word with many uses") == (
        "User: a word with many uses"
    )


def test_where_rows_run_out_stages_come_in_and_it_is_said(
    talks: tacos.Selection,
) -> None:
    rows = [talk(theme, n) for n in (1, 2, 3) for theme in THEMES]
    done = tacos.select(rows, 14, run=talks.run, **MODELS)
    assert done.table.height == 14
    lines = dict(summary.format_summary(done.summary))
    assert lines["selected"] == (
        "14 rows; 4 of them repeat another selected row: there were no others"
    )


def test_other_settings_and_other_strategies_take_any_stage(
    talks: tacos.Selection,
) -> None:
    same = tacos.reselect(talks, 10)
    assert set(same.table["id"]) == set(talks.table["id"])
    longest = tacos.reselect(talks, 14, "longest")
    assert longest.table.height == 14
    assert not longest.summary.n_repeats
    rows = [talk(theme, n) for n in (1, 2, 3) for theme in THEMES]
    settings = {"select": {"conversations": False, "limit": 1.0}}
    free = tacos.select(rows, 14, run=talks.run, settings=settings, **MODELS)
    assert free.artifacts["selection"].rejects().is_empty()


AREAS = [
    "Calculate the area of a triangle with base 5 cm and height 6 cm.",
    "Find the area of a triangle with a base of 8 cm and a height of 3 cm.",
    "Compute the area of a triangle whose base is 10 cm and height is 4 cm.",
    "What is the area of a triangle with base 7 cm and height 2 cm?",
    "Determine the area of a triangle of base 9 cm and height 5 cm.",
]


@pytest.fixture(scope="module")
def areas(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """Six of fifteen rows: five ask for the area of a triangle, and have the best scores."""
    rows = [
        {
            "instruction": question,
            "output": "The area of a triangle is half its base times its height.",
        }
        for question in AREAS
    ]
    rows += [
        {"instruction": f"Tell me about {theme}.", "output": f"It is about {theme}."}
        for theme in THEMES
    ]
    return tacos.select(rows, 6, run=tmp_path_factory.mktemp("areas"), **MODELS)


def test_one_of_five_questions_in_other_words_is_taken(areas: tacos.Selection) -> None:
    """Five "area of a triangle": before, all five were taken."""
    asked = areas.table["instruction"].to_list()
    assert sum("triangle" in question for question in asked) == 1
    lines = dict(summary.format_summary(areas.summary))
    assert lines["rejected by selection"] == "4 x near-duplicate of a selected row"


LONG_TEXT = "The town lies on a river. " * 60
OPPOSITES = [
    ("Convert 5 miles to kilometers.", "Convert 5 kilometers to miles."),
    ("Is it safe to run with a cold?", "Is it not safe to run with a cold?"),
    ("Give arguments for zoos.", "Give arguments against zoos."),
    ("Write SQL to select all old users.", "Write SQL to delete all old users."),
    (f"{LONG_TEXT}\nWho lives there?", f"{LONG_TEXT}\nTranslate it into German."),
]


def test_other_tasks_are_taken_however_near_they_are(tmp_path: Path) -> None:
    """Issue 13's attack: one of each pair was left out; the last ones differ only at their end."""
    rows = [
        {"instruction": question, "output": "This is what there is to say about it."}
        for pair in OPPOSITES
        for question in pair
    ]
    rows += [
        {"instruction": f"Tell me about {theme}.", "output": "It is good."}
        for theme in THEMES
    ]
    done = tacos.select(rows, 10, run=tmp_path / "run", **MODELS)
    assert done.artifacts["selection"].rejects().is_empty()


def test_explain_names_the_selected_row_and_how_near_it_is(
    areas: tacos.Selection,
) -> None:
    chosen = set(areas.table["id"])
    (taken,) = chosen & {f"data:{number}" for number in range(5)}
    left = next(
        f"data:{number}" for number in range(5) if f"data:{number}" not in chosen
    )
    verdict = areas.explain(left)["verdict"]
    assert verdict.startswith(f"dropped: it is a near-duplicate of {taken} (cosine 0.")
    assert verdict.endswith("), which is selected")


def test_the_limit_can_be_turned_off(areas: tacos.Selection, tmp_path: Path) -> None:
    assert tacos.reselect(areas, 6, limit=1.0).table["instruction"].str.contains(
        "triangle"
    ).sum() == len(AREAS)
    strategies = tacos.reselect(areas, 6, "longest").table
    assert strategies["instruction"].str.contains("triangle").sum() == len(AREAS)
