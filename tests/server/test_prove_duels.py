"""The duels of `tacos prove` against a real server, healthy or not."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiment_world import (
    N_QUESTIONS,
    OWN,
    SHORT,
    copy_experiment,
    finish_experiment,
    place,
    prove,
    read_results,
    selected,
)
from tests.server.fault_server import Behaviour, FaultServer
from tests.server.support import environment
from tests.small_world import make_rows, run_command

import tacos
from tacos.errors import FailureRateError, IncompleteError, ModelError, RunError
from tacos.formats.answer_files import write_answers
from tacos.formats.duel_files import read_duels
from tacos.methods.evaluating.arm_duels import score_duels
from tacos.methods.evaluating.duel_questions import pair_answers
from tacos.workflows.experiment_answers import read_arm_answers
from tacos.workflows.experiment_folder import ExperimentFolder

__all__ = ["environment", "place", "selected"]

N_MODELS = 4 * 2 + 2
"""Four arms of two seeds, the full pool and the base."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A healthy server, for all tests."""
    with FaultServer(Behaviour()) as running:
        yield running


def judge_by(server: FaultServer, **llm: object) -> dict[str, Any]:
    """Options of an experiment with duels."""
    endpoint = {"base_url": server.url, "model": "tiny-1", "retries": 1, **llm}
    return {
        "questions": "wonders.jsonl",
        "settings": {"llm": endpoint},
        "ledger": "ledger.sqlite",
    }


