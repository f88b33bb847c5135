"""`select --extend` against a real server: who is asked about what, and what the new run says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import run_command

import tacos
from tacos import config
from tacos.config import Settings
from tacos.errors import ConfigError, InputError
from tacos.pipeline.model_factory import UserFunctions
from tacos.workflows import quote
from tacos.workflows.dry_run import forecast_run
from tacos.workflows.input_samples import count_run_questions
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

WORDS = ("sum", "poem", "river", "bread", "engine", "planet")
OWN = UserFunctions(
    encoder=lambda texts: [
        [float(text.count(letter)) + 0.01 for letter in "abcdefghij"] for text in texts
    ],
)


def make_rows(start: int, end: int) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Tell me about {WORDS[i % 6]} {i}.", "output": f"It is {i}."}
        for i in range(start, end)
    ]


STATIC = "normalise.encoder=static"
"""For commands, which know no functions of Python."""
OLD = make_rows(0, 240)
NEW = make_rows(240, 320)
FEW = NEW[:16]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with FaultServer(Behaviour()) as running:
        yield running


def build_settings(
    server: FaultServer, *sets: str, runs: tuple[Path, ...] = (), renew: bool = False
) -> Settings:
    return config.load_settings(
        "robust",
        None,
        sets,
        tag={"model": "llm"},
        judge={"model": "llm"},
        llm={"base_url": server.url, "model": "tiny-1", "retries": 1},
        select={"n": 16},
        normalise={"alpha": 1},
        extend={"runs": [str(run) for run in runs], "renew": renew},
    )


def select(
    folder: Path,
    name: str,
    data: Any,
    chosen: Settings,
    own: UserFunctions = OWN,
) -> tacos.Selection:
    """A run with a ledger of its own: only a run that it extends can answer for it."""
    return run_selection(
        data,
        chosen,
        OutputTargets(run=folder / name),
        own=own,
        ledger=folder / f"{name}.sqlite",
        workers=1,
    )


def read_rounds(done: tacos.Selection, kind: str) -> pl.DataFrame:
    names = [name for name in done.artifacts if name.startswith(f"{kind}/")]
    return pl.concat([done.artifacts[name].scan() for name in names]).collect()


def hash_ids(done: tacos.Selection) -> dict[str, str]:
    samples = done.artifacts["samples"].scan().select("id", "content_hash")
    return dict(samples.collect().iter_rows())


def test_only_new_rows_are_paid_for(tmp_path: Path, server: FaultServer) -> None:
    old = select(tmp_path, "old", OLD, build_settings(server))
    before = set(server.asked)
    n_before = server.asked.total()
    done = select(
        tmp_path, "more", NEW, build_settings(server, runs=(tmp_path / "old",))
    )
    new = server.asked.total() - n_before
    assert not [asked for asked in before if server.asked[asked] > 1]
    assert done.artifacts["tags"].manifest["notes"]["n_asked"] == len(NEW)

    # Every question about pairs involves a new row.
    known = set(done.artifacts["known"].scan().collect()["id"])
    assert known == {f"data:{i}" for i in range(240)}
    pairs = read_rounds(done, "pairs")
    asked = pairs.filter(
        ~(pl.col("left").is_in(list(known)) & pl.col("right").is_in(list(known)))
    )
    assert new == len(NEW) + 2 * asked.height
    old_pairs = read_rounds(old, "pairs")
    assert pairs.height == asked.height + old_pairs.height
    verdicts = read_rounds(done, "verdicts")
    old_verdicts = read_rounds(old, "verdicts")
    keys = ["left", "right", "order", "score_left", "score_right", "reply"]
    joined = old_verdicts.join(verdicts, on=keys)
    assert joined.height == old_verdicts.height

    # Old and new rows are on one scale.
    scores = pl.read_parquet(done.artifacts["scores/3"].parts)
    assert scores["component"].n_unique() == 1
    assert set(scores["id"]) - known, "new rows compete"
    assert len(done.rows) == 16
    assert done.typed_rows is None
    assert old.table.height == 16, "the old run stays as it is"


def test_the_summary_report_and_explanations_of_an_extended_run(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "old", OLD, build_settings(server))
    chosen = build_settings(server, runs=(tmp_path / "old",))
    done = select(tmp_path, "more", NEW, chosen)
    told = done.summary.extended
    assert (told["n_known"], told["n_new"], told["n_removed"]) == (240, 80, 0)
    assert told["share_unknown"] == 0, (
        "the server has 16 tags, and the old rows all of them"
    )
    assert told["distance"]["n_new"] == 80
    code, printed = run_command("runs", "show", tmp_path / "more")
    assert (code, "240 rows of" in " ".join(printed.split())) == (0, True)
    page = done.report(tmp_path / "report.html").read_text("utf-8")
    assert "<h3>Extended</h3>" in page

    shortlisted = set(done.artifacts["shortlist"].scan().collect()["id"])
    left_out = [f"data:{i}" for i in range(240) if f"data:{i}" not in shortlisted]
    for row in (*sorted(shortlisted)[:3], *left_out[:3], "data~2:7"):
        assert done.explain(row)["verdict"]
    again = select(tmp_path, "more", NEW, chosen)
    assert again.made == []
    assert tacos.load(tmp_path / "more").reselect(8, "longest").table.height == 8


def count_judged(done: tacos.Selection) -> int:
    """Questions that the judge was asked by a run itself."""
    names = [name for name in done.artifacts if name.startswith("verdicts/")]
    notes = [done.artifacts[name].manifest["notes"] for name in names]
    return sum(note["n_asked"] for note in notes)


def test_a_quote_is_of_what_only_the_new_rows_cost(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "old", OLD, build_settings(server, STATIC), UserFunctions())
    chosen = build_settings(server, STATIC, runs=(tmp_path / "old",))
    alone = build_settings(server, STATIC)
    with quote.open_samples([*OLD, *FEW], alone) as rows:
        of_all = count_run_questions(rows.samples, alone)
    with quote.open_samples(FEW, chosen) as rows:
        counts = count_run_questions(rows.samples, chosen, rows.old_tables)
        assert rows.samples.manifest["n_rows"] == 256
        new = rows.new.scan().collect()
        assert set(new["content_hash"]) == {
            row["content_hash"]
            for batch in rows.new.batches(["content_hash"])
            for row in batch.to_dicts()
        }
        assert new.height == 16
    # The pilots ask about new rows only.
    before = set(server.asked)
    quoted = tacos.quote(
        FEW, chosen, pilot=4, ledger=tmp_path / "quote.sqlite", extend=None
    )
    assert [stage.stage for stage in quoted.stages] == ["tag", "judge"]
    assert not before.intersection(set(server.asked) - before)
    assert counts["tag"] == 16
    assert of_all["tag"] == 256

    done = select(tmp_path, "more", FEW, chosen, UserFunctions())
    n_judged = count_judged(done)
    assert 0 < n_judged <= counts["judge"] < of_all["judge"]
    assert counts["judge"] <= 6 * n_judged


def test_a_quote_of_no_new_rows_is_nothing(tmp_path: Path, server: FaultServer) -> None:
    select(tmp_path, "old", OLD, build_settings(server, STATIC), UserFunctions())
    asked = server.asked.total()
    runs = tmp_path / "old"
    code, printed = run_command("quote", "--extend", runs, "--yes", "--pilot", 2)
    assert (code, "nothing to pay" in printed) == (0, True), printed
    quoted = tacos.quote([], extend=runs, ledger=tmp_path / "quote.sqlite")
    assert quoted.stages == []
    assert server.asked.total() == asked
    code, printed = run_command("quote", tmp_path / "x.jsonl", "--renew")
    assert (code, "--extend RUN" in printed) == (2, True), printed


def test_annotations_of_rows_do_not_depend_on_who_came_first(
    tmp_path: Path, server: FaultServer
) -> None:
    """What is promised: tags and grades are those of a run over all rows."""
    select(tmp_path, "old", OLD, build_settings(server))
    done = select(
        tmp_path, "more", NEW, build_settings(server, runs=(tmp_path / "old",))
    )
    whole = select(tmp_path, "whole", [*NEW, *OLD], build_settings(server))
    for name, column in (("tags", "tags"), ("grades", "value"), ("tags", "reply")):
        found = []
        for run in (done, whole):
            hashes = hash_ids(run)
            table = run.artifacts[name].scan().select("id", column).collect()
            found.append({hashes[id_]: value for id_, value in table.iter_rows()})
        assert found[0] == found[1], name


def test_an_extended_run_can_be_extended_again(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "one", OLD, build_settings(server))
    select(tmp_path, "two", NEW, build_settings(server, runs=(tmp_path / "one",)))
    before = server.asked.copy()
    third = select(
        tmp_path,
        "three",
        make_rows(320, 340),
        build_settings(server, runs=(tmp_path / "two",)),
    )
    twice = [asked for asked in before if server.asked[asked] > before[asked]]
    assert not twice
    assert third.summary.extended["n_known"] == 320
    assert {row.partition(":")[0] for row in hash_ids(third)} == {
        "data",
        "data~2",
        "data~3",
    }


def test_two_runs_are_merged_by_a_few_pairs_between_them(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "one", OLD, build_settings(server))
    select(tmp_path, "two", NEW, build_settings(server))
    before = server.asked.copy()
    runs = (tmp_path / "one", tmp_path / "two")
    done = select(tmp_path, "both", [], build_settings(server, runs=runs))
    assert done.artifacts["tags"].manifest["notes"]["n_asked"] == 0
    assert not [asked for asked in before if server.asked[asked] > before[asked]]
    n_clusters = done.summary.n_clusters
    new = server.asked.total() - before.total()
    assert 0 < new <= 2 * 2 * (n_clusters + 1)
    scores = pl.read_parquet(done.artifacts["scores/3"].parts)
    assert scores["component"].n_unique() == 1
    assert set(hash_ids(done)) == {f"data:{i}" for i in range(240)} | {
        f"data~2:{i}" for i in range(80)
    }
    assert len(done.rows) == 16


def test_rows_that_are_gone_from_a_file_go(tmp_path: Path, server: FaultServer) -> None:
    file = tmp_path / "pool.json"
    file.write_text(json.dumps(OLD))
    select(tmp_path, "old", [file], build_settings(server))
    n_before = server.asked.total()
    # The first 40 rows are gone, 10 are new, and all stand elsewhere.
    file.write_text(json.dumps([*make_rows(240, 250), *OLD[40:]]))
    done = select(
        tmp_path, "more", [file], build_settings(server, runs=(tmp_path / "old",))
    )
    told = done.summary.extended
    assert (told["n_known"], told["n_new"], told["n_removed"]) == (200, 10, 40)
    assert done.artifacts["tags"].manifest["notes"]["n_asked"] == 10
    assert server.asked.total() - n_before < 10 + 100
    hashes = set(hash_ids(done).values())
    assert set(done.table["content_hash"]) <= hashes
    assert (
        hash_ids(done)["pool.json:10"]
        == hash_ids(tacos.load(tmp_path / "old"))["pool.json:40"]
    )

    other = tmp_path / "elsewhere" / "pool.json"
    other.parent.mkdir()
    other.write_text(json.dumps(make_rows(500, 550)))
    with pytest.raises(InputError, match=r"pool\.json is also the name of an input"):
        select(
            tmp_path, "wrong", [other], build_settings(server, runs=(tmp_path / "old",))
        )


def test_vocabulary_and_clusters_stay_or_are_made_anew(
    tmp_path: Path, server: FaultServer
) -> None:
    old = select(tmp_path, "old", OLD, build_settings(server))
    runs = (tmp_path / "old",)
    kept = select(tmp_path, "kept", NEW, build_settings(server, runs=runs))
    columns = ["raw", "canonical", "step", "reason"]
    before = old.artifacts["vocabulary"].scan().select(columns).collect()
    after = kept.artifacts["vocabulary"].scan().select(columns).collect()
    assert before.equals(after)
    assert old.artifacts["clusters"].digest == kept.artifacts["clusters"].digest
    homes = old.artifacts["memberships"].scan().collect()
    assert homes.equals(kept.artifacts["memberships"].scan().collect().head(240))

    anew = select(tmp_path, "anew", NEW, build_settings(server, runs=runs, renew=True))
    whole = select(tmp_path, "whole", [*OLD, *NEW], build_settings(server))
    for name in ("vocabulary", "clusters"):
        assert anew.artifacts[name].digest == whole.artifacts[name].digest, name
    assert anew.summary.extended["renewed"]

    with pytest.raises(ConfigError, match="add --renew"):
        select(tmp_path, "other", NEW, build_settings(server, "cluster.k=3", runs=runs))


def test_another_judge_judges_old_rows_anew_and_says_so(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "old", OLD, build_settings(server))
    chosen = build_settings(server, "judge.temperature=0.5", runs=(tmp_path / "old",))
    n_before = server.asked.total()
    done = select(tmp_path, "more", NEW, chosen)
    assert done.summary.extended["n_pairs"] == 0
    assert done.artifacts["tags"].manifest["notes"]["n_asked"] == len(NEW)
    assert server.asked.total() - n_before > len(NEW) + 200


@pytest.mark.parametrize(
    "sets",
    [
        ("pair.method=active",),
        ("pair.method=active", "select.quota=proportional"),
        ("pair.method=reference",),
        ("shortlist.rule=random", "select.quota=equal"),
    ],
)
def test_every_way_of_pairing_asks_about_new_rows_only(
    tmp_path: Path, server: FaultServer, sets: tuple[str, ...]
) -> None:
    select(tmp_path, "old", OLD, build_settings(server, *sets))
    before = server.asked.copy()
    done = select(
        tmp_path, "more", NEW, build_settings(server, *sets, runs=(tmp_path / "old",))
    )
    assert not [asked for asked in before if server.asked[asked] > before[asked]]
    known = done.artifacts["known"].scan().collect()["id"]
    listed = done.artifacts["shortlist"].scan().collect()["id"]
    n_joining = len(set(listed) - set(known))
    n_asked = server.asked.total() - before.total() - len(NEW)
    assert 0 < n_asked <= 8 * n_joining
    assert len(done.rows) == 16


def test_the_papers_procedure_is_extended_within_its_clusters(
    tmp_path: Path, server: FaultServer
) -> None:
    def build(runs: tuple[Path, ...] = ()) -> Settings:
        return config.load_settings(
            "paper",
            tag={"model": "llm"},
            judge={"model": "llm"},
            llm={"base_url": server.url, "model": "tiny-1", "retries": 1},
            select={"n": 16, "fill": True},
            normalise={"alpha": 1},
            cluster={"k": 4},
            extend={"runs": [str(run) for run in runs]},
        )

    select(tmp_path, "old", OLD, build())
    before = server.asked.copy()
    done = select(tmp_path, "more", NEW, build((tmp_path / "old",)))
    assert not [asked for asked in before if server.asked[asked] > before[asked]]
    assert done.artifacts["selection"].manifest["n_rows"] == 16


def test_a_dry_run_counts_new_rows_only(tmp_path: Path, server: FaultServer) -> None:
    select(tmp_path, "old", OLD, build_settings(server))
    chosen = build_settings(
        server, "normalise.encoder=static", runs=(tmp_path / "old",), renew=True
    )
    n_before = server.asked.total()
    steps = {step.artifact: step for step in forecast_run(NEW, chosen)}
    assert steps["tags"].n_questions == len(NEW)
    assert server.asked.total() == n_before


def test_requests_of_an_extended_run_are_about_new_rows(
    tmp_path: Path, server: FaultServer
) -> None:
    """The way by exchange files: the run has read its rows, and says what it asks next."""
    sets = ("normalise.encoder=static",)
    ledger = tmp_path / "ledger.sqlite"

    def read_rows(name: str, data: Any, runs: tuple[Path, ...] = ()) -> Path:
        run_selection(
            data,
            build_settings(server, *sets, runs=runs, renew=True),
            OutputTargets(run=tmp_path / name),
            ledger=ledger,
            workers=1,
            until="ingest" if runs else "tag",
        )
        return tmp_path / name

    old = read_rows("old", OLD)
    ledger.unlink()
    more = read_rows("more", NEW, (old,))
    pending = tacos.requests(more, ledger=ledger)
    assert pending is not None
    assert (pending.artifact, len(pending.open)) == ("tags", len(NEW))


def test_rows_of_a_run_by_another_judge_compete_as_new_ones(
    tmp_path: Path, server: FaultServer
) -> None:
    select(tmp_path, "one", OLD, build_settings(server))
    select(tmp_path, "two", NEW, build_settings(server, "judge.temperature=0.5"))
    runs = (tmp_path / "one", tmp_path / "two")
    done = select(tmp_path, "both", [], build_settings(server, runs=runs))
    scored = set(pl.read_parquet(done.artifacts["scores/3"].parts)["id"])
    assert any(id_.startswith("data~2:") for id_ in scored)
    assert done.artifacts["tags"].manifest["notes"]["n_asked"] == 0
