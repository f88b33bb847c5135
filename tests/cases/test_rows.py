"""Rows of public data sets: read right, or refused with the reason.

Each test is a case of `../shared/cases` and its brothers, with texts of our own. Rows go through the
whole of reading: a file on disk, its batches, and a sample or a reject for each row.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tacos
from tacos.cli.shared.summary import format_summary
from tacos.config import IngestSettings, load_settings
from tacos.errors import ConfigError, InputError
from tacos.formats.reading import read_rows
from tacos.methods.judging.refinement import extract_parts, rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample, parse_sample_batch

QUESTION = "Why does bread rise?"
ANSWER = "Yeast eats sugar and gives off gas, which the dough holds back."
WORSE = "No idea."
USER = {"role": "user", "content": QUESTION}
ASSISTANT = {"role": "assistant", "content": ANSWER}
HUMAN = {"from": "human", "value": QUESTION}
GPT = {"from": "gpt", "value": ANSWER}
QA = [("user", QUESTION), ("assistant", ANSWER)]
EARLIER = [("user", "Hello"), ("assistant", "Hello!")]
AUTO = IngestSettings()


def read_turns(path: Path, settings: IngestSettings = AUTO) -> list[list[tuple]]:
    """The turns of each row of a file that has no rejects."""
    talks = []
    for batch in read_rows(path):
        samples, rejects = parse_sample_batch(batch, settings)
        assert not rejects, rejects[0]
        talks += [[tuple(turn) for turn in sample.turns] for sample in samples]
    return talks


def read_row(row: Any, tmp_path: Path, settings: IngestSettings = AUTO) -> list[tuple]:
    """The turns of a file of one row, given twice: a file is rarely one row."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(row)}\n" * 2)
    first, second = read_turns(path, settings)
    assert first == second
    return first


def list_reasons(path: Path) -> Counter[str]:
    """Reason -> rows of a file that could not be used."""
    reasons: Counter[str] = Counter()
    for batch in read_rows(path):
        _, rejects = parse_sample_batch(batch, AUTO)
        reasons.update(reject.reason for reject in rejects)
    return reasons


# Silently wrong rows


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": QUESTION, "input": "", "output": [ANSWER, WORSE]},
        {"question": QUESTION, "answers": [ANSWER]},
        {"question": QUESTION, "answers": {"text": [ANSWER], "answer_start": [3]}},
        {"prompt": [USER], "completion": [ANSWER, WORSE]},
    ],
)
def test_of_several_answers_the_first_is_taken(row: dict, tmp_path: Path) -> None:
    """lf_rank_output_list: [better, worse] was joined into one response."""
    assert read_row(row, tmp_path) == QA


def test_history_precedes_the_first_of_several_answers(tmp_path: Path) -> None:
    """lf_rank_output_list, with the history that its rows have."""
    row = {
        "instruction": QUESTION,
        "output": [ANSWER, WORSE],
        "history": [["Hello", "Hello!"]],
    }
    assert read_row(row, tmp_path) == EARLIER + QA
    assert read_row({**row, "history": ["Hello", "Hello!"]}, tmp_path) == EARLIER + QA


def test_refining_keeps_the_other_answers() -> None:
    """lf_rank_output_list: a rewritten row is still a list of answers."""
    raw = json.dumps({"instruction": QUESTION, "output": [ANSWER, WORSE]})
    assert extract_parts(raw, AUTO).response == ANSWER
    rewritten = rewrite_row(raw, AUTO, "Why?", "Yeast.")
    assert rewritten == {"instruction": "Why?", "output": ["Yeast.", WORSE]}


@pytest.mark.parametrize("instruction", [["one", "two"], ["one", ["two"]]])
def test_several_questions_in_one_cell_are_refused(
    instruction: list, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"instruction": instruction, "output": ANSWER}))
    assert list_reasons(path) == {"instruction is a list of 2 values, not one text": 1}


@pytest.mark.parametrize("final", ["7", None])
def test_the_worked_solution_goes_before_the_final_answer(
    final: str | None, tmp_path: Path
) -> None:
    """numina15: the short answer was judged."""
    row = {"problem": QUESTION, "solution": ANSWER, "answer": final}
    assert read_row(row, tmp_path) == QA
    assert read_row({"answer": final, **row}, tmp_path) == QA