@pytest.fixture(scope="module")
def finished(
    selected: Path, server: FaultServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An experiment of all arms, whose duels are judged."""
    folder = tmp_path_factory.mktemp("finished")
    return finish_experiment(folder, selected, **judge_by(server))


@pytest.fixture
def judged(finished: Path, place: Path) -> Path:
    """The same experiment as `out` in the working directory."""
    copy_experiment(finished)
    return Path("out")


@pytest.fixture
def unjudged(judged: Path) -> Path:
    """The same experiment before its first duel."""
    shutil.rmtree(judged / "duels")
    return judged


def find_comparison(proof: tacos.Proof, other: str) -> Any:
    """The duels against an arm."""
    (found,) = [
        part
        for part in proof.results.comparisons
        if (part.instrument, part.other) == ("duels", other)
    ]
    return found


def test_the_selection_meets_every_other_arm_seed_by_seed(
    selected: Path, judged: Path, server: FaultServer
) -> None:
    proof = prove(selected, **judge_by(server))
    results = proof.results
    assert not results.missing
    assert not results.unjudged
    assert results.plan.judge == "tiny-1"
    assert not results.plan.is_circular
    assert results.circular == ()
    (declared,) = [each for each in results.plan.instruments if each.name == "duels"]
    assert (declared.n_items, declared.sources) == (
        N_QUESTIONS,
        {"wonders": N_QUESTIONS},
    )
    files = sorted(Path("out/duels").glob("*/*.jsonl"))
    assert len(files) == 5 * 2
    # The figures are those of each two models by themselves.
    for name in ("random", "untrained"):
        scores = [
            score_duels(read_duels(Path(f"out/duels/{name}/seed-{seed}.jsonl")))
            for seed in (0, 1)
        ]
        part = find_comparison(proof, name)
        assert part.gain == pytest.approx(np.mean(scores) - 0.5)
        assert part.n_items == N_QUESTIONS
        assert part.low is not None
        assert not part.is_primary
    # The full pool was trained once: how far another one would stray is unknown.
    assert find_comparison(proof, "full").low is None
    counts = {part.other: part for part in results.duels}
    assert counts["random"].n == 2 * N_QUESTIONS
    assert sum(counts["random"].outcomes.values()) == 2 * N_QUESTIONS
    assert counts["random"].judges == ("tiny-1-2026-01-01",)
    page = Path("out/report.html").read_text()
    assert "What a judge says" in page
    assert "CIRCULAR" not in page
    assert "No duels" not in page


def test_one_duel_is_that_of_tacos_duel(
    selected: Path, judged: Path, server: FaultServer
) -> None:
    folder = ExperimentFolder(judged)
    for arm in ("selection", "longest"):
        write_answers(read_arm_answers(folder, arm, 1), Path(f"{arm}.jsonl"))
    alone = tacos.duel(
        "selection.jsonl",
        "longest.jsonl",
        judge_by(server)["settings"],
        ledger="ledger.sqlite",
    )
    own = read_duels(judged / "duels/longest/seed-1.jsonl")
    assert [duel.winners for duel in own] == [duel.winners for duel in alone.duels]


def declare_duels_to_decide(folder: Path, run: Path, server: FaultServer) -> None:
    """Put the plan of another experiment, by which duels decide, before models that are there."""
    prove(run, output="other", primary="duels", plan_only=True, **judge_by(server))
    shutil.copy("other/plan.json", folder)


def test_duels_may_decide(selected: Path, judged: Path, server: FaultServer) -> None:
    # Another plan of the same models.
    declare_duels_to_decide(judged, selected, server)
    results = prove(selected, primary="duels", **judge_by(server)).results
    primary = [part for part in results.comparisons if part.is_primary]
    assert [(part.instrument, part.other) for part in primary] == [
        ("duels", "random"),
        ("duels", "longest"),
    ]
    assert "points" in results.verdict


def test_duels_alone_are_an_experiment(
    selected: Path, place: Path, server: FaultServer
) -> None:
    given = {"held_out": (), "preferences": (), "primary": "duels", **SHORT}
    results = prove(selected, **judge_by(server), **given).results
    assert {part.instrument for part in results.comparisons} == {"duels"}
    assert len(results.trainings) == 3 * 2


def test_rows_that_ask_a_question_of_the_duels_are_in_no_arm(
    place: Path, server: FaultServer
) -> None:
    rows = make_rows(60)
    rows[5]["instruction"] = "Please explain the wonder of the world no. 4"
    tacos.select(rows, n=10, run="run", **OWN)
    proof = prove(Path("run"), plan_only=True, **judge_by(server))
    assert proof.results.plan.removed == {"the same in wonders": 1}


def test_the_same_judge_is_marked_wherever_the_duels_are(
    place: Path, server: FaultServer
) -> None:
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 2}
    settings = {"llm": llm, "judge": {"model": "llm"}, "select": {"n": 5}}
    tacos.select(make_rows(40), settings=settings, run="run", ledger="ledger.sqlite")
    words = [
        "prove",
        "run",
        "--recipe",
        "tiny",
        "--model",
        "base",
        "--seeds",
        "2",
        "-o",
        "out",
        "--ledger",
        "ledger.sqlite",
    ]
    words += ["--held-out", "held_out.jsonl", "--questions", "wonders.jsonl"]
    for arm in SHORT["without"]:
        words += ["--without", arm]
    code, text = run_command(*words, "--judge", "tiny-1", "--llm", server.url)
    assert code == 0, text
    text = " ".join(text.split())
    assert "CIRCULAR: tiny-1 judges these answers" in text
    assert "Circular: tiny-1 selected the rows and judges the duels" in text
    results = read_results()
    assert results["plan"]["is_circular"]
    assert "was the model of stage judge of" in " ".join(results["circular"])
    for part in results["comparisons"]:
        is_marked = "CIRCULAR: the judge of these duels also" in part["verdict"]
        assert is_marked == (part["instrument"] == "duels")
    page = Path("out/report.html").read_text()
    assert "CIRCULAR: tiny-1 judges these answers" in page


def test_a_judge_that_stops_loses_no_training(
    selected: Path,
    unjudged: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No training is begun from here on.
    monkeypatch.setenv("TACOS_FAKE", "fail")
    n_scores = {path: path.stat().st_mtime_ns for path in unjudged.glob("scores/*/*")}
    # One kind of reply that cannot be read, always for the same questions.
    with FaultServer(Behaviour({"wrong-schema!": 0.05})) as server:
        with pytest.raises(
            IncompleteError, match="without a readable verdict"
        ) as caught:
            prove(selected, **judge_by(server))
        said = str(caught.value)
        assert "\n" not in said
        assert "trains nothing and asks only these anew" in said
        assert "--allow-missing" not in said
        half = json.loads((unjudged / "results.json").read_text())
        assert len(half["trainings"]) == N_MODELS
        assert half["unjudged"]
        assert half["verdict"].startswith(("No difference", "selection"))
        # The server is well again.
        server.behaviour.faults.clear()
        healed = prove(selected, **judge_by(server))
    assert not healed.results.unjudged
    assert n_scores == {
        path: path.stat().st_mtime_ns for path in unjudged.glob("scores/*/*")
    }
    assert read_results() == read_results(finished)


def test_a_judge_without_the_form_stops_early_in_one_line(
    selected: Path, unjudged: Path
) -> None:
    with FaultServer(Behaviour({"invalid-json!": 1.0})) as server:
        declare_duels_to_decide(unjudged, selected, server)
        with pytest.raises(
            FailureRateError, match="stage duel: stopped early"
        ) as caught:
            prove(selected, primary="duels", **judge_by(server))
    assert "\n" not in str(caught.value)
    results = json.loads((unjudged / "results.json").read_text())
    assert results["verdict"] == "No verdict yet: the duels are not judged."
    assert not results["missing"]


def test_a_finished_experiment_asks_nobody_again(
    selected: Path, judged: Path, finished: Path, server: FaultServer
) -> None:
    n_answered = server.answered.total()
    prove(selected, **judge_by(server))
    assert server.answered.total() == n_answered
    for name in ("results.json", "report.html"):
        assert (judged / name).read_bytes() == (finished / name).read_bytes()


def test_killed_answers_go_on_to_the_same_end(
    selected: Path,
    unjudged: Path,
    finished: Path,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unanswered = ("selection/seed-0", "random/seed-1", "untrained/seed-0")
    for model in unanswered:
        (unjudged / f"answers/{model}.jsonl").unlink()
    monkeypatch.setenv("TACOS_FAKE", "silent")
    # Each of them is killed once.
    for _ in unanswered:
        with pytest.raises(ModelError, match="goes on where it stopped"):
            prove(selected, **judge_by(server))
    prove(selected, **judge_by(server))
    assert read_results() == read_results(finished)
    assert not list(unjudged.glob("answers/*/*.run"))


def test_a_question_without_room_for_an_answer_is_one_line(
    selected: Path,
    place: Path,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "long")
    with pytest.raises(FailureRateError, match="do not fit") as caught:
        prove(selected, **judge_by(server))
    assert "\n" not in str(caught.value)


def test_another_judge_or_other_questions_are_another_plan(
    selected: Path, place: Path, server: FaultServer
) -> None:
    prove(selected, plan_only=True, **judge_by(server))
    with pytest.raises(RunError, match="judge: "):
        prove(selected, **judge_by(server, model="other"))
    shutil.copy("wonders.jsonl", "all.jsonl")
    lines = Path("wonders.jsonl").read_text().splitlines(keepends=True)
    Path("wonders.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(RunError, match="items of duels: 11, not 10"):
        prove(selected, **judge_by(server))
    shutil.copy("all.jsonl", "wonders.jsonl")
    shorter = judge_by(server)
    shorter["settings"]["answer"] = {"max_tokens": 9}
    with pytest.raises(RunError, match="items of duels: other ones"):
        prove(selected, **shorter)


def test_a_broken_file_of_duels_is_named(
    selected: Path, judged: Path, server: FaultServer
) -> None:
    file = judged / "duels/random/seed-1.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:90])
    with pytest.raises(RunError, match="delete it, and run the same command again"):
        prove(selected, **judge_by(server))
    file.unlink()
    prove(selected, **judge_by(server))
    assert file.read_bytes() == whole


def test_both_models_of_a_duel_answered_the_same(judged: Path) -> None:
    folder = ExperimentFolder(judged)
    pairs = pair_answers(
        read_arm_answers(folder, "selection", 1),
        read_arm_answers(folder, "random", 1),
    )
    assert len(pairs) == N_QUESTIONS
    assert any(own.answers != theirs.answers for own, theirs in pairs)
