"""A run whose language model says which tags mean the same: online, by files, quoted, counted."""

import json
from pathlib import Path

import polars as pl
import pytest
from tests.server.answering import answer
from tests.server.fault_server import FaultServer

from tacos import config
from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.workflows import dry_run, quote, requests, select

TAGS = ("poem", "poems", "verse", "sonnet", "rhyme", "essay", "essays", "letter")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Rows that bring their tags."""
    rows = [
        {
            "instruction": f"Do {number}.",
            "output": f"Done {number}.",
            "tags": [TAGS[number % 8], TAGS[number // 8 % 8]],
        }
        for number in range(64)
    ]
    file = tmp_path / "data.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def settings(server: FaultServer, **normalise: object) -> Settings:
    return config.load_settings(
        llm={"base_url": server.url, "model": "tiny-1", "proxy": "none"},
        ingest={"tags": "tags"},
        normalise={"model": "llm", "alpha": 1, "rules": False, **normalise},
        select={"n": 5},
    )


def run(data: Path, name: str, chosen: Settings, until: str = "normalise") -> Path:
    folder = data.with_name(name)
    select.run_selection(
        data,
        chosen,
        select.OutputTargets(run=folder),
        ledger=data.with_name(f"{name}.sqlite"),
        until=until,
    )
    return folder


def read(folder: Path, artifact: str) -> pl.DataFrame:
    return pl.read_parquet(folder / artifact / "*" / "*.parquet")


def test_tags_that_the_model_calls_the_same_become_one(
    data: Path, book: Ledger
) -> None:
    with FaultServer() as server:
        chosen = settings(server, pairs_per_request=4)
        folder = run(data, "online", chosen)
        matches = read(folder, "tag_matches")
        assert server.asked.total() == matches.height > 1
        with quote.open_samples(data, chosen) as samples:
            (found,) = [
                stage
                for stage in quote.quote_stages(samples, chosen, book, 2)
                if stage.stage == "match"
            ]
        assert found.n_pilot == 2
    said = dict.fromkeys(matches["relation"].explode())
    assert {"same", "different"} <= said.keys()
    vocabulary = read(folder, "vocabulary")
    assert vocabulary.schema["parents"].is_nested()
    merged = vocabulary.filter(pl.col("step") == "match")
    assert merged.height
    assert merged["reason"].str.starts_with("match: same as").all()


def test_exchange_files_give_what_the_endpoint_gives(data: Path) -> None:
    with FaultServer() as server:
        chosen = settings(server)
        online = read(run(data, "online", chosen), "vocabulary")
    folder = run(data, "offline", chosen, until="propose")
    ledger = data.with_name("offline.sqlite")
    asked, replies = data.with_name("asked.jsonl"), data.with_name("replies.jsonl")
    exported = requests.export_requests(folder, asked, ledger=ledger)
    assert exported is not None
    assert exported.artifact == "tag_matches"
    lines = []
    for line in map(json.loads, asked.read_text().splitlines()):
        content = json.dumps(answer(line["body"]["messages"]))
        lines.append(json.dumps({"custom_id": line["custom_id"], "content": content}))
    replies.write_text("\n".join(lines))
    imported = requests.import_replies(folder, replies, ledger=ledger)
    assert imported is not None
    with open_ledger(ledger) as book:
        requests.find_pending_requests(folder, book)
    assert read(folder, "vocabulary").equals(online)


def test_a_dry_run_bounds_the_questions(data: Path) -> None:
    with FaultServer() as server:
        chosen = settings(server, max_pairs=100, pairs_per_request=10)
        steps = {step.artifact: step for step in dry_run.forecast_run(data, chosen)}
        assert server.asked.total() == 0
    assert steps["tag_matches"].n_questions == 16
    assert steps["tag_matches"].models == ("tiny-1",)


def test_only_a_language_model_matches_tags(data: Path) -> None:
    chosen = config.load_settings(normalise={"model": "embedded"}, select={"n": 5})
    with pytest.raises(ConfigError, match=r"normalise\.model needs a language model"):
        run(data, "embedded", chosen)
