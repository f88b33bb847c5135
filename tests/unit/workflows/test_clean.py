"""`tacos clean`: what is dropped is counted and named, what stays is as it was."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from benchmarks.row_generator import generate_rows
from tests.small_world import run_command

import tacos
from tacos.config.sections import CleaningRule
from tacos.errors import ConfigError, InputError, OutputError
from tacos.methods.cleaning.rules import RULES
from tacos.workflows.clean import Cleaning

ROWS: list[dict[str, Any]] = [
    {"instruction": "Name a colour.", "output": "Red is one.", "n": 1.5},
    {"instruction": "name a COLOUR", "output": "red is one", "n": 2},
    {"instruction": "Name a fruit.", "output": "As an AI language model, I cannot."},
    {"instruction": "Name a fruit.", "output": "A pear\ufffd"},
    {"instruction": "Name a tree.", "output": ""},
    {"instruction": "Name a bird.", "output": "A wren.<|im_end|>"},
    {"instruction": "Name a bird.", "output": "A wren."},
    {"instruction": "Name a bird.", "output": "A wren."},
]


def write_rows(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def list_dropped(cleaning: Cleaning) -> dict[str, str]:
    """Row -> rule."""
    dropped = read_lines(cleaning.dropped_file)
    return {row["id"].rpartition(":")[2]: row["rule"] for row in dropped}


def test_light_drops_broken_refused_and_repeated_rows(tmp_path: Path) -> None:
    cleaning = tacos.clean(write_rows(tmp_path), tmp_path / "clean.jsonl")
    assert list_dropped(cleaning) == {
        "1": "duplicates",
        "2": "refusals",
        "3": "encoding",
        "4": "empty or repeated",
        "7": "empty or repeated",
    }
    assert cleaning.counts == {
        "empty or repeated": 2,
        "secrets": 0,
        "encoding": 1,
        "refusals": 1,
        "duplicates": 1,
    }
    assert (cleaning.n_read, cleaning.n_kept) == (8, 3)
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    kept = (tmp_path / "clean.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in kept] == [
        json.loads(lines[number]) for number in (0, 5, 6)
    ]


def test_a_dropped_row_has_its_reason_and_itself(tmp_path: Path) -> None:
    cleaning = tacos.clean(write_rows(tmp_path), tmp_path / "clean.jsonl")
    dropped = {row["rule"]: row for row in read_lines(cleaning.dropped_file)}
    assert dropped["refusals"]["reason"] == "As an AI language model"
    assert json.loads(dropped["refusals"]["row"]) == ROWS[2]
    assert dropped["duplicates"]["reason"].endswith("the same as rows.jsonl:0")
    assert json.loads(dropped["duplicates"]["row"]) == ROWS[1]


def test_every_rule_is_optional(tmp_path: Path) -> None:
    cleaning = tacos.clean(
        write_rows(tmp_path),
        tmp_path / "clean.jsonl",
        rules=["boilerplate"],
        without=["refusals", "encoding", "secrets"],
        max_length=20,
    )
    assert cleaning.rules == ("boilerplate", "lengths", "duplicates")
    dropped = list_dropped(cleaning)
    assert dropped["2"] == "lengths"
    assert dropped["5"] == "boilerplate"
    assert "3" not in dropped


def test_near_duplicates_name_the_first(tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    answer = "Mexico, Peru, Chile, Cuba and Spain are five countries of many more."
    rows = [
        {"instruction": "Name five countries that speak Spanish.", "output": answer},
        {"instruction": "List five countries that speak Spanish.", "output": answer},
    ]
    cleaning = tacos.clean(
        write_rows(tmp_path, rows),
        tmp_path / "clean.jsonl",
        preset="strict",
    )
    (dropped,) = read_lines(cleaning.dropped_file)
    assert dropped["rule"] == "near-duplicates"
    assert dropped["reason"].endswith("the same as rows.jsonl:0")


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pl.DataFrame(ROWS[:3], schema_overrides={"n": pl.Float32}, strict=False)
    table.write_parquet(tmp_path / "rows.parquet")
    cleaning = tacos.clean(tmp_path / "rows.parquet", tmp_path / "clean.parquet")
    kept = pl.read_parquet(cleaning.output)
    assert kept.schema == table.schema
    assert kept.height == 1


def test_many_unreadable_rows_are_dropped_not_fatal(tmp_path: Path) -> None:
    path = write_rows(tmp_path)
    path.write_text(path.read_text("utf-8") + '{"instruction": \n' * 5, "utf-8")
    cleaning = tacos.clean(path, tmp_path / "clean.jsonl")
    assert cleaning.counts["unreadable"] == 5


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "none"},
        {"rules": ["refusal"]},
        {"without": ["all"]},
        {"min_length": 5, "max_length": 4},
        {"min_length": -1},
    ],
)
def test_unknown_rules_and_bounds_are_one_line(tmp_path: Path, options: Any) -> None:
    with pytest.raises(ConfigError):
        tacos.clean(write_rows(tmp_path), tmp_path / "clean.jsonl", **options)


def test_bad_paths_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        tacos.clean(tmp_path / "none.jsonl", tmp_path / "clean.jsonl")
    with pytest.raises(OutputError):
        tacos.clean(write_rows(tmp_path), tmp_path / "clean.what")


def test_the_command_prints_counts(tmp_path: Path) -> None:
    rows = write_rows(tmp_path)
    output = tmp_path / "clean.jsonl"
    _, printed = run_command("clean", str(rows), "-o", str(output))
    assert "refusals" in printed
    assert "1 dropped" in printed
    code, as_json = run_command("clean", str(rows), "-o", str(output), "--json")
    assert code == 0
    assert json.loads(as_json)["n_kept"] == 3


def test_rows_that_contain_evaluation_prompts_are_dropped(tmp_path: Path) -> None:
    """200 planted prompts are found, 200 of 200."""
    generated = list(generate_rows(800, seed=5, duplicates={}))
    prompts = [each.row["instruction"] for each in generated[:200]]
    evaluation = tmp_path / "eval.jsonl"
    lines = [json.dumps({"prompt": prompt}) for prompt in prompts]
    evaluation.write_text("\n".join(lines), "utf-8")
    rows: list[dict[str, Any]] = [each.row for each in generated[200:]]
    planted = [
        {**row, "instruction": f"Please: {prompt}"}
        for row, prompt in zip(rows, prompts, strict=False)
    ]
    cleaning = tacos.clean(
        write_rows(tmp_path, [*planted, *rows[200:]]),
        tmp_path / "clean.jsonl",
        against=evaluation,
    )
    dropped = read_lines(cleaning.dropped_file)
    of_rule = [row for row in dropped if row["rule"] == "contamination"]
    assert [row["id"] for row in of_rule] == [f"rows.jsonl:{i}" for i in range(200)]
    assert all("of a prompt of eval.jsonl:" in row["reason"] for row in of_rule)


def test_an_evaluation_file_without_prompts_is_one_line(tmp_path: Path) -> None:
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text('{"id": 3, "score": 1}\n', "utf-8")
    with pytest.raises(InputError, match="its fields are id, score"):
        tacos.clean(write_rows(tmp_path), tmp_path / "clean.jsonl", against=evaluation)
    with pytest.raises(ConfigError, match="--against"):
        tacos.clean(
            write_rows(tmp_path),
            tmp_path / "clean.jsonl",
            rules=["contamination"],
        )


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = write_rows(tmp_path)
    before = source.read_bytes()
    with pytest.raises(OutputError, match="is one of the inputs"):
        tacos.clean(source, source)
    with pytest.raises(OutputError, match="which the next run would read"):
        tacos.clean(tmp_path, tmp_path / "clean.jsonl")
    assert source.read_bytes() == before


def test_evaluation_sets_are_counted_with_rows_that_have_no_prompt(
    tmp_path: Path,
) -> None:
    evaluation = tmp_path / "eval.jsonl"
    prompt = json.dumps({"prompt": "Name three colours of the rainbow for me."})
    evaluation.write_text(f"{prompt}\n{prompt}\n{{broken\n", "utf-8")
    target = tmp_path / "out" / "clean.jsonl"
    target.parent.mkdir()
    code, printed = run_command(
        "clean", write_rows(tmp_path), "-o", target, "--against", evaluation
    )
    assert code == 0
    assert "2 prompts of 3 rows, 1 without one" in printed


def test_prompts_that_are_too_short_to_be_looked_for_are_counted(
    tmp_path: Path,
) -> None:
    """A set of one word, for which nothing is looked, counted as one prompt."""
    evaluation = tmp_path / "eval.jsonl"
    target = tmp_path / "out" / "clean.jsonl"
    target.parent.mkdir()
    words = ("clean", write_rows(tmp_path), "-o", target, "--against", evaluation)
    evaluation.write_text('{"prompt": "Hello!"}\n{"prompt": "Name a colour."}\n')
    assert "2 prompts of 2 rows, 1 too short" in run_command(*words)[1]
    evaluation.write_text('{"prompt": "Hello!"}\n')
    code, printed = run_command(*words)
    assert code == 2
    assert "eval.jsonl: 1 prompt, none of which has three words" in printed


def test_a_least_length_below_zero_is_called_that(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be 0 or more, not -5"):
        tacos.clean(write_rows(tmp_path), tmp_path / "clean.jsonl", min_length=-5)


def test_an_evaluation_set_that_is_mostly_broken_is_refused(tmp_path: Path) -> None:
    evaluation = tmp_path / "eval.jsonl"
    prompt = json.dumps({"prompt": "Name three colours of the rainbow for me."})
    evaluation.write_text("\n".join([prompt, *["{broken"] * 30]), "utf-8")
    with pytest.raises(InputError, match="30 of 31 rows are unreadable"):
        tacos.clean(
            write_rows(tmp_path), tmp_path / "clean.jsonl", against=[evaluation]
        )


KEY = "gh" + "p_" + "a1B2c3D4e5F6" * 3
SENSITIVE: list[dict[str, Any]] = [
    {"instruction": "Write to jane@corp.org.", "output": "Done.", "n": 1},
    {"instruction": "Log in.", "output": f"The key is {KEY}.", "n": 2},
    {"instruction": "Rest.", "output": "I do.", "n": 3},
    {"instruction": "Rest.", "output": "As an AI model, I mail a@corp.org.", "n": 4},
]


def test_secrets_and_personal_data_are_never_written(tmp_path: Path) -> None:
    cleaning = tacos.clean(
        write_rows(tmp_path, SENSITIVE), tmp_path / "clean.jsonl", rules=["pii"]
    )
    assert list_dropped(cleaning) == {"0": "pii", "1": "secrets", "3": "pii"}
    written = cleaning.dropped_file.read_text("utf-8")
    assert KEY not in written
    assert "corp.org" not in written
    assert "GitHub key: ghp_…" in written
    assert read_lines(cleaning.output) == [SENSITIVE[2]]


def test_masked_rows_stay(tmp_path: Path) -> None:
    rows = write_rows(tmp_path, SENSITIVE)
    code, printed = run_command(
        "clean", rows, "-o", tmp_path / "clean.jsonl", "--rule", "pii", "--mask"
    )
    assert code == 0
    assert "rows with something masked" in printed
    assert read_lines(tmp_path / "clean.jsonl") == [
        {**SENSITIVE[0], "instruction": "Write to [E-MAIL ADDRESS]."},
        {**SENSITIVE[1], "output": "The key is [GITHUB KEY]."},
        SENSITIVE[2],
    ]
    assert "corp.org" not in (tmp_path / "clean.jsonl.dropped.jsonl").read_text("utf-8")


def test_masked_parquet_keeps_its_types(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "I am j@corp.org"},
        {"from": "gpt", "value": ""},
    ]
    turns[1]["value"] = "Hello!"
    table = pl.DataFrame({"conversations": [turns], "n": [1.5]}).cast({"n": pl.Float32})
    table.write_parquet(tmp_path / "rows.parquet")
    cleaning = tacos.clean(
        tmp_path / "rows.parquet",
        tmp_path / "clean.parquet",
        rules=["pii"],
        mask=True,
    )
    kept = pl.read_parquet(cleaning.output)
    assert kept.schema == table.schema
    assert kept["conversations"][0][0]["value"] == "I am [E-MAIL ADDRESS]"
    assert (cleaning.n_masked, cleaning.masked) == (1, {"e-mail address": 1})


def test_masking_without_a_rule_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--rule pii"):
        tacos.clean(
            write_rows(tmp_path),
            tmp_path / "clean.jsonl",
            without=["secrets"],
            mask=True,
        )


def test_only_rows_in_a_language_that_is_wanted_stay(tmp_path: Path) -> None:
    pytest.importorskip("py3langid")
    rows = [
        {
            "instruction": "Explain bread.",
            "output": "It is baked from flour and water.",
        },
        {
            "instruction": "Was ist Brot?",
            "output": "Es wird aus Mehl gebacken, mit Hefe.",
        },
        {"instruction": "1 + 1", "output": "2"},
    ]
    source = write_rows(tmp_path, rows)
    code, _ = run_command(
        "clean", source, "-o", tmp_path / "clean.jsonl", "--language", "en"
    )
    assert code == 0
    assert read_lines(tmp_path / "clean.jsonl") == [rows[0], rows[2]]
    (dropped,) = read_lines(tmp_path / "clean.jsonl.dropped.jsonl")
    assert dropped["rule"] == "language"
    assert dropped["reason"].startswith("de with a probability of ")
    with pytest.raises(ConfigError, match="--language en"):
        tacos.clean(source, tmp_path / "clean.jsonl", rules=["language"])


def test_the_best_answer_to_an_instruction_stays(tmp_path: Path) -> None:
    bread = (
        "Mix flour, water, salt and yeast, let the dough rise for an hour, and bake it."
    )
    rows = [
        {"instruction": "How is bread made?", "output": "bread"},
        {"instruction": "Name a colour.", "output": "Red is a colour."},
        {"instruction": "how is bread made", "output": bread},
        {"instruction": "How is bread made?", "output": "I am red, and so."},
        {"instruction": "How is bread made?", "input": "Rye.", "output": "bread"},
    ]
    source = write_rows(tmp_path, rows)
    cleaning = tacos.clean(source, tmp_path / "clean.jsonl", rules=["same-instruction"])
    assert list_dropped(cleaning) == {"0": "same-instruction", "3": "same-instruction"}
    reasons = [row["reason"] for row in read_lines(cleaning.dropped_file)]
    start = "a better answer to the same instruction: rows.jsonl:2 ("
    assert all(reason.startswith(start) for reason in reasons)
    done = tacos.select(
        source, n=2, settings={"clean": {"rules": ["same-instruction"]}}
    )
    assert done.artifacts["samples"].manifest["n_rows"] == 3


def test_paraphrases_of_rows_that_stay_are_dropped(tmp_path: Path) -> None:
    rows = [
        {"instruction": "What is the most common word in English?", "output": "The."},
        {"instruction": "Which English word is the most common?", "output": "The."},
        {"instruction": "Which English word is the most common?", "output": "Set 2."},
        {"instruction": "What is the most common word in French?", "output": "Le."},
    ]
    source = write_rows(tmp_path, rows)
    cleaning = tacos.clean(source, tmp_path / "clean.jsonl", rules=["paraphrases"])
    assert list_dropped(cleaning) == {"1": "paraphrases"}
    (dropped,) = read_lines(cleaning.dropped_file)
    assert re.fullmatch(
        r"rows\.jsonl:0 in other words \(cosine 0\.9\d\)", dropped["reason"]
    )
    done = tacos.select(source, n=2, settings={"clean": {"rules": ["paraphrases"]}})
    assert done.artifacts["samples"].manifest["rejects"] == {"clean: paraphrases": 1}


def test_settings_know_the_rules_that_need_only_a_name() -> None:
    assert {*get_args(CleaningRule), "language", "contamination"} == set(RULES)


@pytest.mark.parametrize(
    ("name", "told"),
    [("none.jsonl", "does not exist; check the name"), (".", "is a folder")],
)
def test_an_evaluation_set_of_a_selection_that_cannot_be_read_says_what_to_do(
    tmp_path: Path, name: str, told: str
) -> None:
    code, printed = run_command(
        *("select", write_rows(tmp_path), "-n", 1, "-o", tmp_path / "out.jsonl"),
        *("--against", tmp_path / name),
    )
    assert code == 2
    assert told in printed


@pytest.mark.parametrize("command", ["clean", "select"])
@pytest.mark.parametrize(
    ("output", "told"),
    [
        (".", ". is a folder: name a file in it"),
        ("", ". is a folder: name a file in it"),
        ("/", "/ is a folder: name a file in it"),
        ("..", ".. is a folder: name a file in it"),
        (
            "s3://me:passw0rd@bucket/a.jsonl?token=t0ken",
            "s3://bucket/a.jsonl is an address: name a file here, and send it there afterwards",
        ),
    ],
)
def test_an_output_that_is_no_file_here_is_one_line(
    tmp_path: Path, command: str, output: str, told: str
) -> None:
    """A traceback, and a login on the screen."""
    sizes = ("-n", 1) if command == "select" else ()
    code, printed = run_command(command, write_rows(tmp_path), *sizes, "-o", output)
    assert (code, printed) == (2, told)
