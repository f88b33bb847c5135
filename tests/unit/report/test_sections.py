"""The sections of the report: plain values that are right, and what a reader is told of them."""

import ast
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_world import MODELS, judge_by_instruction, make_rows, run_command

import tacos
from tacos.config import load_settings
from tacos.methods.measures.random_range import RandomRange
from tacos.pipeline.steps.reliability import OF_VERDICTS
from tacos.report.better_than_random import RandomVerdict, add_coverage
from tacos.report.judge_bias import describe_bias
from tacos.report.judge_tastes import describe_tastes
from tacos.report.next_steps import suggest_steps
from tacos.report.report_input import ReportInput
from tacos.report.reproduction import build_command, format_toml, list_settings
from tacos.report.sections import row_finder
from tacos.report.sections.comparisons import build_comparisons
from tacos.report.sections.funnel import build_funnel
from tacos.report.sections.not_to_believe import build_not_to_believe
from tacos.report.sections.overview import build_overview
from tacos.report.sections.reproduction import build_reproduction
from tacos.report.sections.row_finder import build_row_finder
from tacos.report.sections.samples import build_samples
from tacos.report.sections.selected_rows import build_selected_rows
from tacos.report.sections.sources import build_sources
from tacos.report.sections.spending import build_spending
from tacos.report.selection_request import read_request
from tacos.report.worth_words import describe_worth, explain_bound
from tacos.workflows.size_steps import measure_size_steps


def judge_by_length(instructions: list[str], responses: list[str]) -> list[float]:
    """The longer, the better, within the scale of scores."""
    return [min(100.0, 1 + len(response) / 10) for response in responses]


OWN = {**MODELS, "judge": judge_by_length}
SETTINGS: dict[str, Any] = {
    "normalise": {"alpha": 1},
    "judge": {"mode": "comparative"},
    "shortlist": {"factor": 2},
}


