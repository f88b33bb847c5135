"""Parquet in, Parquet out: every column keeps its type, its values and its metadata.

Case types.parquet: timestamps, dates, times, durations, decimals and bytes became texts, 32-bit
floats 64-bit ones, maps structs, and columns without a value lost their type.
`fixtures/arrow_types.parquet` was written by pyarrow and has what polars itself cannot make:
short and large lists and texts, maps, index types of dictionaries, metadata of fields and of the
file.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes
from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import MODELS, WORDS

import tacos
from tacos.config import IngestSettings
from tacos.errors import InputError
from tacos.formats import original_types, reading, writing
from tacos.formats.original_types import TypedTable
from tacos.methods.samples import sample_parsing
from tacos.store.artifacts import Artifact, Draft

ARROW = Path(__file__).parents[1] / "fixtures" / "arrow_types.parquet"
N = 12
NESTED = pl.Struct({"a": pl.List(pl.Struct({"b": pl.Float32, "c": pl.Null}))})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with FaultServer(Behaviour()) as running:
        yield running


def typed_rows() -> pl.DataFrame:
    """Rows with a column of each type that JSON does not know."""
    moment = datetime(2024, 2, 29, 12, 30, 1, 5)
    plain = {
        "instruction": [f"Tell me about bread {i}." for i in range(N)],
        "output": ["x" * (i + 1) for i in range(N)],
        "at": [moment] * N,
        "day": [date(2024, 2, i + 1) for i in range(N)],
        "lasted": [timedelta(seconds=i) for i in range(N)],
        "clock": [time(1, 2, i) for i in range(N)],
        "price": pl.Series([Decimal(i) / 4 for i in range(N)], dtype=pl.Decimal(20, 3)),
        "bytes": [bytes([255, i]) for i in range(N)],
        "small": pl.Series(range(N), dtype=pl.UInt8),
        "vector": pl.Series([[0.1, i] for i in range(N)], dtype=pl.List(pl.Float32)),
        "fixed": pl.Series([[0.1, i] for i in range(N)], dtype=pl.Array(pl.Float32, 2)),
        "number": [float("nan"), float("inf"), *range(N - 2)],
        "kind": pl.Series(["a", "b"] * 6, dtype=pl.Categorical),
        "level": pl.Series(["low", None] * 6, dtype=pl.Enum(["low", "high"])),
        "nested": pl.Series([None] * N, dtype=NESTED),
        "empty": pl.Series([None] * N, dtype=pl.String),
        "nothing": [None] * N,
    }
    return pl.DataFrame(plain, strict=False).with_columns(
        precise=pl.col("at").cast(pl.Datetime("ns")) + pl.duration(nanoseconds=7),
        zoned=pl.col("at").dt.replace_time_zone("Asia/Tokyo"),
    )


def keep_originals(sources: list[Path], folder: Path, batch_size: int) -> list[Path]:
    """The files of original rows that ingest and the store keep."""
    draft = Draft(folder / "draft", folder / "done")
    draft.path.mkdir()
    for number, batch in enumerate(reading.read_rows(sources, batch_size)):
        assert batch.original is not None
        draft.write_original(number, batch.original)
    return Artifact(draft.path, {}).originals


def restore(
    source: Path, folder: Path, picked: list[int], batch_size: int
) -> TypedTable:
    """The picked rows of a file, as they reach the output."""
    samples = []
    for batch in reading.read_rows([source], batch_size):
        found, _ = sample_parsing.parse_sample_batch(batch, IngestSettings())
        samples += [(sample.id, sample.raw) for sample in found]
    rows = pl.DataFrame(samples, schema=["id", "raw"], orient="row")
    originals = keep_originals([source], folder, batch_size)
    typed = original_types.restore_types(rows[picked], originals)
    assert typed is not None
    return typed


def carry(source: Path, folder: Path, picked: list[int], batch_size: int) -> Path:
    """A Parquet file with the picked rows."""
    typed = restore(source, folder, picked, batch_size)
    return writing.write_typed_rows(typed, folder / "out.parquet")


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_each_type_comes_out_as_it_went_in(batch_size: int, tmp_path: Path) -> None:
    """Case types.parquet."""
    rows = typed_rows()
    rows.write_parquet(tmp_path / "in.parquet")
    picked = [0, 3, 4, 11]
    out = carry(tmp_path / "in.parquet", tmp_path, picked, batch_size)
    assert_frame_equal(pl.read_parquet(out), rows[picked], categorical_as_str=False)


def test_arrow_types_and_metadata_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Types that are one to polars, and what the file says of itself and its fields."""
    out = carry(ARROW, tmp_path, [1, 4, 5], 2)
    assert_frame_equal(pl.read_parquet(out), pl.read_parquet(ARROW)[[1, 4, 5]])
    before = pl.read_parquet_metadata(ARROW)
    assert pl.read_parquet_metadata(out) == before
    assert before["huggingface"] == '{"info": {}}'


