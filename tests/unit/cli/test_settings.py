"""`tacos settings` lists what can be set, from the settings themselves."""

import orjson
import pytest
from typer.testing import CliRunner

from tacos import config
from tacos.cli import app
from tacos.errors import ConfigError


def listed(*words: str) -> list[dict[str, object]]:
    found = CliRunner().invoke(
        app, ["settings", *words, "--json"], catch_exceptions=False
    )
    assert found.exit_code == 0
    return list(orjson.loads(found.stdout))


def test_every_setting_is_there() -> None:
    assert [each["name"] for each in listed()] == config.list_setting_names()


def test_a_stage_has_its_settings_with_values_choices_and_meaning() -> None:
    by_name = {each["name"]: each for each in listed("judge")}
    assert by_name["judge.mode"]["choices"] == ["auto", "comparative", "singleton"]
    assert by_name["judge.repetitions"]["value"] == 1
    assert "panel" in str(by_name["judge.models"]["meaning"])
    (rule,) = listed("shortlist.rule", "--preset", "paper")
    assert rule["value"] == "longest-per-tag-set"


def test_it_prints_them() -> None:
    shown = CliRunner().invoke(app, ["settings", "pair"], catch_exceptions=False).stdout
    assert "pair.method = chain+swiss" in shown
    assert "neighbour | reference" in shown


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown setting or stage 'juge'"):
        CliRunner().invoke(app, ["settings", "juge"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cluster.k=abc", "cluster.k must be a whole number or 'auto', not 'abc'"),
        (
            "judge.reliability=much",
            "must be 'auto' or a number from 0 to 1, not 'much'",
        ),
        (
            "select.limit=7",
            r"select.limit \(--limit\) must be 'auto' or at most 1, not 7",
        ),
        ("pair.method=x", "pair.method must be 'neighbour', .* not 'x'"),
    ],
)
def test_an_invalid_value_says_what_it_must_be(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load_settings(sets=[given])
