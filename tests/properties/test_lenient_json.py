"""The lenient reader agrees with JSON where there is JSON, and invents nothing where the end is
truncated.
"""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tacos.llm.chat import lenient_json
from tacos.llm.chat.reply_parsing import (
    UnusableReplyError,
    parse_reply_json,
    read_bracketed_values,
)
from tacos.methods.judging import comparisons

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), TREES) | st.lists(TREES))
def test_json_reads_as_itself(tree: object) -> None:
    text = orjson.dumps(tree).decode()
    assert lenient_json.read_json_at(text, 0) == (tree, len(text))


@given(st.lists(st.text(), min_size=1), st.data())
def test_a_cut_list_keeps_complete_items_only(
    items: list[str], data: st.DataObject
) -> None:
    text = orjson.dumps({"tags": items}).decode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    found, _ = lenient_json.read_json_at(cut, 0)
    kept = (found or {}).get("tags", [])
    assert kept == items[: len(kept)]


@given(st.integers(1, 100), st.integers(1, 100), st.text(), st.data())
def test_a_cut_verdict_is_the_verdict_or_none(
    a: int, b: int, analysis: str, data: st.DataObject
) -> None:
    verdict = {"analysis": analysis, "score_a": a, "score_b": b}
    text = orjson.dumps(verdict).decode()
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        assert (
            orjson.loads(parse_reply_json(cut, comparisons.ONE_SCORE_SCHEMA)) == verdict
        )
    except UnusableReplyError:
        assert len(cut) < len(text)


@given(st.text())
def test_any_text_is_read_without_a_crash(text: str) -> None:
    read_bracketed_values(text)


@given(st.text(alphabet="{[]}'\"\\:, \n/*a1"))
def test_any_brackets_are_read_without_a_crash(text: str) -> None:
    read_bracketed_values(text)
