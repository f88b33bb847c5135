"""The report of an experiment: the verdict first, no figure without what it rests on."""

import dataclasses
import re

from tests.experiments import (
    make_comparison,
    make_duel_counts,
    make_plan,
    make_results,
)

from tacos.report.experiment_page import (
    describe_duels,
    describe_speed,
    list_cautions,
    list_experiment_sections,
    render_experiment,
)
from tacos.workflows.kept_files import check_own_report


def read_text(page: str) -> str:
    """The words of a page, without its markup."""
    body = page.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_the_page_shows_verdict_plan_arms_and_speed() -> None:
    results = make_results()
    text = read_text(render_experiment(results))
    assert "selection is better than random by 0.021" in text
    assert "No difference larger than 0.020 could be seen." in text
    assert results.plan.hash() in text
    assert "30.0 times as many tokens" in text
    assert "11.6 times" in text
    # An arm that was trained once has no interval.
    assert "selection against full +0.0210 n/a n/a n/a" in text
    assert "120 items" in text


def test_the_page_needs_no_network_and_runs_one_script(tmp_path) -> None:
    page = render_experiment(make_results())
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert page.count("<script>") == 1
    assert "@media print" in page
    assert "light-dark(" in page
    target = tmp_path / "report.html"
    target.write_text(page)
    check_own_report(target, force=False)


def test_an_unfinished_experiment_has_no_verdict() -> None:
    results = make_results(
        comparisons=[make_comparison()], missing=[("longest", 1)], speed=None
    )
    assert results.verdict == "No verdict yet: 1 model is not measured."
    text = read_text(render_experiment(results))
    assert "longest, seed 1" in text
    assert (
        "is better than random by 0.021 nats per token."
        not in text.partition("What not to believe")[0]
    )


def test_an_experiment_without_a_training_shows_its_plan() -> None:
    results = make_results(trainings=[], comparisons=[], speed=None)
    names = [section.name for section in list_experiment_sections(results)]
    assert names == ["experiment-verdict", "experiment-plan"]
    assert results.plan.hash() in render_experiment(results)


def test_comparisons_with_arms_of_other_sizes_alone_make_no_figure() -> None:
    alone = make_comparison(other="full", low=None, high=None, p=None, smallest=None)
    page = render_experiment(make_results(comparisons=[alone], missing=[("random", 1)]))
    assert 'id="differences"' not in page


def test_seconds_that_differ_by_the_machine_are_not_trusted() -> None:
    speed = make_results().speed
    assert speed is not None
    assert "trust the tokens" not in describe_speed(speed)
    uneven = dataclasses.replace(speed, seconds_spread=7.1)
    assert describe_speed(uneven).endswith(
        "But a token took up to 7.1 times as long in one training as in another, so the seconds "
        "say little: trust the tokens."
    )


def test_a_full_pool_that_does_better_is_said_with_its_steps() -> None:
    full = make_comparison(other="full", gain=-0.4936, low=None, is_primary=False)
    (sentence,) = [
        line
        for line in list_cautions(make_results(comparisons=[make_comparison(), full]))
        if "full pool" in line
    ]
    assert "better than those of the selection by 0.4936 (answer-loss)" in sentence
    # 375 steps against 12 of each of two models.
    assert "31.2 times as many steps" in sentence
    assert not any("full pool" in line for line in list_cautions(make_results()))


def test_columns_of_the_comparisons_are_explained_and_have_one_unit() -> None:
    parts = [
        make_comparison(p=8e-8),
        make_comparison(instrument="preference", gain=-0.025, smallest=0.315, p=0.805),
    ]
    text = read_text(render_experiment(make_results(comparisons=parts)))
    assert "&lt; 0.001 0.0200" in text
    assert "-2.5 points" in text
    assert "0.805 31.5 points" in text
    assert "is found in 80 of 100 such experiments" in text
    # Pairs of about the same length are some of the pairs, and counted once.
    assert "10 models and 240 items" in text


def test_few_seeds_and_a_missing_judge_are_said() -> None:
    cautions = " ".join(list_cautions(make_results()))
    assert "2 seeds per arm" in cautions
    assert "No duels" in cautions


def test_the_same_judge_is_called_circular() -> None:
    results = make_results(plan=make_plan(judge="embedded", is_circular=True))
    assert any("Circular: embedded" in line for line in list_cautions(results))


def test_duels_are_shown_with_their_counts_and_their_circle() -> None:
    plan = make_plan(judge="judge-1")
    circle = "judge-1 judges these answers, and was the model of stage judge of run"
    results = make_results(
        plan=plan,
        comparisons=[
            make_comparison(instrument="duels", gain=0.112, low=0.05, high=0.174)
        ],
        duels=[make_duel_counts(), make_duel_counts(other="full", adjusted=None)],
        circular=[circle],
        unjudged=[("longest", 1)],
    )
    text = read_text(render_experiment(results))
    assert (
        "random 40 20 6 4 10 61.2% 55.0% to 67.4% 58.0% 812 against 640 judge-1-2026"
        in text
    )
    assert "full 40 20 6 4 10 61.2% n/a n/a" in text
    assert f"CIRCULAR: {circle}" in text
    assert "Not judged yet: longest, seed 1." in text
    assert "No duels" not in text


def test_a_line_of_duels_has_its_interval_and_number() -> None:
    duels = make_comparison(instrument="duels", gain=0.112, low=0.05, high=0.174)
    results = make_results(comparisons=[duels], duels=[make_duel_counts()])
    (line,) = describe_duels(results)
    assert "win score 61.2% of 40, 95% interval 55.0% to 67.4% (win 20, tie 6," in line


def test_without_a_judge_there_is_no_section_of_duels() -> None:
    assert "What a judge says" not in render_experiment(make_results())


def test_duels_that_decide_are_waited_for() -> None:
    plan = make_plan(judge="judge-1")
    results = make_results(plan=plan, comparisons=[], unjudged=[("random", 0)])
    assert results.verdict == "No verdict yet: the duels are not judged."


def test_a_label_stands_before_every_figure() -> None:
    label = "Shows the mechanics, no evidence."
    text = read_text(render_experiment(make_results(label=label)))
    assert text.index(label) < text.index("selection is better")


def test_hostile_names_are_text() -> None:
    plan = make_plan(recipe="<script>alert(1)</script>")
    page = render_experiment(make_results(plan=plan))
    assert "<script>alert" not in page


def test_the_speed_claim_names_both_sides() -> None:
    speed = make_results().speed
    assert speed is not None
    sentence = describe_speed(dataclasses.replace(speed, n_selected_tokens=60_000.0))
    assert "3.0 times as many tokens" in sentence
    assert "1,500" in sentence
