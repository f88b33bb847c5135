"""The same question has the same answer in every command (issue 13, C3 and C4).

One run by each preset, and every command that prints figures of it: `select`, `runs show`,
`reselect`, `compare`, `curve`, `analyse` and the report. Before, the coverage of random rows was
52.2, 52.4, 51.6 and 51.9% in four of them.
"""

import html
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from tests.small_world import MODELS, judge_by_instruction, make_rows, run_command

import tacos
from tacos.cli.shared import outcome, summary
from tacos.report import charts
from tacos.report.facts import UNCLUSTERED
from tacos.report.figure_texts import LABELS, SUMMARY_FIGURES, format_figure
from tacos.workflows.compare import WITHIN_LIMITS
from tacos.workflows.selection import load

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"
N_ROWS = 120
N = 12
NORMALISE = ["--set", "normalise.encoder=static", "--set", "normalise.alpha=1"]
QUICK = [*NORMALISE, "--set", "cluster.encoder=static", "--set", "cluster.k=12"]
PRESETS = {
    "robust": ["--set", "judge.mode=comparative", "--set", "shortlist.factor=3"],
    "paper": ["--preset", "paper"],
}
TAGS = ("coverage", "mean_tags")


class World(NamedTuple):
    """A run, what it wrote, and what it said."""

    data: Path
    run: Path
    output: Path
    report: Path
    preset: str
    printed: dict[str, Any]


@pytest.fixture(scope="module", params=sorted(PRESETS))
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """A finished run of a part of the bundled sample."""
    folder = tmp_path_factory.mktemp(request.param)
    data = write_data(folder)
    output = folder / "selected.jsonl"
    report = folder / "report.html"
    code, printed = run_command(
        *("select", data, "-n", N, "-o", output, "--report", report, "--json"),
        *(*QUICK, *PRESETS[request.param]),
    )
    assert code == 0, printed
    run = output.with_name("selected.jsonl.run")
    return World(data, run, output, report, request.param, json.loads(printed))


@pytest.fixture(autouse=True)
def _at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def write_data(folder: Path) -> Path:
    """The first rows of the bundled sample."""
    data = folder / "data.jsonl"
    lines = SAMPLE.read_text("utf-8").splitlines()[:N_ROWS]
    data.write_text("\n".join(lines) + "\n", "utf-8")
    return data


def ask(*words: object) -> Any:
    """What a command prints as JSON."""
    code, printed = run_command(*words, "--json")
    assert code == 0, printed
    return json.loads(printed)


def show(*words: object) -> str:
    """What a command prints."""
    code, printed = run_command(*words)
    assert code == 0, printed
    return printed


def compared(world: World, *options: object) -> dict[str, dict[str, float]]:
    """Strategy -> its figures, by `tacos compare`."""
    words = ["compare", world.run, "--strategies", "tacos,mig", *options]
    return {row["strategy"]: row for row in ask(*words)["table"]}


def analysed(world: World) -> dict[str, dict[str, float]]:
    """Data set -> its figures, by `tacos analyse`: the run's pool and its selection."""
    words = ["analyse", world.run, world.output, *NORMALISE]
    rows = ask(*words, "--preset", world.preset)["summary"]
    return {row["data"]: row for row in rows}


def rows_of_report(world: World) -> Iterator[list[str]]:
    """The texts of the cells of each line of each table of the report."""
    page = world.report.read_text("utf-8")
    for line in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL):
        cells = re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line, re.DOTALL)
        yield [html.unescape(cell) for cell in cells]


def rows_of_table(printed: str) -> Iterator[list[str]]:
    """The texts of the cells of each line of each table on the terminal."""
    for line in printed.splitlines():
        if line.startswith("│"):
            yield [cell.strip() for cell in line.strip("│").split("│")]


# One answer


