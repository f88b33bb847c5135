"""Which instructions a cascade asks the language model about."""

import polars as pl

from tacos.methods.tags import tagger_cascade


def questions(*texts: str) -> pl.DataFrame:
    rows = [(f"data:{number}", 0, text) for number, text in enumerate(texts)]
    return pl.DataFrame(
        rows,
        {"id": pl.String, "turn": pl.UInt16, "instruction": pl.String},
        orient="row",
    )


TEXTS = [f"Tell me about {word}." for word in "abcdefghij"]


def test_the_sample_is_the_same_however_the_rows_are_ordered_and_cut_into_batches() -> (
    None
):
    one = tagger_cascade.draw_tagging_questions([questions(*TEXTS)], 4, seed=1)
    other = tagger_cascade.draw_tagging_questions(
        [questions(*TEXTS[5:]), questions(*TEXTS[4::-1])], 4, seed=1
    )
    assert one["instruction"].to_list() == other["instruction"].to_list()
    assert (
        one["instruction"].to_list()
        != tagger_cascade.draw_tagging_questions([questions(*TEXTS)], 4, seed=2)[
            "instruction"
        ].to_list()
    )


def test_a_sample_larger_than_the_data_is_all_of_it() -> None:
    assert tagger_cascade.draw_tagging_questions(
        [questions(*TEXTS)], 99, seed=1
    ).height == len(TEXTS)


def test_the_least_sure_rows_come_first_those_without_a_tag_before_all() -> None:
    confidences = [[0.9, 0.8], [0.3, 0.2, 0.9], [], [0.1]]
    guesses = questions(*"wxyz").with_columns(
        pl.Series("confidences", confidences, dtype=pl.List(pl.Float32)),
        tagger_cascade.hash_instructions(list("wxyz"), 1),
    )
    found = tagger_cascade.pick_least_confident(
        guesses.with_columns(tagger_cascade.mean_confidence()).lazy(), 3
    )
    assert found["id"].to_list() == ["data:2", "data:3", "data:1"]


def test_among_equals_chance_decides_not_the_order_of_the_input() -> None:
    none = questions(*TEXTS).with_columns(
        pl.lit(0.0).alias("sureness"), tagger_cascade.hash_instructions(TEXTS, 1)
    )
    found = tagger_cascade.pick_least_confident(none.lazy(), 4)["id"].to_list()
    assert (
        found
        == tagger_cascade.draw_tagging_questions([questions(*TEXTS)], 4, seed=1)[
            "id"
        ].to_list()
    )
