"""One raw row -> a sample or a reject, by the row alone."""

from collections import Counter
from datetime import date
from pathlib import Path

import orjson
import pytest

from tacos.config import IngestSettings
from tacos.errors import InputError
from tacos.formats.reading import read_rows
from tacos.formats.rows import RowBatch
from tacos.methods.samples.sample_parsing import (
    parse_sample,
    parse_sample_batch,
    samples_to_frame,
)
from tacos.records import SAMPLES, Reject, Sample, Turn

AUTO = IngestSettings()


def talk(row: dict, settings: IngestSettings = AUTO) -> list[tuple[str, str]]:
    """(role, text) of each turn of a row that can be used."""
    sample = parse_sample(row, "x:0", settings)
    assert isinstance(sample, Sample), sample
    return [tuple(turn) for turn in sample.turns]


def refusal(row: dict, settings: IngestSettings = AUTO) -> tuple[str, bool]:
    """(reason, failure) of a row that cannot."""
    reject = parse_sample(row, "x:0", settings)
    assert isinstance(reject, Reject)
    return reject.reason, reject.failure


def batch(
    *rows: dict, first_row: int = 0, rejects: tuple[Reject, ...] = ()
) -> RowBatch:
    return RowBatch("x", first_row, list(enumerate(rows, first_row)), list(rejects))


QA = [("user", "q"), ("assistant", "a")]
MESSAGES = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "response": "a"},
        {
            "instruction": "q",
            "input": None,
            "output": "a",
            "history": [],
            "system": None,
        },
        {"prompt": "q", "completion": "a"},
        {"prompt": "q", "response": "a", "source": "somewhere"},
        {"question": "q", "answer": "a", "id": 7},
        {"query": "q", "response": "a"},
        {"input": "q", "output": "a"},
        {"user": "q", "assistant": "a"},
        {"source": "q", "target": "a"},
        {"instruction": "q", "context": "", "response": "a", "category": "open_qa"},
        {
            "instruction": "q",
            "instances": [{"input": "", "output": "a"}, {"input": "x", "output": "y"}],
        },
        {
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": "a"},
            ]
        },
        {"messages": MESSAGES},
        {"messages": orjson.dumps(MESSAGES).decode()},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "q"}]},
                MESSAGES[1],
            ]
        },
        {"conversation": MESSAGES, "model": "m"},
        {"data": ["q", "a"], "id": "0"},
        {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]},
        {"prompt": "q", "chosen": MESSAGES, "rejected": MESSAGES},
        {"prompt": "q", "chosen": MESSAGES[1:]},
        {"conversations": [], "instruction": "q", "output": "a"},
    ],
    ids=lambda row: "+".join(row),
)
def test_the_usual_shapes_are_told_by_their_columns(row: dict) -> None:
    assert talk(row) == QA


def test_input_follows_the_instruction_after_a_blank_line() -> None:
    assert talk({"instruction": "Add.", "input": "1, 2", "output": "3"})[0] == (
        "user",
        "Add.\n\n1, 2",
    )
    assert talk({"question": "Who?", "context": "Ann did.", "answer": "Ann"})[0] == (
        "user",
        "Who?\n\nAnn did.",
    )
    assert talk({"instruction": "", "input": "only this", "output": "a"})[0] == (
        "user",
        "only this",
    )


@pytest.mark.parametrize(
    "marker",
    [
        "<noinput>",
        "No input.",
        "N/A",
        '"<no input>"',
        "&lt;无输入&gt;",
        " \n",
        "no input required",
    ],
)
def test_an_input_that_says_there_is_none_is_none(marker: str) -> None:
    assert talk({"instruction": "q", "input": marker, "output": "a"}) == QA


def test_an_input_that_merely_speaks_of_inputs_stays() -> None:
    assert talk({"instruction": "q", "input": "no input device found", "output": "a"})[
        0
    ][1].endswith("device found")


def test_history_and_system_turns_come_first() -> None:
    row = {
        "system": "Be brief.",
        "history": [["q1", "a1"], ["q2", "a2"]],
        "instruction": "q",
        "input": "",
        "output": "a",
    }
    past = [
        ("system", "Be brief."),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
    ]
    assert talk(row) == past + QA
    assert talk({**row, "history": orjson.dumps(row["history"]).decode()}) == past + QA
    assert talk({**row, "history": "", "system": ""}) == QA