def test_every_command_has_the_same_figures_of_pool_selection_random_and_longest(
    world: World,
) -> None:
    """C4: coverage, tags per row, lengths, scores and counts, in JSON."""
    said = world.printed["selection"]
    assert ask("runs", "show", world.run)["selection"] == said
    table = compared(world)
    for name, strategy in (
        ("pool", "pool"),
        ("selection", "tacos"),
        ("random", "random"),
        ("longest", "longest"),
    ):
        figures = table[strategy]
        assert said[name] == {figure: figures[figure] for figure in said[name]}, name
    (point,) = ask("curve", world.run, "-n", N)["table"]
    assert {name: point[name] for name in said["selection"]} == said["selection"]
    assert point["by_chance"] == said["random"]["coverage"]
    again = ask("reselect", world.run, "--strategy", "mig")["selection"]
    assert again["selection"] == {name: table["mig"][name] for name in said["pool"]}
    assert again["random"] == said["random"]


def test_analyse_agrees_on_tags(world: World) -> None:
    """C4: coverage, complexity and what random rows cover."""
    said = world.printed["selection"]
    found = analysed(world)
    of_run = found["selected.jsonl.run"]
    of_file = found["selected.jsonl"]
    assert of_run["coverage_same_size"] == pytest.approx(said["random"]["coverage"])
    assert of_file["coverage"] == pytest.approx(said["selection"]["coverage"])
    assert of_file["complexity"] == pytest.approx(said["selection"]["mean_tags"])
    assert of_run["complexity"] == pytest.approx(said["pool"]["mean_tags"])
    assert of_run["n_tags"] == world.printed["n_canonical_tags"]
    assert of_run["n_samples"] == world.printed["n_samples"]
    assert of_run["n_untagged"] == world.printed["n_untagged"]


def test_random_is_what_all_random_selections_are_on_average(world: World) -> None:
    """C4: the exact expectation, which needs no seed."""
    done = tacos.load(world.run)
    random = world.printed["selection"]["random"]
    draws = [
        done.reselect(N, "random", seed=seed).summary.selection["selection"]
        for seed in range(40)
    ]
    for name in ("coverage", "mean_tags", "mean_length", "median_length"):
        mean = sum(draw[name] for draw in draws) / len(draws)
        assert random[name] == pytest.approx(mean, rel=0.2), name
    other_seed = done.reselect(N, "random", seed=7).summary.selection
    assert other_seed["random"] == random


def test_terminal_and_report_print_the_same_digits(world: World) -> None:
    """C4: every line of pool and selection, in `runs show`, `compare` and the report."""
    said = world.printed["selection"]
    on_terminal = list(rows_of_table(show("runs", "show", world.run)))
    in_report = list(rows_of_report(world))
    for name, figures in said.items():
        texts = [format_figure(each, figures[each]) for each in SUMMARY_FIGURES]
        assert [name, *texts] in on_terminal
        assert [name, *texts] in in_report
    assert ["", *(LABELS[name] for name in SUMMARY_FIGURES)] in in_report

    chance = format_figure("coverage", said["random"]["coverage"])
    assert chance in show("curve", world.run, "-n", N)
    assert chance in show("compare", world.run, "--strategies", "mig")
    analysis = show(
        *("analyse", world.run, world.output, *NORMALISE, "--preset", world.preset)
    )
    assert chance in analysis


def test_counts_scores_and_seconds_are_the_same_in_summary_and_report(
    world: World,
) -> None:
    """C4's brothers: rejected rows, scores, seconds of the stages."""
    assert ask("runs", "show", world.run)["rejects"] == world.printed["rejects"]
    in_report = list(rows_of_report(world))
    printed = " ".join(show("runs", "show", world.run).split())
    for stage, reasons in world.printed["rejects"].items():
        for reason, count in reasons.items():
            if stage != "shortlist":
                assert [stage, reason, f"{count:,}"] in in_report
                assert f"{count:,} x {reason}" in printed
    for name, figures in world.printed["scores"].items():
        told = [
            name,
            str(figures["n"]),
            f"{figures['mean']:.1f}",
            f"{figures['selected']:.1f}",
        ]
        # Other tables have lines of that name, too, of other figures.
        assert told in [row[:4] for row in in_report]
    measured = world.printed["selection"]["selection"]
    mean = world.printed["scores"]["score"]["mean"]
    assert mean == pytest.approx(world.printed["selection"]["pool"]["mean_score"])
    assert world.printed["scores"]["score"]["selected"] == pytest.approx(
        measured["mean_score"]
    )
    # Exact, because the order of the stages decides the last bit of a plain sum.
    seconds = round(math.fsum(world.printed["seconds"].values()), 2)
    assert f"{seconds:.1f} in stages" in printed
    assert f"<b>{seconds:.1f} s</b>in stages" in world.report.read_text("utf-8")


