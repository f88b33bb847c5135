"""Rows kept, dropped and tagged by hand: files that select and reselect take, and that hold in a
shuffled input.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos.config import load_settings
from tacos.errors import InputError, TacosError
from tacos.formats import row_edits
from tacos.formats.row_edits import RowEdit
from tacos.pipeline.steps import hand_tags
from tacos.workflows import hand_edits
from tacos.workflows.selection import Selection

ROWS = make_rows(120, long_response)
NOT_THERE = r"rows that are not in the data, e\.g\. 'f00'"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and a run without edits."""
    folder = tmp_path_factory.mktemp("edits")
    write_rows(folder / "a.jsonl", ROWS)
    select(folder, "plain")
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def select(folder: Path, name: str, data: str = "a.jsonl", **options: Any) -> Selection:
    return tacos.select(
        str(folder / data), 12, run=folder / f"{name}.run", **MODELS, **options
    )


def samples_of(done: Selection) -> pl.DataFrame:
    return done.artifacts["samples"].scan().collect()


def hash_of(done: Selection, row: str) -> str:
    return str(samples_of(done).filter(id=row)["content_hash"].item())


def tags_of(done: Selection, content_hash: str) -> list[str]:
    [row_id] = samples_of(done).filter(content_hash=content_hash)["id"]
    tags = done.artifacts["canonical_tags"].scan().filter(pl.col("id") == row_id)
    found: list[str] = tags.collect()["tags"].to_list()[0]
    return found


def choose_rows(done: Selection) -> tuple[str, str, str]:
    """A row that was not selected, one that was, and another that was not, by content hash."""
    selected = done.table["content_hash"].to_list()
    others = [row for row in samples_of(done)["content_hash"] if row not in selected]
    return others[0], selected[0], others[7]


@pytest.fixture(scope="module")
def edits(place: Path) -> Path:
    kept, dropped, tagged = choose_rows(tacos.load(place / "plain.run"))
    file = place / "edits.jsonl"
    made = {
        kept: RowEdit(kept, "keep", note="a gem"),
        dropped: RowEdit(dropped, "drop"),
        tagged: RowEdit(tagged, None, ("Topology", "poem")),
    }
    row_edits.write_edits(made, file)
    return file


def test_select_keeps_drops_and_tags_as_the_file_says(place: Path, edits: Path) -> None:
    plain = tacos.load(place / "plain.run")
    kept, dropped, tagged = choose_rows(plain)
    done = select(place, "edited", edits=edits)
    hashes = done.table["content_hash"].to_list()
    assert kept in hashes
    assert dropped not in hashes
    assert tags_of(done, tagged) == ["Topology", "poem"]
    assert tags_of(plain, tagged) != ["Topology", "poem"]
    of_edited = done.explain(tagged)
    assert of_edited["tags_by_hand"] == ["Topology", "poem"]
    assert "tags_by_hand" not in done.explain(kept)
    assert done.explain(dropped)["verdict"].startswith("dropped: by hand")
    assert "kept by hand" in done.explain(kept)["verdict"]
    assert done.summary.shortlist["left out"]["on the exclude list"] == 1


def test_edits_hold_in_a_shuffled_input(place: Path, edits: Path) -> None:
    kept, dropped, tagged = choose_rows(tacos.load(place / "plain.run"))
    write_rows(place / "shuffled.jsonl", ROWS[::-1])
    done = select(place, "shuffled", "shuffled.jsonl", edits=edits)
    hashes = done.table["content_hash"].to_list()
    assert kept in hashes
    assert dropped not in hashes
    assert tags_of(done, tagged) == ["Topology", "poem"]


def test_only_what_depends_on_an_edit_runs_again(place: Path) -> None:
    plain = tacos.load(place / "plain.run")
    kept, dropped, tagged = choose_rows(plain)
    file = place / "step.jsonl"

    def made_by(*edits: RowEdit) -> list[str]:
        row_edits.write_edits({edit.content_hash: edit for edit in edits}, file)
        return select(place, "plain", edits=file).made

    assert made_by(RowEdit(kept, "keep")) == ["selection"]
    by_drop = made_by(RowEdit(dropped, "drop"))
    assert by_drop[0] == "shortlist"
    by_tags = made_by(RowEdit(tagged, tags=("Topology",)))
    assert by_tags[0] == "canonical_tags"
    assert "tags" not in by_tags
    # The same tags as before change nothing that comes after.
    own = tuple(tags_of(plain, kept))
    assert made_by(RowEdit(kept, tags=own)) == ["canonical_tags"]
    assert select(place, "plain").made == []


def test_reselect_takes_the_same_file_and_its_output_explains_itself(
    place: Path, edits: Path
) -> None:
    plain = tacos.load(place / "plain.run")
    kept, dropped, tagged = choose_rows(plain)
    output = place / "again.jsonl"
    code, printed = run_command(
        "reselect", plain.run, "--edits", edits, "-o", output, "-n", 12
    )
    assert code == 0, printed
    again = plain.reselect(12, edits=edits)
    hashes = again.table["content_hash"].to_list()
    assert kept in hashes
    assert dropped not in hashes
    assert again.made == [], "the command line has made the same selection"
    assert again.explain(tagged)["tags_by_hand"] == ["Topology", "poem"]
    assert "by hand" in tacos.explain(output, dropped)["verdict"]
    assert tacos.explain(output, tagged)["tags_by_hand"] == ["Topology", "poem"]
    # Tags set by hand count for quotas, too.
    quota = plain.reselect(12, edits=edits, per_tag={"Topology": 1})
    assert tagged in quota.table["content_hash"].to_list()
    # The run's own selection is what it was.
    assert tacos.load(plain.run).table.equals(plain.table)
    assert "tags_by_hand" not in tacos.load(plain.run).explain(tagged)