def test_a_final_answer_never_stands_in_for_a_missing_solution(tmp_path: Path) -> None:
    """numina15, where the solution is empty: the row has no response."""
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps({"problem": QUESTION, "solution": solution, "answer": "7"})
        for solution in (None, "", ANSWER)
    ]
    path.write_text("\n".join(lines))
    assert list_reasons(path) == {"empty response": 2}


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {**GPT, "value": WORSE}},
        {"messages": [USER], "chosen": ASSISTANT, "rejected": ASSISTANT},
        {"messages": [USER], "chosen": [ASSISTANT]},
        {"messages": [USER], "chosen": [USER, ASSISTANT]},
        {"messages": [USER], "chosen": ANSWER},
        {"messages": [USER], "output": ANSWER},
        {"prompt": QUESTION, "chosen": ASSISTANT, "rejected": ASSISTANT},
        {"messages": [USER, ASSISTANT], "chosen": WORSE},
    ],
)
def test_preference_rows_go_on_with_what_was_chosen(row: dict, tmp_path: Path) -> None:
    """lf_rank_sharegpt: every row was "no answer"."""
    assert read_row(row, tmp_path) == QA


def test_preference_rows_are_not_judged_on_an_earlier_answer(tmp_path: Path) -> None:
    """lf_rank_sharegpt, of several turns."""
    before = [
        {"from": "human", "value": "Hello"},
        {"from": "gpt", "value": "Hello!"},
    ]
    row = {"conversations": [*before, HUMAN], "chosen": GPT, "rejected": GPT}
    assert read_row(row, tmp_path) == EARLIER + QA


@pytest.mark.parametrize(
    "settings", [{}, {"instruction": "chosen"}, {"response": "chosen"}]
)
@pytest.mark.parametrize(
    "chosen",
    [
        [USER, ASSISTANT],
        json.dumps([USER, ASSISTANT]),
        f"\n\nHuman: {QUESTION}\n\nAssistant: {ANSWER}",
    ],
    ids=["messages", "JSON", "transcript"],
)
def test_a_preference_without_a_prompt_holds_its_conversation(
    chosen: Any, settings: dict, tmp_path: Path
) -> None:
    """trl_pref_implicit, and HH-RLHF's transcripts."""
    row = {"chosen": chosen, "rejected": [USER, {**ASSISTANT, "content": WORSE}]}
    assert read_row(row, tmp_path, IngestSettings(**settings)) == QA


@pytest.mark.parametrize(
    "cell",
    ["nan", "NaN", "NAN", "-", "--", "—", "null", "None", "N/A", "<NA>", "NaT", '""'],
)
def test_cells_that_say_nothing_are_no_input(cell: str, tmp_path: Path) -> None:
    """noinput and nan_cells: they were put below the instruction."""
    row = {"instruction": QUESTION, "input": cell, "output": ANSWER}
    assert read_row(row, tmp_path) == QA
    path = tmp_path / "rows.csv"
    pl.DataFrame([row]).write_csv(path)
    assert read_turns(path) == [QA]
    # As pandas writes a missing instruction, too.
    row = {"instruction": cell, "input": QUESTION, "output": ANSWER}
    assert read_row(row, tmp_path) == QA


@pytest.mark.parametrize("cell", ["0", "-1", "nan is not a number", "no", "+", "…"])
def test_cells_that_say_something_are_input(cell: str, tmp_path: Path) -> None:
    row = {"instruction": QUESTION, "input": cell, "output": ANSWER}
    assert read_row(row, tmp_path)[0] == ("user", f"{QUESTION}\n\n{cell}")


def test_nan_of_a_data_frame_is_nothing(tmp_path: Path) -> None:
    """nan_cells, in Parquet: the number NaN."""
    path = tmp_path / "rows.parquet"
    row = {"instruction": QUESTION, "input": float("nan"), "output": ANSWER}
    pl.DataFrame([row]).write_parquet(path)
    assert read_turns(path) == [QA]


def test_what_a_tool_observed_is_kept(tmp_path: Path) -> None:
    """chatglm3_tool: the turn read "Tool: " alone."""
    tool = {
        "role": "tool",
        "name": "oven",
        "parameters": {"at": 200},
        "observation": "hot",
    }
    row = {"conversations": [USER, tool, ASSISTANT]}
    assert read_row(row, tmp_path)[1] == ("system", 'Tool: oven {"at":200}\nhot')
    row = {"messages": [USER, {"role": "tool", "content": {"heat": [1, 2]}}, ASSISTANT]}
    assert read_row(row, tmp_path)[1] == ("system", 'Tool: {"heat":[1,2]}')


def test_a_call_beside_a_text_is_kept(tmp_path: Path) -> None:
    """A brother of chatglm3_tool: an answer that speaks and calls a tool."""
    call = {"name": "oven", "arguments": "{}"}
    row = {"messages": [USER, {**ASSISTANT, "tool_calls": [call]}]}
    text = ANSWER + '\n[{"name":"oven","arguments":"{}"}]'
    assert read_row(row, tmp_path)[-1] == ("assistant", text)
    row = {"messages": [USER, {**ASSISTANT, "function_calls": "oven()"}]}
    assert read_row(row, tmp_path)[-1] == ("assistant", f"{ANSWER}\noven()")


