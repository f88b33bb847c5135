"""What a person names as the input: folders, patterns, fields by their paths, rejected answers.

A folder stands for the data files in it, whatever else lies there; a pattern counts only after
`--glob`; `--map` says which field holds what, however deep; `--preference rejected` reads the worse
answer of a preference, and never the better one in its place.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.config import IngestSettings
from tacos.errors import ConfigError, InputError, OutputError
from tacos.formats.paths import choose_inputs, expand_folders
from tacos.methods.samples.row_rewriting import extract_parts, rewrite_row
from tacos.methods.samples.sample_parsing import parse_sample
from tacos.records import Reject, Sample


def inspect_json(*words: str | Path) -> dict[str, Any]:
    shown = CliRunner().invoke(
        app, ["inspect", *map(str, words), "--json"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    return dict(json.loads(shown.stdout))


def write_lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_row(topic: str) -> dict[str, Any]:
    return {"instruction": f"What about {topic}?", "output": f"Nothing on {topic}."}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three data files, and much else."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "corpus"
    write_lines(folder / "b" / "train-1.jsonl", make_row("moss"), make_row("bread"))
    write_lines(folder / "b" / "test-1.jsonl", make_row("chess"))
    pl.DataFrame([make_row("tides")]).write_ipc(folder / "a.arrow")
    for name in ("README.md", "dataset_info.json", "state.json", ".hidden.jsonl"):
        (folder / name).write_text("{}")
    write_lines(folder / "b" / "test-1.jsonl.scores.jsonl", {"rank": 1})
    write_lines(folder / "old.jsonl.run" / "run.json", {"status": "selected"})
    write_lines(folder / "old.jsonl.run" / "samples" / "part.jsonl", make_row("no"))
    return folder


# Folders and patterns


def test_a_folder_stands_for_its_data_files(corpus: Path) -> None:
    found = inspect_json(corpus)
    rows = {file["name"]: file["n_rows"] for file in found["files"]}
    assert rows == {"a.arrow": 1, "test-1.jsonl": 1, "train-1.jsonl": 2}
    assert found["examples"][0]["id"] == "a.arrow:0"
    assert tacos.inspect(corpus).n_rows == tacos.inspect([str(corpus)]).n_rows == 4


def test_a_folder_without_data_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes")
    with pytest.raises(InputError, match=r"holds no data file: .*jsonl"):
        tacos.inspect(tmp_path)


def test_a_run_is_no_folder_of_data(corpus: Path) -> None:
    with pytest.raises(InputError, match="is a run of tacos, not data"):
        tacos.inspect(corpus / "old.jsonl.run")


def test_an_output_in_the_folder_that_is_read_is_refused(corpus: Path) -> None:
    with pytest.raises(OutputError, match="a folder of the input"):
        tacos.select(corpus, 1, output=corpus / "chosen.jsonl")
    assert not (corpus / "chosen.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--glob", "corpus/b/*.jsonl"], ["test-1", "test-1.jsonl.scores", "train-1"]),
        (["--glob", "**/train*.jsonl"], ["train-1"]),
        (["corpus", "--glob", "b/t*-1.jsonl"], ["test-1", "train-1"]),
        (["corpus/a.arrow", "--glob", "corpus/b/train*"], ["a", "train-1"]),
        (["--glob", "corpus/a*", "--glob", "corpus/*.arrow"], ["a"]),
    ],
)
def test_patterns_count_after_glob_alone(
    corpus: Path, words: list[str], names: list[str]
) -> None:
    patterns = words[1:] if words[0] == "--glob" else words[2:]
    paths = [] if words[0] == "--glob" else words[:1]
    chosen = choose_inputs(paths, [word for word in patterns if word != "--glob"])
    assert [Path(path).stem for path in chosen] == names
    assert corpus.is_dir()


def test_a_pattern_in_place_of_a_path_is_a_name(corpus: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        tacos.inspect("corpus/b/*.jsonl")
    odd = write_lines(corpus.parent / "data[1].jsonl", make_row("kites"))
    assert expand_folders([odd]) == [odd]
    assert tacos.inspect(odd).n_rows == 1


def test_a_pattern_without_a_match_and_no_input_are_one_line(corpus: Path) -> None:
    with pytest.raises(InputError, match=r"no file matches --glob 'x\*' in corpus"):
        choose_inputs([corpus.name], ["x*"])
    with pytest.raises(InputError, match="no input: name files"):
        CliRunner().invoke(app, ["inspect"], catch_exceptions=False)


def test_select_reads_a_folder_by_a_pattern(corpus: Path) -> None:
    words = ["select", "corpus", "--glob", "b/*-1.jsonl", "-n", "1", "--until"]
    CliRunner().invoke(
        app, [*words, "ingest", "-o", "out.jsonl"], catch_exceptions=False
    )
    state = json.loads(Path("out.jsonl.run", "run.json").read_text())
    assert state["input"] == ["test-1.jsonl", "train-1.jsonl"]


# A declared mapping

NESTED = {
    "id": 7,
    "task": {"ask": "Add one.", "given": {"text": "41"}, "rules": "Be brief."},
    "replies": [{"text": "42", "tags": ["sums"]}, {"text": "43"}],
    "mark": {"value": 4.5},
}
PATHS = {
    "instruction": "task.ask",
    "input": "task.given.text",
    "response": "replies.0.text",
    "system": "task.rules",
    "tags": "replies.0.tags",
    "score": "mark.value",
}


def parse(row: dict[str, Any], **settings: Any) -> Sample | Reject:
    return parse_sample(row, "x:0", IngestSettings(**settings))


def list_texts(sample: Sample | Reject) -> list[tuple[str, str]]:
    assert isinstance(sample, Sample), sample
    return [tuple(turn) for turn in sample.turns]


def test_paths_lead_into_nested_fields() -> None:
    sample = parse(NESTED, **PATHS)
    assert list_texts(sample) == [
        ("system", "Be brief."),
        ("user", "Add one.\n\n41"),
        ("assistant", "42"),
    ]
    assert isinstance(sample, Sample)
    assert (sample.tags, sample.score) == (("sums",), 4.5)
    # The row comes out as it went in.
    assert json.loads(sample.raw) == NESTED


def test_a_column_whose_name_is_the_path_goes_first() -> None:
    row = {"a.q": "Flat?", "a": {"q": "Nested?"}, "r": "Yes."}
    sample = parse(row, instruction="a.q", response="r")
    assert list_texts(sample)[0] == ("user", "Flat?")


def test_an_input_may_be_missing_where_an_answer_may_not() -> None:
    row = {"task": {"ask": "Say one."}, "replies": [{"text": "One."}]}
    paths = {name: PATHS[name] for name in ("instruction", "input", "response")}
    assert list_texts(parse(row, **paths))[0] == ("user", "Say one.")
    missing = parse({"task": {"ask": "Say one."}, "replies": []}, **paths)
    assert isinstance(missing, Reject)


def test_messages_may_lie_deep() -> None:
    turns = [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hello."},
    ]
    row = {"request": {"body": {"messages": turns}}}
    texts = list_texts(parse(row, instruction="request.body.messages"))
    assert texts == [("user", "Hello?"), ("assistant", "Hello.")]


def test_refined_texts_go_back_to_where_they_were() -> None:
    settings = IngestSettings(
        instruction="task.ask", input="task.given.text", response="replies.0.text"
    )
    raw = json.dumps(NESTED)
    parts = extract_parts(raw, settings)
    assert tuple(parts) == ("Add one.", "41", "42")
    new = rewrite_row(raw, settings, "Add 1.", "It is 42.")
    expected = json.loads(raw)
    expected["task"]["ask"] = "Add 1."
    expected["replies"][0]["text"] = "It is 42."
    assert new == expected


def test_map_names_fields_on_the_command_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "deep.jsonl", NESTED)
    words = [f"--map={part}={field}" for part, field in PATHS.items()]
    found = inspect_json(path, *words)
    (file,) = found["files"]
    (columns,) = file["read_as"]["columns"]
    assert columns == "task.rules + task.ask + task.given.text -> replies.0.text"


def test_a_path_that_leads_nowhere_lists_the_fields(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "deep.jsonl", NESTED)
    with pytest.raises(InputError) as caught:
        tacos.inspect(
            path,
            {"ingest": {"instruction": "task.question", "response": "replies.0.text"}},
        )
    said = str(caught.value)
    assert "no row has the column 'task.question'" in said
    assert "task.ask, task.given.text" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["prompt"], "is not of the form PART=FIELD"),
        (["instruction="], "is not of the form PART=FIELD"),
        (["respons=a"], "did you mean 'response'"),
        (["instruction=a", "messages=b"], "mapped twice"),
    ],
)
def test_a_wrong_mapping_is_one_line(given: list[str], message: str) -> None:
    words = [f"--map={text}" for text in given]
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(app, ["inspect", "x.jsonl", *words], catch_exceptions=False)


# Rejected answers

ASKED = {"role": "user", "content": "Which is better?"}
GOOD = {"role": "assistant", "content": "This one."}
BAD = {"role": "assistant", "content": "That one."}
PREFERENCES = {
    "columns": {
        "prompt": "Which is better?",
        "chosen": "This one.",
        "rejected": "That one.",
    },
    "TRL, messages": {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]},
    "whole conversations": {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
    "UltraFeedback": {
        "prompt": "Which is better?",
        "messages": [ASKED, GOOD],
        "chosen": [ASKED, GOOD],
        "rejected": [ASKED, BAD],
    },
    "LLaMA-Factory": {
        "conversations": [{"from": "human", "value": "Which is better?"}],
        "chosen": {"from": "gpt", "value": "This one."},
        "rejected": {"from": "gpt", "value": "That one."},
    },
    "HH-RLHF": {
        "chosen": "\n\nHuman: Which is better?\n\nAssistant: This one.",
        "rejected": "\n\nHuman: Which is better?\n\nAssistant: That one.",
    },
    "OpenAI": {
        "input": {"messages": [ASKED]},
        "preferred_output": [GOOD],
        "non_preferred_output": [BAD],
    },
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_either_answer_of_a_preference_is_read(name: str) -> None:
    row = PREFERENCES[name]
    for preference, answer in (("chosen", "This one."), ("rejected", "That one.")):
        texts = list_texts(parse(row, preference=preference))
        assert texts == [("user", "Which is better?"), ("assistant", answer)]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Which?", "output": "This one."},
        {"prompt": "Which?", "chosen": "This one.", "rejected": None},
        {"messages": [ASKED, GOOD]},
    ],
)
def test_the_better_answer_never_stands_in_for_the_rejected_one(
    row: dict[str, Any],
) -> None:
    reject = parse(row, preference="rejected")
    assert isinstance(reject, Reject)
    assert reject.reason == "no rejected answer"
    assert not reject.failure


def test_a_rejected_answer_without_a_question_is_a_reject() -> None:
    row = {"messages": [ASKED, GOOD], "rejected": "That one."}
    reject = parse(row, preference="rejected")
    assert isinstance(reject, Reject)
    assert reject.reason == "no question before the rejected answer"


def test_preference_is_an_option(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", PREFERENCES["columns"])
    (shown,) = inspect_json(path, "--preference", "rejected")["examples"]
    assert shown["turns"][1]["text"] == "That one."
    with pytest.raises(ConfigError, match="preference"):
        inspect_json(path, "--preference", "worst")
