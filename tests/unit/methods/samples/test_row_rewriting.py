"""Rewritten texts go back into a row in its own shape; everything else stays."""

import json
from typing import Any

import pytest

from tacos.config import IngestSettings
from tacos.methods.samples import sample_parsing
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.row_rewriting import extract_parts, rewrite_row
from tacos.records import Sample

ALPACA = {"no": 1, "instruction": "Add.", "input": "1 and 2", "output": "3"}
PLAIN = {"question": "1 + 2?", "answer": "3", "by": "me"}
NO_INPUT = {"instruction": "Say hi.", "input": "<noinput>", "output": "Hi"}
SHAREGPT = {
    "id": "z",
    "conversations": [
        {"from": "system", "value": "Be kind."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Yo"},
        {"from": "human", "value": "How are you?", "w": 1},
        {"from": "gpt", "value": "Fine", "w": 0},
        {"from": "human", "value": "Bye"},
    ],
}
OPENAI = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Yo"},
    ]
}
AS_TEXT = {"messages": json.dumps(OPENAI["messages"])}
TALK = {"data": ["Hi", "Yo", "Bye", "So long"]}
SELF = {
    "instruction": "Add.",
    "instances": [{"input": "1, 2", "output": "3"}, {"input": "2, 2", "output": "4"}],
}
TRL = {
    "prompt": [{"role": "user", "content": "Hi"}],
    "completion": [{"role": "assistant", "content": "Yo"}],
}
CHOSEN = {
    "prompt": "Hi",
    "chosen": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yo"},
    ],
    "rejected": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ugh"},
    ],
}
HISTORY = {
    "instruction": "And 3?",
    "history": [["1 + 1?", "2"]],
    "output": "4",
    "system": "Count.",
}
ROWS = [
    ALPACA,
    PLAIN,
    NO_INPUT,
    SHAREGPT,
    OPENAI,
    AS_TEXT,
    TALK,
    SELF,
    TRL,
    CHOSEN,
    HISTORY,
]
NAMES = [
    "alpaca",
    "columns",
    "noinput",
    "sharegpt",
    "openai",
    "json",
    "texts",
    "self-instruct",
    "trl",
    "chosen",
    "past",
]


def read(row: dict[str, Any]) -> Sample:
    found = sample_parsing.parse_sample(row, "x:0", IngestSettings())
    assert isinstance(found, Sample), found
    return found


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_read_again_the_new_texts_stand_where_the_old_ones_stood(
    row: dict[str, Any],
) -> None:
    raw = json.dumps(row)
    parts = extract_parts(raw, IngestSettings())
    new = read(rewrite_row(raw, IngestSettings(), "NEW QUESTION", "NEW ANSWER"))
    old = read(row)
    assert new.turns[-1].text == "NEW ANSWER"
    asked = max(number for number, turn in enumerate(old.turns) if turn.role == "user")
    assert new.turns[asked].text == old.turns[asked].text.replace(
        parts.instruction, "NEW QUESTION"
    )
    others = set(range(len(old.turns) - 1)) - {asked}
    assert all(new.turns[number] == old.turns[number] for number in others)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_same_texts_give_the_same_sample(row: dict[str, Any]) -> None:
    raw = json.dumps(row)
    parts = extract_parts(raw, IngestSettings())
    assert (
        read(
            rewrite_row(raw, IngestSettings(), parts.instruction, parts.response)
        ).content_hash
        == read(row).content_hash
    )


def test_an_alpaca_row_keeps_its_input_and_its_other_fields() -> None:
    new = rewrite_row(json.dumps(ALPACA), IngestSettings(), "Sum up.", "It is 3.")
    assert new == {
        "no": 1,
        "instruction": "Sum up.",
        "input": "1 and 2",
        "output": "It is 3.",
    }


def test_a_conversation_keeps_its_earlier_and_later_turns_and_the_fields_of_its_messages() -> (
    None
):
    new = rewrite_row(json.dumps(SHAREGPT), IngestSettings(), "And you?", "Well.")[
        "conversations"
    ]
    assert new[3:5] == [
        {"from": "human", "value": "And you?", "w": 1},
        {"from": "gpt", "value": "Well.", "w": 0},
    ]
    assert [new[0], new[1], new[2], new[5]] == [
        SHAREGPT["conversations"][n] for n in (0, 1, 2, 5)
    ]


def test_context_is_what_is_not_rewritten() -> None:
    contexts = [
        extract_parts(json.dumps(row), IngestSettings()).context
        for row in (ALPACA, NO_INPUT, SHAREGPT, SELF, HISTORY)
    ]
    assert contexts[:2] == ["1 and 2", ""]
    assert contexts[2] == "System: Be kind.\n\nUser: Hi\n\nAssistant: Yo"
    assert contexts[3:] == ["1, 2", "System: Count.\n\nUser: 1 + 1?\n\nAssistant: 2"]


def test_a_number_that_is_too_large_for_64_bits_survives() -> None:
    raw = json.dumps({**ALPACA, "big": 2**80})
    assert (
        sample_parsing.row_to_json(rewrite_row(raw, IngestSettings(), "a", "b")).count(
            str(2**80)
        )
        == 1
    )


def test_what_has_no_text_of_its_own_cannot_be_rewritten() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "add"}]}
    with pytest.raises(UnusableRow, match="tool call"):
        rewrite_row(
            json.dumps({"messages": [{"role": "user", "content": "Add"}, call]}),
            IngestSettings(),
            "a",
            "b",
        )
    with pytest.raises(UnusableRow, match="instruction is empty"):
        extract_parts(
            json.dumps({"instruction": "-", "input": "1 + 1", "output": "2"}),
            IngestSettings(),
        )
