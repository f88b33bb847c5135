"""What share of the input failed: all rows read count, duplicates and empty rows too.

Cases truncated_last and lone_surrogate: one damaged row among many duplicates was "1 of 13 rows
(7.7%)" and stopped the run. An empty conversation is no failure, however it is written.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tacos import config
from tacos.errors import FailureRateError
from tacos.store.artifacts import Artifact
from tacos.workflows.select import OutputTargets, run_selection

GOOD = [
    {"instruction": f"Name a word that starts with {letter}.", "output": f"{letter}x."}
    for letter in "abcdefghij"
]


def ingest(folder: Path, lines: list[str]) -> Artifact:
    (folder / "x.jsonl").write_text("\n".join(lines))
    done = run_selection(
        [folder / "x.jsonl"],
        config.load_settings("robust", None, ()),
        OutputTargets(run=folder / "run"),
        until="ingest",
    )
    return done.artifacts["samples"]


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(row) for row in rows]


DAMAGED = {
    "truncated_last": '{"instruction": "What should I pack?", "output": "A map and a sm',
    "lone_surrogate": '{"instruction": "Say it.", "output": "half \\ud83d a character"}',
}


@pytest.mark.parametrize("case", DAMAGED)
def test_one_damaged_row_of_many_repeats_is_one_of_all(
    case: str, tmp_path: Path
) -> None:
    """Cases truncated_last and lone_surrogate: 1 of 71 goes on."""
    samples = ingest(tmp_path, [*lines_of(GOOD * 7), DAMAGED[case]])
    manifest = samples.manifest
    assert (manifest["n_rows"], manifest["n_rejects"], manifest["n_failures"]) == (
        10,
        61,
        1,
    )


def test_rows_left_out_count_as_read(tmp_path: Path) -> None:
    empty = [{"instruction": f"Say {i}.", "output": ""} for i in range(60)]
    samples = ingest(tmp_path, [*lines_of([*GOOD, *empty]), DAMAGED["truncated_last"]])
    assert samples.manifest["n_failures"] == 1


def test_too_many_damaged_rows_still_stop_it(tmp_path: Path) -> None:
    lines = [*lines_of(GOOD * 7), *[DAMAGED["truncated_last"]] * 3]
    with pytest.raises(FailureRateError, match=r"3 of 73 rows failed \(4\.1%"):
        ingest(tmp_path, lines)


@pytest.mark.parametrize("empty", [None, [], "", " ", "[]", "null"])
@pytest.mark.parametrize("column", ["conversations", "messages"])
def test_a_conversation_without_a_value_is_an_empty_one(
    column: str, empty: object, tmp_path: Path
) -> None:
    full = [
        {
            column: [
                {"from": "human", "value": f"Say {i}."},
                {"from": "gpt", "value": "No."},
            ]
        }
        for i in range(3)
    ]
    samples = ingest(tmp_path, lines_of([*full, {column: empty}]))
    (reject,) = samples.rejects().to_dicts()
    assert (reject["reason"], reject["failure"]) == ("empty conversation", False)
    assert samples.manifest["n_rows"] == 3


def test_a_task_without_instances_is_an_empty_one(tmp_path: Path) -> None:
    task = {"instruction": "Add.", "instances": [{"input": "1, 2", "output": "3"}]}
    samples = ingest(
        tmp_path, lines_of([task, {"instruction": "Add.", "instances": None}])
    )
    (reject,) = samples.rejects().to_dicts()
    assert (reject["reason"], reject["failure"]) == ("no answer of an assistant", False)
