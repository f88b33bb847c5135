"""`tacos select --max-memory`: fewer workers, else one line before anything is asked or graded."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import ConfigError
from tacos.workflows import memory_forecast
from tacos.workflows.memory_forecast import MAIN, PER_ROW, PER_WORKER


def write_rows(folder: Path, n: int) -> Path:
    """A file of n different rows."""
    path = folder / "rows.csv"
    lines = [f"Name river {place}.,It is river {place}." for place in range(n)]
    path.write_text("\n".join(["instruction,output", *lines]))
    return path


def test_as_many_workers_as_fit_beside_the_main_process() -> None:
    room_for_two = MAIN + 2.5 * PER_WORKER
    assert memory_forecast.fit_workers(room_for_two, 8) == 2
    assert memory_forecast.fit_workers(room_for_two, 1) == 1
    # Without a worker, the main process does the work itself.
    assert memory_forecast.fit_workers(MAIN, 8) == 1


def test_less_than_the_main_process_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match="too little"):
        memory_forecast.check_limit(MAIN / 2)
    memory_forecast.check_limit(MAIN)
    memory_forecast.check_limit(None)


@pytest.mark.parametrize("where", [(), ("--dry-run",), ("--engine", "ray")])
def test_a_limit_below_the_main_process_is_refused_before_anything_is_read(
    tmp_path: Path, where: tuple[str, ...]
) -> None:
    """Before: a dry run planned all the same, Ray read everything first, and a limit of 1 KB was
    called "0.0 GB".
    """
    data = write_rows(tmp_path, 20)
    words = ["select", str(data), "-o", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(app, [*words, "--max-memory", "1KB", *where])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        "--max-memory 1.0 KB is too little: tacos select takes some 800.0 MB whatever the data"
    )
    assert list(tmp_path.iterdir()) == [data]


def test_a_dry_run_refuses_rows_that_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_forecast, "PER_ROW", 1e9)
    words = ["select", str(write_rows(tmp_path, 20)), "-n", "2", "--dry-run"]
    done = CliRunner().invoke(app, [*words, "--max-memory", "6GB"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("20 rows take some 20.8 GB")
    assert CliRunner().invoke(app, [*words, "--max-memory", "60GB"]).exit_code == 0


def test_rows_are_refused_with_what_they_need_and_how_many_would_fit() -> None:
    limit = MAIN + 1_000_000 * PER_ROW
    memory_forecast.check_rows(limit, 1_000_000)
    memory_forecast.check_rows(None, 10**9)
    with pytest.raises(ConfigError, match="enough for 1,000,000 rows") as caught:
        memory_forecast.check_rows(limit, 20_000_000)
    needed = (MAIN + 20_000_000 * PER_ROW) / 1e9
    assert f"20,000,000 rows take some {needed:.1f} GB" in str(caught.value)


def test_a_run_that_would_not_fit_stops_after_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files of millions of rows would take minutes to read.
    monkeypatch.setattr(memory_forecast, "PER_ROW", 1e9)
    data = write_rows(tmp_path, 20)
    run = tmp_path / "run"
    words = ["select", data, "-n", 2, "--run", run, "--max-memory", "6GB"]
    done = CliRunner().invoke(
        app, [*map(str, words), "-o", str(tmp_path / "out.jsonl")]
    )
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("20 rows take some 20.8 GB")
    assert (run / "samples").is_dir()
    assert not (run / "tags").exists()
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("given", ["6 rows", "", "0GB", "9" * 400 + "GB"])
def test_what_is_no_amount_of_memory_is_refused_before_anything(
    tmp_path: Path, given: str
) -> None:
    data = write_rows(tmp_path, 20)
    done = CliRunner().invoke(app, ["select", str(data), "--max-memory", given])
    assert isinstance(done.exception, ConfigError)
    assert "write 6GB or 800MB" in str(done.exception)
    assert list(tmp_path.iterdir()) == [data]
