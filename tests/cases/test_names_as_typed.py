"""What a person types is taken as it was meant: a tag in small letters, a source by the path that was
typed for it, a share as it was printed, a list from a pipe. A name that nothing has is an error that
says which one may be meant, and a limit that cannot be met names the way out.
"""

import json
import os
import threading
from pathlib import Path

import pytest
from tests.small_world import MODELS, long_response, make_rows, run_command

import tacos
from tacos import config
from tacos.errors import ConfigError, InputError, hint_at_nearest

SAMPLE = Path(__file__).parents[2] / "demo" / "sample.jsonl"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    return tacos.select(SAMPLE, 20, run=tmp_path_factory.mktemp("typed") / "run")


# Tags and sources


@pytest.mark.parametrize(
    "typed", ["Poetry Writing", "poetry writing", "POETRY WRITING", "poetry-writing"]
)
def test_a_tag_of_a_quota_may_be_written_in_any_letters(
    done: tacos.Selection, typed: str
) -> None:
    """The example of the help, and the ways in which `tacos tags --tag` takes a tag."""
    code, printed = run_command(
        "reselect", done.run, "-n", 20, "--quota-tag", f"{typed}=2"
    )
    assert code == 0, printed
    chosen = done.reselect(20, per_tag={typed: 2})
    assert chosen.table["tags"].list.contains("Poetry Writing").sum() == 2
    code, printed = run_command("tags", done.run, "--tag", typed)
    assert "Poetry Writing" in printed


def test_two_spellings_of_one_tag_are_two_quotas_of_it(done: tacos.Selection) -> None:
    both = {"Poetry Writing": 2, "poetry writing": 3}
    with pytest.raises(
        InputError, match="the tag 'Poetry Writing' has two quotas: leave out"
    ):
        done.reselect(20, per_tag=both)
    with pytest.raises(InputError, match="did you mean: Poetry Writing"):
        done.reselect(20, per_tag={"Poetry Writting": 2})


def test_a_source_may_be_named_by_the_path_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(60, long_response)
    for name, part in (("one/a.jsonl", rows[:30]), ("two/b.jsonl", rows[30:])):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("\n".join(map(json.dumps, part)), "utf-8")
    monkeypatch.chdir(tmp_path)
    inputs = ["one/a.jsonl", "./two/b.jsonl"]
    for typed in (
        "one/a.jsonl",
        "./one/a.jsonl",
        str(tmp_path / "one/a.jsonl"),
        "a.jsonl",
        "a",
    ):
        done = tacos.select(
            inputs,
            10,
            run=tmp_path / "run",
            settings={"select": {"per_source": {typed: 0.8}}},
            **MODELS,
        )
        assert done.table["id"].str.starts_with("a.jsonl").sum() == 8
    for typed in ("ba.jsonl", "one", "two/a"):
        with pytest.raises(
            InputError, match=f"unknown source '{typed}'; available: a.jsonl"
        ):
            done.reselect(10, per_source={typed: 0.8})


