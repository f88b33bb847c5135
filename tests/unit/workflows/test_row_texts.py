"""The texts of a run's rows, wherever in its files they lie."""

import pytest

from tacos import config
from tacos.formats.writing import write_rows
from tacos.store.artifacts import Artifact
from tacos.workflows import select
from tacos.workflows.row_texts import RowTexts
from tacos.workflows.selection import OutputTargets

N_FILES = 70


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """70 files of three rows, of which the last has no text: a batch each."""
    folder = tmp_path_factory.mktemp("many")
    data = folder / "data"
    data.mkdir()
    for number in range(N_FILES):
        rows = [
            {"instruction": f"Name {number} teas.", "output": f"Assam, {number} times"},
            {"instruction": f"Sort {number} cups.", "output": f"By size: {number}"},
            {"instruction": "", "output": ""},
        ]
        write_rows(rows, data / f"{number:02d}.jsonl")
    done = select.run_selection(
        data,
        config.load_settings(select={"n": 9}),
        OutputTargets(run=folder / "run"),
        until="ingest",
    )
    return done.artifacts["samples"]


def test_rows_of_any_batch_are_read(samples: Artifact) -> None:
    assert len(samples.parts) == 2
    texts = RowTexts(samples)
    n_samples = 2 * N_FILES
    rejected = n_samples
    assert texts.read([n_samples - 1, 0, 3, 2, rejected]) == [
        {"instruction": "Sort 69 cups.", "response": "By size: 69"},
        {"instruction": "Name 0 teas.", "response": "Assam, 0 times"},
        {"instruction": "Sort 1 cups.", "response": "By size: 1"},
        {"instruction": "Name 1 teas.", "response": "Assam, 1 times"},
        {"instruction": '{"instruction":"","output":""}', "response": ""},
    ]
    assert texts.starts[-1] == 3 * N_FILES


def test_a_search_finds_rows_by_their_positions(samples: Artifact) -> None:
    found = RowTexts(samples).find('teas "69 times"')
    assert found.arg_true().to_list() == [2 * 69]


def test_a_sample_is_read_with_all_columns_and_a_rejected_row_has_none(
    samples: Artifact,
) -> None:
    texts = RowTexts(samples)
    row = texts.scan_sample(2 * 69 + 1)
    assert row is not None
    assert row.collect()["id"].to_list() == ["69.jsonl:1"]
    assert texts.scan_sample(2 * N_FILES) is None
