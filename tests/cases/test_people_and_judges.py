"""What people's answers say of tags, of a judge and of each other, and what they do not say:
disagreements of two people count, a judge who says yes to everything is worthless, and pairs that
are no random rows offer no reliability to set.
"""

import io
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from tests.small_world import run_command

from tacos.cli import check_tags as cli
from tacos.cli.shared import console
from tacos.methods.tags import tag_quality
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS
from tacos.methods.tags.tag_quality import MAJORITY
from tacos.workflows.calibrate import calibrate
from tacos.workflows.check_tags import TagCheck

N = 20
N_PLANTED = 10


def build_cases() -> pl.DataFrame:
    rows = [
        (number, "precision", "tag", [f"data:{number}"], number > N)
        for number in range(1, N + N_PLANTED + 1)
    ]
    names = ("case", "task", "tag", "ids", "planted")
    frame = pl.DataFrame(rows, names, orient="row")
    missing = [
        pl.lit(None, kind).alias(n) for n, kind in CASES.items() if n not in names
    ]
    return frame.with_columns(missing).select(CASES.names()).cast(dict(CASES))


def build_answers(judge: str, no: set[int], *, person: bool = True) -> pl.DataFrame:
    """A judge who says no to these cases, and yes to all others."""
    rows = [
        (n, judge, person, n not in no, "", "") for n in range(1, N + N_PLANTED + 1)
    ]
    return pl.DataFrame(rows, JUDGEMENTS, orient="row")


PLANTED = set(range(N + 1, N + N_PLANTED + 1))


def assess(*judged: pl.DataFrame) -> tag_quality.TagQuality:
    return tag_quality.assess_tag_quality(build_cases(), pl.concat(judged))


def find_share(
    found: tag_quality.TagQuality, judge: str, measure: str = "right"
) -> float:
    row = found.shares.filter(judge=judge, measure=measure).row(0, named=True)
    assert row["n"] == (N if measure == "right" else N_PLANTED)
    return float(row["value"])


def test_two_people_who_disagree_do_not_agree_on_all() -> None:
    """90% and 95% were 100% of their majority, since their disagreements were dropped."""
    ann = build_answers("ann", {1, 2} | PLANTED)
    bea = build_answers("bea", {3} | PLANTED)
    found = assess(ann, bea)
    assert find_share(found, "ann") == 0.9
    assert find_share(found, "bea") == 0.95
    assert find_share(found, MAJORITY) == 0.85
    assert find_share(found, MAJORITY, "detected") == 1.0


def test_two_people_who_disagree_about_planted_cases_have_not_detected_them() -> None:
    ann = build_answers("ann", PLANTED)
    bea = build_answers("bea", PLANTED - {N + 1, N + 2})
    assert find_share(assess(ann, bea), MAJORITY, "detected") == 0.8


def test_three_people_have_a_majority_as_before() -> None:
    people = [
        build_answers(name, {k} | PLANTED) for k, name in enumerate("abc", start=1)
    ]
    assert find_share(assess(*people), MAJORITY) == 1.0


@pytest.mark.parametrize("no", [set(), {1}, {N + 1}, set(range(1, N + N_PLANTED + 1))])
def test_a_judge_who_cannot_tell_is_called_worthless(
    no: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yes to everything, nearly everything, or no to everything."""
    judged = build_answers("yes-man", no, person=False)
    found = assess(judged)
    rejects = pl.DataFrame(schema={"id": pl.String})
    check = TagCheck(build_cases(), judged, rejects, found)
    assert check.worthless == [("precision", "yes-man")]
    printed = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=printed, width=100))
    cli._print_check(check)
    assert "worthless: yes-man finds planted cases right as often" in printed.getvalue()
    assert "100.0%" not in printed.getvalue().split("detected")[0]


def test_a_judge_who_can_tell_is_not() -> None:
    good = build_answers("good", {4} | PLANTED, person=False)
    fair = build_answers("fair", set(range(N + 1, N + 7)), person=False)
    assert tag_quality.list_worthless(assess(good, fair).shares) == []


# Calibration


def build_pairs(n: int, *, same: bool) -> list[dict[str, str]]:
    """Pairs in which the longer response is preferred."""
    good = "Salt lowers the freezing point of water, which is why ice on roads melts at -5 C."
    return [
        {
            "instruction_a": f"Why does salt melt ice, number {i}?",
            "instruction_b": f"Why does salt melt ice, number {i if same else i + 1}?",
            "response_a": f"{good} This is reason {i}.",
            "response_b": "no",
            "preferred": "a" if i % 9 else "b",
        }
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("n", "same"), [(1, False), (1, True), (99, False), (120, True)]
)
def test_pairs_that_are_few_or_of_one_instruction_offer_no_reliability(
    tmp_path: Path, n: int, same: bool
) -> None:
    pairs = build_pairs(n, same=same)
    (found,) = calibrate(pairs)
    assert found.reliability.value is None
    path = tmp_path / "pairs.jsonl"
    pl.DataFrame(pairs).write_ndjson(path)
    code, printed = run_command("calibrate", path)
    assert code == 0
    assert "not told by these pairs" in printed
    assert "--set judge.reliability" not in printed


def test_a_reliability_is_offered_as_the_setting_takes_it(tmp_path: Path) -> None:
    pairs = build_pairs(120, same=False)
    (found,) = calibrate(pairs)
    assert found.reliability.n == 120
    assert found.reliability.value is not None
    path = tmp_path / "pairs.jsonl"
    pl.DataFrame(pairs).write_ndjson(path)
    printed = " ".join(run_command("calibrate", path)[1].replace("│", " ").split())
    assert "only if both rows of each pair were drawn at random" in printed
    assert f"--set judge.reliability={found.reliability.value:.3f}" in printed
