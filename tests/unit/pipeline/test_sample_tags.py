"""The tags of a run's samples as numbers, and the rows whose texts are read ahead."""

import polars as pl
import pytest

from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.steps import repeats
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.pipeline.steps.sample_tags import number_sample_tags

ROWS = [10, 2, 0, 1]
"""As text, 10 comes before 2."""
TAGS = {"a:10": ["y"], "a:2": ["x", "y"], "a:1": []}


def test_tags_stand_in_the_order_of_the_ids() -> None:
    samples = pl.DataFrame({"id": [f"a:{row}" for row in ROWS]})
    # a:0 was given none.
    tags = pl.DataFrame(
        {"id": list(TAGS), "tags": list(TAGS.values())},
        schema_overrides={"tags": pl.List(pl.String)},
    )
    tables = {"samples": FrameTable(samples), "canonical_tags": FrameTable(tags)}
    numbered, is_tagged = number_sample_tags(tables, RowCodes(["a"], n_digits=2))
    names = ["x", "y"]
    found = [sorted(names[tag] for tag in numbered.of(row)) for row in range(4)]
    in_order = ("a:0", "a:1", "a:10", "a:2")
    assert found == [TAGS.get(id_, []) for id_ in in_order]
    assert is_tagged.to_list() == [id_ in TAGS for id_ in in_order]


@pytest.mark.parametrize("n_at_once", [1, 2, 100])
def test_the_next_best_rows_are_read_ahead(
    n_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "N_AT_ONCE", n_at_once)
    scores = [3.0, 9.0, None, 5.0, 4.0, 1.0]
    rows = pl.DataFrame({"id": range(6), "score": scores})
    assert set(repeats.list_next_best(rows, 3, 3)) == {3, 4, 0}
    assert set(repeats.list_next_best(rows, 5, 3)) == {5}
    for unknown in (2, 17):
        assert repeats.list_next_best(rows, unknown, 3).is_empty()
