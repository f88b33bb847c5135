"""Checking the tags of a run against a real server, healthy or not, and with sheets that people
fill.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.server.fault_server import Behaviour, FaultServer
from typer.testing import CliRunner

from tacos import config
from tacos.cli import app
from tacos.config import Settings
from tacos.errors import ConfigError, FailureRateError, InputError, TacosError
from tacos.pipeline.model_factory import UserFunctions
from tacos.workflows import check_tags, select
from tacos.workflows.check_tags import TagCheck

WORDS = ("sum", "poem", "river", "bread")
ROWS = [
    {"instruction": f"Tell me about {WORDS[i % 4]} {i}.", "output": f"It is {i}."}
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
SNAPSHOT = "tiny-1-2026-01-01"
"""What the server says that it is."""
SETS = [
    "check.n_precision=20",
    "check.n_consistency=9",
    "check.n_planted=4",
    "check.n_instructions=3",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with four tags, each on the twelve samples that have its word."""
    folder = tmp_path_factory.mktemp("checked") / "run"
    chosen = config.load_settings(normalise={"alpha": 1}, select={"n": 8})
    select.run_selection(
        ROWS, chosen, select.OutputTargets(run=folder), own=OWN, until="canonicalise"
    )
    return folder


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(Behaviour()) as running:
        yield running


def settings(server: FaultServer | None = None, *sets: str) -> Settings:
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 1} if server else {}
    return config.load_settings("robust", None, [*SETS, *sets], llm=llm)


def figure(found: TagCheck, **where: str) -> dict[str, object]:
    return found.assessment.shares.filter(**where).row(0, named=True)


def test_a_judge_that_knows_finds_all_tags_right_and_every_planted_case(
    run: Path, server: FaultServer, tmp_path: Path
) -> None:
    found = check_tags.check_tags(
        run, settings(server), ledger=tmp_path / "ledger.sqlite"
    )
    assert found.cases.group_by("task", "planted").len().sort("task", "planted")[
        "len"
    ].to_list() == [4, 4, 20, 4]
    assert figure(found, task="precision", measure="right")["value"] == 1
    assert figure(found, task="consistency", measure="right")["value"] == 1
    assert figure(found, task="precision", measure="detected")["value"] == 1
    assert figure(found, task="consistency", measure="detected")["value"] == 1
    assert found.judgements["judge"].unique().to_list() == [SNAPSHOT]


def test_asking_again_costs_nothing(
    run: Path, server: FaultServer, tmp_path: Path
) -> None:
    first = check_tags.check_tags(
        run, settings(server, "seed=7"), ledger=tmp_path / "ledger.sqlite"
    )
    asked = server.asked.total()
    again = check_tags.check_tags(
        run, settings(server, "seed=7"), ledger=tmp_path / "ledger.sqlite"
    )
    assert server.asked.total() == asked
    assert again.as_dict() == first.as_dict()


def test_answers_that_cannot_be_read_are_missing_and_never_a_default(
    run: Path, tmp_path: Path
) -> None:
    with FaultServer(Behaviour({"refusal": 0.2})) as server:
        chosen = settings(server, "check.max_failure_rate=0.9", "seed=3")
        found = check_tags.check_tags(run, chosen, ledger=tmp_path / "ledger.sqlite")
        assert found.rejects.height > 0
        assert found.judgements.height + found.rejects.height == found.cases.height
        assert figure(found, task="precision", measure="right")["value"] == 1
        with pytest.raises(FailureRateError, match="check-precision"):
            check_tags.check_tags(
                run,
                settings(server, "check.max_failure_rate=0", "seed=4"),
                ledger=tmp_path / "l.sqlite",
            )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_people_fill_sheets_and_are_compared_with_the_model(
    run: Path, server: FaultServer, tmp_path: Path, suffix: str
) -> None:
    sheet = tmp_path / f"sheet.{suffix}"
    n_cases = check_tags.write_tag_sheet(run, sheet, settings())
    names = ("ann", "bea", "cem")
    for wrong, name in enumerate(names):
        fill(sheet, tmp_path / f"{name}.{suffix}", wrong)
    sheets = [tmp_path / f"{name}.{suffix}" for name in names]
    found = check_tags.check_tags(
        run, settings(server), sheets, ledger=tmp_path / "ledger.sqlite"
    )
    assert found.judgements.height == 4 * n_cases
    kappa = found.assessment.agreement.filter(
        task="precision", measure="Cohen kappa"
    ).row(0, named=True)
    assert kappa["between"] == f"{SNAPSHOT} and majority of people"
    assert kappa["value"] == 1
    assert (
        figure(found, task="precision", judge="majority of people", measure="right")[
            "value"
        ]
        == 1
    )
    assert (
        figure(found, task="precision", judge="ann", measure="right")["value"]
        == 19 / 20
    )


