"""What counts as an answer, and what never does."""

import orjson
import pytest

from tacos.llm.chat.reply_parsing import UnusableReplyError, parse_reply_json
from tacos.methods.judging import comparisons
from tacos.methods.tags import open_tags

TAGS = {
    "tags": [
        {"tag": "code", "explanation": "asks for code"},
        {"tag": "math", "explanation": "numbers"},
    ]
}
CODE = '{"tag": "code", "explanation": "asks for code"}'
MATH = '{"tag": "math", "explanation": "numbers"}'
VERDICT = {"analysis": "A is better.", "score_a": 80, "score_b": 35}


def read(text: str, schema: dict = open_tags.SCHEMA) -> object:
    return orjson.loads(parse_reply_json(text, schema))


@pytest.mark.parametrize(
    "wrapped",
    [
        "{0}",
        " \n{0}\n ",
        "```json\n{0}\n```",
        "Here you are:\n```\n{0}\n```\nAnything else?",
        "Certainly! {0} I hope that helps {{you}}.",
        "<think>maybe {{'tags': []}}? no.</think>{0}",
        "so I think...</think>\n{0}",
        "{0}\n{0}",
        "{0}{0}",
        "{0}\n<think>was that right?",
    ],
)
def test_json_is_found_in_whatever_stands_around_it(wrapped: str) -> None:
    assert read(wrapped.format(orjson.dumps(TAGS).decode())) == TAGS


@pytest.mark.parametrize(
    "text",
    [
        str(TAGS),  # Python's quotes
        "{'tags': [{'tag': 'code', 'explanation': \"asks for code\"}, "
        "{'tag': 'math', 'explanation': 'numbers',},],}",
        f"{{tags: [{CODE}, /* */ {MATH}]}}",
        f"[{CODE}, {MATH}]",  # a bare list
        f'{{"tags": [{CODE}, {MATH}, {{"ta',
        f'{{"tags": [{CODE}, {MATH}',
    ],
)
def test_lenient_json_is_read(text: str) -> None:
    assert read(text) == TAGS


def test_apostrophes_in_single_quotes_are_kept() -> None:
    assert read(
        "{'tags': [{'tag': 'it''s', 'explanation': 'don\\'t, can't'}]}".replace(
            "it''s", "its"
        )
    ) == {"tags": [{"tag": "its", "explanation": "don't, can't"}]}


def test_scores_in_quotes_are_numbers() -> None:
    assert read(
        '{"analysis": "x", "score_a": "80", "score_b": "35.5"}',
        comparisons.ONE_SCORE_SCHEMA,
    ) == {
        "analysis": "x",
        "score_a": 80,
        "score_b": 35.5,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would give both a 7.",
        '{"analysis": "x", "score_a": 80}',
        '{"analysis": "x", "score_a": 80, "score_b": 0}',
        '{"analysis": "x", "score_a": 80, "score_b": 1000}',
        '{"analysis": "x", "score_a": 80, "score_b": null}',
        '{"analysis": "x", "score_a": 80, "score_b": NaN}',
        '{"analysis": "x", "score_a": 80, "score_b": true}',
        '{"analysis": "x", "score_a": 80, "score_b": "about 50"}',
        '{"analysis": "x", "score_a": 80, "score_b": 3',  # 3, or 35?
        '<think>{"analysis": "x", "score_a": 80, "score_b": 35}',
        '{"analysis": "x", "score_a": 80, "score_b": 35} '
        '{"analysis": "x", "score_a": 10, "score_b": 35}',
    ],
)
def test_a_score_is_never_guessed(text: str) -> None:
    with pytest.raises(UnusableReplyError):
        parse_reply_json(text, comparisons.ONE_SCORE_SCHEMA)


def test_tags_that_were_all_cut_off_are_not_an_empty_list() -> None:
    with pytest.raises(UnusableReplyError):
        parse_reply_json('{"tags": [{"tag": "co', open_tags.SCHEMA)
    assert read('{"tags": []}') == {"tags": []}


def test_the_complaint_says_what_is_wrong() -> None:
    with pytest.raises(
        UnusableReplyError, match=r"score_b.* must be smaller than or equal to 100"
    ):
        parse_reply_json(
            '{"analysis": "x", "score_a": 80, "score_b": 1000}',
            comparisons.ONE_SCORE_SCHEMA,
        )
    one = orjson.dumps(VERDICT).decode()
    other = orjson.dumps(VERDICT | {"score_a": 1}).decode()
    with pytest.raises(UnusableReplyError, match="several different answers"):
        parse_reply_json(f"{one} or {other}", comparisons.ONE_SCORE_SCHEMA)


RATING = {
    "type": "string",
    "pattern": r"\[\[\d+\]\]",
    "description": "no rating such as [[5]] in it",
}


def test_a_plain_text_is_the_answer_as_it_stands() -> None:
    """Also where it looks like JSON, but without the think blocks."""
    for text in ("Rating: [[7]]", '{"score": "[[7]]"}', "```\n[[7]]\n```"):
        assert read(text, RATING) == text
    assert read("<think>[[2]]?</think>\n[[7]]", RATING) == "\n[[7]]"
    assert read("", {"type": "string"}) == ""


def test_a_plain_text_of_another_form_is_none() -> None:
    with pytest.raises(UnusableReplyError, match="no rating such as"):
        parse_reply_json("7 of 10", RATING)
    with pytest.raises(UnusableReplyError, match="no rating such as"):
        parse_reply_json("<think>[[2]]</think>Good.", RATING)
    with pytest.raises(UnusableReplyError, match="it is empty"):
        parse_reply_json(" \n", RATING)
