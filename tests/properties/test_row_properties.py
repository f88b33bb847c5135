"""Whatever JSON stands in the columns and fields that are known, a row becomes a sample or a reject:
no row may end a run.
"""

import json
from collections import Counter
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tacos.config import IngestSettings
from tacos.methods.chats.chat import read_chat
from tacos.methods.judging.refinement import extract_parts, rewrite_row
from tacos.methods.samples import (
    answers,
    column_names,
    message_fields,
    ratings,
    training_marks,
)
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.sample_parsing import parse_sample, samples_to_frame
from tacos.records import Reject, Sample

NAMES = {
    name
    for names in vars(column_names).values()
    if isinstance(names, tuple)
    for entry in names
    for name in ([entry] if isinstance(entry, str) else entry)
}
COLUMNS = sorted(
    {
        *NAMES,
        training_marks.LABEL,
        *training_marks.KTO_LABELS,
        *ratings.SCORES,
        "scores",
        "A",
        "B",
    }
)
FIELDS = sorted(
    {
        *message_fields.SPEAKERS,
        *message_fields.CONTENTS,
        *answers.ANSWER_TEXTS,
        *ratings.RANKS,
        *ratings.SCORES,
        *training_marks.WEIGHTS,
        *training_marks.MASKS,
        *[key for keys in message_fields.SIDES.values() for key in keys],
        *[
            "replies",
            "deleted",
            "review_result",
            "type",
            "name",
            "parameters",
            "observation",
        ],
        *[
            "tool_calls",
            "function_call",
            "messages",
            "turn_1",
            "label",
            "loss",
            "parts",
        ],
    }
)
TEXTS = [
    *["", " ", "user", "assistant", "tool", "system", "nan", "-", "0", "1e999", "x" * 50],
    *['[{"role": "user", "content": "q"}]', '["a", "b"]', "[[1], {}]", "{'a': 1}", "["],
    *["\n\nHuman: q\n\nAssistant: a", "### Human: q ### Assistant: a", "text", "false"],
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 10**30, 10**400, 0.0, 2.5])
    | st.sampled_from(TEXTS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=10,
)
CELLS = VALUES | VALUES.map(json.dumps)
ANY_ROWS = st.dictionaries(st.sampled_from(COLUMNS), CELLS, min_size=1, max_size=5)
# A question beside them, so that more answers are read.
ASKED_ROWS = st.builds(
    lambda row, name: {name: "Why?", **row},
    ANY_ROWS,
    st.sampled_from(["prompt", "instruction", "question", "problem"]),
)
MESSAGES = st.lists(
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3)
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]), "content": VALUES},
        optional={"weight": SCALARS, "rank": SCALARS, "tool_calls": VALUES},
    ),
    max_size=4,
)
TALKS = st.builds(
    lambda row, name, talk: {**row, name: talk},
    ASKED_ROWS | ANY_ROWS,
    st.sampled_from(["messages", "chosen", "rejected", "prompt", "output", "history"]),
    MESSAGES | MESSAGES.map(json.dumps),
)
ROWS = ANY_ROWS | ASKED_ROWS | TALKS
READINGS = st.sampled_from(
    [
        {},
        {"preference": "rejected"},
        {"instruction": "prompt", "response": "chosen"},
        {"instruction": "messages"},
        {"response": "answers.0.text", "input": "choices"},
        {"format": "self-instruct"},
        {"format": "openai", "preference": "rejected"},
        {"tags": "label", "score": "score"},
    ]
)


@settings(max_examples=500)
@given(ROWS, READINGS)
@example(
    {
        "prompt": "q",
        "output": [{"answer": "a", "rank": None}, {"answer": "b", "rank": 1}],
    },
    {},
)
@example(
    {
        "prompt": "q",
        "output": [{"answer": "a", "rank": "1"}, {"answer": "b", "rank": 1}],
    },
    {},
)
@example({"prompt": "q", "output": "a", "score": 10**400}, {"score": "score"})
def test_any_row_is_a_sample_or_a_reject(row: dict[str, Any], reading: dict) -> None:
    chosen = IngestSettings(**reading)
    taken: Counter[str] = Counter()
    made = parse_sample(row, "x:0", chosen, taken)
    if isinstance(made, Reject):
        assert made.reason.strip()
        assert "\n" not in made.reason
        assert not taken
        return
    assert isinstance(made, Sample)
    assert made.turns[-1].role == "assistant"
    assert taken
    samples_to_frame([made])


@settings(max_examples=300)
@given(ROWS, READINGS)
def test_any_row_is_exported_and_rewritten_or_refused(
    row: dict[str, Any], reading: dict
) -> None:
    chosen = IngestSettings(**reading)
    if not isinstance(parse_sample(row, "x:0", chosen), Sample):
        return
    raw = json.dumps(row)
    try:
        read_chat(row, "x:0", chosen)
        extract_parts(raw, chosen)
        rewrite_row(raw, chosen, "New?", "New.")
    except UnusableRow:
        return
