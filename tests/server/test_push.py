"""`tacos export --push`, against a hub on this machine: rows and card arrive, the token goes nowhere
else, and nothing is sent, published or replaced that nobody asked for.
"""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.server.fake_hub import TOKEN, FakeHub, open_fake_hub
from tests.small_world import (
    encode_letters,
    judge_by_instruction,
    make_rows,
    run_command,
    tag_by_words,
)

import tacos
from tacos.cli.shared import consent
from tacos.errors import ConfigError, OutputError
from tacos.formats import hub as hub_files
from tacos.formats.hub import DATA

ROWS = [
    {"instruction": "Add.", "input": "1 and 2", "output": "3"},
    {"instruction": "Name a fruit.", "input": "", "output": "A pear."},
    {"instruction": "Empty.", "input": "", "output": ""},
]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_fake_hub() as opened:
        monkeypatch.setenv("HF_ENDPOINT", opened.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield opened


def write_rows(folder: Path) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return file


def read_front_matter(card: str) -> dict[str, object]:
    """What the hub reads of a card."""
    front: dict[str, object] = yaml.safe_load(card.split("---")[1])
    return front


def test_rows_and_card_arrive(hub: FakeHub, tmp_path: Path) -> None:
    code, output = run_command(
        "export",
        write_rows(tmp_path),
        "--for",
        "datasets",
        "-o",
        tmp_path / "out",
        "--push",
        "me/fruit",
        "--licence",
        "cc-by-4.0",
        "--source",
        "Fruit, by hand",
    )
    assert code == 0, output
    assert f"{hub.address}/datasets/me/fruit" in output
    held = hub.files["me/fruit"]
    assert set(held) == {"README.md", DATA}
    table = pl.read_parquet(io.BytesIO(held[DATA]))
    assert table["completion"].to_list()[1] == [
        {"role": "assistant", "content": "A pear."}
    ]
    card = held["README.md"].decode()
    assert card == (tmp_path / "out" / "README.md").read_text("utf-8")
    front = read_front_matter(card)
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert "# fruit" in card
    assert "Fruit, by hand" in card
    assert "left out | 1 x " in card
    assert hub.private == {"me/fruit": True}
    assert TOKEN not in output + card


def test_the_card_of_a_run_says_how_it_was_selected(
    hub: FakeHub, tmp_path: Path
) -> None:
    done = tacos.select(
        make_rows(),
        n=20,
        run=tmp_path / "run",
        tagger=tag_by_words,
        judge=judge_by_instruction,
        encoder=encode_letters,
        settings={"shortlist": {"rule": "all"}, "normalise": {"alpha": 1}},
    )
    pushed = tacos.export(
        done,
        "datasets",
        push="me/selected",
        public=True,
        columns=True,
        licence="Our own words",
    )
    assert pushed.pushed == f"{hub.address}/datasets/me/selected"
    assert pushed.folder is None
    assert any("--source" in caution for caution in pushed.cautions)
    card = hub.files["me/selected"]["README.md"].decode()
    front = read_front_matter(card)
    assert front["license"] == "other"
    assert front["license_name"] == "Our own words"
    assert "normalise.alpha = 1" in card
    assert 'shortlist.rule = "all"' in card
    assert "preset | robust, seed 1" in card
    coverage = done.summary.selection["selection"]["coverage"]
    assert f"{coverage:.1%}" in card
    assert "`tacos_score`" in card
    assert str(tmp_path) not in card
    assert hub.private == {"me/selected": False}
    rows = pl.read_parquet(io.BytesIO(hub.files["me/selected"][DATA]))
    assert rows["tacos_id"].to_list() == done.scores["id"].to_list()


def test_an_older_data_set_is_replaced_only_with_force(hub: FakeHub) -> None:
    tacos.export(ROWS, "datasets", push="me/fruit")
    with pytest.raises(OutputError, match=r"me/fruit exists on the hub: .*--force"):
        tacos.export(ROWS[:1], "datasets", push="me/fruit")
    assert pl.read_parquet(io.BytesIO(hub.files["me/fruit"][DATA])).height == 2
    held = hub.files["me/fruit"]
    held |= {"data/train-00000-of-00002.parquet": b"old", "notes.txt": b"mine"}
    tacos.export(ROWS[:1], "datasets", push="me/fruit", force=True)
    assert set(held) == {"README.md", DATA, "notes.txt"}
    assert pl.read_parquet(io.BytesIO(held[DATA])).height == 1


def test_a_refused_token_is_named_but_not_shown(
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong-secret-0815")
    with pytest.raises(ConfigError, match=r"HTTP 401.*HF_TOKEN") as caught:
        tacos.export(ROWS, "datasets", push="me/fruit")
    assert "0815" not in str(caught.value)
    assert caught.value.__suppress_context__
    monkeypatch.delenv("HF_TOKEN")
    hub.asked.clear()
    with pytest.raises(ConfigError, match="no token for the hub"):
        tacos.export(ROWS, "datasets", push="me/fruit")
    assert hub.asked == []


@pytest.mark.parametrize("token", ["\u201chf_secret\u201d", "hf_secret HF", "hf_a\nb"])
def test_a_token_that_no_header_can_hold_is_not_shown(
    token: str,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match="HF_TOKEN holds characters") as caught:
        tacos.export(ROWS, "datasets", push="me/fruit")
    assert token not in str(caught.value)
    assert hub.asked == []


def test_nothing_is_pushed_without_consent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    given = ("export", write_rows(tmp_path), "--for", "datasets", "--push", "me/fruit")
    code, output = run_command(*given)
    assert code == 2
    assert "pass --yes to allow sending data to hub.invalid" in output
    # As a process that was started without standard input, by `<&-` or by a scheduler.
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="no terminal"):
        consent.ask_push_consent("hub.invalid", "me/fruit", public=False, yes=False)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"trainer": "trl", "push": "me/fruit"}, "go with --for datasets"),
        ({"trainer": "datasets", "push": "fruit"}, "give OWNER/NAME"),
        (
            {"trainer": "datasets", "push": "me/a--b"},
            "'me/a--b' is no name that the hub",
        ),
        ({"trainer": "datasets", "push": "me/fruit.git"}, "cannot end by '.git'$"),
        ({"trainer": "datasets", "public": True}, "add --push OWNER/NAME"),
    ],
)
def test_what_cannot_be_pushed_is_an_error_of_one_line(
    hub: FakeHub,
    options: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        tacos.export(ROWS, **options)  # type: ignore[arg-type]
    assert hub.asked == []


def test_a_token_is_never_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    with pytest.raises(ConfigError, match="no https address"):
        tacos.export(ROWS, "datasets", push="me/fruit")


def test_a_hub_that_cannot_be_reached_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with open_fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
    with pytest.raises(OutputError, match="cannot be reached"):
        tacos.export(ROWS, "datasets", push="me/fruit")


def test_a_hub_that_never_answers_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_files, "SILENCE", 0.5)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # It takes the connection, and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(OutputError, match="cannot be reached: timed out"):
            tacos.export(ROWS, "datasets", push="me/fruit")
