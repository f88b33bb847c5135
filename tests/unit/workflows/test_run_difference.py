"""Two runs side by side: what they share is found by content, and the order of the two is no
matter.
"""

import json
from pathlib import Path

import pytest
from tests.small_world import MODELS, make_rows, run_command

import tacos
from tacos.errors import InputError
from tacos.workflows.run_difference import RunDifference, compare_runs

ROWS = make_rows(160, lambda i: f"{'x' * (i % 89 + 1)} {i}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tacos.Selection]:
    """A run, one with another seed and size, one over half of its rows from another file."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rows in (("all", ROWS), ("half", ROWS[80:][::-1])):
        text = "\n".join(map(json.dumps, rows))
        (folder / f"{name}.jsonl").write_text(text)
    models = {"tagger": MODELS["tagger"], "encoder": MODELS["encoder"]}
    return {
        name: tacos.select(
            folder / f"{data}.jsonl",
            n=n,
            seed=seed,
            run=folder / f"{name}.run",
            judge=lambda asked, answers: [float(len(text)) for text in answers],
            settings={"normalise": {"alpha": 1}},
            **models,
        )
        for name, data, n, seed in (
            ("own", "all", 20, 1),
            ("larger", "all", 40, 2),
            ("half", "half", 20, 1),
        )
    }


def test_a_run_differs_in_nothing_from_itself(
    runs: dict[str, tacos.Selection],
) -> None:
    found = compare_runs(runs["own"], runs["own"])
    assert found.settings == ()
    assert len(found.both) == 20
    assert found.only_first == found.only_second == ()
    assert found.score_correlation == pytest.approx(1)
    assert found.n_rated_both == 160
    assert found.by_chance == 20 * 20 / 160
    assert all(one == other for one, other in found.figures.values())


def test_the_order_of_the_two_is_no_matter(runs: dict[str, tacos.Selection]) -> None:
    there = compare_runs(runs["own"], runs["larger"])
    back = compare_runs(runs["larger"], runs["own"])
    assert set(there.both) == set(back.both)
    assert there.only_first == back.only_second
    assert there.score_correlation == pytest.approx(back.score_correlation)
    assert {name: pair[::-1] for name, pair in there.figures.items()} == back.figures
    assert [(each.name, each.second, each.first) for each in there.settings] == [
        (each.name, each.first, each.second) for each in back.settings
    ]


def test_the_settings_that_differ_are_named(runs: dict[str, tacos.Selection]) -> None:
    found = compare_runs(runs["own"], runs["larger"])
    differing = {each.name: (each.first, each.second) for each in found.settings}
    assert differing == {"select.n": (20, 40), "seed": (1, 2)}


def test_rows_are_found_again_in_another_file_and_order(
    runs: dict[str, tacos.Selection],
) -> None:
    found = compare_runs(runs["own"], runs["half"])
    assert found.n_pool == (160, 80)
    assert found.n_pool_both == 80
    assert found.by_chance is None, "the pools differ"
    assert found.n_rated_both == 80
    assert found.score_correlation == pytest.approx(1)
    own = {row["output"] for row in runs["own"].rows}
    half = {row["output"] for row in runs["half"].rows}
    assert len(found.both) == len(own & half) > 0
    assert len(found.only_first) == len(own - half)
    assert found.sources == {"all.jsonl": (1.0, 0.0), "half.jsonl": (0.0, 1.0)}


def test_a_selection_made_again_is_compared_with_its_run(
    runs: dict[str, tacos.Selection],
) -> None:
    again = tacos.reselect(runs["own"], n=20, strategy="longest")
    found = compare_runs(runs["own"], again)
    assert all(each.name.startswith("reselect.") for each in found.settings)
    assert "reselect.strategy" in {each.name for each in found.settings}


def test_a_run_without_a_selection_is_refused(
    runs: dict[str, tacos.Selection],
) -> None:
    own = runs["own"]
    artifacts = {
        name: each for name, each in own.artifacts.items() if name != "selection"
    }
    early = tacos.Selection(own.run, own.settings, artifacts)
    with pytest.raises(InputError, match="no selection to compare"):
        compare_runs(own, early)


def test_the_command_prints_what_json_has(
    runs: dict[str, tacos.Selection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    own, larger = runs["own"].run, runs["larger"].run
    code, printed = run_command("runs", "compare", own, larger, "--json")
    assert code == 0
    figures = json.loads(printed)
    assert set(figures) == {
        each.name for each in RunDifference.__dataclass_fields__.values()
    }
    code, printed = run_command("runs", "compare", own, larger)
    assert code == 0
    assert f"{len(figures['both'])} selected by both (by chance 5)" in printed
    assert "select.n" in printed
    assert "rank correlation" in printed
    shown = [line for line in printed.splitlines() if not line.startswith(("A:", "B:"))]
    assert max(map(len, shown)) <= 80


def test_the_list_has_date_input_size_strategy_judge_and_cost(
    runs: dict[str, tacos.Selection],
) -> None:
    folder = runs["own"].run.parent
    overview = {each.run.name: each for each in tacos.runs(folder)}["own.run"]
    assert overview.n == 20
    assert [Path(name).name for name in overview.input] == ["all.jsonl"]
    assert overview.strategy == "tacos"
    assert overview.judge
    assert overview.usd == 0
    assert overview.time[:2] == "20"
    code, printed = run_command("runs", "list", folder)
    assert code == 0
    assert "n=20 of all.jsonl, robust, strategy tacos, judge " in " ".join(
        printed.split()
    )
    code, printed = run_command("runs", "list", folder, "--json")
    assert code == 0
    assert len(json.loads(printed)) == 3