def fill(sheet: Path, target: Path, wrong: int) -> None:
    """A person who looks for the tag's word, and errs once, in a right precision case of their own."""
    text = sheet.suffix == ".jsonl"
    table = pl.read_ndjson(sheet) if text else pl.read_csv(sheet, infer_schema=False)
    rows = table.to_dicts()
    for row in rows:
        parts = (
            row["text"].split("\n\n") if row["task"] == "consistency" else [row["text"]]
        )
        row["answer"] = "yes" if all(row["tag"] in part for part in parts) else "no"
    right = [
        row for row in rows if row["task"] == "precision" and row["answer"] == "yes"
    ]
    right[wrong]["answer"] = "No"
    filled = pl.DataFrame(rows)
    filled.write_ndjson(target) if text else filled.write_csv(target)


def test_nobody_to_judge_a_run_without_tags_and_a_sheet_of_other_cases_are_clear_errors(
    run: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no judge given"):
        check_tags.check_tags(run, settings(), ask=False)
    with pytest.raises(ConfigError, match="checked by a language model"):
        check_tags.check_tags(run, settings())
    sheet = tmp_path / "ann.csv"
    check_tags.write_tag_sheet(run, sheet, settings())
    with pytest.raises(InputError, match="belongs to other cases"):
        check_tags.check_tags(run, settings(None, "seed=9"), [sheet], ask=False)
    (tmp_path / "empty.csv").write_text("case,tag,answer\n")
    with pytest.raises(InputError, match="holds no rows"):
        check_tags.check_tags(run, settings(), [tmp_path / "empty.csv"], ask=False)


def command(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, TacosError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def test_the_command_asks_a_model_writes_sheets_and_reads_them(
    run: Path, server: FaultServer, tmp_path: Path
) -> None:
    sets = [word for each in SETS for word in ("--set", each)]
    code, printed = command("check-tags", run, *sets)
    assert (code, "no judge given" in printed) == (2, True)
    ledger = tmp_path / "ledger.sqlite"
    asking = ("--llm", server.url, "--model", "tiny-1", "--ledger", ledger)
    code, printed = command("check-tags", run, *sets, *asking, "--json")
    assert code == 0, printed
    shares = {
        (row["task"], row["measure"]): row["value"]
        for row in json.loads(printed)["shares"]
    }
    assert shares == {
        (task, m): 1.0
        for task in ("precision", "consistency")
        for m in ("right", "detected")
    }
    code, printed = command("check-tags", run, *sets, "--sheet", tmp_path / "ann.csv")
    assert (code, "32 cases" in printed) == (0, True)
    fill(tmp_path / "ann.csv", tmp_path / "bea.csv", 0)
    code, printed = command(
        "check-tags", run, *sets, *asking, "--answers", tmp_path / "bea.csv"
    )
    assert code == 0, printed
    assert "Cohen kappa" in printed
    assert "95.0%" in printed


def test_two_sheets_of_one_person_are_an_error(run: Path, tmp_path: Path) -> None:
    sheets = [tmp_path / "ann.csv", tmp_path / "ann.jsonl"]
    for sheet in sheets:
        check_tags.write_tag_sheet(run, sheet, settings())
    with pytest.raises(InputError, match="two sheets are named after 'ann'"):
        check_tags.check_tags(run, settings(), sheets, ask=False)


def test_a_sheet_named_as_the_model_is_an_error(
    run: Path, server: FaultServer, tmp_path: Path
) -> None:
    sheet = tmp_path / f"{SNAPSHOT}.csv"
    check_tags.write_tag_sheet(run, sheet, settings())
    pl.read_csv(sheet, infer_schema=False).with_columns(answer=pl.lit("yes")).write_csv(
        sheet
    )
    with pytest.raises(InputError, match=f"named '{SNAPSHOT}', as another judge is"):
        check_tags.check_tags(
            run, settings(server), [sheet], ledger=tmp_path / "ledger.sqlite"
        )


def test_a_sheet_is_never_written_over_what_a_person_answered(
    run: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "ann.csv"
    sheet.write_text("case,tag,answer\n1,sum,yes\n")
    with pytest.raises(InputError, match="somebody may have answered in it"):
        check_tags.write_tag_sheet(run, sheet, settings())
    assert "1,sum,yes" in sheet.read_text()


def test_a_sheet_without_a_case_is_an_error(run: Path, tmp_path: Path) -> None:
    none = settings(
        None, "check.n_precision=0", "check.n_consistency=0", "check.n_planted=0"
    )
    with pytest.raises(InputError, match="no cases to judge"):
        check_tags.write_tag_sheet(run, tmp_path / "ann.csv", none)


def test_a_sheet_read_with_other_settings_than_it_was_written_with_says_so(
    run: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "ann.csv"
    check_tags.write_tag_sheet(run, sheet, settings())
    with pytest.raises(InputError, match="check settings"):
        check_tags.check_tags(
            run, settings(None, "check.n_precision=5"), [sheet], ask=False
        )