def test_a_conversation_is_cut_back_to_its_last_answer() -> None:
    trailing = [
        *MESSAGES,
        {"role": "user", "content": "thanks"},
        {"role": "system", "content": "end"},
    ]
    assert talk({"messages": trailing}) == QA


def test_a_tools_output_is_a_system_turn_and_a_call_an_answer() -> None:
    row = {
        "messages": [
            {"role": "developer", "content": "Use tools."},
            MESSAGES[0],
            {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]},
            {"role": "tool", "content": "42"},
            MESSAGES[1],
        ]
    }
    assert talk(row) == [
        ("system", "Use tools."),
        ("user", "q"),
        ("assistant", '[{"name":"f"}]'),
        ("system", "Tool: 42"),
        ("assistant", "a"),
    ]


def test_empty_turns_in_the_middle_are_left_out() -> None:
    assert talk({"data": ["q0", " ", "q", "a"]}) == [("user", "q0"), *QA]


@pytest.mark.parametrize(
    "row, reason",
    [
        ({"instruction": "q", "output": " \n"}, "empty response"),
        ({"instruction": "q", "output": None}, "empty response"),
        ({"instruction": "", "input": "<noinput>", "output": "a"}, "empty instruction"),
        ({"instruction": "q", "instances": []}, "no answer of an assistant"),
        ({"messages": MESSAGES[:1]}, "no answer of an assistant"),
        ({"messages": MESSAGES[1:]}, "empty instruction"),
        ({"messages": []}, "empty conversation"),
        (
            {
                "messages": [
                    *MESSAGES,
                    MESSAGES[0],
                    {"role": "assistant", "content": ""},
                ]
            },
            "empty response",
        ),
        ({}, "empty object"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": "u"}],
                    },
                    MESSAGES[1],
                ]
            },
            "content has a part that is not text: image_url",
        ),
    ],
)
def test_rows_without_something_to_learn_are_counted_but_no_failures(
    row: dict, reason: str
) -> None:
    assert refusal(row) == (reason, False)


@pytest.mark.parametrize(
    "row, reason",
    [
        ({"foo": 1, "bar": 2}, "no instruction and response in the columns foo, bar"),
        (
            {"instruction": "q", "output": {"text": "a"}},
            "output is an object, not text",
        ),
        (
            {"instruction": True, "output": "a"},
            "instruction is true or false, not text",
        ),
        (
            {"instruction": "q", "output": [1]},
            "output has a part that is a number, not text",
        ),
        (
            {"instruction": "q", "instances": "none"},
            "instances is not JSON",
        ),
        (
            {"instruction": "q", "instances": 5},
            "instances is not a list of objects",
        ),
        (
            {"instruction": "q", "output": "a", "history": [["q1"]]},
            "history is not a list of pairs",
        ),
        ({"instruction": "q", "output": "a", "history": 5}, "history is not a list"),
        ({"messages": 5}, "the conversation is not a list"),
        ({"messages": "[{not json"}, "the conversation is not JSON"),
        ({"messages": [*MESSAGES, 5]}, "a message is a number, not an object"),
        ({"messages": [*MESSAGES, None]}, "a message is null, not an object"),
        (
            {"messages": [{"role": "narrator", "content": "q"}]},
            "unknown role 'narrator': say who it is, e.g. "
            """--set 'ingest.roles={"narrator" = "user"}'""",
        ),
        (
            {"messages": [*MESSAGES, {"content": "q"}]},
            "a message has no role; its keys are: content",
        ),
    ],
)
def test_rows_of_the_wrong_type_are_failures(row: dict, reason: str) -> None:
    assert refusal(row) == (reason, True)


def test_numbers_are_texts() -> None:
    assert talk({"question": "1 + 1?", "answer": 2}) == [
        ("user", "1 + 1?"),
        ("assistant", "2"),
    ]


