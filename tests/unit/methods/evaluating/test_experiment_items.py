"""The items of an experiment: which are drawn, what is alike, what is one question."""

from collections import Counter

from tacos.methods.evaluating.experiment_items import (
    ExperimentItem,
    describe_instrument,
    number_questions,
    sample_items,
)


def make_item(number: int, length: int, other: int | None = None) -> ExperimentItem:
    """An item whose answers have these lengths."""
    answers = ("x" * length,) if other is None else ("x" * length, "y" * other)
    messages = ({"role": "user", "content": f"Question {number}?"},)
    return ExperimentItem(f"file:{number}", "file", messages, answers)


def make_items() -> list[ExperimentItem]:
    """100 short, 10 medium and 50 long items."""
    lengths = [50] * 100 + [300] * 10 + [900] * 50
    return [make_item(number, length) for number, length in enumerate(lengths)]


def test_strata_begin_where_they_say() -> None:
    lengths = {199: "short", 200: "medium", 799: "medium", 800: "long"}
    for length, stratum in lengths.items():
        assert make_item(0, length).stratum == stratum


def test_items_are_drawn_evenly_and_a_short_stratum_gives_all_it_has() -> None:
    drawn = sample_items(make_items(), 60, seed=0)
    assert Counter(item.stratum for item in drawn) == {
        "short": 25,
        "medium": 10,
        "long": 25,
    }


def test_the_draw_depends_on_texts_and_seed_and_not_on_the_order() -> None:
    items = make_items()
    drawn = {item.key for item in sample_items(items, 30, seed=0)}
    backwards = {item.key for item in sample_items(items[::-1], 30, seed=0)}
    other = {item.key for item in sample_items(items, 30, seed=1)}
    assert drawn == backwards
    assert drawn != other


def test_an_item_that_comes_twice_counts_once() -> None:
    items = [make_item(1, 50), make_item(1, 50)]
    assert len(sample_items(items, None, seed=0)) == 1
    assert len(sample_items(items, 5, seed=0)) == 1


def test_no_more_items_than_there_are() -> None:
    assert len(sample_items(make_items(), 1000, seed=0)) == 160


def test_lengths_are_alike_up_to_a_quarter_more_whichever_is_longer() -> None:
    assert make_item(0, 100, 125).has_equal_lengths
    assert make_item(0, 125, 100).has_equal_lengths
    assert not make_item(0, 100, 126).has_equal_lengths


def test_an_instrument_names_its_items_by_their_texts_in_any_order() -> None:
    items = make_items()
    instrument = describe_instrument("answer-loss", items)
    assert instrument.strata == {"short": 100, "medium": 10, "long": 50}
    assert instrument.n_items == 160
    again = describe_instrument("answer-loss", items[::-1])
    assert again.items_hash == instrument.items_hash
    fewer = describe_instrument("answer-loss", items[1:])
    assert fewer.items_hash != instrument.items_hash


def test_items_about_one_question_are_one_cluster() -> None:
    items = [make_item(1, 50, 60), make_item(2, 50, 60), make_item(1, 70, 60)]
    assert number_questions(items).tolist() == [0, 1, 0]