def test_pyarrow_reads_the_same_schema(tmp_path: Path) -> None:
    """The reader that most people have."""
    parquet = pytest.importorskip("pyarrow.parquet")
    out = carry(ARROW, tmp_path, [1, 4, 5], 2)
    before = parquet.read_table(ARROW)
    after = parquet.read_table(out)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.to_pylist() == before.take([1, 4, 5]).to_pylist()


TYPES = [
    pl.Boolean,
    pl.Int8,
    pl.Int64,
    pl.UInt16,
    pl.UInt64,
    pl.Float32,
    pl.Float64,
    pl.Decimal,
    pl.Date,
    pl.Time,
    pl.Datetime,
    pl.Duration,
    pl.Binary,
    pl.String,
    pl.Categorical,
    pl.Enum,
    pl.List,
    pl.Array,
    pl.Struct,
    pl.Null,
]


@settings(max_examples=60)
@given(dataframes(min_size=1, max_size=6, allowed_dtypes=TYPES), st.data())
def test_any_columns_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, extra: pl.DataFrame, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("types")
    texts = [f"text {i}" for i in range(extra.height)]
    rows = extra.with_columns(
        instruction=pl.Series(texts),
        output=pl.Series(texts),
    )
    rows.write_parquet(folder / "in.parquet")
    size = data.draw(st.integers(1, extra.height))
    places = st.lists(st.integers(0, extra.height - 1), min_size=1, unique=True)
    picked = sorted(data.draw(places))
    out = carry(folder / "in.parquet", folder, picked, size)
    assert_frame_equal(
        pl.read_parquet(out), pl.read_parquet(folder / "in.parquet")[picked]
    )


