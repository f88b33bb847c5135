"""Who says what in a row, and which cells say nothing.

Brothers of the cases of `../shared/cases` that an attack on the reading of rows found: each is read
right now, or refused with the reason.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tacos.config import IngestSettings
from tacos.errors import InputError
from tacos.formats.reading import read_rows
from tacos.methods.chats.chat import read_chat
from tacos.methods.samples.row_rewriting import rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample, parse_sample_batch
from tacos.records import Reject, Sample

AUTO = IngestSettings()
QUESTION = "How do bees find flowers?"
ANSWER = "By colour and scent."
USER = {"role": "user", "content": QUESTION}
ASSISTANT = {"role": "assistant", "content": ANSWER}
QA = [("user", QUESTION), ("assistant", ANSWER)]
SYSTEM = ("system", "Be brief.")


def read_turns(row: Any, settings: IngestSettings = AUTO) -> list[tuple[str, str]]:
    sample = parse_sample(row, "x:0", settings)
    assert isinstance(sample, Sample), sample.reason
    return [tuple(turn) for turn in sample.turns]


def get_reject(row: Any) -> Reject:
    reject = parse_sample(row, "x:0", AUTO)
    assert isinstance(reject, Reject), reject.turns
    return reject


# Pairs, and objects of lists


@pytest.mark.parametrize("column", ["messages", "conversations", "data", "dialogue"])
@pytest.mark.parametrize(
    "speakers",
    [("user", "assistant"), ("human", "gpt"), ("User:", "Claude-3"), ("用户", "助手")],
)
def test_pairs_of_speaker_and_text_are_messages(
    column: str, speakers: tuple[str, str]
) -> None:
    """Attack 1: "user" was the question and the question its answer."""
    user, assistant = speakers
    pairs = [["system", "Be brief."], [user, QUESTION], [assistant, ANSWER]]
    assert read_turns({column: pairs}) == [SYSTEM, *QA]
    assert read_turns({column: json.dumps(pairs)}) == [SYSTEM, *QA]
    assert read_turns({column: pairs[1:], "id": 7}) == QA


def test_pairs_of_a_speaker_that_a_setting_names_are_messages() -> None:
    roles = IngestSettings(roles={"pupil": "user", "teacher": "assistant"})
    row = {"messages": [["Pupil", QUESTION], ["Teacher", ANSWER]]}
    assert read_turns(row, roles) == QA
    # Without the setting they are a question and an answer, twice.
    assert read_turns(row)[0] == ("user", "Pupil")


def test_pairs_of_question_and_answer_stay_such() -> None:
    pairs = [["AI", "It means artificial intelligence."], [QUESTION, ANSWER]]
    assert read_turns({"conversations": pairs})[2:] == QA


def test_the_text_of_a_pair_may_be_missing_or_have_parts() -> None:
    parts = [{"type": "text", "text": QUESTION}]
    pairs = [["system", None], ["user", parts], ["assistant", ANSWER]]
    assert read_turns({"messages": pairs}) == QA
    reject = get_reject({"messages": [["user", QUESTION], ["assistant", None]]})
    assert (reject.reason, reject.failure) == ("empty response", False)


def test_pairs_in_a_prompt_and_on_a_line_of_their_own(tmp_path: Path) -> None:
    prompt = {"prompt": [["user", QUESTION]], "completion": [["assistant", ANSWER]]}
    assert read_turns(prompt) == QA
    path = tmp_path / "rows.jsonl"
    line = json.dumps([["user", QUESTION], ["assistant", ANSWER]])
    path.write_text(f"{line}\n{line}\n")
    (batch,) = read_rows(path)
    assert [read_turns(row) for _, row in batch.rows] == [QA, QA]


def test_refining_keeps_the_pairs() -> None:
    row = {"messages": [["user", QUESTION], ["assistant", ANSWER]]}
    rewritten = rewrite_row(json.dumps(row), AUTO, "Why?", "So.")
    assert rewritten == {"messages": [["user", "Why?"], ["assistant", "So."]]}
    row = {"messages": [[QUESTION, ANSWER]]}
    rewritten = rewrite_row(json.dumps(row), AUTO, "Why?", "So.")
    assert rewritten == {"messages": [["Why?", "So."]]}


@pytest.mark.parametrize(
    "conversation",
    [
        {"from": ["human", "gpt"], "value": [QUESTION, ANSWER]},
        {"role": ["user", "assistant"], "content": [QUESTION, ANSWER], "weight": [0, 1]},
        {"question": [QUESTION], "answer": [ANSWER]},
        {"human": [QUESTION], "assistant": [ANSWER]},
    ],
    ids=lambda conversation: "+".join(conversation),
)  # fmt: skip
@pytest.mark.parametrize("column", ["conversations", "messages", "conversation"])
def test_an_object_of_lists_is_a_list_of_messages(
    conversation: dict, column: str, tmp_path: Path
) -> None:
    """Attack 22: what `datasets` stores for a list of objects was an unknown role."""
    row = {column: conversation, "id": 7}
    assert read_turns(row) == QA
    path = tmp_path / "rows.parquet"
    pl.DataFrame([row]).write_parquet(path)
    (batch,) = read_rows(path)
    samples, _ = parse_sample_batch(batch, AUTO)
    assert [tuple(turn) for turn in samples[0].turns] == QA


@pytest.mark.parametrize(
    "before, last",
    [([USER], [ASSISTANT]), ([USER], [USER, ASSISTANT]), ([USER, ASSISTANT, USER], [ASSISTANT])],
    ids=["prompt", "whole", "turns"],
)  # fmt: skip
def test_a_preference_of_objects_of_lists_is_read(before: list, last: list) -> None:
    """A brother of attack 22: TRL's prompt, chosen and rejected as `datasets` stores them."""
    columns = [
        {name: [message[name] for message in messages] for name in ("role", "content")}
        for messages in (before, last)
    ]
    row = {"prompt": columns[0], "chosen": columns[1], "rejected": columns[1]}
    assert read_turns(row)[-2:] == QA
    assert read_turns({"prompt": columns[0], "completion": columns[1]})[-2:] == QA