def test_a_row_without_a_named_column_says_which() -> None:
    named = IngestSettings(instruction="data.q", response="a")
    without_question = {"data": {}, "prompt": "q", "a": "a"}
    assert refusal(without_question, named) == (
        "no field 'data.q', from which the instruction is read",
        True,
    )
    without_answer = {"data": {"q": "q"}, "output": "a"}
    assert refusal(without_answer, named) == (
        "no field 'a', from which the response is read",
        True,
    )


def test_columns_can_be_named() -> None:
    row = {"instruction": "wrong", "src": "q", "ctx": "c", "pos": "a", "neg": "b"}
    named = IngestSettings(instruction="src", input="ctx", response="pos")
    assert talk(row, named) == [("user", "q\n\nc"), ("assistant", "a")]
    assert talk(row, IngestSettings(response="neg")) == [
        ("user", "wrong"),
        ("assistant", "b"),
    ]
    assert talk({"thread": MESSAGES}, IngestSettings(instruction="thread")) == QA
    assert (
        talk(
            {"thread": MESSAGES}, IngestSettings(format="openai", instruction="thread")
        )
        == QA
    )


def test_a_format_can_be_forced() -> None:
    row = {"messages": MESSAGES, "instruction": "q", "output": "other"}
    assert talk(row) == QA
    assert talk(row, IngestSettings(format="alpaca")) == [
        ("user", "q"),
        ("assistant", "other"),
    ]
    assert refusal(
        {"instruction": "q", "output": "a"}, IngestSettings(format="openai")
    )[1]


def test_tags_and_scores_are_taken_from_named_columns() -> None:
    settings = IngestSettings(tags="t", score="s")
    sample = parse_sample(
        {"prompt": "q", "response": "a", "t": ["b", "a", "b", " "], "s": "4.5"},
        "x:0",
        settings,
    )
    assert (sample.tags, sample.score) == (("b", "a"), 4.5)
    sample = parse_sample(
        {"prompt": "q", "response": "a", "t": None, "s": "good"}, "x:0", settings
    )
    assert (sample.tags, sample.score) == (None, None)
    sample = parse_sample(
        {"prompt": "q", "response": "a", "t": [], "s": True}, "x:0", settings
    )
    assert (sample.tags, sample.score) == ((), None)


def test_the_content_hash_sees_turns_alone() -> None:
    one = parse_sample({"instruction": "q", "input": "", "output": "a"}, "x:0", AUTO)
    same = parse_sample({"messages": MESSAGES, "id": 5}, "y:9", AUTO)
    blanks = parse_sample({"instruction": " q", "output": "a\n"}, "x:1", AUTO)
    other = parse_sample({"instruction": "q", "output": "A"}, "x:2", AUTO)
    joined = parse_sample({"instruction": "qa", "output": ""}, "x:2", AUTO)
    assert (
        one.content_hash
        == same.content_hash
        == blanks.content_hash
        != other.content_hash
    )
    assert len(one.content_hash) == 32
    assert isinstance(joined, Reject)


def test_raw_is_the_row_with_its_fields_in_order_and_letters_readable() -> None:
    row = {
        "output": "ñ",
        "instruction": "q",
        "n": 12345678901234567890123,
        "day": date(2026, 1, 2),
        "blob": b"\x00",
    }
    raw = parse_sample(row, "x:0", AUTO).raw
    assert raw.startswith('{"output":"ñ","instruction":"q","n":12345678901234567890123')
    small = {key: row[key] for key in ("output", "instruction", "day", "blob")}
    assert orjson.loads(parse_sample(small, "x:0", AUTO).raw) == {
        **small,
        "day": "2026-01-02",
        "blob": "AA==",
    }


def test_text_that_is_no_unicode_is_a_reject() -> None:
    assert refusal({"instruction": "\ud800", "output": "a"}) == (
        "cannot be stored as JSON: UnicodeEncodeError",
        True,
    )


def test_a_batch_keeps_the_order_of_rows_and_the_rejects_of_reading() -> None:
    broken = Reject("x:1", "ingest", "line 2: malformed JSON")
    rows = RowBatch(
        "x",
        0,
        [(0, {"q": 1}), (2, {"prompt": "q", "response": "a"}), (10, {"q": 2})],
        [broken],
    )
    samples, rejects = parse_sample_batch(rows, AUTO)
    assert [sample.id for sample in samples] == ["x:2"]
    assert [reject.id for reject in rejects] == ["x:0", "x:1", "x:10"]


