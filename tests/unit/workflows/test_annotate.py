"""Annotation of a run: tasks, labels by several people, agreement, and exports that other commands
read.
"""

import json
import multiprocessing
import random
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    run_command,
    tag_by_words,
)

import tacos
from tacos.errors import ConfigError, InputError, OutputError, RunError
from tacos.methods.annotating.tasks import PAIR
from tacos.workflows.annotate import Annotation
from tacos.workflows.annotation_tasks import FOLDER, LABELS, TASKS

ROWS = make_rows()
CHECK = {"n_precision": 8, "n_consistency": 4, "n_planted": 3}
SETS = [f"--set=check.{name}={value}" for name, value in CHECK.items()]
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose judge compared rows."""
    folder = tmp_path_factory.mktemp("annotate")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    tacos.select(
        data,
        n=20,
        output=folder / "selected.jsonl",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={
            "normalise": {"alpha": 1},
            "judge": {"mode": "comparative"},
            "check": CHECK,
        },
    )
    return folder / "selected.jsonl.run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(made, tmp_path / "selected.jsonl.run"))


def work_through(
    annotation: Annotation,
    person: str,
    kind: Any,
    decide: Any,
    n: int = 1_000,
) -> int:
    """Answer the tasks of a person one by one, as the page does; the number answered."""
    for number in range(n):
        shown = annotation.find_next(person, kind)
        if shown is None:
            return number
        annotation.record(person, shown["task"], decide(shown))
    return n


def prefer_longer(shown: dict[str, Any]) -> dict[str, str]:
    first, second = (len(shown[name]["response"]) for name in ("first", "second"))
    if first == second:
        return {"better": "tie"}
    return {"better": "first" if first > second else "second"}


def find_tag(shown: dict[str, Any]) -> dict[str, str]:
    has_it = all(shown["tag"].lower() in text.lower() for text in shown["texts"])
    return {shown["questions"][0]: "yes" if has_it else "no"}


def annotate_all(annotation: Annotation, *people: str) -> None:
    for person in people:
        work_through(annotation, person, "pair", prefer_longer)
        for kind in ("precision", "consistency"):
            work_through(annotation, person, kind, find_tag)


# Tasks


def test_pairs_come_from_the_comparisons_of_the_run(run: Path) -> None:
    annotation = tacos.annotate(run, 30)
    pairs = [task for task in annotation.task_set.tasks if task.kind == PAIR]
    compared = {
        frozenset((row["left"], row["right"]))
        for name, artifact in annotation.done.artifacts.items()
        if name.startswith("pairs/")
        for row in artifact.scan().select("left", "right").collect().to_dicts()
    }
    assert len(pairs) == 30
    for task in pairs:
        assert task.left is not None
        assert task.right is not None
        assert frozenset((task.left.id, task.right.id)) in compared
        number = int(task.left.id.partition(":")[2])
        assert task.left.response == ROWS[number]["output"]


@pytest.mark.parametrize("origin", ["clusters", "random"])
def test_pairs_may_come_from_elsewhere(run: Path, origin: str) -> None:
    annotation = tacos.annotate(run, 30, origin=origin)
    homes = dict(
        annotation.done.artifacts["memberships"]
        .scan()
        .select("id", "home")
        .collect()
        .iter_rows()
    )
    same = [
        homes[task.left.id] == homes[task.right.id]
        for task in annotation.task_set.tasks
        if task.left is not None and task.right is not None
    ]
    assert len(same) == 30
    assert all(same) is (origin == "clusters")


def test_a_run_whose_judge_compares_nothing_gives_pairs_of_clusters(
    tmp_path: Path,
) -> None:
    run = tmp_path / "x.run"
    tacos.select(
        ROWS,
        20,
        run=run,
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
    )
    annotation = tacos.annotate(run, 10)
    work_through(annotation, "ann", "pair", prefer_longer)
    [judge] = annotation.summarise().judges
    assert judge.judge == "the scores of the run"
    assert judge.n_judged == 10
    with pytest.raises(InputError, match="compared no rows"):
        tacos.annotate(run, 20, origin="comparisons")


def test_tag_cases_are_those_of_check_tags(run: Path) -> None:
    sheet = run.parent / "sheet.jsonl"
    tacos.write_tag_sheet(run, sheet)
    rows = [json.loads(line) for line in sheet.read_text("utf-8").splitlines()]
    tasks = tacos.annotate(run).task_set.tasks
    cases = {(task.case, task.kind, task.tag) for task in tasks if task.kind != PAIR}
    assert cases == {(row["case"], row["task"], row["tag"]) for row in rows}
    assert len(cases) == sum(CHECK.values()) + CHECK["n_planted"]


def test_tasks_are_drawn_once_and_more_pairs_are_added(run: Path) -> None:
    first = tacos.annotate(run, 10)
    annotate_all(first, "ann")
    drawn = first.task_set
    assert tacos.annotate(run).task_set == drawn
    more = tacos.annotate(run, 25)
    assert {task.id for task in drawn.tasks} < {task.id for task in more.task_set.tasks}
    ann = more.measure_progress("ann")[0]
    assert (ann.kind, ann.n_done, ann.n_left) == ("pair", 10, 15)
    # What people have answered does not go.
    for options in (
        {"seed": 2},
        {"origin": "random"},
        {"settings": {"check": {"n_precision": 9}}},
    ):
        with pytest.raises(
            InputError, match="would be gone: ask for as many pairs or more"
        ):
            tacos.annotate(run, 10, **options)  # type: ignore[arg-type]
    assert tacos.annotate(run).task_set == more.task_set


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_pairs": -1}, "give 0 or more"),
        ({"n_shared": -1}, "give 0 or more"),
        ({"origin": "moon"}, "cannot come from 'moon'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    run: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tacos.annotate(run, **options)


def test_a_run_that_was_stopped_early_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    run = tmp_path / "x.run"
    code, _ = run_command(
        "select", data, "-o", tmp_path / "x.jsonl", "--run", run, "--until", "tag"
    )
    assert code == 0
    with pytest.raises(RunError, match="stopped before its rows had clusters"):
        tacos.annotate(run)


# Labels


def test_what_is_shown_is_blind(run: Path) -> None:
    annotation = tacos.annotate(run, 10)
    shown = annotation.find_next("ann", "pair")
    assert shown is not None
    assert set(shown) == {"task", "kind", "questions", "first", "second"}
    assert set(shown["first"]) == {"instruction", "response"}
    tag = annotation.find_next("ann", "precision")
    assert tag is not None
    assert set(tag) == {"task", "kind", "questions", "tag", "texts"}


def test_the_answer_is_about_the_row_that_was_shown(run: Path) -> None:
    annotation = tacos.annotate(run, 20)
    annotate_all(annotation, "ann", "bea")
    entries = annotation.journal.read()
    by_order = {entry["right_first"] for entry in entries}
    assert by_order == {True, False}
    for entry in entries:
        task = annotation.task_set.find(entry["task"])
        if task.left is None or task.right is None:
            continue
        lengths = len(task.left.response), len(task.right.response)
        wanted = "tie" if lengths[0] == lengths[1] else "ab"[lengths[1] > lengths[0]]
        assert entry["answers"]["better"] == wanted
    share = annotation.summarise().agreement[0]
    assert (share.measure, share.value, share.n) == ("agreement", 1.0, 20)


def test_undo_brings_the_task_back(run: Path) -> None:
    annotation = tacos.annotate(run, 5)
    assert annotation.undo("ann") is None
    first = annotation.find_next("ann", "pair")
    assert first is not None
    annotation.record("ann", first["task"], {"better": "first"}, "a slip")
    second = annotation.find_next("ann", "pair")
    assert second is not None
    assert second["task"] != first["task"]
    assert annotation.undo("ann") == first | {"comment": "a slip"}
    assert annotation.find_next("ann", "pair") == first
    # The history is kept.
    assert len(annotation.journal.read()) == 2


def test_wrong_answers_names_and_tasks_are_refused_and_write_nothing(run: Path) -> None:
    annotation = tacos.annotate(run, 5)
    shown = annotation.find_next("ann", "pair")
    tag = annotation.find_next("ann", "precision")
    assert shown is not None
    assert tag is not None
    wrong = [
        ("ann", shown["task"], {"better": "a"}, "no answer about a pair"),
        ("ann", shown["task"], {}, "has no answer"),
        ("ann", shown["task"], {"right": "yes"}, "no question 'right'"),
        ("ann", tag["task"], {"right": "first"}, "no answer to the question"),
        ("ann", "0" * 16, {"better": "first"}, "no such task"),
        ("../ann", shown["task"], {"better": "first"}, "a name has 1 to 40 letters"),
        ("a.b", shown["task"], {"better": "first"}, "a name has 1 to 40 letters"),
        ("", shown["task"], {"better": "first"}, "a name has 1 to 40 letters"),
        ("x" * 41, shown["task"], {"better": "first"}, "a name has 1 to 40 letters"),
        ("a\n", shown["task"], {"better": "first"}, "a name has 1 to 40 letters"),
        (
            "Majority of people",
            shown["task"],
            {"better": "first"},
            "all people together",
        ),
    ]
    for person, task, answers, message in wrong:
        with pytest.raises(InputError, match=message):
            annotation.record(person, task, answers)
    assert annotation.journal.read() == []
    annotation.record("Zoë Å", shown["task"], {"better": "first"})
    with pytest.raises(InputError, match="there is 'Zoë Å' already"):
        annotation.find_next("zoë å", "pair")


def label_in_a_process(run: Path, person: str, seed: int) -> None:
    """One person in a process of their own, with second thoughts."""
    annotation = tacos.annotate(run)
    chance = random.Random(seed)
    for _ in range(30):
        shown = annotation.find_next(person, "pair")
        if shown is None:
            return
        annotation.record(person, shown["task"], prefer_longer(shown))
        if chance.random() < 0.3:
            annotation.undo(person)


def test_people_at_once_in_processes_of_their_own(run: Path) -> None:
    annotation = tacos.annotate(run, 40, n_shared=10)
    people = ("ann", "bea", "cyd")
    processes = [
        SPAWN.Process(target=label_in_a_process, args=(run, person, number))
        for number, person in enumerate(people)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    annotate_all(annotation, *people)
    status = annotation.summarise()
    assert [each.n_left for each in status.progress] == [0] * 9
    n_pairs = [each.n_done for each in status.progress if each.kind == PAIR]
    # Shared tasks three times, each other one once: twice at most where two took it at once.
    assert 60 <= sum(n_pairs) <= 75
    assert status.agreement[0].value == 1.0
    assert status.majorities.keys() == {
        task.id for task in annotation.task_set.tasks if task.kind == PAIR
    }


# Agreement and exports


def test_the_judge_is_measured_against_people(run: Path) -> None:
    annotation = tacos.annotate(run, 40)
    annotate_all(annotation, "ann")
    by_verdicts, by_scores = annotation.summarise().judges
    verdicts = annotation.done.artifacts["verdicts/0"].scan().collect()
    assert by_verdicts.judge == verdicts["judge"][0]
    # What the judge goes by: the length of the instruction, modulo 89.
    hits = []
    for task in annotation.task_set.tasks:
        if task.left is None or task.right is None:
            continue
        lengths = len(task.left.response), len(task.right.response)
        scores = [len(each.instruction) % 89 for each in (task.left, task.right)]
        if lengths[0] != lengths[1]:
            is_left = lengths[0] > lengths[1]
            hits.append(scores[0] != scores[1] and (scores[0] > scores[1]) == is_left)
    assert by_verdicts.agreement.n == len(hits)
    assert by_verdicts.agreement.value == pytest.approx(sum(hits) / len(hits))
    assert by_scores.judge == "the scores of the run"


def test_calibrate_and_check_tags_read_what_is_exported(
    run: Path, tmp_path: Path
) -> None:
    annotation = tacos.annotate(run, 30)
    annotate_all(annotation, "ann", "bea")
    out = tmp_path / "labels"
    code, printed = run_command("annotate", run, "--export", out)
    assert code == 0, printed
    assert f"tacos calibrate {out}/pairs.jsonl" in printed.replace("\n", "")
    code, calibrated = run_command("calibrate", out / "pairs.jsonl", "--json")
    assert code == 0, calibrated
    [judge] = json.loads(calibrated)
    assert judge["n_labels"] == 30
    assert judge["n_judged"] == 30
    sheets = [f"--answers={out / 'tags' / name}.csv" for name in ("ann", "bea")]
    code, checked = run_command("check-tags", run, "--json", *sheets)
    assert code == 0, checked
    shares = {
        (row["task"], row["judge"], row["measure"]): row["value"]
        for row in json.loads(checked)["shares"]
    }
    assert shares["precision", "ann", "detected"] == 1
    assert shares["precision", "bea", "right"] == 1
    # Live figures are those of the command.
    live = annotation.summarise().tags.shares.to_dicts()
    assert live == json.loads(checked)["shares"]
    labels = (out / "labels.jsonl").read_text("utf-8").splitlines()
    assert len(labels) == 2 * len(annotation.task_set.tasks)


def test_an_export_of_other_cases_says_with_which_settings(
    run: Path, tmp_path: Path
) -> None:
    code, printed = run_command(
        "annotate", run, "--set", "check.n_precision=5", "--set", "seed=3"
    )
    assert code == 0, printed
    annotation = tacos.annotate(run)
    annotate_all(annotation, "ann")
    found = annotation.export(tmp_path / "labels")
    [_, command] = found.commands
    assert "--set check.n_precision=5 --set seed=3" in command
    code, checked = run_command(*shlex.split(command)[1:])
    assert code == 0, checked


def test_hostile_comments_and_texts_are_safe_in_a_spreadsheet(
    run: Path, tmp_path: Path
) -> None:
    annotation = tacos.annotate(run, 1)
    for kind in ("precision", "consistency"):
        shown = annotation.find_next("ann", kind)
        assert shown is not None
        answer = {shown["questions"][0]: "yes"}
        annotation.record("ann", shown["task"], answer, '=HYPERLINK("http://x")')
    found = annotation.export(tmp_path / "labels")
    text = found.sheets[0].read_text("utf-8")
    assert "'=HYPERLINK" in text
    assert '"=HYPERLINK' not in text
    assert found.n_pairs == 0
    assert not (tmp_path / "labels" / "pairs.jsonl").exists()


def test_exports_stay_out_of_runs_and_need_a_label(run: Path, tmp_path: Path) -> None:
    annotation = tacos.annotate(run, 5)
    with pytest.raises(InputError, match="nobody has answered anything yet"):
        annotation.export(tmp_path / "labels")
    annotate_all(annotation, "ann")
    with pytest.raises(OutputError, match="lies in the run"):
        annotation.export(run / "labels")


def test_labels_outlive_another_selection_and_keep_the_run_from_being_removed(
    run: Path, tmp_path: Path
) -> None:
    annotation = tacos.annotate(run, 5)
    annotate_all(annotation, "ann")
    before = annotation.summarise().as_dict()
    tacos.reselect(run, 10, "longest")
    assert tacos.annotate(run).summarise().as_dict() == before
    with pytest.raises(
        RunError, match=r"labels of people: export them .*annotations first"
    ):
        tacos.remove_run(run)
    assert annotation.summarise().as_dict() == before
    shutil.rmtree(run / FOLDER)
    tacos.remove_run(run)
    assert not run.exists()


def test_damaged_files_are_named(run: Path) -> None:
    tacos.annotate(run, 5)
    (run / FOLDER / LABELS).write_bytes(b"nothing\n")
    with pytest.raises(RunError, match=r"labels\.jsonl, line 1 is damaged"):
        tacos.annotate(run).summarise()
    (run / FOLDER / TASKS).write_bytes(b"{}")
    with pytest.raises(RunError, match=r"tasks\.json is damaged"):
        _ = tacos.annotate(run).task_set


def test_the_terminal_shows_tasks_progress_and_agreement(run: Path) -> None:
    code, printed = run_command("annotate", run, "--pairs", 12, "--shared", 6)
    assert code == 0, printed
    assert "nobody has answered yet: tacos ui" in printed
    annotation = tacos.annotate(run)
    annotate_all(annotation, "ann", "bea")
    code, printed = run_command("annotate", run)
    assert code == 0, printed
    for word in (
        "progress",
        "ann",
        "bea",
        "Fleiss kappa",
        "agreement with people",
        "first 6",
    ):
        assert word in printed
    code, printed = run_command("annotate", run, "--json")
    found = json.loads(printed)
    assert found["tasks"] == {"pair": 12, "precision": 11, "consistency": 7}
    assert sum(found["pairs"].values()) == 12