def test_a_whole_run_keeps_them(tmp_path: Path) -> None:
    """Case types.parquet, from the command's input to its output, and again by reselect."""
    rows = typed_rows()
    rows.write_parquet(tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    done = tacos.select(tmp_path / "in.parquet", n=4, output=out, **MODELS)
    found = pl.read_parquet(out)
    assert found.schema == rows.schema
    ids = found["instruction"].to_list()
    assert_frame_equal(found, rows.filter(pl.col("instruction").is_in(ids)))
    assert_frame_equal(done.to_polars(), found)
    again = tmp_path / "again.parquet"
    tacos.load(done.run).reselect(3, "longest", output=again)
    assert pl.read_parquet(again).schema == rows.schema


def test_score_columns_stand_beside_them(tmp_path: Path) -> None:
    rows = typed_rows()
    rows.write_parquet(tmp_path / "in.parquet")
    (tmp_path / "work").mkdir()
    scores = pl.DataFrame({"rank": [1, 2]}, schema={"rank": pl.UInt32})
    typed = restore(tmp_path / "in.parquet", tmp_path / "work", [3, 5], 100)
    wider = writing.add_typed_score_columns(typed, scores)
    found = pl.read_parquet(writing.write_typed_rows(wider, tmp_path / "out.parquet"))
    assert_frame_equal(found.select(rows.columns), rows[[3, 5]])
    assert_frame_equal(found.select(rank="tacos_rank"), scores)


def test_files_of_different_types_share_one_that_holds_both(tmp_path: Path) -> None:
    """And a row of JSON beside them, which has no types."""
    first = pl.DataFrame({"instruction": ["Say a."], "output": ["a"], "n": [1]})
    first.cast({"n": pl.Int8}).write_parquet(tmp_path / "a.parquet")
    second = pl.DataFrame({"instruction": ["Say b."], "output": ["b"], "n": [2.5]})
    second.write_parquet(tmp_path / "b.parquet")
    rows = pl.DataFrame(
        {
            "id": ["c.jsonl:0", "b.parquet:0", "a.parquet:0"],
            "raw": [
                '{"instruction": "Say c.", "output": "c"}',
                '{"instruction": "Say b.", "output": "b"}',
                '{"instruction": "Say a.", "output": "a"}',
            ],
        }
    )
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    originals = keep_originals(paths, tmp_path, 10)
    typed = original_types.restore_types(rows, originals)
    assert typed is not None
    assert typed.table.columns == ["instruction", "output", "n"]
    assert typed.table["output"].to_list() == ["c", "b", "a"]
    assert typed.table["n"].to_list() == [None, 2.5, 1.0]


@pytest.mark.parametrize("layout", ["columns", "conversations", "weighted"])
def test_refined_rows_keep_their_types(
    layout: str, server: FaultServer, tmp_path: Path
) -> None:
    """Where rewritten texts stand in columns of texts; beside other values they are JSON's."""
    rows = [
        {"instruction": f"Tell me about {WORDS[i % 8]} {i}.", "output": f"It is {i}."}
        for i in range(16)
    ]
    table = pl.DataFrame(rows)
    if layout != "columns":
        both = [
            [
                {"from": "human", "value": row["instruction"]},
                {"from": "gpt", "value": row["output"]},
            ]
            for row in rows
        ]
        table = pl.DataFrame({"conversations": both})
    if layout == "weighted":
        weighted = pl.element().struct.with_fields(weight=pl.lit(1, pl.Float32))
        table = table.with_columns(pl.col("conversations").list.eval(weighted))
    small = pl.Series("small", range(16), pl.UInt8)
    table.with_columns(small).write_parquet(tmp_path / "in.parquet")
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 1}
    done = tacos.select(
        tmp_path / "in.parquet",
        n=4,
        run=tmp_path / "run",
        settings={"llm": llm, "normalise": {"alpha": 1}},
        **MODELS,
    )
    out = tmp_path / "refined.parquet"
    refined = tacos.refine(done.run, output=out, ledger=tmp_path / "book")
    found = pl.read_parquet(out)
    assert refined.counts["rewritten"]
    before = done.to_polars()
    assert found.columns == before.columns
    assert found["small"].to_list() == before["small"].to_list()
    assert not found.drop("small").equals(before.drop("small"))
    if layout != "weighted":
        assert found.schema == before.schema


def test_a_polars_frame_keeps_its_types(tmp_path: Path) -> None:
    rows = typed_rows()
    out = tmp_path / "out.parquet"
    done = tacos.select(rows, n=4, output=out, run=tmp_path / "run", **MODELS)
    ids = done.to_polars()["instruction"]
    chosen = rows.filter(pl.col("instruction").is_in(ids.implode()))
    assert_frame_equal(done.to_polars(), chosen)
    assert_frame_equal(pl.read_parquet(out), chosen)


def test_a_frame_of_python_objects_is_read_as_rows() -> None:
    objects = pl.Series("odd", [object(), None], pl.Object)
    rows = pl.DataFrame({"instruction": ["a", "b"], "output": ["c", "d"], "o": objects})
    (batch,) = reading.read_rows(rows)
    assert batch.original is None
    assert [row["output"] for _, row in batch.rows] == ["c", "d"]


def test_types_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    """Decimals of more than 38 digits, and list views, at which polars panics."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = pyarrow.array(["a"])
    for type_ in (pyarrow.decimal256(60, 5), pyarrow.list_view(pyarrow.int8())):
        odd = pyarrow.array([None], type_)
        table = pyarrow.table({"instruction": texts, "output": texts, "odd": odd})
        parquet.write_table(table, tmp_path / "x.parquet")
        with pytest.raises(InputError, match=r"x\.parquet is not a readable Parquet"):
            list(reading.read_rows([tmp_path / "x.parquet"]))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    content = ARROW.read_bytes()
    (tmp_path / "x.parquet").write_bytes(content[:400] + content[600:])
    with pytest.raises(InputError, match=r"x\.parquet is not a readable Parquet file"):
        list(reading.read_rows([tmp_path / "x.parquet"]))