def test_rows_of_several_shapes_may_be_mixed() -> None:
    samples, rejects = parse_sample_batch(
        batch({"messages": MESSAGES}, {"prompt": "q", "response": "a"}), AUTO
    )
    assert len(samples) == 2
    assert not rejects


def test_a_file_without_known_columns_is_an_error_that_says_how_to_name_them() -> None:
    with pytest.raises(
        InputError,
        match=r"x: no instruction and response found in the columns: foo, bar; name them with --set",
    ):
        parse_sample_batch(batch({"foo": 1}, {"bar": 2}), AUTO)
    with pytest.raises(
        InputError, match="no row has the column 'src'; the columns are: foo"
    ):
        parse_sample_batch(batch({"foo": 1}), IngestSettings(instruction="src"))
    with pytest.raises(InputError, match="no row has the column 't'"):
        parse_sample_batch(
            batch({"prompt": "q", "response": "a"}), IngestSettings(tags="t")
        )
    with pytest.raises(InputError, match="wrapped in an object, in its field 'data'"):
        parse_sample_batch(
            batch({"version": 1, "data": [{"prompt": "q", "response": "a"}]}), AUTO
        )
    _, rejects = parse_sample_batch(
        batch({"foo": 1}, first_row=10), AUTO
    )  # a later batch: the file was fine so far
    assert len(rejects) == 1


def test_the_table_has_the_schema_of_samples() -> None:
    rows = ({"instruction": "q", "output": "añ"}, {"data": ["q1", "a1", "q2", "a2"]})
    samples, _ = parse_sample_batch(batch(*rows), IngestSettings())
    table = samples_to_frame(
        [
            *samples,
            parse_sample(
                {"prompt": "q", "response": "a", "t": "x, y", "s": 3},
                "y:7",
                IngestSettings(tags="t", score="s"),
            ),
        ]
    )
    assert table.schema == SAMPLES
    assert table["source"].to_list() == ["x", "x", "y"]
    assert table["instruction"].to_list() == [
        "q",
        "User: q1\n\nAssistant: a1\n\nUser: q2",
        "q",
    ]
    assert table["response"].to_list() == ["añ", "a2", "a"]
    assert table["length"].to_list() == [2, 2, 1]
    assert table["given_tags"].to_list() == [None, None, ["x", "y"]]
    assert table["given_score"].to_list() == [None, None, 3.0]
    assert table["turns"].to_list()[0] == [
        {"role": "user", "text": "q"},
        {"role": "assistant", "text": "añ"},
    ]
    assert samples_to_frame([]).schema == SAMPLES


def test_a_system_turn_is_part_of_what_is_judged() -> None:
    sample = Sample(
        "x:0",
        "",
        (Turn("system", "s"), Turn("user", "q"), Turn("assistant", "a")),
        "{}",
    )
    assert samples_to_frame([sample])["instruction"].to_list() == [
        "System: s\n\nUser: q"
    ]


CORPORA = {
    "alpaca_data.json.gz": (51_974, {"empty response": 28}),
    "alpaca_zh_10k.json.gz": (10_015, {"empty response": 6}),
    "code_alpaca_4535.json.gz": (4_535, {}),
    "dolly_3k.json.gz": (2_996, {}),
    "lima_1029.json.gz": (1_029, {}),
    "oasst_sft_zh_multiturn.json.gz": (766, {}),
    "self_instruct_user_252.jsonl.gz": (252, {}),
    "sharegpt_dummy_500.json.gz": (500, {}),
}


@pytest.mark.data
@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_is_understood(shared_data: Path, name: str) -> None:
    made = [
        parse_sample_batch(rows, AUTO)
        for rows in read_rows(shared_data / "corpora" / name)
    ]
    n_samples = sum(len(samples) for samples, _ in made)
    reasons = Counter(reject.reason for _, rejects in made for reject in rejects)
    assert (n_samples, dict(reasons)) == CORPORA[name]
