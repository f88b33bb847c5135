"""Parquet in, Parquet out: every column keeps its type, its values and its metadata.

Case types.parquet: timestamps, dates, times, durations, decimals and bytes became texts, 32-bit
floats 64-bit ones, maps structs, and columns without a value lost their type.
`fixtures/arrow_types.parquet` was written by pyarrow and has what polars itself cannot make:
short and large lists and texts, maps, index types of dictionaries, metadata of fields and of the
file.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as pf
import pyarrow.parquet as pq
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
from tacos.formats.original_types import TypedRows
from tacos.methods.samples import sample_parsing
from tacos.records import build_reject_frame
from tacos.store.artifacts import Draft
from tacos.store.joined_files import OriginalPart

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


def keep_originals(
    sources: list[Path], folder: Path, batch_size: int
) -> list[OriginalPart]:
    """Where the original rows lie that ingest and the store keep."""
    draft = Draft(folder / "draft", folder / "done")
    draft.path.mkdir()
    for number, batch in enumerate(reading.read_rows(sources, batch_size)):
        assert batch.original is not None
        draft.write_original(number, batch.original)
        draft.write(number, pl.DataFrame({"id": [number]}), build_reject_frame())
    return list(draft.commit({}).originals.values())


def restore(
    source: Path, folder: Path, picked: list[int], batch_size: int
) -> TypedRows:
    """The picked rows of a file, as they reach the output."""
    samples = []
    for batch in reading.read_rows([source], batch_size):
        found, _ = sample_parsing.parse_sample_batch(batch, IngestSettings())
        samples += [(sample.id, sample.raw) for sample in found]
    rows = pl.DataFrame(samples, schema=["id", "raw"], orient="row")
    originals = keep_originals([source], folder, batch_size)
    typed = original_types.restore_types(rows[picked].lazy(), originals)
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
    before = pq.read_table(ARROW)
    after = pq.read_table(out)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.to_pylist() == before.take([1, 4, 5]).to_pylist()
    assert before.schema.metadata[b"huggingface"] == b'{"info": {}}'
    assert_frame_equal(pl.read_parquet(out), pl.read_parquet(ARROW)[[1, 4, 5]])


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


LEAVES = {
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16, allow_nan=False),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.string(): st.text(max_size=3),
    pa.large_string(): st.text(max_size=3),
    pa.string_view(): st.text(max_size=3),
    pa.binary(): st.binary(max_size=3),
    pa.binary_view(): st.binary(max_size=3),
    pa.binary(2): st.binary(min_size=2, max_size=2),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.time32("s"): st.integers(0, 86_399),
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.time64("us"): st.integers(0, 86_399_999_999),
    pa.time64("ns"): st.integers(0, 86_399_999_999_999),
    pa.timestamp("ms"): st.integers(-(2**60), 2**60),
    pa.timestamp("us", "+05:30"): st.integers(-(2**60), 2**60),
    pa.timestamp("us", "Mars/Base"): st.integers(-(2**60), 2**60),
    pa.timestamp("ns", "Asia/Tokyo"): st.integers(-(2**60), 2**60),
    pa.duration("s"): st.integers(-(2**62), 2**62),
    pa.duration("ns"): st.integers(-(2**62), 2**62),
    pa.decimal128(5, 2): st.decimals(-999, 999, places=2),
    pa.decimal256(50, 3): st.decimals(-(10**9), 10**9, places=3),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from("ab"),
}
"""Type of Arrow -> its values, times as numbers; more than polars or Python has."""


@st.composite
def arrow_columns(draw: st.DrawFn, n_rows: int, depth: int = 0) -> pa.Array:
    """A column of any type, of any values, with or without nulls."""
    kinds = (
        ["leaf"] if depth > 1 else ["leaf", "list", "view", "fixed", "struct", "map"]
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "leaf":
        type_ = draw(st.sampled_from(list(LEAVES)))
        values = st.lists(LEAVES[type_] | st.none(), min_size=n_rows, max_size=n_rows)
        return pa.array(draw(values), type_)
    if kind == "struct":
        inner = [draw(arrow_columns(n_rows, depth + 1)) for _ in range(2)]
        fields = [
            pa.field(name, array.type, nullable=may_be_null(array))
            for name, array in zip("ab", inner, strict=True)
        ]
        return pa.StructArray.from_arrays(inner, fields=fields)
    if kind == "fixed":
        inner = draw(arrow_columns(2 * n_rows, depth + 1))
        return pa.FixedSizeListArray.from_arrays(inner, 2)
    n_inner = draw(st.integers(0, 4))
    inner = draw(arrow_columns(n_inner, depth + 1))
    cuts = st.lists(st.integers(0, n_inner), min_size=n_rows + 1, max_size=n_rows + 1)
    offsets = pa.array(sorted(draw(cuts)), pa.int32())
    if kind == "list":
        return pa.ListArray.from_arrays(offsets, inner)
    if kind == "view":
        starts, ends = offsets[:-1], offsets[1:]
        return pa.ListViewArray.from_arrays(starts, pc.subtract(ends, starts), inner)
    keys = pa.array(["k", "k", "l", "m"][:n_inner], pa.string())
    return pa.MapArray.from_arrays(offsets, keys, inner)


@settings(max_examples=100)
@given(st.data())
def test_any_type_of_arrow_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("arrow")
    n_rows = data.draw(st.integers(1, 5))
    texts = pa.array([f"text {i}" for i in range(n_rows)])
    extra = data.draw(arrow_columns(n_rows))
    fields = [
        pa.field("instruction", pa.string(), nullable=False, metadata={"x": "y"}),
        pa.field("output", pa.string()),
        pa.field("extra", extra.type, nullable=may_be_null(extra)),
    ]
    schema = pa.schema(fields, metadata={"huggingface": "{}"})
    table = pa.table([texts, texts, extra], schema=schema)
    suffix = data.draw(st.sampled_from([".parquet", ".arrow"]))
    source = folder / f"in{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, source)
        table = pq.read_table(source)
    else:
        pf.write_feather(table, source)
    size = data.draw(st.integers(1, n_rows))
    places = st.lists(st.integers(0, n_rows - 1), min_size=1, unique=True)
    picked = sorted(data.draw(places))
    typed = restore(source, folder, picked, size)
    out = writing.write_typed_rows(typed, folder / f"out{suffix}")
    read = pq.read_table if suffix == ".parquet" else pf.read_table
    found = read(out)
    assert found.schema.equals(table.schema, check_metadata=True)
    assert found.equals(take_rows(table, picked))


def may_be_null(array: pa.Array) -> bool:
    return array.null_count > 0 or array.type == pa.null()


def take_rows(table: pa.Table, picked: list[int]) -> pa.Table:
    """The rows of these numbers."""
    return pa.concat_tables([table.slice(number, 1) for number in picked])


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
    typed = original_types.restore_types(rows.lazy(), originals)
    assert typed is not None
    found = typed.read_frame()
    assert found.columns == ["instruction", "output", "n"]
    assert found["output"].to_list() == ["c", "b", "a"]
    assert found["n"].to_list() == [None, 2.5, 1.0]


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


def write_column(column: pa.Array, path: Path) -> Path:
    """A file of rows with one more column."""
    questions = [f"Tell me about bread {i}." for i in range(len(column))]
    answers = ["x" * (i + 1) for i in range(len(column))]
    columns = {"instruction": questions, "output": answers, "extra": column}
    table = pa.table(columns)
    pq.write_table(table, path)
    return path


def read_column(path: Path) -> list[object]:
    """The values of that column as rows have them."""
    return [row["extra"] for batch in reading.read_rows(path) for _, row in batch.rows]


def test_types_beyond_polars_and_python_are_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Attack 18 to 20: a lost entry, tracebacks, and a panic of Rust on stderr."""
    path = tmp_path / "x.parquet"
    entries = [[("k", None), ("k", "2")], [("a", "b")], None]
    columns = [
        pa.array(entries, pa.map_(pa.string(), pa.string())),
        pa.array([253402300800, -99999999999, 0], pa.timestamp("s")),  # as ms
        pa.array([-800000, 3000000, None], pa.date32()),
        pa.array([0], pa.timestamp("us", "+05:30")),
        pa.array([0], pa.timestamp("us", "Mars/Base")),
        pa.array([1, 1000], pa.timestamp("ns")),
        pa.array([2**62, 5], pa.duration("s")),
        pa.array([[1]], pa.list_view(pa.int8())),
        pa.array([Decimal("1.500")], pa.decimal256(60, 3)),
        pa.array([bytes(16)], pa.uuid()),
    ]
    zone = timezone(timedelta(hours=5.5))
    values = [
        [[["k", None], ["k", "2"]], {"a": "b"}, None],
        ["10000-01-01T00:00:00.000", "-1199-02-15T14:13:21.000", datetime(1970, 1, 1)],
        ["-221-09-04", "10183-09-21", None],
        [datetime(1970, 1, 1, 5, 30, tzinfo=zone)],
        ["1970-01-01T00:00:00.000000Z"],
        ["1970-01-01T00:00:00.000000001", datetime(1970, 1, 1, 0, 0, 0, 1)],
        ["4611686018427387904 s", timedelta(seconds=5)],
        [[1]],
        [Decimal("1.500")],
        [UUID(int=0)],
    ]
    for column, expected in zip(columns, values, strict=True):
        assert read_column(write_column(column, path)) == expected
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "column",
    [
        pa.array([253402300800000, 0, None], pa.timestamp("ms")),
        pa.array([-800000, 3000000, None], pa.date32()),
        pa.array([0, 1, None], pa.timestamp("us", "+05:30")),
        pa.array([[1], [], None], pa.list_view(pa.int8())),
        pa.array([[("k", 1), ("k", 2)], [], None], pa.map_(pa.string(), pa.int8())),
        pa.array([Decimal("1.500")] * 3, pa.decimal256(60, 3)),
        pa.array([bytes(16)] * 3, pa.uuid()),
    ],
)
def test_a_whole_run_keeps_types_beyond_polars(
    column: pa.Array, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Attack 18 to 20, from the command's input to its outputs of each kind."""
    source = write_column(column, tmp_path / "in.parquet")
    before = pq.read_table(source)
    out = tmp_path / "out.parquet"
    done = tacos.select(source, n=2, output=out, run=tmp_path / "run", **MODELS)
    picked = [int(id.rpartition(":")[2]) for id in done.in_input_order["id"]]
    after = pq.read_table(out)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.equals(take_rows(before, picked))
    questions = [f"Tell me about bread {i}." for i in picked]
    assert done.to_polars()["instruction"].to_list() == questions
    assert len(done.rows) == 2
    assert "panic" not in capfd.readouterr().err


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Attack 20: "fetch or write it again" mends nothing."""
    names = ["instruction", "output", "x", "x"]
    pq.write_table(pa.table([["a"]] * 4, names=names), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="several columns named 'x': rename all but"):
        list(reading.read_rows(tmp_path / "x.parquet"))
    inner = pa.StructArray.from_arrays([pa.array([1])] * 2, names=["a", "a"])
    write_column(inner, tmp_path / "y.parquet")
    with pytest.raises(InputError, match="several columns named 'a' in 'extra'"):
        list(reading.read_rows(tmp_path / "y.parquet"))


def test_a_type_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Integers of 128 bits, which polars alone writes."""
    rows = pl.DataFrame({"instruction": ["a"], "output": ["b"]})
    wide = rows.with_columns(wide=pl.lit(1, pl.Int128))
    wide.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"64 bits.*; write the file again without it"):
        list(reading.read_rows(tmp_path / "x.parquet"))
    (batch,) = reading.read_rows(wide)
    assert batch.rows[0][1]["wide"] == 1


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    content = ARROW.read_bytes()
    (tmp_path / "x.parquet").write_bytes(content[:400] + content[600:])
    with pytest.raises(InputError, match=r"x\.parquet is not a readable Parquet file"):
        list(reading.read_rows([tmp_path / "x.parquet"]))
