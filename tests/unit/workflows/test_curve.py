"""How many rows do I need?"""

import json
from pathlib import Path

import pytest
from tests.small_world import (
    MODELS,
    WORDS,
    long_response,
    make_rows,
    run_command,
)

import tacos
from tacos.cli.shared import figures
from tacos.errors import ConfigError, InputError
from tacos.report import charts
from tacos.workflows import curve

ROWS = make_rows(response=long_response)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in which every row was judged."""
    return tacos.select(
        ROWS,
        n=20,
        run=tmp_path_factory.mktemp("curve") / "run",
        **MODELS,
        settings={
            "shortlist": {"rule": "all"},
            "normalise": {"alpha": 1},
            "pair": {"rounds": 1},
        },
    ).run


def test_every_size_is_the_selection_that_reselect_makes(folder: Path) -> None:
    found = curve.curve(folder, "mig", ["10%", 40, 20])
    assert found.table["n"].to_list() == [16, 20, 40]
    table = tacos.load(folder).reselect(20, "mig").table
    row = found.table.row(1, named=True)
    assert row["mean_score"] == pytest.approx(table["score"].mean())
    assert row["coverage"] == table["tags"].explode().n_unique() / 8
    assert row["share"] == 20 / 160
    assert 0 < row["by_chance"] <= 1
    steps = (found.table["coverage"][1] - found.table["coverage"][0]) / (4 / 160)
    assert found.table["gain"][0] == pytest.approx(steps)


def test_repeats_are_skipped_as_by_reselect() -> None:
    """Thirty questions, each asked in two ways."""
    rows = []
    for n in range(30):
        topic = f"{WORDS[n % 8]} {WORDS[(n * 3 + n // 8) % 8]}"
        answer = (
            f"A {topic} of {n} is a {topic} that has {n} parts, all of them {topic}s."
        )
        rows.append({"instruction": f"Describe the {topic} {n}.", "output": answer})
        rows.append({"instruction": f"Please describe {topic} {n}.", "output": answer})
    done = tacos.select(rows, n=40)
    everything = done.reselect(40)
    assert set(everything.table["id"]) == set(done.table["id"])
    assert everything.summary.n_repeats == done.summary.n_repeats > 0
    again = done.reselect(20)
    found = curve.curve(done, ns=[20])
    assert found.table["mean_score"][0] == pytest.approx(again.table["score"].mean())


def test_the_knee_is_where_the_gain_stays_below_the_rate(folder: Path) -> None:
    whole = curve.curve(folder, "random")
    assert whole.table["coverage"][-1] == 1
    assert whole.table["n"][-1] == whole.n_pool == 160
    assert whole.knee == 10  # eight tags are soon covered
    assert curve.curve(folder, "random", [2, 4], gain=0).knee is None


def test_the_command_prints_the_answer_and_draws_it(
    folder: Path, tmp_path: Path
) -> None:
    code, printed = run_command(
        "curve", folder, "--strategy", "mig", "-o", tmp_path / "curve.svg"
    )
    assert code == 0, printed
    assert "gains under 1 point" in printed
    assert "random rows" in (tmp_path / "curve.svg").read_text("utf-8")
    found = json.loads(run_command("curve", folder, "-n", "5,10", "--json")[1])
    assert [row["n"] for row in found["table"]] == [5, 10]
    assert found["answer"]


def test_a_strategy_has_one_colour_in_all_panels_of_the_figure(folder: Path) -> None:
    drawn = charts.chart_curve(curve.curve(folder, "mig", [10, 40]).table, "mig", None)
    coverage, *others = drawn["hconcat"]
    scale = coverage["encoding"]["color"]["scale"]
    ours = dict(zip(scale["domain"], scale["range"], strict=True))["mig"]
    assert [panel["mark"]["color"] for panel in others] == [ours, ours]
    assert coverage["encoding"]["x"]["scale"]["domain"] == [10, 40]


def test_a_figure_is_svg_or_png_and_a_gain_is_a_number(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"curve\.pdf: figures must be \.svg or \.png"
    ):
        figures.check_figure_path(tmp_path / "curve.pdf")
    assert run_command("curve", folder, "--gain", "nan")[0] == 2


def test_sizes_that_cannot_be(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not a valid size"):
        curve.curve(folder, "tacos", ["abc"])
    with pytest.raises(InputError, match="rows or shares"):
        curve.curve(folder, "tacos", ["5ktokens"])
    with pytest.raises(InputError, match="can select only"):
        curve.curve(folder, "tacos", [500])
    assert "can select only" in curve.curve(folder, "tacos", [10, 500]).ended


def test_one_size_says_nothing_of_the_gain(folder: Path) -> None:
    assert curve.curve(folder, ns=[20]).answer == (
        "one size says nothing of the gain: give several sizes"
    )
    assert "adding 1% of the pool" in curve.curve(folder, ns=[20, 40]).answer
