"""Open tags: which turns are asked, what counts as an answer, how the turns of a conversation are
joined.
"""

import polars as pl
import pytest

from tacos.config import TagSettings
from tacos.methods.tags import open_tags
from tacos.records import TAGS, Reject, Reply

TURNS = [
    {"role": "system", "text": "Be brief."},
    {"role": "user", "text": "Write a poem."},
    {"role": "assistant", "text": "Roses."},
    {"role": "user", "text": "Now in French."},
    {"role": "assistant", "text": "Des roses."},
]


def samples(given: list[str] | None) -> pl.DataFrame:
    columns = {"id": ["a"], "turns": [TURNS], "given_tags": [given]}
    return pl.DataFrame(columns, schema_overrides={"given_tags": pl.List(pl.String)})


def test_every_user_turn_is_a_question() -> None:
    asked = open_tags.build_turn_questions(samples(None))
    assert asked.select("id", "turn", "instruction").rows() == [
        ("a", 1, "Write a poem."),
        ("a", 3, "Now in French."),
    ]


def test_tags_of_the_input_are_not_asked_for() -> None:
    (row,) = open_tags.build_turn_questions(
        samples(["Poetry", "Poetry", "French"])
    ).iter_rows(named=True)
    found = open_tags.reuse_known_tags(row)
    assert found is not None
    assert found["tags"] == ["Poetry", "French"]


def test_an_answer_is_read_and_a_failure_is_a_reject() -> None:
    row = {"id": "a", "turn": 1}
    answer = '{"tags": [{"tag": " Poetry ", "explanation": "a poem"}, {"tag": "", "explanation": ""}]}'
    found = open_tags.parse_tag_reply(row, Reply(answer, key="k"))
    assert isinstance(found, dict)
    assert (found["tags"], found["explanations"], found["reply"]) == (
        ["Poetry"],
        ["a poem"],
        "k",
    )
    assert open_tags.parse_tag_reply(
        row, Reply(None, raw="no", failure="refusal")
    ) == Reject("a", "tag", "refusal", "no")


def test_a_long_instruction_is_cut_visibly() -> None:
    request = open_tags.build_tag_request(
        {"instruction": "x" * 99}, "tag", "hash", TagSettings(max_chars=30)
    )
    assert "characters left out" in request.fields["instruction"]


@pytest.fixture
def tags() -> pl.DataFrame:
    rows = [
        ("a", 1, ["Poetry"]),
        ("a", 3, ["French", "Poetry"]),
        ("b", 0, []),
        ("c", 0, ["Code"]),
    ]
    table = pl.DataFrame(rows, ["id", "turn", "tags"], orient="row")
    return table.with_columns(
        explanations=pl.col("tags"),
        confidences=pl.lit(None),
        reply=pl.lit(""),
        model=pl.lit(""),
    ).cast(TAGS)


def test_the_tags_of_all_turns_are_joined_each_once(tags: pl.DataFrame) -> None:
    assert open_tags.join_turn_tags(tags).rows()[0] == ("a", ["Poetry", "French"])


def test_a_sample_without_tags_stays_without_tags_and_is_not_lost(
    tags: pl.DataFrame,
) -> None:
    assert open_tags.join_turn_tags(tags).rows()[1:] == [("b", []), ("c", ["Code"])]
