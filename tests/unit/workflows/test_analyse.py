"""Comparing data sets: one vocabulary for all, files and runs alike."""

from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

import tacos
from tacos import config
from tacos.cli import app
from tacos.errors import InputError, TacosError
from tacos.workflows import analyse
from tacos.workflows.analyse import Analysis

SETTINGS = ["ingest.tags=tags", "normalise.encoder=static", "normalise.alpha=2"]
A = [["Poetry", "Nature"], ["poetry"], ["Poetry", "Love"], [], ["Nature", "Once"]]
B = [["Poetry", "Code"], ["Code", "poetry"], ["Code", "Love"]]


def rows(tags: list[list[str]], name: str) -> list[dict[str, object]]:
    return [
        {"instruction": f"{name} {i}", "output": f"answer {i}", "tags": each}
        for i, each in enumerate(tags)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    for name, tags in (("a", A), ("b", B)):
        (folder / f"{name}.jsonl").write_bytes(
            b"\n".join(map(orjson.dumps, rows(tags, name)))
        )
    return folder / "a.jsonl", folder / "b.jsonl"


@pytest.fixture(scope="module")
def found(files: tuple[Path, Path]) -> Analysis:
    return analyse.analyse(files, config.load_settings(sets=SETTINGS))


def test_coverage_is_of_the_tags_of_all_data_sets_together(found: Analysis) -> None:
    table = found.summary.select(
        "data", "n_samples", "n_untagged", "n_tags", "coverage"
    ).rows()
    assert table == [("a", 5, 1, 3, 0.75), ("b", 3, 0, 3, 0.75)], (
        "Poetry, Nature, Love, Code; Once is too rare"
    )


def test_complexity_counts_samples_without_tags_in(found: Analysis) -> None:
    assert found.summary["complexity"].to_list() == [6 / 5, 2]


def test_tags_are_normalised_together(found: Analysis) -> None:
    assert (
        dict(found.vocabulary.select("raw", "canonical").iter_rows())["poetry"]
        == "Poetry"
    )
    assert [step["name"] for step in found.notes["steps"]] == [
        "frequency",
        "rules",
        "semantic",
        "association",
    ]


def test_curves_end_at_the_coverage_of_the_data_set(found: Analysis) -> None:
    last = found.rarefaction.group_by("data", maintain_order=True).last()
    assert last["expected"].to_list() == pytest.approx(
        found.summary["coverage"].to_list()
    )


def test_a_run_brings_its_tags_and_gives_what_its_file_gives(
    files: tuple[Path, Path], found: Analysis, tmp_path: Path
) -> None:
    run = tmp_path / "b.run"
    tacos.select(
        str(files[1]),
        n=2,
        run=run,
        settings={"ingest": {"tags": "tags"}, "normalise": {"encoder": "static"}},
    )
    again = tacos.analyse([files[0], run], config.load_settings(sets=SETTINGS))
    assert again.summary.drop("data").equals(found.summary.drop("data"))


def test_python_data_will_do(found: Analysis) -> None:
    again = tacos.analyse(
        [rows(A, "a"), rows(B, "b")], config.load_settings(sets=SETTINGS)
    )
    assert again.summary.drop("data").equals(found.summary.drop("data"))
    assert again.summary["data"].to_list() == ["data 1", "data 2"]


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one"):
        analyse.analyse([], config.load_settings())


def command(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, TacosError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def options() -> list[str]:
    return [word for setting in SETTINGS for word in ("--set", setting)]


def test_the_command_writes_tables_json_and_figures(
    files: tuple[Path, Path], found: Analysis, tmp_path: Path
) -> None:
    code, printed = command("analyse", *files, *options(), "-o", tmp_path / "out")
    assert code == 0, printed
    assert "75.0%" in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "summary.csv",
        "recall.csv",
        "analysis.json",
        "complexity-coverage.svg",
        "rarefaction.svg",
    } <= names
    assert pl.read_csv(tmp_path / "out" / "summary.csv")["coverage"].to_list() == [
        0.75,
        0.75,
    ]
    assert "<svg" in (tmp_path / "out" / "complexity-coverage.svg").read_text("utf-8")


def test_the_command_prints_json(files: tuple[Path, Path]) -> None:
    code, printed = command("analyse", *files, *options(), "--json")
    assert code == 0
    assert [row["n_tags"] for row in orjson.loads(printed)["summary"]] == [3, 3]


def test_a_published_vocabulary_takes_in_other_data_and_reports_drift(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    run, vocabulary = tmp_path / "a.run", tmp_path / "vocabulary.json"
    code, printed = command(
        "select", files[0], "-n", 2, "--run", run, *options(), "--until", "normalise"
    )
    assert code == 0, printed
    assert command("tags", run, "--publish", vocabulary)[0] == 0
    code, printed = command("analyse", files[1], *options(), "--vocabulary", vocabulary)
    assert code == 0, printed
    assert "drift" in printed
    assert "66.7% (50.0% of 4 raw tags)" in printed, (
        "Code and Love: 4 of 6 occurrences, two of four tags"
    )


def test_a_folder_that_cannot_be_made_is_one_clear_error(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, printed = command("analyse", files[0], *options(), "-o", tmp_path / "file")
    assert code == 2
    assert "\n" not in printed.strip()


def test_lineage_is_shown_both_ways(files: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "a.run"
    command(
        "select", files[0], "-n", 2, "--run", run, *options(), "--until", "normalise"
    )
    assert "poetry: seen 1 times, dropped" in command("tags", run, "--tag", "poetry")[1]
    assert (
        "Nature: the canonical tag of 1 raw tag\n"
        in command("tags", run, "--tag", "NATURE!")[1]
    )
    code, printed = command("tags", run, "--tag", "Naturr")
    assert (code, "similar tags: 'Nature'" in printed) == (2, True)
    assert "5 -> 2" in command("tags", run)[1]


def test_a_data_set_called_data_is_one_like_any_other(tmp_path: Path) -> None:
    for name, tags in (("data", A), ("b", B)):
        (tmp_path / f"{name}.jsonl").write_bytes(
            b"\n".join(map(orjson.dumps, rows(tags, name)))
        )
    both = [tmp_path / "data.jsonl", tmp_path / "b.jsonl"]
    found = analyse.analyse(both, config.load_settings(sets=SETTINGS))
    assert (
        found.recall["data"].to_list()
        == ["data.jsonl", "b.jsonl"]
        == found.recall.columns[1:]
    )
    assert analyse.name_data_sets(["somewhere/data", "b.jsonl"]) == [
        "./data",
        "b.jsonl",
    ]