@pytest.mark.parametrize(
    "history",
    [
        [["user", "Hello"], ["assistant", "Hi"]],
        json.dumps([["user", "Hello"], ["assistant", "Hi"]]),
        {"role": ["user", "assistant"], "content": ["Hello", "Hi"]},
        [["Hello", "Hi"]],
        ["Hello", "Hi"],
    ],
    ids=range(5),
)
def test_a_history_may_have_any_form(history: Any) -> None:
    """A brother of attack 1: "user" was what a user had asked before."""
    row = {"instruction": QUESTION, "output": ANSWER, "history": history}
    assert read_turns(row) == [("user", "Hello"), ("assistant", "Hi"), *QA]


# Answers that look like conversations


JSON_EXAMPLE = json.dumps(
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
)
TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: Hello"


@pytest.mark.parametrize("answer", [JSON_EXAMPLE, TRANSCRIPT])
@pytest.mark.parametrize(
    "columns",
    [("instruction", "output"), ("prompt", "chosen"), ("question", "answer"), ("input", "output")],
)  # fmt: skip
def test_an_answer_that_is_a_dialogue_does_not_replace_its_question(
    answer: str, columns: tuple[str, str]
) -> None:
    """Attack 2: a request for an example of messages was judged as "Hi" and "Hello"."""
    question, response = columns
    row = {question: "Give me an example of messages.", response: answer}
    assert read_turns(row) == [
        ("user", "Give me an example of messages."),
        ("assistant", answer),
    ]
    asked = {"messages": [{**USER, "content": "An example, please."}], "chosen": answer}
    assert read_turns(asked)[-1] == ("assistant", answer)


