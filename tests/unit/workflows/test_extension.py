"""`--extend` on the command line and in Python: inputs, outputs, and what is refused."""

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos import config
from tacos.errors import ConfigError, InputError, RunError
from tacos.store import joined_files
from tacos.workflows import select
from tacos.workflows.extension import OldSamples
from tacos.workflows.selection import OutputTargets

GIVEN: dict[str, Any] = {
    "settings": {"normalise": {"alpha": 1}, "cluster": {"k": 4}},
    **MODELS,
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of rows and a run over the first of them."""
    folder = tmp_path_factory.mktemp("pool")
    rows = make_rows(120, long_response)
    for name, part in (("old", rows[:90]), ("new", rows[90:])):
        text = "\n".join(json.dumps(row) for row in part)
        (folder / f"{name}.jsonl").write_text(text)
    code, printed = run_command(
        "select",
        folder / "old.jsonl",
        "-n",
        8,
        "-o",
        folder / "out.jsonl",
        "--seed",
        3,
        "--set",
        "cluster.k=4",
    )
    assert code == 0, printed
    return folder


def extend(pool: Path, *words: object) -> tuple[int, str]:
    return run_command("select", *words, "--extend", pool / "out.jsonl.run")


def test_settings_and_seed_are_those_of_the_extended_run(
    pool: Path, tmp_path: Path
) -> None:
    output = tmp_path / "more.jsonl"
    code, printed = extend(pool, pool / "new.jsonl", "-o", output)
    assert code == 0, printed
    assert "extends" in printed
    # The rows are of both, so both are named.
    assert "rows in new.jsonl, out.jsonl.run;" in " ".join(printed.split())
    assert len(output.read_text().splitlines()) == 8
    done = tacos.load(tmp_path / "more.jsonl.run")
    assert (done.settings.seed, done.settings.cluster.k) == (3, 4)
    assert done.summary.extended["n_new"] == 30


def test_no_new_rows_at_all_only_select_again(pool: Path, tmp_path: Path) -> None:
    output = tmp_path / "same.jsonl"
    code, printed = extend(pool, "-o", output)
    assert code == 0, printed
    assert output.read_bytes() == (pool / "out.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--run", "{pool}/out.jsonl.run"), "cannot be extended in its own directory"),
        (("--preset", "paper"), "leave out --preset"),
        (("--seed", 4), "add --renew"),
        (("--set", "cluster.k=5"), "add --renew"),
        (("--set", "cascade.sample=200"), "cascade.sample"),
        (("--extend", "{pool}"), "no run.json"),
        (("--extend", "{pool}/out.jsonl.run"), "is given twice: name each run once"),
    ],
)
def test_what_does_not_go_with_a_run_is_refused(
    pool: Path, tmp_path: Path, words: tuple[Any, ...], told: str
) -> None:
    given = [str(word).replace("{pool}", str(pool)) for word in words]
    code, printed = extend(pool, pool / "new.jsonl", "-o", tmp_path / "x.jsonl", *given)
    assert code != 0
    assert told in printed
    assert "Traceback" not in printed


def test_renewal_needs_a_run(pool: Path, tmp_path: Path) -> None:
    code, printed = run_command(
        "select", pool / "new.jsonl", "--renew", "-o", tmp_path / "x.jsonl"
    )
    assert (code, "--extend RUN" in printed) == (2, True)


def test_types_of_parquet_rows_outlive_their_file(tmp_path: Path) -> None:
    frame = pl.DataFrame(make_rows(60, long_response)).with_columns(
        day=pl.lit("2026-11-26").str.to_date()
    )
    file = tmp_path / "old.parquet"
    frame[:40].write_parquet(file)
    old = tacos.select(file, 8, run=tmp_path / "old", **GIVEN)
    file.unlink()
    more = tacos.select(frame[40:], 50, extend=old, **GIVEN)
    found = more.to_polars()
    assert found.schema["day"] == pl.Date
    assert found.height == 50
    ids = set(more.table["id"].str.extract("(.*):"))
    assert ids == {"old.parquet", "data"}


def test_runs_over_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = []
    for number, part in enumerate(
        (make_rows(60, long_response)[:30], make_rows(60, long_response)[20:])
    ):
        file = tmp_path / str(number) / "rows.json"
        file.parent.mkdir()
        file.write_text(json.dumps(part))
        runs.append(tacos.select(file, 5, run=file.parent / "run", **GIVEN))
    both = tacos.select([], 5, extend=runs, **GIVEN)
    samples = both.artifacts["samples"].scan().collect()
    assert samples.height == 60
    assert set(samples["source"]) == {"rows.json", "rows.json~2"}
    assert (
        samples["id"] == samples["source"] + ":" + samples["id"].str.extract(r"(\d+)$")
    ).all()
    assert sum(both.summary.rejects["samples"].values()) == 10


def test_a_run_that_was_stopped_early_is_extended_by_what_it_has(
    tmp_path: Path,
) -> None:
    rows = make_rows(60, long_response)
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows[:40]))
    words = ("select", file, "-n", 5, "-o", tmp_path / "a.json", "--until", "tag")
    assert run_command(*words)[0] == 0
    run = tmp_path / "a.json.run"
    with pytest.raises(RunError, match="has no vocabulary yet"):
        tacos.select(rows[40:], 5, extend=run)
    done = tacos.select(rows[40:], 5, extend=run, renew=True)
    assert done.summary.extended["n_known"] == 40


def test_bad_rows_among_the_new_ones_are_not_excused_by_old_ones(
    tmp_path: Path,
) -> None:
    rows = make_rows(160, long_response)
    old = tacos.select(rows[:140], 5, run=tmp_path / "old", **GIVEN)
    broken = [*rows[140:], {"unknown": 1}]
    with pytest.raises(tacos.TacosError, match="1 of 21 rows failed"):
        tacos.select(broken, 5, extend=old, **GIVEN)


def test_another_preset_is_refused_in_python(tmp_path: Path) -> None:
    old = tacos.select(make_rows(40, long_response), 5, run=tmp_path / "old", **GIVEN)
    with pytest.raises(ConfigError, match="has the preset robust"):
        tacos.select([], 5, extend=old, preset="paper", **GIVEN)


def test_a_run_that_is_not_whole_is_named(pool: Path, tmp_path: Path) -> None:
    """Not the new run, which the user would remove in vain."""
    copy = tmp_path / "copy.run"
    shutil.copytree(pool / "out.jsonl.run", copy)
    (part,) = (copy / "tags").rglob("part-*.parquet")
    words = ("select", pool / "new.jsonl", "--extend", copy, "-o", tmp_path / "x.jsonl")
    part.write_bytes(part.read_bytes()[:100])
    code, said = run_command(*words)
    assert code == 2
    assert f"{part.parent} is damaged" in said
    assert f"copy the run {copy} again" in said
    part.unlink()
    assert run_command(*words)[0] == 2
    assert not (tmp_path / "x.jsonl.run").exists()


def select_file(folder: Path, rows: list[dict[str, Any]]) -> tacos.Selection:
    """A run over a file that is called rows.json."""
    folder.mkdir()
    file = folder / "rows.json"
    file.write_text(json.dumps(rows))
    return tacos.select(file, 5, run=folder / "run", **GIVEN)


def count_by_file(done: tacos.Selection) -> dict[str, int]:
    """File -> its samples, whose ids are all different."""
    samples = done.artifacts["samples"].scan().collect()
    assert samples["id"].is_unique().all()
    return dict(samples.group_by("source").len().iter_rows())


def test_files_of_one_name_stay_apart_however_often_runs_are_merged(
    tmp_path: Path,
) -> None:
    rows = make_rows(80, long_response)
    one, two, three = (
        select_file(tmp_path / str(number), rows[20 * number : 20 * (number + 1)])
        for number in range(3)
    )
    both = tacos.select([], 5, extend=[one, two], run=tmp_path / "both", **GIVEN)
    new = tmp_path / "rows.json~3"
    new.write_text(json.dumps(rows[60:]))
    merged = tacos.select(new, 5, extend=[both, three], **GIVEN)
    names = ("rows.json", "rows.json~2", "rows.json~3", "rows.json~4")
    assert count_by_file(merged) == dict.fromkeys(names, 20)

    # Which of the two would the file take the place of?
    with pytest.raises(InputError, match=r"an input of \S*1/run, but has none of its"):
        tacos.select(tmp_path / "0" / "rows.json", 5, extend=[one, two], **GIVEN)


def test_data_without_a_name_are_always_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(80, long_response)
    runs = [
        tacos.select(part, 5, run=tmp_path / str(number), **GIVEN)
        for number, part in enumerate((rows[:20], rows[20:40]))
    ]
    more = tacos.select(rows[40:60], 5, extend=runs, run=tmp_path / "more", **GIVEN)
    names = ("data", "data~2", "data~3")
    assert count_by_file(more) == dict.fromkeys(names, 20)

    # A pipe has no name of its own either: its rows take the place of no other pipe's.
    old = more
    for number, part in enumerate((rows[60:70], rows[69:])):
        lines = "".join(f"{json.dumps(row)}\n" for row in part)
        piped = SimpleNamespace(buffer=io.BytesIO(lines.encode()))
        monkeypatch.setattr("sys.stdin", piped)
        run = tmp_path / f"piped-{number}"
        old = tacos.select("-", 5, extend=old, run=run, **GIVEN)
    expected = {**dict.fromkeys(names, 20), "stdin": 10, "stdin~2": 10}
    assert count_by_file(old) == expected


def test_rows_are_exported_as_the_run_that_read_them_did(tmp_path: Path) -> None:
    """Else half of a merged selection could not be trained on."""
    rows = make_rows(60, long_response)
    mapped = [{"q": row["instruction"], "a": row["output"]} for row in rows[:20]]
    ingest = {"ingest": {"instruction": "q", "response": "a"}}
    settings = {**GIVEN["settings"], **ingest}
    one = tacos.select(
        mapped, 5, run=tmp_path / "one", **{**GIVEN, "settings": settings}
    )
    two = tacos.select(rows[20:40], 5, run=tmp_path / "two", **GIVEN)
    both = tmp_path / "both"
    tacos.select([], 40, extend=[one, two], run=both, **GIVEN)
    more = tacos.select(rows[40:], 60, extend=[two, both], **GIVEN)
    for done, n_rows in ((both, 40), (more, 60), (more.reselect(50), 50)):
        exported = tacos.export(done, "messages", check=True)
        assert (exported.n_rows, exported.reasons) == (n_rows, {})
    # What is asked for at the export holds for all rows.
    asked = tacos.export(more, "messages", settings=ingest, check=True)
    assert asked.n_rows == 20


def test_old_samples_come_with_the_rows_of_their_own_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original rows of several batches lie in one file."""
    monkeypatch.setattr(joined_files, "FILES_PER_FILE", 2)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        row = {"instruction": f"Name {number} teas.", "output": "Assam", "n": number}
        if number != 1:
            pl.DataFrame([row]).write_parquet(data / f"{number}.parquet")
        else:  # has no types
            pl.DataFrame([row]).write_ndjson(data / f"{number}.jsonl")
    run = tmp_path / "run"
    done = select.run_selection(
        data, config.load_settings(), OutputTargets(run=run), until="ingest"
    )
    samples = done.artifacts["samples"]
    assert len(list(samples.path.glob("original-*.arrow"))) == 1
    read = [
        (batch.table["source"].item(), batch.original)
        for batch in OldSamples(run, samples).batches()
    ]
    numbers = [
        (file, original and original.table["n"].to_pylist()) for file, original in read
    ]
    assert numbers == [("0.parquet", [0]), ("1.jsonl", None), ("2.parquet", [2])]
