"""Panels, criteria, singleton scores, calibration and refinement against a real server, healthy or
not.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from aiohttp import web
from tests.server.answering import score
from tests.server.fault_server import Behaviour, FaultServer
from typer.testing import CliRunner

import tacos
from tacos import config
from tacos.cli import app
from tacos.cli.shared import summary
from tacos.config import Settings
from tacos.errors import ConfigError, FailureRateError
from tacos.pipeline.model_factory import UserFunctions
from tacos.report.made_selection import MadeSelection
from tacos.report.row_reasons import collect_reasons
from tacos.workflows import calibrate, refine
from tacos.workflows.select import OutputTargets, run_selection

WORDS = ("sum", "poem", "river", "bread")
ROWS = [
    {
        "instruction": f"Tell me about {WORDS[i % 4]} {i}.",
        "input": "",
        "output": f"It is {i}.",
        "no": i,
    }
    for i in range(48)
]
OWN = UserFunctions(
    tagger=lambda instructions: [
        [word for word in WORDS if word in text] for text in instructions
    ],
    encoder=lambda texts: [
        [float(text.count(letter)) + 0.01 for letter in "abcdefghij"] for text in texts
    ],
)


class AnyModel(FaultServer):
    """A server that has every model: mute refuses everything, place-lover gives what it sees first
    10 points more.
    """

    def refusal(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.Response | None:
        return None

    def envelope(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        reply = super().envelope(body, "refusal" if body["model"] == "mute" else fault)
        if body["model"] == "place-lover":
            message = reply["choices"][0]["message"]
            said = json.loads(message["content"])
            raised = {
                name: min(100, number + 10)
                for name, number in said.items()
                if name in ("correctness_a", "value_a")
            }
            message["content"] = json.dumps(said | raised)
        return reply


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with AnyModel(Behaviour()) as running:
        yield running


def settings(server: FaultServer, *sets: str, n: int = 8, **judge: Any) -> Settings:
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 1}
    judging = {"model": "llm", **judge}
    return config.load_settings(
        "robust",
        None,
        sets,
        judge=judging,
        llm=llm,
        select={"n": n},
        normalise={"alpha": 1},
    )


def select(tmp_path: Path, chosen: Settings) -> tacos.Selection:
    targets = OutputTargets(run=tmp_path / "run")
    return run_selection(
        ROWS, chosen, targets, own=OWN, ledger=tmp_path / "ledger.sqlite"
    )


def verdicts(done: tacos.Selection) -> pl.DataFrame:
    return pl.concat(
        [
            art.scan()
            for name, art in done.artifacts.items()
            if name.startswith("verdicts")
        ]
    ).collect()


def test_every_judge_of_a_panel_judges_every_pair_in_both_orders_as_often_as_wanted(
    tmp_path: Path, server: FaultServer
) -> None:
    done = select(
        tmp_path, settings(server, models=["tiny-1", "tiny-2"], repetitions=2)
    )
    table = verdicts(done)
    per_pair = table.group_by("left", "right").agg(
        pl.struct("judge", "repetition", "order").n_unique()
    )
    assert per_pair[:, 2].unique().to_list() == [2 * 2 * 2]
    assert set(done.summary.judges) == {"tiny-1", "tiny-2"}
    assert done.summary.judges["tiny-1"]["flip_rate"] == {
        "value": 0.0,
        "n": table.height // 4,
    }
    before = server.asked.total()
    again = select(
        tmp_path, settings(server, models=["tiny-1", "tiny-2"], repetitions=2)
    )
    assert (again.made, server.asked.total()) == ([], before)


def test_the_summary_says_how_certain_the_selection_is(
    tmp_path: Path, server: FaultServer
) -> None:
    done = select(
        tmp_path,
        settings(server, "shortlist.rule=all", models=["tiny-1", "place-lover"]),
    )
    found = done.summary.certainty
    assert found["error"] > 0
    assert 0 < found["recall"] <= 1
    told = dict(summary.format_summary(done.summary))["certainty"]
    assert re.fullmatch(
        r"a score is sure to about \+- [\d.]+ points; of the \d+ best by score, \d+% are .*",
        told,
    )
    assert "owe it to noise" in done.report(tmp_path / "report.html").read_text("utf-8")
    assert done.reselect(8, "longest").summary.certainty == {}, (
        "it is about the cut by score"
    )


def test_a_row_is_dropped_for_less_than_the_last_row_taken_added(
    tmp_path: Path, server: FaultServer
) -> None:
    # Its contradictions give the judge an upper bound of its reliability, which counts as one half:
    # what rows are told must weigh scores and tags as the selection did.
    rare = [
        "giraffe",
        "volcano",
        "trumpet",
        "algebra",
        "sandwich",
        "harbour",
        "pyramid",
        "lantern",
        "cactus",
        "orbit",
        "violin",
        "glacier",
    ]

    def tag_by_number(instructions: list[str]) -> list[list[str]]:
        """Every fourth row has a tag that no other row has."""
        numbers = [int(re.findall(r"[0-9]+", text)[0]) for text in instructions]
        return [["talk", *([rare[i // 4]] if i % 4 == 0 else [])] for i in numbers]

    chosen = settings(
        server,
        "shortlist.rule=all",
        "select.limit=1",
        "select.tag_price=20",
        models=["place-lover"],
    )
    done = run_selection(
        ROWS,
        chosen,
        OutputTargets(run=tmp_path / "run"),
        own=UserFunctions(tagger=tag_by_number, encoder=OWN.encoder),
        ledger=tmp_path / "ledger.sqlite",
    )
    assert done.summary.worth["reliability"] > 0.6
    reasons = collect_reasons(MadeSelection(done.artifacts, done.settings))
    told = [reasons.tell(f"data:{row['no']}") for row in ROWS]
    outdone = [reason for reason in told if " of the last row taken" in reason]
    assert len(outdone) > 20
    for reason in outdone:
        own = re.search(r"^dropped: score ([0-9.]+)(?:.*? = ([0-9.]+))?, ", reason)
        assert own is not None
        taken = re.search(r"the ([0-9.]+) of the last row taken", reason)
        assert taken is not None
        assert float(own[2] or own[1]) <= float(taken[1])


def test_a_judge_more_asks_only_the_new_one(
    tmp_path: Path, server: FaultServer
) -> None:
    one = settings(server, "pair.rounds=1")
    first = select(tmp_path, one)
    before = server.asked.total()
    both = select(
        tmp_path, settings(server, "pair.rounds=1", models=["tiny-1", "tiny-2"])
    )
    assert server.asked.total() - before == verdicts(first).height
    assert (
        verdicts(both).filter(pl.col("judge") == "tiny-1").height
        == verdicts(first).height
    )


def test_an_embedded_judge_in_a_panel_has_no_flips_to_count(
    tmp_path: Path, server: FaultServer
) -> None:
    done = select(tmp_path, settings(server, models=["tiny-1", "embedded"]))
    judges = done.summary.judges
    assert judges["embedded"]["flip_rate"]["value"] is None
    assert judges["tiny-1"]["flip_rate"]["value"] == 0
    html = done.report(tmp_path / "report.html").read_text("utf-8")
    assert '<th scope="col" class="n">tiny-1</th>' in html
    assert '<th scope="row">embedded and tiny-1</th>' in html
    assert [each["judges"] for each in done.summary.agreement] == [
        ["embedded", "tiny-1"]
    ]


def test_verdicts_without_a_usable_answer_are_counted_as_missing(
    tmp_path: Path, server: FaultServer
) -> None:
    server.behaviour.faults = {"wrong-schema!": 0.2}
    done = select(
        tmp_path,
        settings(
            server, "pair.rounds=1", models=["tiny-1", "tiny-2"], max_failure_rate=0.5
        ),
    )
    n_missing = sum(done.summary.rejects["verdicts/0"].values())
    assert n_missing > 4
    assert done.summary.diagnostics["n_missing"] == n_missing
    assert [each["n_missing"] for each in done.summary.judges.values()] == [
        n_missing // 2
    ] * 2  # the same questions
    html = done.report(tmp_path / "report.html").read_text("utf-8")
    assert "n/a: too few rows to say" in html


def test_a_judge_of_a_panel_that_gives_no_usable_verdict_is_named(
    tmp_path: Path, server: FaultServer
) -> None:
    with pytest.raises(FailureRateError, match=r"refused.* \(pair 0 ab by mute"):
        select(
            tmp_path,
            settings(
                server,
                "pair.rounds=1",
                "llm.stop_early=false",
                models=["tiny-1", "mute"],
            ),
        )
    done = select(
        tmp_path,
        settings(
            server, "pair.rounds=1", models=["tiny-1", "mute"], max_failure_rate=0.6
        ),
    )
    judges = done.summary.judges
    assert (judges["mute"]["n_verdicts"], judges["mute"]["n_missing"]) == (
        0,
        judges["tiny-1"]["n_verdicts"],
    )
    assert judges["tiny-1"]["n_missing"] == 0
    shown = dict(summary.format_summary(done.summary))
    assert (
        shown["warning"]
        == "no usable verdict by mute: the scores are the others' alone"
    )
    assert shown["judge mute"].endswith(
        f"missing {judges['mute']['n_missing']} of {judges['mute']['n_missing']}"
    )
    done.report(tmp_path / "report.html")


def test_criteria_count_by_their_content(tmp_path: Path, server: FaultServer) -> None:
    (tmp_path / "one.txt").write_text("Metric units only.")
    (tmp_path / "two.txt").write_text("Metric units only.\n")
    plain = select(tmp_path, settings(server))
    strict = select(tmp_path, settings(server, criteria_file=str(tmp_path / "one.txt")))
    assert "verdicts/0" in strict.made
    assert "memberships" not in strict.made
    assert (
        select(tmp_path, settings(server, criteria_file=str(tmp_path / "two.txt"))).made
        == []
    )
    (tmp_path / "one.txt").write_text("Imperial units only.")
    assert (
        "verdicts/0"
        in select(
            tmp_path, settings(server, criteria_file=str(tmp_path / "one.txt"))
        ).made
    )
    assert plain.settings.judge.criteria == ""
    with pytest.raises(
        ConfigError, match=r"criteria file .* does not exist; check the name"
    ):
        settings(server, criteria_file=str(tmp_path / "three.txt"))


def test_what_a_judge_without_a_language_model_would_leave_unread_is_an_error(
    tmp_path: Path, server: FaultServer
) -> None:
    for unread in (
        {"criteria": "Be brief."},
        {"repetitions": 2},
        {"models": ["tiny-1", "embedded"], "criteria": "x"},
    ):
        with pytest.raises(ConfigError, match="language model"):
            select(tmp_path, settings(server, **{"model": "embedded", **unread}))
    with pytest.raises(ConfigError, match="named twice"):
        settings(server, models=["a", "a"])


def test_singleton_scores_are_the_judge_s_own_grades_of_every_sample(
    tmp_path: Path, server: FaultServer
) -> None:
    done = select(tmp_path, settings(server, mode="singleton", target=0.5))
    assert not any(name.startswith(("pairs", "verdicts")) for name in done.artifacts)
    assert server.asked.total() == len(ROWS)
    texts = dict(
        done.table.select("id", pl.struct("instruction", "response")).iter_rows()
    )
    scores = dict(done.table.select("id", "score").iter_rows())
    assert scores == {
        id_: score(text["instruction"], text["response"]) for id_, text in texts.items()
    }
    grades = done.artifacts["grades"].scan().collect()
    assert grades["reason"].unique().to_list() == ["It is what it is."]
    assert grades["reply"].n_unique() == len(ROWS)
    cheaper = select(tmp_path, settings(server, mode="singleton", temperature=0.5))
    assert "grades" in cheaper.made, "in this mode the judge's sampling counts"


def refined(
    tmp_path: Path, chosen: Settings, name: str = "out.jsonl"
) -> refine.Refinement:
    return refine.refine(
        tmp_path / "run", chosen, tmp_path / name, ledger=tmp_path / "ledger.sqlite"
    )


def read(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_text().splitlines()]


def test_rewrites_are_taken_where_the_judge_prefers_them_in_both_orders(
    tmp_path: Path, server: FaultServer
) -> None:
    chosen = settings(server, "shortlist.rule=all", n=40)
    run = select(tmp_path, chosen)
    done = refined(tmp_path, chosen)
    assert done.counts["failed"] == 0
    assert min(done.counts["rewritten"], done.counts["kept"]) > 3
    for before, after, change in zip(
        run.rows, read(done.output), read(done.sidecar), strict=True
    ):
        assert change["instruction"] == before["instruction"]
        new = {
            "instruction": change["new_instruction"],
            "output": change["new_response"],
        }
        better = score(new["instruction"], new["output"]) > score(
            before["instruction"], before["output"]
        )
        same = new == {name: before[name] for name in new}
        assert (change["status"] == "rewritten") == (better and not same)
        assert after == (
            {**before, **new} if change["status"] == "rewritten" else before
        )


def test_a_second_call_asks_nothing_and_writes_the_same(
    tmp_path: Path, server: FaultServer
) -> None:
    chosen = settings(server)
    select(tmp_path, chosen)
    first = refined(tmp_path, chosen)
    before = server.asked.total()
    again = refined(tmp_path, chosen, "again.jsonl")
    assert (again.made, server.asked.total()) == ([], before)
    assert again.output.read_bytes() == first.output.read_bytes()
    assert tacos.load(tmp_path / "run").table.equals(select(tmp_path, chosen).table), (
        "the selection is what it was"
    )


def test_replies_that_fail_leave_the_original_and_say_why(
    tmp_path: Path, server: FaultServer
) -> None:
    chosen = settings(server, "shortlist.rule=all", "refine.max_failure_rate=1.0", n=40)
    run = select(tmp_path, chosen)
    server.behaviour.faults = {
        "invalid-json!": 0.1,
        "refusal!": 0.1,
        "wrong-schema!": 0.1,
    }
    done = refined(tmp_path, chosen)
    assert done.counts["failed"] > 5
    changes = read(done.sidecar)
    stages = {
        change["reason"].partition(":")[0]
        for change in changes
        if change["status"] == "failed"
    }
    assert stages == {"rewrite", "reword", "confirm"}
    for before, after, change in zip(run.rows, read(done.output), changes, strict=True):
        assert (after == before) == (change["status"] != "rewritten")


def test_too_many_failures_stop_it(tmp_path: Path, server: FaultServer) -> None:
    chosen = settings(server)
    select(tmp_path, chosen)
    server.behaviour.faults = {"invalid-json!": 1.0}
    with pytest.raises(
        FailureRateError, match=r"stage rewrite: 8 of 8 .*refine\.max_failure_rate"
    ):
        refined(tmp_path, chosen)
    assert not (tmp_path / "out.jsonl").exists()


def test_only_responses_are_rewritten_where_that_is_wanted(
    tmp_path: Path, server: FaultServer
) -> None:
    chosen = settings(server, "refine.instructions=false")
    select(tmp_path, chosen)
    done = refined(tmp_path, chosen)
    assert "instructions" not in done.made
    assert done.changes["new_instruction"].null_count() == done.changes.height


def labels(n: int = 40) -> list[dict[str, Any]]:
    """Pairs labelled as the server's model judges them, but for every fifth, which is labelled the
    other way round.
    """
    rows = [
        {"instruction": f"Say {i}.", "response_a": f"{i}", "response_b": f"It is {i}."}
        for i in range(n)
    ]
    better = [
        score(r["instruction"], r["response_a"])
        > score(r["instruction"], r["response_b"])
        for r in rows
    ]
    return [
        {**row, "preferred": "a" if won != (number % 5 == 0) else "b"}
        for number, (row, won) in enumerate(zip(rows, better, strict=True))
    ]


def test_a_calibration_counts_agreement_with_the_labels(
    tmp_path: Path, server: FaultServer
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    (found,) = calibrate.calibrate(labels(), settings(server), ledger=ledger)
    assert (found.judge, found.agreement.value, found.agreement.n) == (
        "tiny-1",
        0.8,
        40,
    )
    assert (found.flip_rate.value, found.flip_rate.n, found.position_bias) == (
        0.0,
        40,
        0.0,
    )
    assert server.asked.total() == 80
    calibrate.calibrate(labels(), settings(server), ledger=ledger)
    assert server.asked.total() == 80, "paid replies are not bought twice"
    both = calibrate.calibrate(
        labels(), settings(server, models=["tiny-1", "embedded"]), ledger=ledger
    )
    assert [each.judge for each in both] == ["embedded", "tiny-1", "panel"]
    assert both[0].flip_rate.value is None
    (silent,) = calibrate.calibrate(
        labels(), settings(server, model="mute", max_failure_rate=1.0), ledger=ledger
    )
    assert (silent.judge, silent.n_judged) == ("mute", 0)
    with pytest.raises(ConfigError, match="needs comparisons"):
        calibrate.calibrate(labels(), settings(server, mode="singleton"), ledger=ledger)


def test_the_commands(tmp_path: Path, server: FaultServer) -> None:
    chosen = settings(server, model="embedded")
    select(tmp_path, chosen)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(json.dumps(row) for row in labels()))
    where = [
        "--llm",
        server.url,
        "--model",
        "tiny-1",
        "--ledger",
        str(tmp_path / "ledger.sqlite"),
    ]
    run = CliRunner().invoke(
        app, ["calibrate", str(pairs), *where, "--json"], catch_exceptions=False
    )
    assert orjson.loads(run.stdout)[0]["agreement"]["value"] == 0.8
    shown = CliRunner().invoke(
        app, ["calibrate", str(pairs), *where], catch_exceptions=False
    )
    assert "label more pairs" in shown.stdout
    out = tmp_path / "refined.jsonl"
    run = CliRunner().invoke(
        app,
        ["refine", str(tmp_path / "run"), *where, "-o", str(out), "--json"],
        catch_exceptions=False,
    )
    told = orjson.loads(run.stdout)
    assert sum(told["counts"].values()) == len(read(out)) == 8
    confirmed = pl.read_parquet(
        sorted((tmp_path / "run" / "confirmations").glob("*/part-*.parquet"))
    )
    assert confirmed["judge"].unique().to_list() == ["tiny-1"], (
        "not the embedded judge of the run"
    )