def test_a_rejected_answer_that_is_a_dialogue_does_not_replace_its_question() -> None:
    row = {"prompt": "An example, please.", "chosen": "No.", "rejected": JSON_EXAMPLE}
    turns = read_turns(row, IngestSettings(preference="rejected"))
    assert turns == [("user", "An example, please."), ("assistant", JSON_EXAMPLE)]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": QUESTION, "chosen": json.dumps([USER, ASSISTANT])},
        {"prompt": QUESTION, "chosen": f"\n\nHuman: {QUESTION}\n\nAssistant: {ANSWER}"},
        {"prompt": f"\n\nHuman: {QUESTION}\n\nAssistant:", "chosen": f"\n\nHuman: {QUESTION}\n\nAssistant: {ANSWER}"},
        {"prompt": "", "chosen": json.dumps([USER, ASSISTANT])},
        {"prompt": json.dumps([USER]), "completion": json.dumps([ASSISTANT])},
        {"prompt": repr([USER]), "chosen": repr([ASSISTANT])},
        {"messages": json.dumps([USER]), "chosen": json.dumps(ASSISTANT)},
        {"conversations": json.dumps([USER]), "chosen": repr(ASSISTANT)},
    ],
    ids=range(8),
)  # fmt: skip
def test_an_answer_that_holds_its_question_is_the_whole_conversation(row: dict) -> None:
    """Preferences, also those that a table holds as JSON or as Python prints them."""
    assert read_turns(row) == QA


# Tools


@pytest.mark.parametrize("field", ["output", "result", "response", "observation"])
@pytest.mark.parametrize("empty", [{}, {"content": ""}, {"content": None}])
def test_what_a_tool_returned_is_found(field: str, empty: dict) -> None:
    """Attack 8, a brother of chatglm3_tool: the turn read "Tool: " alone."""
    tool = {"role": "tool", "name": "nectar", field: "12 mg", **empty}
    row = {"messages": [USER, {**ASSISTANT, "content": "(call)"}, tool, ASSISTANT]}
    assert read_turns(row)[2] == ("system", "Tool: 12 mg")


NO_CALLS = ["[]", "null", "", "{}", "nan", "None", [], {}, float("nan"), {"name": None}]


@pytest.mark.parametrize("nothing", NO_CALLS, ids=str)
@pytest.mark.parametrize("field", ["tool_calls", "function_call"])
def test_no_call_is_no_part_of_the_answer(field: str, nothing: Any) -> None:
    """Attack 8: the answer ended with "[]" or "null"."""
    row = {"messages": [USER, {**ASSISTANT, field: nothing}]}
    assert read_turns(row) == QA
    assert read_chat(row, "x:0", AUTO).messages[-1].calls == ()
    called = {**ASSISTANT, "content": "", "tool_calls": nothing}
    called["function_call"] = {"name": "sniff", "arguments": "{}"}
    row = {"messages": [USER, called]}
    assert read_turns(row)[-1][1] == '{"name":"sniff","arguments":"{}"}'
    assert read_chat(row, "x:0", AUTO).messages[-1].calls[0].name == "sniff"


@pytest.mark.parametrize("nothing", NO_CALLS, ids=str)
def test_a_column_of_tools_that_says_nothing_declares_none(nothing: Any) -> None:
    declared = {"type": "function", "function": {"name": "sniff"}}
    row = {"messages": [USER, ASSISTANT], "tools": nothing}
    assert read_chat(row, "x:0", AUTO).tools == ()
    row["functions"] = json.dumps([declared])
    assert read_chat(row, "x:0", AUTO).tools == (declared,)


# Cells that say nothing


@pytest.mark.parametrize(
    "content", ["Na", "empty", "Empty", "not available", "空", "Nan", "[]", "{}", "+", ">"]
)  # fmt: skip
def test_an_input_that_may_be_meant_is_kept(content: str) -> None:
    """Attack 9: "What is this element?" lost its "Na"."""
    row = {"instruction": QUESTION, "input": content, "output": ANSWER}
    assert read_turns(row)[0] == ("user", f"{QUESTION}\n\n{content}")