def test_rows_in_no_cluster_are_no_cluster(tmp_path: Path) -> None:
    """C4's brother: the report and `compare` counted the rows of no cluster as one more."""
    rows = make_rows(90)
    rows += [{"instruction": f"And {i}?", "output": f"It is {i}."} for i in range(9)]
    done = tacos.select(
        rows,
        n=N,
        run=tmp_path / "run",
        **{**MODELS, "judge": judge_by_instruction},
        settings={"normalise": {"alpha": 1}, "cluster": {"by": "tags", "k": 4}},
    )
    figures = done.summary
    in_none = [each for each in figures.clusters if each["name"] == UNCLUSTERED]
    assert in_none, "the rows are in no cluster"
    assert figures.n_clusters == len(figures.clusters) - 1
    assert figures.selection["pool"]["n_clusters"] == figures.n_clusters
    page = done.report(tmp_path / "report.html").read_text("utf-8")
    assert f"<b>{figures.n_clusters}</b>clusters" in page
    shown = dict(summary.format_summary(figures))["clusters"]
    assert shown.startswith(f"{figures.n_clusters}, of ")


# Random rows within limits


def test_random_rows_within_limits_stand_beside_plain_random_rows(world: World) -> None:
    """C4: limits do not change what random rows are."""
    plain = compared(world)["random"]
    limited = compared(world, "--match-length")
    assert limited["random"] == plain
    assert WITHIN_LIMITS in limited
    assert WITHIN_LIMITS not in compared(world)
    (point,) = ask("curve", world.run, "-n", N, "--match-length")["table"]
    assert point["by_chance"] == plain["coverage"]
    in_tokens = compared(world, "-n", "1ktokens")
    assert in_tokens[WITHIN_LIMITS]["n"] != plain["n"]


# Rows that a run and a file share


def test_rows_of_a_selection_beside_its_run_count_once(world: World) -> None:
    """C4: `analyse RUN selection` counted the selected rows twice."""
    settings = {"normalise": {"encoder": "static", "alpha": 1}}
    alone = tacos.analyse([world.run], settings, preset=world.preset)
    both = tacos.analyse([world.run, world.output], settings, preset=world.preset)
    assert both.vocabulary.equals(alone.vocabulary)
    turned = tacos.analyse([world.output, world.run], settings, preset=world.preset)
    assert turned.vocabulary.equals(alone.vocabulary)
    summary = both.summary.filter(data="selected.jsonl.run")
    assert summary.drop("data", "coverage_same_size").equals(
        alone.summary.drop("data", "coverage_same_size")
    )


def test_rows_of_a_selection_keep_the_tags_of_their_run(tmp_path: Path) -> None:
    """C4: the embedded tagger would tag the rows of the file in another way."""
    data = write_data(tmp_path)
    done = tacos.select(
        str(data),
        n=N,
        run=tmp_path / "run",
        output=tmp_path / "chosen.jsonl",
        tagger=lambda texts: [[f"Length {len(text) % 7}"] for text in texts],
        judge=lambda instructions, responses: [
            float(len(each) % 99 + 1) for each in responses
        ],
        settings={"normalise": {"encoder": "static", "alpha": 1}},
    )
    settings = {"normalise": {"encoder": "static", "alpha": 1}}
    found = tacos.analyse([done.run, tmp_path / "chosen.jsonl"], settings)
    of_file = found.summary.row(1, named=True)
    figures = done.summary.selection["selection"]
    assert of_file["coverage"] == pytest.approx(figures["coverage"])
    assert of_file["complexity"] == pytest.approx(figures["mean_tags"])