@pytest.mark.parametrize(
    "weight",
    [
        {"weight": 0},
        {"weight": 0.0},
        {"loss_weight": 0},
        {"loss": False},
        {"train": False},
    ],
    ids=lambda weight: "+".join(weight),
)
def test_the_last_answer_that_is_trained_on_counts(
    weight: dict, tmp_path: Path
) -> None:
    """weight_last_zero: "You are welcome." was judged in every row."""
    thanks = [
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "You are welcome.", **weight},
    ]
    assert read_row({"messages": [USER, ASSISTANT, *thanks]}, tmp_path) == QA
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": thanks}))
    assert list_reasons(path) == {"no answer has a weight above 0": 1}


def test_weights_of_questions_say_nothing(tmp_path: Path) -> None:
    """SlimOrca gives its questions the weight 0 and its answers 1 or null."""
    for weight in (1, None):
        row = {"conversations": [{**HUMAN, "weight": 0}, {**GPT, "weight": weight}]}
        assert read_row(row, tmp_path) == QA


def test_the_summary_says_what_was_read(tmp_path: Path) -> None:
    """Columns and speakers, with counts where there are several layouts."""
    rows = [
        {"problem": f"{QUESTION} {number}", "solution": f"{ANSWER} {number}"}
        for number in range(3)
    ]
    rows.append({"conversations": [HUMAN, GPT]})
    rows.append({"instruction": "Name a river.", "output": ["The Rhine.", WORSE]})
    done = tacos.select(rows, n=2, output=tmp_path / "out.jsonl")
    assert done.summary.taken == {
        "columns": {
            "problem -> solution": 3,
            "conversations": 1,
            "instruction -> output": 1,
        },
        "roles": {"gpt as assistant": 1, "human as user": 1},
        "first_answers": {"output": 1},
    }
    lines = dict(format_summary(done.summary))
    assert lines["read as"] == (
        "problem -> solution (3 rows); conversations (1 row); "
        "instruction -> output (1 row); speakers: gpt as assistant, human as user; "
        "the first of several answers in output (1 row)"
    )


def test_the_summary_says_where_a_preference_has_its_answer() -> None:
    """lf_rank_sharegpt: the answer is that of `chosen`."""
    taken: Counter[str] = Counter()
    for row in (
        {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT},
        {"conversations": [HUMAN, GPT], "chosen": GPT, "rejected": GPT},
        {"conversations": [HUMAN, GPT], "chosen": GPT},
    ):
        parse_sample(row, "x:0", AUTO, taken)
    assert taken["columns: conversations -> chosen"] == 2
    assert taken["columns: conversations"] == 1


# Readings that many expect