def test_a_list_of_rows_may_come_from_a_pipe(tmp_path: Path) -> None:
    """`--keep <(...)`: a pipe can be read once, and a list is read once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("sample.jsonl:3\n",))
    writer.start()
    code, printed = run_command(
        "select", SAMPLE, "-n", 5, "-o", tmp_path / "out.jsonl", "--keep", pipe
    )
    writer.join()
    assert code == 0, printed
    table = tacos.load(tmp_path / "out.jsonl.run").table
    assert table.filter(table["rule"] == "must-keep")["id"].to_list() == [
        "sample.jsonl:3"
    ]


# The way out


def test_lengths_that_cannot_be_matched_name_the_way_out(tmp_path: Path) -> None:
    rows = make_rows(160, long_response)
    compared = {"judge": {"mode": "comparative"}, "shortlist": {"factor": 1.0}}
    done = tacos.select(rows, 20, run=tmp_path / "run", settings=compared, **MODELS)
    with pytest.raises(
        InputError,
        match=r"met by 8 rows of the 40 asked for: .*--by grade.*select again with "
        r"--match-length",
    ) as error:
        done.reselect(40, match_length=True)
    assert "\n" not in str(error.value)
    # Either way out leads there.
    assert done.reselect(40, match_length=True, by="grade").table.height == 40
    compared["select"] = {"match_length": True}
    again = tacos.select(rows, 20, run=tmp_path / "run", settings=compared, **MODELS)
    assert again.table.height == 20
    # What takes rows without a score is not asked.
    assert done.reselect(40, "random", match_length=True).table.height == 40
    with pytest.raises(
        InputError, match="make the quotas upper limits, as in 'NAME<=30%'"
    ):
        done.reselect(20, per_tag={"poem": 20})


def test_the_help_promises_no_path_that_is_not_written(done: tacos.Selection) -> None:
    _, printed = run_command("reselect", "--help")
    assert "report.html" not in printed
    before = set(done.run.glob("*.html"))
    run_command("reselect", done.run, "-n", 10)
    assert set(done.run.glob("*.html")) == before


# Names that nothing has


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("select", SAMPLE, "--preset", "robst"), "'robust'"),
        (("select", SAMPLE, "-n", "5", "--until", "clustr"), "'cluster'"),
        (("select", SAMPLE, "--set", "cluster.kk=3"), "cluster.k"),
        (("select", SAMPLE, "--set", "clustr.k=3"), "cluster.k"),
        (("select", SAMPLE, "--set", "pair.method=swis"), "'chain+swiss'"),
        (("select", SAMPLE, "--set", "select.quota=squareroot"), "'square-root'"),
        (("settings", "jugde"), "'judge'"),
        (("settings", "judge.repetition"), "'judge.repetitions'"),
    ],
)
def test_a_name_that_nothing_has_is_answered_with_the_nearest(
    tmp_path: Path, words: tuple[object, ...], meant: str
) -> None:
    output = () if words[0] == "settings" else ("-o", tmp_path / "out.jsonl")
    code, printed = run_command(*words, *output)
    assert code == 2
    assert f"did you mean {meant}?" in printed


def test_so_are_strategies_and_scores(done: tacos.Selection) -> None:
    for words, meant in (
        (("reselect", done.run, "--strategy", "mgi"), "mig"),
        (("reselect", done.run, "--strategy", "Complexity"), "complexity-first"),
        (("reselect", done.run, "--by", "grades"), "grade"),
        (("compare", done.run, "--strategies", "longst"), "longest"),
        (("curve", done.run, "--strategy", "kcenter"), "k-center"),
    ):
        code, printed = run_command(*words)
        assert code == 2
        assert f"did you mean {meant!r}?" in printed


def test_a_name_that_is_like_none_is_not_guessed() -> None:
    assert hint_at_nearest("zzz", ["tacos", "mig"]) == ""


# Numbers as they are printed


@pytest.mark.parametrize(
    ("given", "share"),
    [("45%", 0.45), (" 45 % ", 0.45), ("4.5%", 0.045), (0.45, 0.45), (1, 1.0)],
)
def test_a_share_is_taken_as_it_is_printed(given: object, share: float) -> None:
    chosen = config.load_settings(
        judge={"reliability": given, "max_failure_rate": given}
    )
    assert chosen.judge.reliability == pytest.approx(share)
    assert chosen.judge.max_failure_rate == pytest.approx(share)


@pytest.mark.parametrize("given", [1.5, -0.1, "140%", "much", float("nan")])
def test_anything_else_is_told_the_range(given: object) -> None:
    with pytest.raises(
        ConfigError, match="reliability must be 'auto' or a number from 0 to 1, not"
    ):
        config.load_settings(judge={"reliability": given})


@pytest.mark.parametrize(
    "section", [{"judge": {"reliability": True}}, {"cluster": {"k": True}}]
)
def test_true_is_no_number(section: dict[str, dict[str, bool]]) -> None:
    with pytest.raises(ConfigError, match="must be a number, not true"):
        config.load_settings(**section)
