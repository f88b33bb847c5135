"""`tacos prove` with a trainer that trains nothing (`tests/fake_trainer.py`): what is declared before
the first training, how it goes on after kills, and what is refused.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.experiment_world import (
    N_ROWS,
    N_SELECTED,
    OWN,
    SHORT,
    copy_experiment,
    finish_experiment,
    place,
    prove,
    read_results,
    selected,
    write_lines,
)
from tests.small_world import make_rows, run_command

import tacos
from tacos.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    RunError,
    TacosError,
    TrainingError,
)
from tacos.workflows.silent_progress import SilentProgress

__all__ = ["place", "selected"]


@pytest.fixture(scope="module")
def finished(selected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of all arms."""
    return finish_experiment(tmp_path_factory.mktemp("finished"), selected)


def test_an_experiment_from_plan_to_verdict(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished)
    results = prove(selected).results
    assert not results.missing
    assert len(results.trainings) == 4 * 2 + 2
    primary = [part for part in results.comparisons if part.is_primary]
    assert [part.other for part in primary] == ["random", "longest"]
    assert "random" in results.verdict
    assert results.label.startswith("This shows the mechanics, and is no evidence")
    assert results.speed is not None
    assert results.speed.n_full_rows == results.plan.n_pool == N_ROWS - 1
    names = [instrument.name for instrument in results.plan.instruments]
    assert names == ["answer-loss", "preference", "preference-matched"]
    page = Path("out/report.html").read_text()
    assert results.plan.hash() in page


def test_rows_that_ask_what_is_held_out_are_in_no_arm(
    selected: Path, place: Path
) -> None:
    proof = prove(selected, plan_only=True)
    assert proof.results.plan.removed == {"the same in held_out.jsonl": 1}
    files = list(Path("out/data").glob("*/*.jsonl"))
    assert len(files) == 4 * 2 + 1
    assert not [file for file in files if "village" in file.read_text()]


def test_arms_are_what_they_say(selected: Path, place: Path) -> None:
    plan = prove(selected, plan_only=True).results.plan
    n_selected = plan.n_selected
    rows = {
        file.parent.name + file.stem[-1]: file.read_text().splitlines()
        for file in Path("out/data").glob("*/*.jsonl")
    }
    for name in ("selection0", "random0", "longest0", "length-matched0"):
        assert len(rows[name]) == n_selected, name
    assert rows["random0"] != rows["random1"]
    assert rows["selection0"] == rows["selection1"]
    lengths = {name: sum(map(len, lines)) for name, lines in rows.items()}
    assert lengths["longest0"] > lengths["random0"]
    ratio = lengths["length-matched0"] / lengths["selection0"]
    assert ratio == pytest.approx(1, abs=0.1)


def test_the_plan_is_there_before_the_first_training(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "fail")
    with pytest.raises(TrainingError):
        prove(selected, **SHORT)
    plan = json.loads(Path("out/plan.json").read_text())
    assert plan["plan"]["primary"] == "answer-loss"
    assert not list(Path("out/trained").glob("*/*/training.json"))
    monkeypatch.delenv("TACOS_FAKE")
    assert prove(selected, **SHORT).results.plan.hash() == plan["hash"]


def test_another_plan_in_the_same_folder_is_refused(
    selected: Path, place: Path
) -> None:
    prove(selected, plan_only=True)
    for changed, names in {
        "primary": ({"primary": "preference"}, "primary"),
        "recipe": ({"values": ["epochs=2"]}, r"recipe: tiny, not tiny \(changed\)"),
        "seeds": ({"seeds": 3}, "seeds: 2, not 3"),
        "items": ({"n_items": 9}, "items of answer-loss: 30, not 9"),
    }.values():
        with pytest.raises(RunError, match=f"declared otherwise.*{names}") as caught:
            prove(selected, **changed)
        assert "{" not in str(caught.value)