@pytest.mark.parametrize(
    "row",
    [
        {"conversation": [{"human": QUESTION, "assistant": ANSWER}], "category": "x"},
        {"conversation": [{"input": QUESTION, "output": ANSWER}], "source": "x"},
        {"conversations": [{"user": QUESTION}, {"assistant": ANSWER}]},
        {"chat": [{"Human": QUESTION, "MOSS": ANSWER}]},
        {"chat": {"turn_1": {"Human": f"<|Human|>: {QUESTION}<eoh>\n", "MOSS": ANSWER}}},
        {"messages": [{"role": "user", "content": [{"type": "text", "value": QUESTION}]}, ASSISTANT]},
        {"messages": [{"role": "user", "content": {"text": QUESTION}}, ASSISTANT]},
        {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}, {"role": "model", "parts": [{"text": ANSWER}]}]},
        {"messages": [{**HUMAN, "role": None, "content": None}, {**GPT, "role": None, "content": None}]},
        {"messages": [{"Role": "User", "Content": QUESTION}, {"Role": "Assistant", "Content": ANSWER}]},
        {"messages": [{"author": {"role": "user"}, "content": {"parts": [QUESTION]}}, ASSISTANT]},
        {"messages": repr([USER, ASSISTANT])},
        {"inputs": QUESTION, "targets": ANSWER, "task": "flan"},
        {"inputs": [1], "inputs_pretokenized": QUESTION, "targets": [2], "targets_pretokenized": ANSWER},
        {"definition": [QUESTION], "inputs": "-", "targets": ANSWER, "task_name": "x"},
        {"Instruction ": QUESTION, " OUTPUT": ANSWER},
        {"Question": QUESTION, "Complex_CoT": "Hm.", "Response": ANSWER},
        {"kind": "x", "input": QUESTION, "target": ANSWER, "source": "firefly"},
        {"text": f"### Human: {QUESTION}### Assistant: {ANSWER}"},
        {"text": f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>\n"},
        {"text": f"<s>[INST] {QUESTION} [/INST] {ANSWER} </s>"},
        {"topic": "x", "input": f"[|Human|] {QUESTION}\n[|AI|] {ANSWER}\n[|Human|] "},
        {"system": "", "chat": f"USER: {QUESTION}\n\n\nASSISTANT: {ANSWER} <|endoftext|>\n\n\n"},
        {"text": f"<human>: {QUESTION}\n<bot>: {ANSWER}"},
        {"instruction": None, "output": None, "context": None, "question": QUESTION, "response": ANSWER},
        {"instruction": QUESTION, "output": "", "response": ANSWER},
        {"message_tree_id": "x", "prompt": {"text": QUESTION, "role": "prompter", "replies": [
            {"text": WORSE, "role": "assistant", "rank": 1, "replies": []},
            {"text": ANSWER, "role": "assistant", "rank": 0, "replies": []},
        ]}},
        {"message_tree_id": "x", "text": QUESTION, "role": "prompter", "replies": [
            {"text": ANSWER, "role": "assistant", "replies": [{"text": "And?", "role": "prompter"}]},
        ]},
        {"conversations": [[QUESTION, ANSWER]]},
        {"prompt": f"\n\nHuman: {QUESTION}\n\nAssistant: ", "answers": [
            {"answer": WORSE, "rank": 2.0}, {"answer": ANSWER, "rank": 1.0},
        ]},
        {"questions": [[QUESTION]], "answers": [ANSWER]},
        {"input": {"messages": [USER], "tools": []}, "preferred_output": [ASSISTANT]},
        {"items": [HUMAN, GPT]},
        [USER, ASSISTANT],
        [HUMAN, GPT],
    ],
    ids=lambda row: str(row)[:40],
)  # fmt: skip
def test_shapes_of_public_data_sets_are_read(row: Any, tmp_path: Path) -> None:
    """firefly_human_assistant, lf_v1_value_parts, convs_merged, lines_are_lists, and brothers."""
    assert read_row(row, tmp_path) == QA


def test_a_system_text_in_an_exchange_comes_first(tmp_path: Path) -> None:
    """xtuner_system_input_output."""
    exchange = {"system": "Be brief.", "input": QUESTION, "output": ANSWER}
    system = ("system", "Be brief.")
    assert read_row({"conversation": [exchange]}, tmp_path) == [system, *QA]
    again = {"input": "And cake?", "output": "The same."}
    turns = read_row({"conversation": [exchange, again]}, tmp_path)
    assert turns[3:] == [("user", "And cake?"), ("assistant", "The same.")]