def test_none_takes_back_what_the_run_was_told(place: Path, edits: Path) -> None:
    done = select(place, "edited", edits=edits)
    kept, dropped, _ = choose_rows(tacos.load(place / "plain.run"))
    file = place / "none.jsonl"
    row_edits.write_edits({dropped: RowEdit(dropped, "none")}, file)
    again = done.reselect(12, edits=file)
    assert again.settings.select.exclude == ()
    assert kept in again.table["content_hash"].to_list(), "still told by the run"


class Stored:
    """A table in memory."""

    digest = ""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def scan(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def batches(self, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        yield self.frame.select(columns or self.frame.columns)


def test_rows_that_tagging_lost_can_be_tagged_by_hand() -> None:
    ids = list("abcdef")
    samples = Stored(pl.DataFrame({"id": ids, "content_hash": ids}))
    tagged = pl.DataFrame({"id": ["b", "c", "e"], "tags": [["x"], ["y"], ["z"]]})
    wanted = {"a": ("1",), "c": ("2",), "d": (), "f": ("3", "4")}
    hand = hand_tags.find_hand_tags(samples, Stored(tagged), wanted)
    # Batch by batch, as the stage works.
    parts = [hand_tags.set_hand_tags(part, hand) for part in tagged.iter_slices(1)]
    canonical = pl.concat(parts)
    assert canonical.rows() == [
        ("b", ["x"]),
        ("a", ["1"]),
        ("c", ["2"]),
        ("d", []),
        ("e", ["z"]),
        ("f", ["3", "4"]),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"content_hash": "x", "decision": "maybe"}', "line 1: decision is 'maybe'"),
        ('\n{"decision": "keep"}', "line 2: no content_hash"),
        ("not json", "line 1: 'not json' is no edit"),
        ('["x"]', "is no edit"),
        ('{"content_hash": "x", "tags": "one"}', "tags must be a list"),
        ('{"content_hash": "x", "tags": [" "]}', "none of them empty"),
        (
            '{"content_hash": "x", "decision": "keep"}\n'
            '{"content_hash": "x", "decision": "drop"}',
            "line 2: .*line 1 is about the same row",
        ),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, lines: str, message: str) -> None:
    file = tmp_path / "edits.jsonl"
    file.write_text(lines, "utf-8")
    with pytest.raises(InputError, match=message) as caught:
        row_edits.read_edits(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        row_edits.read_edits(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        row_edits.read_edits(tmp_path / "binary")


def test_keep_and_drop_of_one_row_name_both_lines(tmp_path: Path) -> None:
    keep = tmp_path / "keep.txt"
    keep.write_text("r:1\nr:2\n", "utf-8")
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("\nr:2\n", "utf-8")
    with pytest.raises(
        InputError, match=r"keep.txt, line 2: r:2 must .*exclude.txt, line 2"
    ):
        hand_edits.add_hand_lists(load_settings(), keep, exclude)
    edits = tmp_path / "edits.jsonl"
    edits.write_text('{"content_hash": "r:1", "decision": "drop"}', "utf-8")
    with pytest.raises(
        InputError, match=r"keep.txt, line 1: r:1 .*edits.jsonl, line 1"
    ):
        hand_edits.add_hand_lists(load_settings(), keep, None, edits)


def test_a_row_listed_by_id_and_by_content_is_refused_before_anything_is_tagged(
    place: Path, tmp_path: Path
) -> None:
    kept = hash_of(tacos.load(place / "plain.run"), "a.jsonl:3")
    edits = tmp_path / "edits.jsonl"
    row_edits.write_edits({kept: RowEdit(kept, "keep")}, edits)
    with pytest.raises(
        InputError, match=r"a\.jsonl:3 must be kept and must be left out"
    ):
        tacos.select(
            str(place / "a.jsonl"),
            12,
            run=tmp_path / "x.run",
            edits=edits,
            settings={"select": {"exclude": ["a.jsonl:3"]}},
            tagger=lambda texts: pytest.fail("asked"),
        )


@pytest.mark.parametrize("edit", [RowEdit("f00", "keep"), RowEdit("f00", tags=("x",))])
def test_a_row_that_is_not_in_the_data_is_an_error(
    place: Path, tmp_path: Path, edit: RowEdit
) -> None:
    edits = tmp_path / "edits.jsonl"
    row_edits.write_edits({"f00": edit}, edits)
    with pytest.raises(TacosError, match=NOT_THERE):
        select(place, "plain", edits=edits)
    with pytest.raises(TacosError, match=NOT_THERE):
        tacos.load(place / "plain.run").reselect(12, edits=edits)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    hostile = ("=1+1", "<script>", "x&amp;y")
    edits = {
        "b": RowEdit("b", "drop", note="\u2028 odd"),
        "a": RowEdit("a", "keep", hostile),
        "c": RowEdit("c", tags=(), others={"id": "data.jsonl:3", "by": ["ann"]}),
    }
    file = tmp_path / "edits.jsonl"
    row_edits.write_edits(edits, file)
    read = row_edits.read_edits(file)
    assert list(read) == ["a", "b", "c"]
    assert {row: edit.as_dict() for row, edit in read.items()} == {
        row: edit.as_dict() for row, edit in edits.items()
    }