# Readable


def test_nothing_is_wider_than_80_columns(world: World) -> None:
    """C4: every table and sentence; only paths are never broken."""
    folder = str(world.run.parent)
    for words in (
        ("select", world.data, "-n", N, "-o", world.output, *QUICK),
        ("runs", "show", world.run),
        ("reselect", world.run, "--strategy", "random"),
        ("compare", world.run, "--match-length"),
        ("curve", world.run),
        ("analyse", world.run, world.output, *NORMALISE),
    ):
        if words[0] == "select":
            words = (*words, *PRESETS[world.preset])
        for line in show(*words).splitlines():
            assert len(line) <= 80 or folder in line, (words[0], line)


def test_compare_has_a_line_per_strategy(world: World) -> None:
    """C4: each name whole, beside its figures; the range of random in lines of its own."""
    printed = show("compare", world.run)
    rows = list(rows_of_table(printed))
    table = compared(world, "--strategies", "tacos,complexity-first,k-center")
    for strategy in ("tacos", "complexity-first", "longest", "random"):
        coverage = format_figure("coverage", table[strategy]["coverage"])
        (row,) = (
            row for row in rows if row[0].endswith(f" {strategy}") and row[1] == str(N)
        )
        assert coverage in row
    low, high = (
        [row for row in rows if row[0] == f"{end} draw"]
        for end in ("lowest", "highest")
    )
    assert len(low) == len(high) == 2
    share = table["random"]["coverage"]
    assert float(low[0][2].rstrip("%")) < 100 * share < float(high[0][2].rstrip("%"))


def test_figure_and_table_round_halves_alike() -> None:
    """C4: the chart printed 13% where the table printed 12%."""
    recall = pl.DataFrame({"data": ["a", "b"], "a": [1.0, 0.125], "b": [0.625, 1.0]})
    drawn = json.dumps(charts._chart_recall(recall).to_dict())
    for share in (0.125, 0.625):
        assert f'"{share:.0%}"' in drawn
    assert "13%" not in drawn


def test_compare_and_reselect_take_the_size_of_the_run_by_default(world: World) -> None:
    """C4: 1,000 rows of a pool of 120 were an error."""
    assert compared(world)["tacos"]["n"] == N
    assert ask("reselect", world.run)["n_selected"] == N
    done = tacos.load(world.run)
    assert done.reselect().table.height == N
    assert tacos.compare(done, strategies="mig").table["n"].to_list()[1:] == [N] * 3


def test_rows_are_in_the_order_of_the_input_and_ranks_in_a_column(world: World) -> None:
    """C4: what the order means is said, and the rank is there."""
    lines = world.output.read_text("utf-8").splitlines()
    in_input = world.data.read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in in_input]
    positions = [rows.index(json.loads(line)) for line in lines]
    assert positions == sorted(positions)
    sidecar = pl.read_ndjson(world.output.with_name("selected.jsonl.scores.jsonl"))
    assert sidecar["id"].to_list() == [f"data.jsonl:{row}" for row in positions]
    assert sorted(sidecar["rank"]) == list(range(1, N + 1))
    by_rank = sidecar.sort("rank")["score"].to_list()
    assert by_rank == sorted(by_rank, reverse=True)
    with_columns = world.output.with_name("columns.jsonl")
    show("reselect", world.run, "--columns", "-o", with_columns)
    first = json.loads(with_columns.read_text("utf-8").splitlines()[0])
    assert first["tacos_rank"] in range(1, N + 1)


# Score and length