@pytest.mark.parametrize(
    "row",
    [
        {"systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]}, "contents": [USER, ASSISTANT]},
        {"system": [{"text": "Be brief."}], "messages": [USER, ASSISTANT]},
        {"text": f"Be brief. USER: {QUESTION} ASSISTANT: {ANSWER}</s>"},
        {"text": f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{QUESTION} [/INST] {ANSWER} </s>"},
        {"meta_instruction": "Be brief.", "chat": [{"Human": QUESTION, "MOSS": ANSWER}]},
    ],
    ids=lambda row: str(row)[:40],
)  # fmt: skip
def test_the_text_of_the_system_is_found(row: dict, tmp_path: Path) -> None:
    assert read_row(row, tmp_path) == [("system", "Be brief."), *QA]


def test_questions_alone_are_no_conversation(tmp_path: Path) -> None:
    """MT-Bench's `turns` are two questions: no answer may be made of the second."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question_id": 1, "turns": [QUESTION, "And cake?"]}))
    with pytest.raises(InputError, match="no instruction and response found"):
        read_turns(path)


def test_a_merged_table_is_read_row_by_row(tmp_path: Path) -> None:
    """convs_merged, in Parquet: keys without a value stand beside those that have one."""
    path = tmp_path / "rows.parquet"
    rows = [{"conversations": [HUMAN, GPT]}, {"conversations": [USER, ASSISTANT]}]
    pl.DataFrame(rows).write_parquet(path)
    assert read_turns(path) == [QA, QA]


def test_an_open_dialogue_before_the_answer_is_a_conversation(tmp_path: Path) -> None:
    """BELLE's multi-turn rows."""
    before = f"Human: Hello\nAssistant: Hello!\nHuman: {QUESTION}\nAssistant:"
    row = {"instruction": before, "input": "", "output": ANSWER}
    assert read_row(row, tmp_path) == EARLIER + QA


def test_a_dialogue_that_an_instruction_quotes_stays_its_text(tmp_path: Path) -> None:
    text = "Go on with this:\nHuman: Hello\nAssistant: Hello!"
    row = {"instruction": text, "output": ANSWER}
    assert read_row(row, tmp_path)[0] == ("user", text)


@pytest.mark.parametrize(
    "speaker", ["claude", "claude-3-opus", "gemini", "bot", "Chatbot", "GPT-4o", "<|assistant|>", "LLM"]
)  # fmt: skip
def test_the_names_of_models_are_assistants(speaker: str, tmp_path: Path) -> None:
    row = {"conversations": [HUMAN, {"from": speaker, "value": ANSWER}]}
    assert read_row(row, tmp_path) == QA


def test_a_setting_says_who_other_speakers_are(tmp_path: Path) -> None:
    row = {
        "conversations": [
            {"from": "Pupil", "value": QUESTION},
            {"from": "gpt", "value": "(a note)"},
            {"from": "teacher", "value": ANSWER},
        ]
    }
    roles = '{"pupil" = "user", "teacher" = "assistant", "gpt" = "tool"}'
    settings = load_settings(sets=[f"ingest.roles={roles}"])
    turns = read_row(row, tmp_path, settings.ingest)
    assert turns == [QA[0], ("system", "Tool: (a note)"), QA[1]]
    with pytest.raises(ConfigError, match=r"ingest.roles must be .user., .assistant.,"):
        load_settings(sets=['ingest.roles={"pupil" = "student"}'])


# Refusals


@pytest.mark.parametrize(
    "row, reason",
    [
        (
            {"conversations": [{"from": "teacher", "value": ANSWER}]},
            "unknown role 'teacher': say who it is, e.g. "
            """--set 'ingest.roles={"teacher" = "user"}'""",
        ),
        (
            {"messages": [{"content": QUESTION, "lang": "en"}]},
            "a message has no role; its keys are: content, lang",
        ),
        (
            {"messages": f"[{USER}\n {ASSISTANT}]"},
            "the conversation is a Python object printed as text, not JSON: "
            "write it with json.dumps",
        ),
    ],
)
def test_reasons_name_the_way_out(row: dict, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(row)}\n" * 2)
    assert list_reasons(path) == {reason: 2}


FIRST = {"instruction": QUESTION, "output": ANSWER}
BY_ID = {"a": FIRST, "b": FIRST, "c": FIRST, "d": FIRST}
BY_COLUMN = {
    "instruction": {"0": QUESTION, "1": "?"},
    "output": {"0": ANSWER, "1": "!"},
}
SPLIT = {
    "columns": ["instruction", "output"],
    "index": [0],
    "data": [[QUESTION, ANSWER]],
}
COLUMN_LISTS = {"instruction": [QUESTION, "?"], "output": [ANSWER, "!"]}
BY_COLUMN_REASON = (
    "the file is one object that holds the table column by column; write a row per line"
)


@pytest.mark.parametrize(
    "content, problem",
    [
        (BY_ID, r"one object with a row under each key \(a, b, c, ...\); write the rows alone"),
        (BY_COLUMN, BY_COLUMN_REASON),
        (SPLIT, BY_COLUMN_REASON),
        (COLUMN_LISTS, BY_COLUMN_REASON),
        ({"few": [{"x": 1}], "Instances": [FIRST, FIRST]}, "wrapped in an object, in its field 'Instances'"),
        ([{"role": "prompter", "text": QUESTION, "parent_id": None}] * 2, "each row is a single message"),
        ([USER, ASSISTANT], "each row is a single message"),
        ([{"a": 1}], r"a column that holds whole conversations: ingest.instruction alone"),
    ],
    ids=["by_id", "pandas_columns", "split", "lists", "wrapped", "flat", "list", "unknown"],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(
    content: Any, problem: str, tmp_path: Path
) -> None:
    """by_id and pandas_columns."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=problem):
        read_turns(path)


def test_no_usable_row_is_a_sentence(tmp_path: Path) -> None:
    """no_usable_row: a Python dict was printed."""
    rows = [{"messages": [{"role": "user", "content": str(n)}]} for n in range(4)]
    with pytest.raises(InputError) as caught:
        tacos.select(rows, n=1)
    assert str(caught.value) == (
        "no usable row in the input (4 rows: no answer of an assistant). Every row needs a "
        "question and an answer; if they are in other columns, name these "
        "(--set ingest.instruction=COLUMN --set ingest.response=COLUMN)"
    )