def test_a_plan_that_was_edited_is_refused(selected: Path, place: Path) -> None:
    prove(selected, plan_only=True)
    plan = Path("out/plan.json")
    text = plan.read_text().replace(
        '"primary": "answer-loss"', '"primary": "preference"'
    )
    plan.write_text(text)
    with pytest.raises(RunError, match="changed after it was declared"):
        prove(selected)


def test_killed_trainings_and_scorings_go_on_to_the_same_end(
    selected: Path, place: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_experiment(finished, ("selection", 0), ("longest", 1))
    monkeypatch.setenv("TACOS_FAKE", "kill=2,mute")
    # Each of the two models is killed once in training and once when it scores.
    for kind in (TrainingError, ModelError) * 2:
        with pytest.raises(kind):
            prove(selected)
    assert not prove(selected).results.missing
    assert read_results() == read_results(finished)


def test_a_command_that_is_killed_goes_on(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished, ("selection", 0), ("random", 0), ("longest", 1))
    n_whole = len(list(Path("out").glob("scores/*/*.jsonl"))) + 3
    words = (
        f"prove {selected} --recipe tiny --model base --seeds 2 -o out "
        "--held-out held_out.jsonl --preferences pairs.jsonl"
    ).split()
    process = subprocess.Popen(
        [sys.executable, "-m", "tacos", *words],
        env={**os.environ, "TACOS_FAKE_PAUSE": "0.1"},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not Path("out/scores/selection/seed-0.jsonl").is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    n_before = len(list(Path("out").glob("scores/*/*.jsonl")))
    assert n_whole - 2 <= n_before < n_whole
    code, text = run_command(*words)
    # What the killed command had started may take a moment to end.
    while "in use by another process" in text and time.monotonic() < deadline:
        time.sleep(0.1)
        code, text = run_command(*words)
    assert code == 0, text
    assert read_results() == read_results(finished)


def test_weights_go_unless_they_are_to_stay(
    selected: Path, place: Path, finished: Path
) -> None:
    assert len(list(finished.glob("trained/*/*/model"))) == 9
    prove(selected, **SHORT)
    assert not list(Path("out").glob("trained/*/*/model"))
    assert len(list(Path("out").glob("trained/*/*/training.json"))) == 6


def test_a_finished_experiment_is_read_again(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished)
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("scores/*/*")}
    prove(selected)
    after = {path: path.stat().st_mtime_ns for path in Path("out").glob("scores/*/*")}
    assert before == after
    for name in ("plan.json", "results.json", "report.html"):
        assert Path("out", name).read_bytes() == (finished / name).read_bytes()


def test_two_at_once_are_refused(selected: Path, place: Path) -> None:
    import fcntl

    prove(selected, plan_only=True)
    with open("out/.lock", "a+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use by another process"):
            prove(selected)


def test_scores_of_other_items_are_refused(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished)
    path = Path("out/scores/random/seed-1.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    for text in ("".join(path.read_text().splitlines(keepends=True)[1:]), "{", "1\n"):
        path.write_text(text)
        with pytest.raises(RunError, match=r"random/seed-1\.jsonl .*: delete it"):
            prove(selected)


@pytest.mark.parametrize("arm", ["selection", "untrained"])
def test_scores_that_are_gone_are_made_again_with_a_model_that_was_removed(
    selected: Path, place: Path, finished: Path, arm: str
) -> None:
    copy_experiment(finished)
    for model in Path("out").glob("trained/*/*/model"):
        shutil.rmtree(model)
    Path(f"out/scores/{arm}/seed-0.jsonl").unlink()
    assert not prove(selected).results.missing
    assert read_results() == read_results(finished)
    assert not Path(f"out/trained/{arm}/seed-0/model").exists()


def test_a_training_that_is_gone_is_done_again_and_missing_until_then(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished)
    shutil.rmtree("out/trained/full")
    assert prove(selected, plan_only=True).results.missing == [("full", 0)]
    assert not prove(selected).results.missing
    assert read_results() == read_results(finished)


def test_models_without_their_plan_are_refused(
    selected: Path, place: Path, finished: Path
) -> None:
    copy_experiment(finished)
    Path("out/plan.json").unlink()
    for name in ("trained", "scores"):
        with pytest.raises(
            RunError, match=rf"holds {name}/ and no plan\.json"
        ) as caught:
            prove(selected, primary="preference")
        assert "\n" not in str(caught.value)
        assert not Path("out/plan.json").exists()
        shutil.rmtree(f"out/{name}")


def test_rows_of_a_plan_that_is_gone_are_written_anew(
    selected: Path, place: Path
) -> None:
    prove(selected, plan_only=True)
    rows = Path("out/data/random/seed-0.jsonl")
    declared = rows.read_bytes()
    rows.write_text("another\n")
    Path("out/plan.json").unlink()
    prove(selected, plan_only=True)
    assert rows.read_bytes() == declared


class Heard(SilentProgress):
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def announce(self, text: str) -> None:
        self.texts.append(text)


def test_rows_that_are_not_trained_on_are_said_when_training_starts(
    selected: Path, place: Path
) -> None:
    heard = Heard()
    prove(selected, values=["held_out=0.05"], progress=heard, **SHORT)
    # One of the selected rows asks what a held-out one asks.
    said = f"not trained on: 1 of {N_SELECTED - 1} rows: held out by the recipe"
    assert heard.texts.count(said) == 6


def test_pairs_alone_decide_where_nothing_else_is_given(
    selected: Path, place: Path
) -> None:
    proof = prove(selected, held_out=(), plan_only=True)
    assert proof.results.plan.primary == "preference"


def test_columns_that_settings_name_are_read(place: Path) -> None:
    rows = [
        {"Frage": row["instruction"], "Antwort": row["output"]} for row in make_rows(60)
    ]
    named = {"ingest": {"instruction": "Frage", "response": "Antwort"}}
    write_lines(Path("german.jsonl"), rows[:9])
    tacos.select(rows, n=20, run="run", settings=named, **OWN)
    # Those of the run are the run's own, those of held-out answers are given.
    proof = prove(Path("run"), held_out="german.jsonl", settings=named, **SHORT)
    assert not proof.results.missing
    assert proof.results.plan.instruments[0].n_items == 9


def test_items_without_room_for_an_answer_are_named(
    selected: Path, place: Path
) -> None:
    answer = "A map of the island."
    long = [
        {"instruction": f"Why {i}? " + "word " * n_words, "output": answer * n_answers}
        for i, (n_words, n_answers) in enumerate([(900, 1), (3, 1), (3, 300)])
    ]
    write_lines(Path("long.jsonl"), long)
    proof = prove(selected, held_out="long.jsonl", preferences=(), **SHORT)
    assert list(proof.results.left_out) == [
        "answer-loss: 1 of 3 items left out, whose question alone has 512 tokens or more "
        "(max_length).",
        "answer-loss: 1 of 3 items measured without the end of an answer, which was cut at 512 "
        "tokens (max_length).",
    ]
    assert {part.n_items for part in proof.results.comparisons} == {2}
    page = Path("out/report.html").read_text()
    assert proof.results.left_out[0] in page
    assert "6 models and 2 items" in page


def test_a_file_of_selected_rows_stands_for_its_run(place: Path) -> None:
    tacos.select(make_rows(60), n=20, run="rows.jsonl.run", output="rows.jsonl", **OWN)
    of_run = prove(Path("rows.jsonl.run"), output="of_run", plan_only=True).results.plan
    of_file = prove(Path("rows.jsonl"), output="of_file", plan_only=True).results.plan
    assert of_file == of_run
    with pytest.raises(OutputError, match=r"rows\.jsonl\.run is a run, whose files"):
        prove(Path("rows.jsonl"), output="rows.jsonl.run")


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"held_out": (), "preferences": ()}, ConfigError, "nothing to measure by"),
        ({"seeds": 1}, ConfigError, "give 2 at least"),
        ({"primary": "duels"}, ConfigError, "without questions and a judge"),
        (
            {"primary": "preference", "preferences": ()},
            ConfigError,
            r"without pairs.*\(--primary answer-loss\)",
        ),
        ({"primary": "loss"}, ConfigError, "unknown primary"),
        # A file that is wrong is said first.
        ({"primary": "duels", "held_out": "absent"}, InputError, "absent"),
        (
            {"held_out": "other.jsonl"},
            InputError,
            r"other\.jsonl.*--settings FILE\) with the lines \[ingest\], instruction =",
        ),
        ({"without": "random"}, ConfigError, "arm to go without"),
        ({"model": "./nowhere"}, ConfigError, "does not exist"),
        ({"model": None}, ConfigError, "--model"),
        ({"model": "owner/name"}, ConfigError, "untrained base must be a folder"),
        ({"recipe": "huge"}, ConfigError, "unknown recipe"),
        ({"n_items": 1}, ConfigError, "give 2 at least"),
        ({"held_out": "absent.jsonl"}, InputError, "absent.jsonl"),
        (
            {"held_out": f"held_out.jsonl#sha256={'0' * 64}"},
            InputError,
            "held_out.jsonl",
        ),
        ({"preferences": f"pairs.jsonl#sha256={'0' * 64}"}, InputError, "pairs.jsonl"),
        ({"preferences": "held_out.jsonl"}, InputError, "no pair of answers"),
        ({"trainer_python": "/nowhere"}, ConfigError, "setup-train"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    selected: Path,
    place: Path,
    given: dict[str, Any],
    kind: type[TacosError],
    says: str,
) -> None:
    Path("other.jsonl").write_text('{"Frage": "Wer?", "Antwort": "Ich."}\n')
    with pytest.raises(kind, match=says) as caught:
        prove(selected, **given)
    assert "--set " not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("out").exists()


def test_items_may_be_named_with_the_hash_of_their_file(
    selected: Path, place: Path
) -> None:
    named = {
        option: f"{file}#sha256={hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
        for option, file in [
            ("held_out", "held_out.jsonl"),
            ("preferences", "pairs.jsonl"),
        ]
    }
    plan = prove(selected, plan_only=True, **named).results.plan
    assert plan == prove(selected, plan_only=True).results.plan


def test_a_model_that_was_tuned_before_is_an_instruct_start(
    selected: Path, place: Path
) -> None:
    results = prove(selected, plan_only=True).results
    assert results.plan.base_model == "base"
    assert "nstruct start" not in results.label
    (place / "base" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    results = prove(selected, "again", plan_only=True).results
    assert results.plan.base_model == "base (instruct start)"
    assert "Instruct start: all arms begin with a model" in results.label
    assert "base (instruct start)" in Path("again/report.html").read_text()


def test_a_folder_of_others_is_refused(selected: Path, place: Path) -> None:
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        prove(selected)


def test_what_a_kill_leaves_of_a_file_is_no_file_of_others(
    selected: Path, place: Path
) -> None:
    prove(selected, plan_only=True)
    Path("out/.results.json.4711.tmp").write_text("half")
    assert prove(selected, plan_only=True).results.missing
    Path("out/.thesis.tex.4711.tmp").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        prove(selected)


def test_a_run_without_a_rest_has_nothing_to_compare(
    tmp_path: Path, place: Path
) -> None:
    tacos.select(make_rows(20), n=20, run=tmp_path / "all", **OWN)
    with pytest.raises(InputError, match="the selection is the whole pool"):
        prove(tmp_path / "all")


def test_the_command_prints_the_verdict_and_json(selected: Path, place: Path) -> None:
    words = f"prove {selected} --recipe tiny --model base --seeds 2 -o out".split()
    items = ["--held-out", "held_out.jsonl"]
    for arm in SHORT["without"]:
        items += ["--without", arm]
    code, text = run_command(*words, *items)
    assert code == 0, text
    assert "This shows the mechanics, and is no evidence" in text
    assert "selection and random" in text or "than random" in text
    assert "report: out/report.html" in text
    # Each difference in full, in 80 columns.
    for head in ("against", "95% interval", "seen from", "answer-loss"):
        assert head in text
    assert "is found in 80 of 100 such experiments" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if line[0] in "┏┃│└") <= 80
    code, text = run_command(*words, *items, "--json")
    assert code == 0
    assert json.loads(text)["missing"] == []


def test_arms_of_as_many_tokens_as_the_base_model_counts(
    selected: Path, place: Path
) -> None:
    plan = prove(selected, match="tokens", plan_only=True).results.plan
    assert plan.match == "tokens"
    # The fake tokenizer has a token per word, and two of the template for an answer.
    n_tokens = {
        file.parent.name + file.stem[-1]: sum(
            2 + len(json.loads(line)["output"].split())
            for line in file.read_text().splitlines()
        )
        for file in Path("out/data").glob("*/*.jsonl")
    }
    for name in ("random0", "random1", "longest0", "length-matched1"):
        # The last row is taken or left, whichever is nearer.
        assert n_tokens[name] == pytest.approx(n_tokens["selection0"], abs=27), name
    counts = json.loads(Path("out/tokens.json").read_text())["tokens"]
    assert sum(counts) == n_tokens["full0"]
    n_rows = {arm.name: arm.n_rows[0] for arm in plan.arms}
    assert n_rows["longest"] < n_rows["selection"]


def test_counted_tokens_are_kept_and_of_one_pool(selected: Path, place: Path) -> None:
    prove(selected, match="tokens", plan_only=True)
    # Counted once: no environment is asked again.
    Path("out/plan.json").unlink()
    prove(selected, match="tokens", plan_only=True)
    with pytest.raises(RunError, match="tokens of another pool, base model or recipe"):
        prove(selected, match="tokens", values=["max_length=9"], plan_only=True)
    # Before anything is declared, nobody is bound by what was counted.
    with pytest.raises(ConfigError, match="reads 4,096 tokens at most"):
        prove(selected, "new", match="tokens", values=["max_length=9999"])
    assert prove(selected, "new", match="tokens", plan_only=True).results.plan


def test_tokens_that_nobody_can_count_are_refused(
    selected: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACOS_FAKE", "no-tokenizer")
    with pytest.raises(ConfigError, match="tokenizer") as caught:
        prove(selected, match="tokens")
    assert "\n" not in str(caught.value)
    assert not Path("out/plan.json").exists()
    # A forecast needs one, too.
    with pytest.raises(ConfigError, match="tokenizer"):
        prove(selected, plan_only=True)
    assert not Path("out").exists()


def test_what_all_models_take_is_said_before_the_first(
    selected: Path, place: Path
) -> None:
    heard = Heard()
    proof = prove(selected, plan_only=True, progress=heard)
    assert proof.forecast is not None
    assert heard.texts == [proof.forecast.describe()]
    assert proof.forecast.n_models == 4 * 2 + 1
    again = prove(selected, progress=heard, plan_only=False)
    assert heard.texts[1] == heard.texts[0]
    n_tokens = [part.n_trained_tokens or 0 for part in again.results.trainings]
    assert sum(n_tokens) == proof.forecast.trained_tokens
    # Nothing is to be trained any more.
    assert prove(selected).forecast is None


def test_a_pool_too_large_for_the_recipe_is_refused_before_anything_is_trained(
    selected: Path, place: Path
) -> None:
    with pytest.raises(ConfigError, match="is for 100 rows at most"):
        prove(selected, values=["max_rows=100"])
    assert not Path("out").exists()


def test_questions_without_a_judge_are_said_to_be_left_out(
    selected: Path, place: Path
) -> None:
    proof = prove(selected, questions="wonders.jsonl", plan_only=True)
    assert "duels, since no judge is named (--judge MODEL)" in proof.notes
    assert not proof.results.plan.judge
    names = [each.name for each in proof.results.plan.instruments]
    assert "duels" not in names
    assert "No duels" in Path("out/report.html").read_text()


def test_a_judge_needs_questions(selected: Path, place: Path) -> None:
    with pytest.raises(ConfigError, match=r"--questions FILE"):
        prove(selected, settings={"llm": {"model": "tiny-1"}})