def write_files(folder: Path) -> list[Path]:
    """Two files: long answers and short ones, an empty row and a duplicate among them."""
    rows = make_rows(120)
    longs = [{**row, "output": row["output"] * 5} for row in rows[:30]]
    shorts = [*rows[30:], {"instruction": "Say nothing.", "output": ""}, rows[31]]
    files = [folder / "long.jsonl", folder / "short.jsonl"]
    for file, part in zip(files, (longs, shorts), strict=True):
        pl.DataFrame(part).write_ndjson(file)
    return files


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A run that compares rows, by a judge that likes long answers."""
    folder = tmp_path_factory.mktemp("sections")
    return tacos.select(
        write_files(folder), n=20, run=folder / "run", **OWN, settings=SETTINGS
    )


@pytest.fixture(scope="module")
def source(done: tacos.Selection) -> ReportInput:
    """What sections read of the run."""
    return gather(done)


def gather(done: tacos.Selection) -> ReportInput:
    """What sections read of a run."""
    return ReportInput(
        done.run,
        done.artifacts,
        done.settings,
        done.summary,
        done.in_input_order,
        done.inputs,
        done.output,
    )


def test_the_first_sentences_say_what_was_asked_and_what_came_out(
    done: tacos.Selection,
) -> None:
    page = (done.run / "report.html").read_text("utf-8")
    text = re.sub(r"<[^>]*>", "", page)
    assert "20 of 122 rows in long.jsonl, short.jsonl" in text
    assert "Better than random" in text


def test_every_step_of_the_funnel_counts_its_rows(source: ReportInput) -> None:
    steps = {step.name: step for step in build_funnel(source).values["steps"]}
    assert steps["read"].n == 122
    unread = steps["readable, with a question and an answer"]
    assert (unread.n, unread.losses) == (121, [("empty response", 1)])
    assert steps["without duplicates"].losses == [("duplicate", 1)]
    assert steps["shortlisted"].n == source.made.scores["id"].n_unique() == 40
    assert steps["selected"].n == 20
    counts = [step.n for step in steps.values()]
    assert counts == sorted(counts, reverse=True)


def test_a_judge_that_likes_length_is_told_so_with_its_rows(
    source: ReportInput,
) -> None:
    findings = {it.question: it for it in describe_bias(source)}
    length = findings["Does it favour long answers?"]
    assert length.mark == "bias"
    assert "strongly towards long answers" in length.sentence
    wins = re.search(r"wins ([\d.]+)% of (\d+) verdicts", length.sentence)
    assert wins is not None
    assert float(wins[1]) > 95
    assert 0 < int(wins[2]) <= source.summary.n_verdicts
    assert findings["Does it favour the row shown first?"].mark == "unknown"


def test_the_favoured_source_is_named_with_both_shares(source: ReportInput) -> None:
    section = build_sources(source)
    assert section is not None
    first = section.values["sentences"][0]
    n_selected = source.pool.filter("is_selected", source="long.jsonl").height
    assert first.startswith("long.jsonl was favoured")
    assert "25.0% of the pool (30 of 120 rows)" in first
    assert f"({n_selected} of 20 rows)" in first


def test_sources_are_left_out_where_there_is_one(tmp_path: Path) -> None:
    one = tacos.select(make_rows(60), n=5, run=tmp_path / "run", **OWN)
    assert build_sources(gather(one)) is None
    assert build_comparisons(gather(one)) is None


def test_comparisons_have_both_orders_and_their_scores(source: ReportInput) -> None:
    section = build_comparisons(source)
    assert section is not None
    flips, agreeing = section.values["kinds"]
    assert (flips["n"], flips["shown"]) == (0, []), "this judge never flips"
    assert agreeing["n"] == section.values["n_both"] > 0
    pool = source.codes.name_rows(source.pool)
    lengths = dict(pool.select("id", "length").iter_rows())
    for comparison in agreeing["shown"]:
        assert {verdict.first for verdict in comparison.verdicts} == {"left", "right"}
        left, right = comparison.rows
        for verdict in comparison.verdicts:
            scores = [float(score) for score in verdict.scores]
            longer = lengths[left["id"]] > lengths[right["id"]]
            assert (scores[0] > scores[1]) == longer


def test_costs_are_summed_over_the_stages(source: ReportInput) -> None:
    values = build_spending(source).values
    seconds = [float(row[2].replace(",", "")) for row in values["table"].rows]
    assert seconds[-1] == pytest.approx(sum(seconds[:-1]), abs=0.06 * len(seconds))
    assert values["total"] == "", "nothing was paid for"


def test_best_and_worst_rows_are_at_the_ends(source: ReportInput) -> None:
    section = build_samples(source)
    assert section is not None
    (_, best), (_, worst) = section.values["groups"]
    assert min(row["score"] for row in best) >= max(row["score"] for row in worst)
    assert best[0]["score"] == source.made.scores["score"].max()
    assert worst[0]["score"] == source.made.scores["score"].min()


def test_selected_rows_have_the_reason_that_explain_gives(
    done: tacos.Selection, source: ReportInput
) -> None:
    for row in build_selected_rows(source).values["rows"][:5]:
        assert done.explain(row["id"])["verdict"] == f"kept, {row['reason']}"


# Reproduction


def test_the_command_selects_the_same_rows_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the files are: the command names no folder of this machine.
    monkeypatch.chdir(tmp_path)
    data, *_ = write_files(tmp_path)
    output = tmp_path / "out.jsonl"
    words = ["select", data, "-n", 6, "-o", output, "--seed", 3, "--set", "cluster.k=4"]
    words += ["--set", "normalise.encoder=static", "--set", "normalise.alpha=1"]
    assert run_command(*words)[0] == 0
    first = output.read_bytes()
    command, file = build_command(
        tacos.load(f"{output}.run").settings, [str(data)], None
    )
    assert file == ""
    assert str(tmp_path) not in command
    again = shlex.split(
        command.replace("selected.jsonl", str(tmp_path / "again.jsonl"))
    )
    assert run_command(*again[1:])[0] == 0
    assert (tmp_path / "again.jsonl").read_bytes() == first


def test_long_settings_go_into_a_file_that_gives_them_back(tmp_path: Path) -> None:
    tags = {'Poetry "Writing"': "<=5%", "a.b": "3"}
    settings = load_settings(
        select={"per_tag": tags, "keep": [f"d.jsonl:{i}" for i in range(40)]},
        llm={"headers": {"X-Team": "${TEAM}"}},
        judge={"criteria": "Be strict.\nSay \\why\\."},
    )
    command, text = build_command(settings, ["my data.jsonl"], Path("o'k.jsonl"))
    file = tmp_path / "settings.toml"
    file.write_text(text, "utf-8")
    assert "--settings settings.toml" in command
    assert shlex.split(command)[2] == "my data.jsonl"
    assert "TEAM" not in command + text
    again = load_settings(file=file)
    assert again.select == settings.select
    assert again.judge == settings.judge


def test_private_settings_are_named_and_not_shown(source: ReportInput) -> None:
    secret = {"headers": {"X-Team": "${TEAM}"}, "proxy": "http://proxy.local:3128"}
    settings = load_settings(llm=secret)
    shown = [each for each in list_settings(settings) if each.is_shown]
    assert not any("TEAM" in format_toml(each.value) for each in shown)
    values = build_reproduction(
        ReportInput(source.run, source.artifacts, settings, source.summary, source.rows)
    ).values
    assert values["hidden"] == ["llm.headers", "llm.proxy"]
    assert "proxy.local" not in str(values)


def test_own_functions_make_it_a_call_of_python(
    done: tacos.Selection, source: ReportInput
) -> None:
    values = build_reproduction(replace(source, functions=done.functions)).values
    call = values["command"]
    assert call.startswith("import tacos\n")
    assert '["long.jsonl", "short.jsonl"],' in call
    assert "judge=judge_by_length," in call
    assert '"judge": {' in call
    assert values["functions"] == sorted(done.functions.values())
    # It is Python, and gives the settings back.
    (made,) = [
        keyword.value
        for keyword in ast.walk(ast.parse(call))
        if isinstance(keyword, ast.keyword) and keyword.arg == "settings"
    ]
    again = load_settings(**ast.literal_eval(made))
    assert again.shortlist == done.settings.shortlist
    assert again.judge == done.settings.judge
    assert tacos.load(done.run).functions == done.functions


def test_no_report_says_where_on_this_machine_its_files_are(
    done: tacos.Selection,
) -> None:
    page = (done.run / "report.html").read_text("utf-8")
    assert str(done.run.parent) not in page
    assert "tacos explain run " in page


def test_a_selection_by_another_price_is_made_again_by_it(
    done: tacos.Selection,
) -> None:
    made = done.reselect(9, "tacos", tag_price=12.5)
    command = build_reproduction(gather(made)).values["reselect"]
    assert "--tag-price 12.5" in command
    words = shlex.split(command)
    assert run_command(*words[1:2], done.run, *words[3:-2])[0] == 0


# Other sizes


def test_other_sizes_are_what_selecting_so_many_rows_gives(
    done: tacos.Selection,
) -> None:
    request = read_request(done.artifacts, done.settings)
    measured = measure_size_steps(done.artifacts, done.settings, request)
    assert measured is not None
    of_size = {step.n: step for step in measured.steps}
    for n in (20, 40):
        step = of_size[n]
        made = done if step.is_made else done.reselect(n)
        figures = made.summary.selection
        assert step.coverage == figures["selection"]["coverage"]
        assert step.by_chance == figures["random"]["coverage"]
        assert step.mean_score == figures["selection"]["mean_score"]
        assert step.mean_tags == figures["selection"]["mean_tags"]
        assert step.mean_length == figures["selection"]["mean_length"]


# Better than random


@pytest.mark.parametrize(
    ("coverage", "place", "sentence"),
    [
        (
            0.425,
            "below",
            "Better than random: yes in quality, no in the tags covered. Expect more. It covers "
            "fewer of the tags than as many random rows: 42.5% against 48.4% to 53.1% in 95% of "
            "random draws.",
        ),
        (
            0.488,
            "inside",
            "Better than random: yes. Expect more. In the tags covered there is no difference "
            "from random: 48.8% against 48.4% to 53.1% in 95% of random draws.",
        ),
        # By a hair below, which nobody sees
        (
            0.4838,
            "inside",
            "Better than random: yes. Expect more. In the tags covered there is no difference "
            "from random: 48.4% against 48.4% to 53.1% in 95% of random draws.",
        ),
        (
            0.6,
            "above",
            "Better than random: yes. Expect more. It covers more of the tags than as many random "
            "rows: 60.0% against 48.4% to 53.1% in 95% of random draws.",
        ),
    ],
)
def test_the_verdict_names_a_difference_in_tags_outside_of_chance_alone(
    coverage: float, place: str, sentence: str
) -> None:
    better = RandomVerdict("yes", "Better than random: yes. Expect more.")
    figures = {"selection": {"coverage": coverage}, "random": {"coverage": 0.507}}
    chance = RandomRange(200, (0.484, 0.531), (2.0, 3.0))
    verdict = add_coverage(better, figures, chance)
    assert verdict.sentence == sentence
    assert verdict.coverage == (coverage, 0.507)
    assert verdict.coverage_place == place


def test_the_verdict_says_nothing_of_tags_where_there_are_none() -> None:
    better = RandomVerdict("yes", "Better than random: yes. Expect more.")
    none = {"selection": {"coverage": None}, "random": {"coverage": None}}
    assert add_coverage(better, none, None) == better


def test_what_to_do_next_rests_on_figures(source: ReportInput) -> None:
    assert all("--match-length" not in step.command for step in suggest_steps(source))
    # As where a second judge stands beside the first one.
    taste = {"points": 2.0, "low": 1.0, "high": 3.0, "n": 40}
    tastes = {"length": taste, "sources": {"long.jsonl": taste}}
    known = replace(source, summary=replace(source.summary, tastes=tastes))
    steps = {step.command.split(" -n ")[-1]: step.why for step in suggest_steps(known)}
    assert "20 --match-length -o same-lengths.jsonl" in steps
    of_source = steps["20 --quota-source 'long.jsonl<=25%' -o balanced.jsonl"]
    assert "2.0 points more" in of_source
    for step in suggest_steps(known):
        if step.command:
            words = shlex.split(step.command)
            # Each can be typed; the run may have too few rows for it, and then says so.
            code, printed = run_command(*words[1:2], source.run, *words[3:-2])
            says_so = ("can select only", "select again with --match-length")
            assert code == 0 or any(words in printed for words in says_so)


def test_a_topic_that_the_judge_is_against_and_that_is_hardly_selected_is_worth_a_step(
    done: tacos.Selection,
) -> None:
    made = gather(done.reselect(5, "singleton"))
    tags = made.artifacts["canonical_tags"].scan().select("id", "tags").collect()
    of_tag = {
        tag: ids["id"].to_list()
        for (tag,), ids in tags.explode("tags").group_by("tags")
    }
    less = {"points": -30.0, "low": -35.0, "high": -25.0, "n": 4}
    n_named = 0
    for tag, ids in of_tag.items():
        tastes = {"topics": {tag: less}}
        known = replace(made, summary=replace(made.summary, tastes=tastes))
        steps = [step for step in suggest_steps(known) if "--quota-tag" in step.command]
        n_taken = len(set(ids) & set(made.rows["id"]))
        by_chance = 5 * len(ids) / made.pool.height
        assert len(steps) == (n_taken <= by_chance / 2)
        if steps:
            n_named += 1
            assert (
                f"{tag} (30.0 points less; {n_taken} of its {len(ids)} rows"
                in steps[0].why
            )
            assert f"{tag}={max(1, min(4, round(by_chance)))}" in steps[0].command
    assert n_named
    # Points that may be chance, few points, and points more are no reason.
    for points, low, high in ((-30, -61, 1), (-3, -4, -2), (30, 25, 35)):
        taste = {"points": points, "low": low, "high": high, "n": 4}
        tastes = {"topics": dict.fromkeys(of_tag, taste)}
        known = replace(made, summary=replace(made.summary, tastes=tastes))
        assert all("--quota-tag" not in step.command for step in suggest_steps(known))


def test_place_and_length_are_told_once(source: ReportInput) -> None:
    taste = {"points": 2.0, "low": 1.0, "high": 3.0, "n": 40}
    tastes = {"place": {"": taste}, "length": taste, "second_judge": "another"}
    known = replace(source, summary=replace(source.summary, tastes=tastes))
    questions = [it.question for it in describe_bias(known)]
    assert not any("favour" in question for question in questions)
    assert any("2.0 points more" in it for it in describe_tastes(tastes))


def test_topics_are_told_with_their_rows() -> None:
    # A stranger asked what the judge is against: three topics were planted, and none was named.
    taste = {"points": -39.0, "low": -48.0, "high": -30.0, "n": 12}
    tastes = {"topics": {"Musical Instruments": taste}, "second_judge": "another"}
    assert describe_tastes(tastes)[0] == (
        "Rows with the tag Musical Instruments get 39.0 points less than the others "
        "(95%: 30.0 to 48.0, of all tags at once; 12 of them are rated)."
    )


def test_a_bound_beside_many_flips_is_explained(source: ReportInput) -> None:
    worth = {"reliability": 0.97, "basis": OF_VERDICTS}
    diagnostics = {**source.summary.diagnostics, "flip_rate": {"value": 0.38, "n": 50}}
    summary = replace(source.summary, worth=worth, diagnostics=diagnostics)
    assert "at most 97%" in describe_worth(worth)
    assert "38.0% of 50 pairs change their winner" in explain_bound(summary)
    measured = replace(summary, worth={"reliability": 0.12, "basis": "set"})
    assert explain_bound(measured) == ""


# Rows


def test_a_run_that_no_page_can_hold_gives_the_command(
    source: ReportInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build_row_finder(source).values["table"] is not None
    monkeypatch.setattr(row_finder, "MAX_ROWS", 100)
    values = build_row_finder(source).values
    assert values["table"] is None
    assert shlex.split(values["command"])[:2] == ["tacos", "explain"]


def test_cautions_rest_on_what_the_run_did(source: ReportInput, tmp_path: Path) -> None:
    claims = {it.claim for it in build_not_to_believe(source).values["cautions"]}
    assert "That dropped rows are bad." in claims, "80 rows have no score"
    assert (
        "That all of what the selected rows have in score is quality, and not length."
        in claims
    )
    graded = tacos.select(
        make_rows(80),
        n=8,
        run=tmp_path / "run",
        **{**MODELS, "judge": judge_by_instruction},
        settings={"normalise": {"alpha": 1}},
    )
    claims = {
        it.claim for it in build_not_to_believe(gather(graded)).values["cautions"]
    }
    assert "That dropped rows are bad." not in claims, "every row has a score"
    assert build_overview(gather(graded)).values["summary"].n_selected == 8
