"""`tacos export`: exactly the fields that each trainer reads, and nothing lost on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    run_command,
    tag_by_words,
)

import tacos
from tacos.errors import ConfigError, InputError, OutputError

TABLE = [
    {"instruction": "Add.", "input": "1 and 2", "output": "3", "lang": "en"},
    {"instruction": "Name a fruit.", "input": "", "output": "A pear."},
]
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}
SYSTEM_CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye."},
    {"role": "assistant", "content": "Goodbye."},
]
TOOL_CHAT = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {
        "role": "tool",
        "content": "sunny",
        "tool_call_id": "c1",
        "name": "weather",
    },
    {"role": "assistant", "content": "Sunny."},
]
WEIGHTED_CHAT = [
    {"role": "user", "content": "A"},
    {"role": "assistant", "content": "wrong", "weight": 0},
    {"role": "user", "content": "B"},
    {"role": "assistant", "content": "right", "weight": 1},
]
ANSWER_FIRST = [
    {"role": "assistant", "content": "I begin."},
    {"role": "user", "content": "Go on."},
    {"role": "assistant", "content": "I end."},
]
CHATS = [{"messages": SYSTEM_CHAT}, {"messages": TOOL_CHAT, "tools": [TOOL]}]


def read_exported(folder: Path) -> list[dict[str, Any]]:
    """The rows of an exported folder."""
    lines = folder / "train.jsonl"
    if lines.exists():
        return [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    rows: list[dict[str, Any]] = json.loads((folder / "train.json").read_text("utf-8"))
    return rows


def export_rows(
    rows: list[dict[str, Any]], trainer: str, folder: Path, **options: Any
) -> list[dict[str, Any]]:
    tacos.export(rows, trainer, folder, **options)
    return read_exported(folder)


def test_trl_reads_one_answer_as_prompt_and_completion(tmp_path: Path) -> None:
    rows = export_rows(TABLE, "trl", tmp_path / "out")
    assert rows[0] == {
        "prompt": [{"role": "user", "content": "Add.\n\n1 and 2"}],
        "completion": [{"role": "assistant", "content": "3"}],
    }
    config = yaml.safe_load((tmp_path / "out" / "sft.yaml").read_text("utf-8"))
    assert config["datasets"] == [
        {"path": "json", "data_files": "train.jsonl", "split": "train"}
    ]
    assert config["completion_only_loss"] is True
    assert (tmp_path / "out" / config["chat_template_path"]).is_file()


def test_trl_reads_several_answers_as_messages_with_a_marked_template(
    tmp_path: Path,
) -> None:
    rows = export_rows(CHATS, "trl", tmp_path / "out", max_tokens=4096)
    config = yaml.safe_load((tmp_path / "out" / "sft.yaml").read_text("utf-8"))
    assert config["assistant_only_loss"] is True
    assert config["max_length"] == 4096
    template = (tmp_path / "out" / "chatml.jinja").read_text("utf-8")
    assert "{%- generation %}" in template
    assert rows[0] == {"messages": SYSTEM_CHAT, "tools": None}
    assert rows[1]["messages"][1]["tool_calls"] == [CALL]
    assert rows[1]["messages"][2] == TOOL_CHAT[2]
    # Tools are JSON in a text: as objects, all tools would get the parameters of each other.
    assert json.loads(rows[1]["tools"]) == [TOOL]


def test_an_untrained_answer_stays_untrained_or_the_row_is_left_out(
    tmp_path: Path,
) -> None:
    weighted = [{"messages": WEIGHTED_CHAT}]
    rows = export_rows(weighted, "trl", tmp_path / "trl")
    assert [message["content"] for message in rows[0]["prompt"]] == ["A", "wrong", "B"]
    assert [message["content"] for message in rows[0]["completion"]] == ["right"]
    assert export_rows(weighted, "messages", tmp_path / "m") == weighted_messages()
    rows = export_rows(weighted, "axolotl", tmp_path / "axolotl")
    trained = [message["train"] for message in rows[0]["messages"]]
    assert trained == [False, False, False, True]
    both = tacos.export([*weighted, *CHATS], "trl", tmp_path / "both")
    assert [row.id for row in both.left_out] == ["data:0"]
    assert "weight 0" in both.left_out[0].reason
    with pytest.raises(
        InputError, match=r"no row can be written for sharegpt: .*weight 0"
    ):
        tacos.export(weighted, "sharegpt", tmp_path / "s")


def weighted_messages() -> list[dict[str, Any]]:
    return [{"messages": WEIGHTED_CHAT}]


def test_llama_factory_is_told_of_the_input_column(tmp_path: Path) -> None:
    rows = export_rows(TABLE, "llama-factory", tmp_path / "out")
    assert rows[0] == {
        "instruction": "Add.",
        "input": "1 and 2",
        "output": "3",
        "system": "",
        "history": [],
    }
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text("utf-8"))
    assert info == {
        "tacos_alpaca": {
            "file_name": "train.json",
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "response": "output",
                "system": "system",
                "history": "history",
            },
        }
    }
    # What a columns block does not name is None for every row.
    assert set(info["tacos_alpaca"]["columns"].values()) == set(rows[0])


def test_llama_factory_reads_chats_with_its_own_roles(tmp_path: Path) -> None:
    rows = export_rows(CHATS, "llama-factory", tmp_path / "out")
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text("utf-8"))
    entry = info["tacos_chat"]
    assert entry["columns"] == {"messages": "messages", "tools": "tools"}
    assert len(entry["tags"]) == 7
    assert [message["role"] for message in rows[1]["messages"]] == [
        "user",
        "function_call",
        "observation",
        "assistant",
    ]
    called = json.loads(rows[1]["messages"][1]["content"])
    assert called == {"name": "weather", "arguments": {"city": "Rome"}}
    assert rows[0]["messages"] == SYSTEM_CHAT


def test_llama_factory_gets_tools_at_which_it_does_not_stop(tmp_path: Path) -> None:
    """It looks up the properties of every tool, and joins the choices of each as texts."""
    bare = {"name": "time"}
    row = export_rows(
        [{"messages": TOOL_CHAT, "tools": [TOOL, bare]}],
        "llama-factory",
        tmp_path / "out",
    )[0]
    wrapped, plain = json.loads(row["tools"])
    empty = {"type": "object", "properties": {}}
    assert wrapped["function"] == {"name": "weather", "parameters": empty}
    assert plain == {"name": "time", "parameters": empty}
    numbers = {"properties": {"n": {"type": "integer", "enum": [1, 2]}}}
    odd = {"name": "roll", "parameters": numbers}
    with pytest.raises(InputError, match="LLaMA-Factory cannot read"):
        tacos.export(
            [{"messages": TOOL_CHAT, "tools": [odd]}], "llama-factory", tmp_path / "odd"
        )


def test_results_of_calls_made_at_once_become_one_observation(tmp_path: Path) -> None:
    chat = [
        TOOL_CHAT[0],
        {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "sunny"},
        {"role": "tool", "content": "warm"},
        TOOL_CHAT[3],
    ]
    row = export_rows([{"messages": chat}], "llama-factory", tmp_path / "out")[0]
    assert len(json.loads(row["messages"][1]["content"])) == 2
    assert row["messages"][2]["role"] == "observation"
    assert row["messages"][2]["content"].startswith("sunny\n")
    assert row["messages"][2]["content"].endswith("\nwarm")


def test_rows_that_llama_factory_would_leave_out_are_left_out_and_named(
    tmp_path: Path,
) -> None:
    rows = [*CHATS, {"messages": ANSWER_FIRST}]
    exported = tacos.export(rows, "llama-factory", tmp_path / "out")
    assert exported.n_rows == 2
    assert exported.reasons == {"question and answer do not take turns": 1}
    left_out = (tmp_path / "out" / "left_out.jsonl").read_text("utf-8")
    assert json.loads(left_out) == {
        "id": "data:2",
        "reason": "question and answer do not take turns",
    }


def test_axolotl_is_told_where_messages_and_tools_are(tmp_path: Path) -> None:
    rows = export_rows(CHATS, "axolotl", tmp_path / "out")
    config = yaml.safe_load((tmp_path / "out" / "axolotl.yaml").read_text("utf-8"))
    assert config["datasets"] == [
        {
            "path": "train.jsonl",
            "ds_type": "json",
            "type": "chat_template",
            "field_messages": "messages",
            "message_property_mappings": {"role": "role", "content": "content"},
            "roles_to_train": ["assistant"],
            "train_on_eos": "turn",
            "field_tools": "tools",
        }
    ]
    # Axolotl's own ChatML has no form for tools.
    assert config["chat_template_jinja"] == "chatml.jinja"
    assert config["train_on_inputs"] is False
    assert json.loads(rows[1]["tools"][0]["function"].pop("parameters")) == {}
    assert rows[1]["tools"] == [{"type": "function", "function": {"name": "weather"}}]
    tacos.export(TABLE, "axolotl", tmp_path / "table")
    config = yaml.safe_load((tmp_path / "table" / "axolotl.yaml").read_text("utf-8"))
    assert config["chat_template"] == "chatml"
    assert config["eot_tokens"] == ["<|im_end|>"]
    assert "chat_template_jinja" not in config
    assert rows[0]["messages"] == SYSTEM_CHAT


def test_messages_have_the_keys_of_openai_and_no_others(tmp_path: Path) -> None:
    rows = export_rows([*CHATS, TABLE[0]], "messages", tmp_path / "out")
    assert rows[0] == {"messages": SYSTEM_CHAT}
    assert rows[1]["tools"] == [TOOL]
    assert rows[2] == {
        "messages": [
            {"role": "user", "content": "Add.\n\n1 and 2"},
            {"role": "assistant", "content": "3"},
        ]
    }


def test_alpaca_keeps_instruction_and_input_apart(tmp_path: Path) -> None:
    rows = export_rows(TABLE, "alpaca", tmp_path / "out")
    assert rows[0] == {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    exported = tacos.export([*TABLE, *CHATS], "alpaca", tmp_path / "chats")
    last = read_exported(tmp_path / "chats")[-1]
    assert last == {
        "instruction": "Bye.",
        "input": "",
        "output": "Goodbye.",
        "system": "Be kind.",
        "history": [["Hi.", "Hello."]],
    }
    assert exported.reasons == {"calls of tools, which columns cannot say": 1}


def test_sharegpt_names_speakers_as_sharegpt_does(tmp_path: Path) -> None:
    rows = export_rows(CHATS, "sharegpt", tmp_path / "out")
    assert [turn["from"] for turn in rows[0]["conversations"]] == [
        "system",
        "human",
        "gpt",
        "human",
        "gpt",
    ]
    assert [turn["from"] for turn in rows[1]["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "gpt",
    ]


@pytest.mark.parametrize(
    "trainer", ["trl", "llama-factory", "axolotl", "messages", "sharegpt"]
)
def test_an_export_read_again_has_the_same_messages(
    trainer: str, tmp_path: Path
) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "parameters": city}}
    chats = [CHATS[0], {**CHATS[1], "tools": [tool]}]
    tacos.export(chats, trainer, tmp_path / "out")
    again = read_exported(tmp_path / "out")
    tacos.export(again, "messages", tmp_path / "again")
    tacos.export(chats, "messages", tmp_path / "once")
    for ours, theirs in zip(
        read_exported(tmp_path / "again"), read_exported(tmp_path / "once"), strict=True
    ):
        assert ours.get("tools") == theirs.get("tools")
        for own, other in zip(ours["messages"], theirs["messages"], strict=True):
            assert own["role"] == other["role"]
            assert own["content"] == other["content"]
            names = [call["function"] for call in own.get("tool_calls", [])]
            assert names == [call["function"] for call in other.get("tool_calls", [])]


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_rows(TABLE, "trl", folder)
    with pytest.raises(OutputError, match=r"exists: .*--force"):
        tacos.export(TABLE, "alpaca", folder)
    tacos.export(TABLE, "alpaca", folder, force=True)
    assert [path.name for path in folder.iterdir()] == ["train.json"]
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"files that tacos did not write"):
        tacos.export(TABLE, "alpaca", folder, force=True)
    assert (folder / "mine.txt").read_text() == "mine"


def test_wrong_words_are_errors_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown trainer .*did you mean 'trl'"):
        tacos.export(TABLE, "tlr", tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown template 'chatlm'"):
        tacos.export(TABLE, "trl", tmp_path / "out", template="chatlm")
    with pytest.raises(ConfigError, match="give a run"):
        tacos.export(TABLE, "trl", tmp_path / "out", columns=True)
    with pytest.raises(ConfigError, match="max_tokens is 0"):
        tacos.export(TABLE, "trl", tmp_path / "out", max_tokens=0)
    assert not (tmp_path / "out").exists()


def test_a_run_gives_its_selected_rows_in_the_order_of_the_input(
    tmp_path: Path,
) -> None:
    done = tacos.select(
        make_rows(),
        n=20,
        run=tmp_path / "run",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
    )
    code, output = run_command(
        "export", done.run, "--for", "alpaca", "-o", tmp_path / "out", "--columns"
    )
    assert code == 0, output
    rows = read_exported(tmp_path / "out")
    assert [row["instruction"] for row in rows] == [
        row["instruction"] for row in done.rows
    ]
    assert [row["tacos_score"] for row in rows] == done.scores["score"].to_list()
    assert [row["tacos_cluster"] for row in rows] == done.scores["cluster"].to_list()
    assert [row["tacos_tags"] for row in rows] == done.scores["tags"].to_list()
    tacos.export(done, "datasets", tmp_path / "saved", columns=True)
    datasets = pytest.importorskip("datasets")
    saved = datasets.load_from_disk(str(tmp_path / "saved"))
    assert saved["tacos_tags"][:] == done.scores["tags"].to_list()
    plain = tacos.export(done, "alpaca", tmp_path / "plain")
    assert plain.n_rows == 20
    assert set(read_exported(tmp_path / "plain")[0]) == {
        "instruction",
        "input",
        "output",
    }


def test_a_file_with_columns_of_its_own_is_read_by_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"q1": "Hi.", "a1": "Hello."}\n')
    code, output = run_command(
        "export",
        file,
        "--for",
        "messages",
        "-o",
        tmp_path / "out",
        "--set",
        "ingest.instruction=q1",
        "--set",
        "ingest.response=a1",
        "--json",
    )
    assert code == 0, output
    assert json.loads(output)["rows"] == 1
    assert json.loads(output)["cautions"]


def test_rows_that_the_template_refuses_are_left_out(tmp_path: Path) -> None:
    # TRL and Axolotl would stop at them.
    for trainer in ("trl", "axolotl"):
        exported = tacos.export(CHATS, trainer, tmp_path / trainer, template="mistral")
        assert exported.n_rows == 1
        assert exported.reasons == {
            "template mistral: this template has no form for tools": 1
        }


def test_a_check_counts_what_the_trainer_keeps_and_marks_what_it_learns(
    tmp_path: Path,
) -> None:
    exported = tacos.export(TABLE, "trl", check=True)
    assert exported.folder is None
    assert exported.check is not None
    assert exported.check.n_kept == exported.check.n_rows == 2
    assert exported.check.shown[0] == (
        "<|im_start|>user\nAdd.\n\n1 and 2<|im_end|>\n<|im_start|>assistant\n⟦3<|im_end|>\n⟧"
    )
    code, output = run_command(
        "export", write_chats(tmp_path), "--for", "axolotl", "--check"
    )
    assert code == 0, output
    assert "⟦Goodbye.<|im_end|>⟧" in output
    assert "2 of 2 rows" in output
    with pytest.raises(ConfigError, match="nothing to do: name a folder"):
        tacos.export(TABLE, "trl")


def write_chats(folder: Path) -> Path:
    file = folder / "chats.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in CHATS))
    return file


@pytest.mark.parametrize("trainer", ["axolotl", "messages"])
def test_a_check_marks_no_answer_of_weight_0(trainer: str) -> None:
    check = tacos.export(weighted_messages(), trainer, check=True).check
    assert check is not None
    assert check.n_answers == 1
    assert "⟦right<|im_end|>⟧" in check.shown[0]
    assert "⟦wrong" not in check.shown[0]


def test_a_check_finds_rows_that_are_skipped_or_cut() -> None:
    rows = [*CHATS, {"messages": ANSWER_FIRST}]
    check = tacos.export(rows, "sharegpt", check=True).check
    assert check is not None
    assert (check.n_kept, check.n_rows) == (2, 3)
    assert check.reasons == {"question and answer do not take turns": 1}
    long = [{"instruction": "Go on.", "output": "word " * 1000}]
    cut = tacos.export(long, "trl", check=True, max_tokens=1024).check
    assert cut is not None
    assert (cut.n_kept, cut.n_cut) == (1, 1)
    asked = [{"instruction": "word " * 1000, "output": "No."}]
    unanswered = tacos.export(asked, "trl", check=True, max_tokens=1024).check
    assert unanswered is not None
    assert unanswered.n_kept == 0
    assert unanswered.reasons == {"cut before the answer, at about 1,024 tokens": 1}
    dropped = tacos.export(long, "axolotl", check=True, max_tokens=1024).check
    assert dropped is not None
    assert dropped.n_kept == 0
    assert "longer than about 1,024 tokens" in dropped.reasons


def test_a_saved_dataset_is_read_by_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    tacos.export(CHATS, "datasets", tmp_path / "chats")
    saved = datasets.load_from_disk(str(tmp_path / "chats"))
    assert saved.num_rows == 2
    turns = [
        {name: value for name, value in message.items() if value}
        for message in saved[1]["messages"]
    ]
    assert turns[1] == {"role": "assistant", "tool_calls": [CALL]}
    assert turns[2] == TOOL_CHAT[2]
    assert json.loads(saved[1]["tools"]) == [TOOL]
    tacos.export(TABLE, "datasets", tmp_path / "table")
    saved = datasets.load_from_disk(str(tmp_path / "table"))
    assert saved[0]["completion"] == [{"role": "assistant", "content": "3"}]
    assert saved.column_names == ["prompt", "completion"]


def test_a_row_that_no_file_can_hold_is_left_out(tmp_path: Path) -> None:
    rows = [*TABLE, {"instruction": "half a character: \ud83d", "output": "x"}]
    exported = tacos.export(rows, "trl", tmp_path / "out")
    assert exported.n_rows == 2
    assert exported.reasons == {"cannot be stored as JSON: UnicodeEncodeError": 1}


def test_a_text_that_looks_like_a_dialogue_stays_a_text(tmp_path: Path) -> None:
    text = "Human: Hi.\n\nAssistant: Hello."
    looks = {"instruction": "Classify.", "input": "x", "output": text}
    rows = export_rows([*TABLE, looks], "llama-factory", tmp_path / "out")
    # One such row in Alpaca would have cost all rows their column of inputs.
    assert rows[-1]["input"] == "x"
    assert rows[-1]["output"] == text


def test_a_folder_of_data_is_read_like_any_input(tmp_path: Path) -> None:
    """Only a folder that is a run is taken for one."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in TABLE), "utf-8"
    )
    done = tacos.export(data, trainer="alpaca", output=tmp_path / "out")
    assert done.n_rows == len(TABLE)