def test_both_correlations_with_length_are_named(world: World) -> None:
    """C3: the summary's correlation was over the shortlist alone."""
    printed = " ".join(re.sub("[│]", " ", show("runs", "show", world.run)).split())
    figures = world.printed["scores"]["score"]
    rated = figures["length_correlation"]
    of_pool = figures["pool_length_correlation"]
    assert f"{rated['value']:.2f} over the {rated['n']:,} shortlisted rows" in printed
    if world.preset == "paper":
        assert of_pool["value"] is None
        assert "n/a over the whole pool (of which most rows have no grade)" in printed
        return
    assert of_pool["n"] == world.printed["n_samples"] > rated["n"]
    assert (
        f"{of_pool['value']:.2f} over the whole pool (by the grades of all" in printed
    )
    assert f"{of_pool['value']:.2f} over the whole pool" in world.report.read_text()


def test_the_figure_moves_when_length_is_taken_out_of_the_scores(
    tmp_path: Path,
) -> None:
    """C3: `rate.length=true` changed the selection, and the printed figure stayed."""
    data = write_data(tmp_path)
    outputs, values = [], []
    for length in ("false", "true"):
        output = tmp_path / f"{length}.jsonl"
        words = ["select", data, "-n", N, "-o", output, *QUICK, *PRESETS["robust"]]
        rating = [
            "--set",
            "rate.method=bradley-terry",
            "--set",
            f"rate.length={length}",
        ]
        figures = ask(*words, *rating)
        value = figures["scores"]["score"]["length_correlation"]["value"]
        report = output.with_name(f"{length}.jsonl.run") / "report.html"
        show(*words, *rating)
        assert f"{value:.2f} over the" in report.read_text("utf-8")
        assert f"{value:.2f} over the" in " ".join(
            show("runs", "show", report.parent).replace("│", " ").split()
        )
        # What the judge itself prefers is another figure, under another name.
        of_verdicts = figures["diagnostics"]["length_correlation"]["value"]
        assert f"its verdicts with length {of_verdicts:.2f}" in " ".join(
            show("runs", "show", report.parent).replace("│", " ").split()
        )
        outputs.append(output.read_bytes())
        values.append(value)
    assert outputs[0] != outputs[1]
    assert abs(values[1]) < abs(values[0]) - 0.1


def test_a_length_that_cannot_be_taken_out_is_said(tmp_path: Path) -> None:
    """C3's brother: a judge that grades each row by itself has no verdicts to rate."""
    words = ["select", write_data(tmp_path), "-n", N, "-o", tmp_path / "out.jsonl"]
    rating = ["--set", "rate.method=bradley-terry", "--set", "rate.length=true"]
    found = ask(*words, *QUICK, *rating, "--set", "judge.close=off")["warnings"]
    (warning,) = (each for each in found if not each.startswith("the value follows"))
    assert warning.startswith("rate.length=true changed nothing")


def test_the_time_that_a_person_waits_is_not_less_than_the_stages_take(
    tmp_path: Path,
) -> None:
    """C4's brother: 14.1 seconds in the summary of a command that took 23."""
    words = ["select", write_data(tmp_path), "-n", N, "-o", tmp_path / "out.jsonl"]
    printed = " ".join(show(*words, *QUICK).replace("│", " ").split())
    told = re.search(
        r"seconds ([\d.]+) for this command, of which ([\d.]+) in", printed
    )
    assert told is not None
    assert float(told[1]) >= float(told[2])
    again = " ".join(show(*words, *QUICK).replace("│", " ").split())
    assert f"the stages took {told[2]} when they ran" in again


def test_stages_that_did_not_run_are_no_part_of_the_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that waited for a busy machine, and ran no stage, said "of which 0.7 in stages"."""
    words = ["select", write_data(tmp_path), "-n", N, "-o", tmp_path / "out.jsonl"]
    show(*words, *QUICK)
    outcome.print_run(load(tmp_path / "out.jsonl.run"), 900.0)
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "seconds 900.0 for this command; the stages took" in printed
