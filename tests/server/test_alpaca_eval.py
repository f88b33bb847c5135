"""`tacos alpaca-eval` against a real server: both orders, all 805 or none, letters and
probabilities.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.answering import fields
from tests.server.fault_server import Behaviour, FaultServer, Scripted
from typer.testing import CliRunner

import tacos
from tacos.cli import app
from tacos.errors import (
    BudgetReachedError,
    ConfigError,
    FailureRateError,
    IncompleteError,
    InputError,
    TacosError,
)

N = 805
FEW = 12


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


def write_outputs(path: Path, model: str, n: int, length: int = 5) -> Path:
    """Made outputs in AlpacaEval's form."""
    rows = [
        {
            "instruction": f"Do thing {place}.",
            "output": f"{model} {place} " + "x" * (length + place % 7),
            "generator": model,
            "dataset": "made",
        }
        for place in range(n)
    ]
    path.write_text(json.dumps(rows), "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few outputs of a model and of the baseline."""
    write_outputs(tmp_path / "gpt4.json", "gpt4", FEW, 30)
    write_outputs(tmp_path / "mine.json", "mine", FEW)
    return tmp_path


def invoke(*words: object) -> tuple[str, TacosError | None]:
    """What a command printed, and the error it ended with."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, TacosError):
        raise done.exception
    return done.output, done.exception


def compare(
    folder: Path,
    server: FaultServer,
    *more: object,
    models: tuple[str, ...] = ("mine",),
) -> tuple[str, TacosError | None]:
    """Compare the outputs of some models with the baseline's."""
    return invoke(
        *("alpaca-eval", *(folder / f"{model}.json" for model in models)),
        *("--baseline", folder / "gpt4.json", "--judge", "tiny-1", "--llm", server.url),
        *("--ledger", folder / "ledger", *more),
    )


def say(
    choose: Callable[[dict[str, str]], str],
) -> Callable[[dict[str, Any]], Scripted]:
    """A judge that chooses by the texts it is shown."""

    def script(body: dict[str, Any]) -> Scripted:
        letter = choose(fields(body["messages"]))
        choice = {"message": {"content": letter}, "finish_reason": "stop"}
        return Scripted(body={"model": "tiny-1", "choices": [choice]})

    return script


def prefer_mine(shown: dict[str, str]) -> str:
    return "A" if shown["output_a"].startswith("mine") else "B"


def test_all_805_in_both_orders(tmp_path: Path, server: FaultServer) -> None:
    write_outputs(tmp_path / "gpt4.json", "gpt4", N, 30)
    write_outputs(tmp_path / "mine.json", "mine", N)
    output, error = compare(tmp_path, server)
    assert error is None
    said = " ".join(output.split())
    assert "AlpacaEval 2.0, 805 instructions" in said
    assert "under about 2.2 points are usually not detectable" in said
    assert len(server.bodies) == 2 * N
    for body in server.bodies[:10]:
        assert (body["temperature"], body["max_tokens"]) == (0, 8)
        assert (body["logprobs"], body["top_logprobs"]) == (True, 5)


def test_804_outputs_are_refused_unless_allowed_and_then_said_in_the_headline(
    tmp_path: Path, server: FaultServer
) -> None:
    """Nothing is asked before that is known."""
    write_outputs(tmp_path / "gpt4.json", "gpt4", N, 30)
    write_outputs(tmp_path / "mine.json", "mine", N - 1)
    _, error = compare(tmp_path, server)
    assert isinstance(error, InputError)
    said = str(error)
    assert "804 of the baseline's 805 instructions" in said
    assert "--allow-missing" in said
    assert "\n" not in said
    assert server.bodies == []
    output, error = compare(tmp_path, server, "--allow-missing")
    assert error is None
    said = " ".join(output.replace("┃", " ").replace("│", " ").split())
    assert "AlpacaEval 2.0, 804 OF 805 INSTRUCTIONS" in said
    write_outputs(tmp_path / "gpt4.json", "gpt4", N - 1, 30)
    _, error = compare(tmp_path, server)
    assert "has 804 outputs, and AlpacaEval has 805" in str(error)


def test_orders_are_undone(folder: Path, server: FaultServer) -> None:
    """A judge that always prefers the model gives it every win, wherever it stands."""
    server.behaviour.script = say(prefer_mine)
    output, error = compare(folder, server, "--allow-missing", "--json")
    assert error is None
    (model,) = json.loads(output)["models"]
    assert model["score"]["raw"]["mean"] == 1
    assert model["score"]["n_flips"] == 0


def test_a_judge_that_prefers_the_first_place_decides_nothing(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.script = say(lambda shown: "A")
    output, _ = compare(folder, server, "--allow-missing", "--json")
    (model,) = json.loads(output)["models"]
    assert model["score"]["raw"]["mean"] == 0.5
    assert model["score"]["n_flips"] == FEW


def test_probabilities_where_the_server_gives_them(
    folder: Path, server: FaultServer
) -> None:
    letters, _ = compare(folder, server, "--allow-missing", "--json")
    (by_letter,) = json.loads(letters)["models"]
    assert by_letter["score"]["n_weighed"] == 0
    server.behaviour.gives_logprobs = True
    weighed, _ = compare(
        folder, server, "--allow-missing", "--json", "--ledger", folder / "other"
    )
    (by_probability,) = json.loads(weighed)["models"]
    assert by_probability["score"]["n_weighed"] == FEW
    # 0.9 for each win and 0.1 for each loss.
    assert by_probability["score"]["raw"]["mean"] == pytest.approx(
        0.1 + 0.8 * by_letter["score"]["raw"]["mean"]
    )
    text, _ = compare(folder, server, "--allow-missing")
    assert "0 of 12 preferences are of log-probabilities" in " ".join(text.split())


def test_a_server_that_refuses_probabilities_is_asked_for_letters(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.refuses = ("logprobs", "top_logprobs")
    output, error = compare(folder, server, "--allow-missing", "--json")
    assert error is None
    assert json.loads(output)["models"][0]["n"] == FEW
    assert "logprobs" not in server.bodies[-1]


def test_a_reply_that_is_no_letter_is_missing_and_the_same_command_goes_on(
    folder: Path, server: FaultServer
) -> None:
    def dodge(shown: dict[str, str]) -> str:
        if shown["instruction"] == "Do thing 3.":
            return "Both are good."
        return prefer_mine(shown)

    server.behaviour.script = say(dodge)
    write_outputs(folder / "gpt4.json", "gpt4", N, 30)
    write_outputs(folder / "mine.json", "mine", N)
    output, error = compare(folder, server)
    assert isinstance(error, IncompleteError)
    assert error.exit_code == 2
    said = str(error)
    assert "mine: 804 of 805 preferences; missing: instruction " in said
    assert "not one of the letters A and B" in said
    assert "same command again" in said
    assert "\n" not in said
    assert "win rate" not in output
    server.behaviour.script = say(prefer_mine)
    n_before = len(server.bodies)
    output, error = compare(folder, server, "--json")
    assert error is None
    assert len(server.bodies) == n_before + 2
    assert json.loads(output)["models"][0]["score"]["raw"]["mean"] == 1


@pytest.mark.parametrize("letter", ["A", " A\n", "**A**", "Output A.", "A)"])
def test_letters_are_read_as_judges_write_them(
    folder: Path, server: FaultServer, letter: str
) -> None:
    server.behaviour.script = say(lambda shown: letter)
    output, error = compare(folder, server, "--allow-missing", "--json")
    assert error is None
    assert len(server.bodies) == 2 * FEW
    assert json.loads(output)["models"][0]["score"]["n_flips"] == FEW


def test_a_judge_that_never_chooses_stops_with_one_line(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.script = say(lambda shown: "I cannot say.")
    _, error = compare(folder, server, "--allow-missing")
    assert isinstance(error, FailureRateError)
    assert "not one of the letters A and B" in str(error)
    assert "\n" not in str(error)


def test_the_same_text_is_no_win_for_anybody_and_not_asked(
    folder: Path, server: FaultServer
) -> None:
    write_outputs(folder / "mine.json", "gpt4", FEW, 30)
    output, error = compare(folder, server, "--allow-missing", "--json")
    assert error is None
    (model,) = json.loads(output)["models"]
    assert model["score"]["raw"]["mean"] == 0.5
    assert server.bodies == []


def test_instructions_are_matched_by_text_not_by_place(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.script = say(prefer_mine)
    straight, _ = compare(folder, server, "--allow-missing", "--json")
    rows = json.loads((folder / "mine.json").read_text("utf-8"))
    (folder / "mine.json").write_text(json.dumps(rows[::-1]), "utf-8")
    n_before = len(server.bodies)
    turned, _ = compare(folder, server, "--allow-missing", "--json")
    assert json.loads(turned)["models"] == json.loads(straight)["models"]
    assert len(server.bodies) == n_before


def test_without_difficulty_there_is_no_rate_at_equal_length_far_from_a_half(
    folder: Path, server: FaultServer
) -> None:
    server.behaviour.script = say(prefer_mine)
    output, error = compare(folder, server, "--allow-missing")
    assert error is None
    said = " ".join(output.split())
    assert "mine has no rate at equal length: the raw rate is 100.0%" in said
    assert "outside 30% to 70%" in said
    assert "--difficulty" in said


def write_difficulty(path: Path, n: int, baseline_length: int = 30) -> Path:
    """Annotations of six made models, against a baseline whose outputs have these lengths."""
    baseline = write_outputs(path.parent / "made.json", "gpt4", n, baseline_length)
    rows = [
        {
            "instruction": row["instruction"],
            "output_1": row["output"],
            "generator_1": "gpt4",
            "output_2": "y" * (5 + (place * number) % 60),
            "generator_2": f"model {number}",
            "preference": 1 + ((place * 7 + number * 3) % 10) / 10,
        }
        for number in range(6)
        for place, row in enumerate(json.loads(baseline.read_text("utf-8")))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def test_with_difficulty_there_is_one_and_it_can_be_counted_again(
    folder: Path, server: FaultServer
) -> None:
    difficulty = write_difficulty(folder / "others.jsonl", FEW)
    server.behaviour.script = say(
        lambda shown: prefer_mine(shown) if "1" in shown["instruction"] else "A"
    )
    written = folder / "annotations.json"
    more = ("--allow-missing", "--json", "--difficulty", difficulty)
    output, error = compare(folder, server, *more, "-o", written)
    assert error is None
    (model,) = json.loads(output)["models"]
    rate = model["score"]["controlled"]
    assert rate["low"] < rate["rate"] < rate["high"]
    recounted, error = invoke("alpaca-eval", "--annotations", written, *more)
    assert error is None
    (counted,) = json.loads(recounted)["models"]
    assert counted["score"] == model["score"]
    row = json.loads(written.read_text("utf-8"))[0]
    assert row["preference"] == (row["preference_ab"] + row["preference_ba"]) / 2
    assert (row["generator_1"], row["generator_2"]) == ("gpt4", "mine")


def test_two_models_are_compared_as_they_are_and_at_equal_length(
    folder: Path, server: FaultServer
) -> None:
    write_outputs(folder / "other.json", "other", FEW)
    server.behaviour.script = say(
        lambda shown: prefer_mine(shown) if "1" in shown["instruction"] else "A"
    )
    difficulty = write_difficulty(folder / "others.jsonl", FEW)
    more = ("--allow-missing", "--difficulty", difficulty)
    output, error = compare(folder, server, *more, "--json", models=("mine", "other"))
    assert error is None
    found = json.loads(output)
    (difference,) = found["differences"]
    assert difference["better"] == "mine"
    assert difference["raw"]["mean"] == pytest.approx(
        found["models"][0]["score"]["raw"]["mean"]
        - found["models"][1]["score"]["raw"]["mean"]
    )
    assert difference["controlled"]["low"] < difference["controlled"]["high"]
    text, _ = compare(folder, server, *more, models=("mine", "other"))
    said = " ".join(text.replace("│", " ").split())
    assert said.count("mine over other,") == 2
    # The difference of two rates is no percentage.
    assert f"{100 * difference['raw']['mean']:+.1f} " in said
    assert "differences, in points" in said


def test_rows_of_a_leaderboard_stand_beside(folder: Path, server: FaultServer) -> None:
    leaderboard = folder / "leaderboard.csv"
    leaderboard.write_text(
        ",win_rate,n_total,avg_length,length_controlled_winrate\n"
        "good,80,805,2000,75\nmiddling,50,805,1500,48\nweak,4,805,900,\n"
    )
    server.behaviour.script = say(lambda shown: "A")
    output, error = compare(
        folder, server, "--allow-missing", "--leaderboard", leaderboard, "--json"
    )
    assert error is None
    (model,) = json.loads(output)["models"]
    assert model["published"] is None
    assert [row["model"] for row in model["beside"]] == ["good", "middling"]
    text, _ = compare(folder, server, "--allow-missing", "--leaderboard", leaderboard)
    assert "by GPT-4 Turbo in one order" in " ".join(text.split())


def test_a_dry_run_and_a_budget(folder: Path, server: FaultServer) -> None:
    output, error = compare(folder, server, "--allow-missing", "--dry-run", "--json")
    assert error is None
    assert json.loads(output)["n_open"] == 2 * FEW
    assert server.bodies == []
    _, error = compare(folder, server, "--allow-missing", "--budget", "10requests")
    assert isinstance(error, BudgetReachedError)
    _, error = compare(folder, server, "--allow-missing")
    assert error is None
    assert len(server.bodies) == 2 * FEW


def test_what_is_wrong_with_the_input_costs_nothing(
    folder: Path, server: FaultServer
) -> None:
    """One line each, before anything is asked."""
    rows = json.loads((folder / "mine.json").read_text("utf-8"))
    (folder / "twice.json").write_text(json.dumps([*rows, rows[0]]), "utf-8")
    other = {**rows[0], "instruction": "Another.", "generator": "other"}
    (folder / "both.json").write_text(json.dumps([*rows, other]), "utf-8")
    (folder / "wrong.json").write_text(json.dumps([{"text": "x"}]), "utf-8")
    write_difficulty(folder / "elsewhere.jsonl", FEW, 99)
    few = write_difficulty(folder / "few.jsonl", FEW)
    kept = few.read_text("utf-8").splitlines()[: 2 * FEW]
    few.write_text("\n".join(kept), "utf-8")
    cases: list[tuple[tuple[str, ...], tuple[object, ...], str]] = [
        (("twice",), (), "two outputs to the same instruction"),
        (("both",), (), "outputs of 2 models"),
        (("wrong",), (), "row 0 (from 0) is no output"),
        (("nowhere",), (), "nowhere.json"),
        (("mine", "mine"), (), "is given twice"),
        ((), (), "no outputs given"),
        (("mine",), ("--difficulty", folder / "elsewhere.jsonl"), "another baseline"),
        (("mine",), ("--difficulty", few), "annotations of 2 models"),
        (("mine",), ("--leaderboard", folder / "mine.json"), "is no leaderboard"),
    ]
    for models, more, words in cases:
        _, error = compare(folder, server, "--allow-missing", *more, models=models)
        assert isinstance(error, InputError), (models, more, error)
        assert words in str(error), error
        assert "\n" not in str(error)
    assert server.bodies == []


def test_what_must_be_said_has_no_default(folder: Path) -> None:
    _, error = invoke("alpaca-eval", folder / "mine.json")
    assert isinstance(error, ConfigError)
    assert "name the baseline's outputs" in str(error)
    _, error = invoke(
        "alpaca-eval", folder / "mine.json", "--baseline", folder / "gpt4.json"
    )
    assert "no judge given" in str(error)
    for more in (("--judge", "m"), ("--baseline", folder / "gpt4.json")):
        _, error = invoke("alpaca-eval", "--annotations", folder / "a.json", *more)
        assert f"leave out {more[0]}" in str(error)


def test_the_python_function_gives_the_same(folder: Path, server: FaultServer) -> None:
    evaluation = tacos.alpaca_eval(
        folder / "mine.json",
        {"llm": {"base_url": server.url, "model": "tiny-1"}},
        baseline=folder / "gpt4.json",
        allow_missing=True,
        ledger=folder / "ledger",
    )
    evaluation.check_complete()
    output, _ = compare(folder, server, "--allow-missing", "--json")
    assert json.loads(output)["models"] == json.loads(
        json.dumps(evaluation.as_dict()["models"])
    )


def test_a_killed_command_goes_on_where_it_was(folder: Path) -> None:
    """Twice: what was paid for is kept, but for what was on its way, and the result is the one of a
    command that nobody killed.
    """
    write_outputs(folder / "gpt4.json", "gpt4", 3 * FEW, 30)
    write_outputs(folder / "mine.json", "mine", 3 * FEW)
    n_all = 2 * 3 * FEW
    with FaultServer(Behaviour(latency=0.1)) as server:
        words = [
            *("alpaca-eval", folder / "mine.json", "--baseline", folder / "gpt4.json"),
            *("--judge", "tiny-1", "--llm", server.url, "--allow-missing", "--json"),
            *("--set", "llm.concurrency=2"),
        ]
        command = [sys.executable, "-m", "tacos", *map(str, words)]
        broken = [*command, "-o", "broken.json", "--ledger", "ledger"]
        for n_before_kill in (10, 40):
            process = subprocess.Popen(
                broken, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
            )
            while server.answered.total() < n_before_kill and process.poll() is None:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
            process.wait()
            assert not (folder / "broken.json").exists()
        resumed = subprocess.run(broken, check=True, capture_output=True, cwd=folder)
        assert n_all <= server.answered.total() <= n_all + 2 * 2
        whole = [*command, "-o", "whole.json", "--ledger", "other"]
        server.behaviour.latency = 0
        undisturbed = subprocess.run(whole, check=True, capture_output=True, cwd=folder)
    found, expected = json.loads(resumed.stdout), json.loads(undisturbed.stdout)
    for each in (found, expected):
        del each["spending"]
    assert found == expected
    assert (folder / "broken.json").read_bytes() == (folder / "whole.json").read_bytes()


def test_a_leaderboard_of_no_numbers_is_none(folder: Path, server: FaultServer) -> None:
    board = folder / "board.csv"
    board.write_text(",win_rate,length_controlled_winrate\nx,nan,inf\n")
    _, error = compare(folder, server, "--allow-missing", "--leaderboard", board)
    assert isinstance(error, InputError)
    assert "is no leaderboard" in str(error)
    assert server.bodies == []


def test_no_rate_is_beyond_100_percent(folder: Path, server: FaultServer) -> None:
    server.behaviour.script = say(
        lambda shown: (
            "B" if shown["instruction"] == "Do thing 0." else prefer_mine(shown)
        )
    )
    output, _ = compare(folder, server, "--allow-missing", "--json")
    raw = json.loads(output)["models"][0]["score"]["raw"]
    assert 0.9 < raw["mean"] < raw["high"] == 1