@pytest.mark.parametrize(
    "mark", ["nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "n/a", "NA", "#N/A", "\\N", "-", "<none>", "[None]"]
)  # fmt: skip
@pytest.mark.parametrize("column", ["input", "system", "history"])
def test_a_null_that_was_written_as_text_is_nothing(column: str, mark: str) -> None:
    """Attack 9, nan_cells and noinput: in every column that may be empty."""
    row = {"instruction": QUESTION, "output": ANSWER, column: mark}
    assert read_turns(row) == QA


@pytest.mark.parametrize("answer", ["None", "N/A", "NaN", "null", "-", "none"])
def test_an_answer_may_be_none(answer: str) -> None:
    """ "Which of these are even? None", "What is 0 / 0 in JavaScript? NaN"."""
    row = {"instruction": QUESTION, "output": answer}
    assert read_turns(row)[-1] == ("assistant", answer)


@pytest.mark.parametrize("missing", ["nan", "<NA>", "NaT", " nan ", float("nan"), None])
def test_a_missing_answer_that_pandas_printed_is_none(missing: Any) -> None:
    """Attack 9: "nan" was judged as an answer."""
    for row in (
        {"instruction": QUESTION, "output": missing},
        {"instruction": QUESTION, "instances": [{"input": "", "output": missing}]},
    ):
        reject = get_reject(row)
        assert (reject.reason, reject.failure) == ("empty response", False)
    said = {"messages": [USER, {**ASSISTANT, "content": missing}]}
    assert get_reject(said).reason == "empty response"
    # The columns of another table that are filled are read.
    row = {"instruction": missing, "output": missing, "messages": [USER, ASSISTANT]}
    assert read_turns(row) == QA
    row = {"instruction": QUESTION, "output": missing, "response": ANSWER}
    assert read_turns(row) == QA


@pytest.mark.parametrize(
    "texts", [["Be brief.", QUESTION, ANSWER], [QUESTION, ANSWER, "Why?"]]
)
def test_an_odd_number_of_texts_does_not_say_who_speaks(texts: list[str]) -> None:
    """Attack 10: the text of the system was the question, and the question its answer."""
    for column in ("conversations", "data", "messages"):
        reject = get_reject({column: texts})
        as_text = get_reject({column: json.dumps(texts)})
        assert reject.reason == as_text.reason
        assert not reject.failure
        assert "write its messages as {role, content}" in reject.reason


def test_the_first_instance_with_an_output_is_read() -> None:
    """Attack 10: the row was refused although its second instance is whole."""
    instances = [{"input": "", "output": ""}, {"input": "bees", "output": ANSWER}]
    row = {"instruction": "How do they see?", "instances": instances}
    asked = ("user", "How do they see?\n\nbees")
    assert read_turns(row) == [asked, ("assistant", ANSWER)]
    rewritten = rewrite_row(json.dumps(row), AUTO, "How?", "So.")
    assert [instance["output"] for instance in rewritten["instances"]] == ["", "So."]


def test_a_reply_that_was_found_to_be_spam_is_not_read() -> None:
    """Attack 10: OpenAssistant's `review_result` was not looked at."""
    spam = {"text": "Buy!", "role": "assistant", "rank": 0, "review_result": False}
    good = {"text": ANSWER, "role": "assistant", "rank": 1, "review_result": True}
    prompt = {"text": QUESTION, "role": "prompter", "replies": [spam, good]}
    assert read_turns({"prompt": prompt}) == QA


# Marks in texts

OPEN = "Below is an instruction that describes a task.\n\n"


@pytest.mark.parametrize(
    "text, turns",
    [
        (
            "USER: What does SYSTEM: mean? ASSISTANT: A SYSTEM: is a rule.</s>",
            [("user", "What does SYSTEM: mean?"), ("assistant", "A SYSTEM: is a rule.")],
        ),
        (
            f"SYSTEM: Be brief. USER: {QUESTION} ASSISTANT: {ANSWER}",
            [SYSTEM, *QA],
        ),
        (
            f"{OPEN}### Instruction:\nDo it.\n\n### Input:\n{QUESTION}\n\n### Response:\nSo:\n### Input: x\n### Instruction: y",
            [("user", f"Do it.\n\n{QUESTION}"), ("assistant", "So:\n### Input: x\n### Instruction: y")],
        ),
        (
            f"### Instruction:\n{QUESTION}\n\n### Response:\n{ANSWER}\n\n### Instruction:\nWhy?\n\n### Response:\nSo.",
            [*QA, ("user", "Why?"), ("assistant", "So.")],
        ),
        (
            f"### User: {QUESTION}\n### Assistant: Like this:\n### Instruction: do\n### System: be",
            [QA[0], ("assistant", "Like this:\n### Instruction: do\n### System: be")],
        ),
        (
            f"### System:\nBe brief.\n\n### User:\n{QUESTION}\n\n### Response:\n{ANSWER}",
            [SYSTEM, *QA],
        ),
        (
            f"Human: {QUESTION}\nAssistant: Write:\nUser: Hi\nSystem: x\nAI: Hello",
            [QA[0], ("assistant", "Write:\nUser: Hi\nSystem: x\nAI: Hello")],
        ),
        (
            f"USER: {QUESTION} ASSISTANT: <call> FUNCTION RESPONSE: red ASSISTANT: {ANSWER}",
            [QA[0], ("assistant", "<call>"), ("system", "Tool: red"), QA[1]],
        ),
    ],
    ids=range(8),
)  # fmt: skip
def test_marks_within_a_text_are_its_words(text: str, turns: list) -> None:
    """Attack 10: the question was cut at "SYSTEM:", the answer at "### Input:"."""
    assert read_turns({"text": text}) == turns


@pytest.mark.parametrize(
    "text, speakers",
    [
        (f"\n\nHuman: {QUESTION}\n\nAssistant: {ANSWER}", {"Human": "user", "Assistant": "assistant"}),
        (
            f"### Instruction:\nDo it.\n\n### Input:\n{QUESTION}\n\n### Response:\n{ANSWER}",
            {"### Instruction": "user", "### Input": "user", "### Response": "assistant"},
        ),
        (
            f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{QUESTION} [/INST] {ANSWER} </s>",
            {"<<SYS>>": "system", "[INST]": "user", "[/INST]": "assistant"},
        ),
        (
            f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>\n",
            {"<|im_start|>user": "user", "<|im_start|>assistant": "assistant"},
        ),
        (
            f"Be brief. USER: {QUESTION} ASSISTANT: {ANSWER}",
            {"text before the first mark": "system", "USER": "user", "ASSISTANT": "assistant"},
        ),
    ],
    ids=["hh", "alpaca", "llama", "chatml", "vicuna"],
)  # fmt: skip
def test_the_speakers_of_a_transcript_are_named_by_its_marks(
    text: str, speakers: dict
) -> None:
    """Newcomer 7: both were "assistant as assistant, user as user", which no file holds."""
    taken: Counter[str] = Counter()
    assert isinstance(parse_sample({"text": text}, "x:0", AUTO, taken), Sample)
    notes = {f"role: {mark} as {role}": 1 for mark, role in speakers.items()}
    assert taken == {"columns: text": 1, **notes}


def test_a_question_beside_an_instruction_is_its_input() -> None:
    """Attack 10: only "Solve it step by step." was judged."""
    row = {"instruction": "Solve it.", "question": QUESTION, "output": ANSWER}
    assert read_turns(row)[0] == ("user", f"Solve it.\n\n{QUESTION}")
    assert read_turns({**row, "instruction": QUESTION}) == QA
    repeats = {**row, "instruction": f"Solve this: {QUESTION}"}
    assert read_turns(repeats)[0] == ("user", f"Solve this: {QUESTION}")
    assert read_chat(repeats, "x:0", AUTO).input == ""
    assert read_turns({**row, "instruction": None}) == QA


# Python data, CSV, and files of one object


def test_values_of_numpy_are_read_as_python_s() -> None:
    """Attack 22: "instruction is str_, not text", "the conversation is not a list"."""
    messages = np.array([USER, ASSISTANT], dtype=object)
    rows = [
        {"messages": messages, "weight": np.float32(0.1), "ids": np.arange(2)},
        {"instruction": np.str_(QUESTION), "input": np.float64("nan"), "output": np.str_(ANSWER)},
        {"instruction": QUESTION, "input": pandas_null(), "output": np.int64(7)},
        {"conversations": {"from": np.array(["human", "gpt"]), "value": np.array([QUESTION, ANSWER])}},
    ]  # fmt: skip
    (batch,) = read_rows(rows)
    samples, rejects = parse_sample_batch(batch, AUTO)
    assert not rejects, rejects
    turns = [[tuple(turn) for turn in sample.turns] for sample in samples]
    assert turns == [QA, QA, [QA[0], ("assistant", "7")], QA]
    raw = json.loads(samples[0].raw)
    assert raw == {"messages": [USER, ASSISTANT], "weight": 0.1, "ids": [0, 1]}
    assert '"weight":0.1,' in samples[0].raw


def pandas_null() -> Any:
    """`pandas.NA`, which is told by its type's name: pandas need not be installed."""
    return type("NAType", (), {})()


@pytest.mark.parametrize(
    "content, cells",
    [
        ('sep=;\ninstruction;output\nA, b;"c;d"\n', ("A, b", "c;d")),
        ('"sep=|"\r\ninstruction|output\r\na;b|c,d\r\n', ("a;b", "c,d")),
        ("sep=\t\ninstruction\toutput\na\tb, c\n", ("a", "b, c")),
        ('instruction, output\n"A ""x""", "b, c"\n', ('A "x"', "b, c")),
        ('"instruction", "output"\nA,b\n', ("A", "b")),
        ('instruction,output\n"He said, ""hi""", b\n', ('He said, "hi"', " b")),
        ("instruction,output\nA ->, b\n", ("A ->", " b")),
    ],
    ids=range(7),
)  # fmt: skip
def test_dialects_of_csv(content: str, cells: tuple[str, str], tmp_path: Path) -> None:
    """Attack 22: `sep=;` was the header, and a quoted comma split its cell."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode())
    (batch,) = read_rows(path)
    assert not batch.rejects
    ((_, row),) = batch.rows
    assert (row["instruction"], row["output"]) == cells


def test_the_line_that_names_the_delimiter_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("sep=;\ninstruction;output\na;b\na;b;c\n")
    (batch,) = read_rows(path)
    (reject,) = batch.rejects
    assert reject.raw.startswith("line 4: ")


TASK = {"instruction": QUESTION, "output": ANSWER}
COMPLETIONS = [{"response": ANSWER, "overall_score": 9}]


@pytest.mark.parametrize(
    "content, problem",
    [
        ({"messages": [TASK, TASK]}, "lists questions and answers in its field 'messages'"),
        ({"conversations": [{"question": QUESTION, "answer": ANSWER}] * 2}, "in its field 'conversations'"),
        ({"a": [USER, ASSISTANT], "b": [USER, ASSISTANT]}, r"a row under each key \(a, b\)"),
        ({"version": 1, "data": {"train": [TASK]}}, "wrapped in an object, in its field 'data.train'"),
        ({"features": [], "rows": [{"row_idx": 0, "row": TASK}]}, "wrapped in an object, in its field 'rows'"),
    ],
    ids=["messages", "conversations", "by_id", "splits", "viewer"],
)  # fmt: skip
def test_a_file_of_one_object_says_where_its_rows_are(
    content: dict, problem: str, tmp_path: Path
) -> None:
    """Attack 22: two rows were one conversation; conversations by id had no reason."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(content))
    (batch,) = read_rows(path)
    with pytest.raises(InputError, match=problem):
        parse_sample_batch(batch, AUTO)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"human": QUESTION, "assistant": ANSWER}] * 2},
        {"conversation": [{"input": QUESTION, "output": ANSWER}]},
        {**TASK, "history": [{"question": "Hi", "answer": "Hello"}] * 2},
        {"instruction": QUESTION, "output": ANSWER, "completions": COMPLETIONS},
    ],
    ids=["speakers", "single", "history", "completions"],
)
def test_a_file_of_one_row_is_read(row: dict, tmp_path: Path) -> None:
    """Attack 22: a row's own list was taken for the rows of the file."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (batch,) = read_rows(path)
    ((sample,), _) = parse_sample_batch(batch, AUTO)
    assert tuple(sample.turns[-1]) == QA[1]
