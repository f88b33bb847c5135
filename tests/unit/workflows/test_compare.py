"""Strategies side by side over one finished run."""

import json
from pathlib import Path

import pytest
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    tag_by_words,
)
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import ConfigError

ROWS = make_rows()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run in which every row was judged."""
    return tacos.select(
        ROWS,
        n=20,
        run=tmp_path_factory.mktemp("done") / "run",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
    )


def test_random_and_longest_always_stand_beside_and_the_pool_before(
    done: tacos.Selection,
) -> None:
    found = tacos.compare(done, 16, ["mig", "tacos"])
    assert found.table["strategy"].to_list() == [
        "pool",
        "mig",
        "tacos",
        "longest",
        "random",
    ]
    assert found.table["n"].to_list() == [160, 16, 16, 16, 16]
    assert set(found.chosen["tacos"]) == set(done.reselect(16, "tacos").table["id"])


def test_the_figures_are_those_of_the_rows(done: tacos.Selection) -> None:
    found = tacos.compare(done, 16, ["tacos"])
    pool, ours, longest, random = found.table.iter_rows(named=True)
    table = done.reselect(16, "longest").table
    assert longest["mean_length"] == pytest.approx(table["length"].mean())
    assert longest["coverage"] == pytest.approx(
        len({t for tags in table["tags"] for t in tags}) / 8
    )
    assert longest["mean_length"] > max(ours["mean_length"], random["mean_length"])
    assert (pool["coverage"], pool["cluster_distance"]) == (1, 0)
    assert ours["mean_score"] > pool["mean_score"]


def test_random_is_a_mean_between_its_least_and_greatest_draw(
    done: tacos.Selection,
) -> None:
    found = tacos.compare(done, 16, ["tacos"])
    bounds = {
        figure: (low, mean, high)
        for figure, mean, low, high in found.random.iter_rows()
    }
    low, mean, high = bounds["mean_length"]
    assert low < mean < high
    assert mean == found.table["mean_length"][-1]
    assert low < found.table["mean_length"][0] < high  # the pool's own


def test_overlap_and_mixes_are_shares(done: tacos.Selection) -> None:
    found = tacos.compare(done, "10%", ["tacos", "mig"])
    names = found.overlap["strategy"].to_list()
    for place, name in enumerate(names):
        assert found.overlap[name][place] == 1
    both = set(found.chosen["tacos"]) & set(found.chosen["mig"])
    assert found.overlap["mig"][0] == len(both) / 16
    for name in ("pool", *names):
        assert found.clusters[name].sum() == pytest.approx(1)
        assert found.sources[name].to_list() == [1]


def test_the_command_prints_json_and_draws(
    done: tacos.Selection, tmp_path: Path
) -> None:
    figure = tmp_path / "figure.svg"
    words = [
        "compare",
        str(done.run),
        "--strategies",
        "mig,random",
        "-n",
        "16",
        "-o",
        str(figure),
    ]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    assert [row["strategy"] for row in json.loads(result.output)["table"]] == [
        "pool",
        "mig",
        "longest",
        "random",
    ]
    assert "grey: the range of random selections" in figure.read_text("utf-8")
    printed = CliRunner().invoke(app, words).output
    assert "tags and scores" in printed
    assert "highest draw" in printed
    again = figure.read_bytes()
    CliRunner().invoke(app, [*words[:-1], str(tmp_path / "figure.png")])
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert figure.read_bytes() == again


def test_an_unknown_strategy_is_refused(done: tacos.Selection) -> None:
    with pytest.raises(ConfigError, match="k-center"):
        tacos.compare(done, 16, ["magic"])
