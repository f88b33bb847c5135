"""Settings: presets, TOML, `--set`, and errors that help."""

from pathlib import Path

import pytest

from tacos import config
from tacos.errors import ConfigError


def test_robust_is_the_default() -> None:
    assert config.load_settings() == config.load_settings("robust") == config.Settings()


def test_paper_is_the_procedure_of_the_authors() -> None:
    paper = config.load_settings("paper")
    assert (paper.cluster.k, paper.select.n, paper.select.quota) == (
        50,
        1000,
        "ascending-size",
    )
    assert (paper.pair.method, paper.pair.rounds, paper.rate.method) == (
        "neighbour",
        1,
        "mean",
    )
    assert (paper.shortlist.rule, paper.cluster.membership) == (
        "longest-per-tag-set",
        "every",
    )
    assert paper.normalise.semantic == "off"
    assert paper.normalise.association == "off"
    assert paper.normalise.auto_samples == 52_002
    assert (paper.tag.temperature, paper.judge.temperature) == (0.6, 0.0)


def test_the_later_layer_wins(tmp_path: Path) -> None:
    file = tmp_path / "tacos.toml"
    file.write_text('[cluster]\nk = 7\n[tag]\nmodel = "from-file"\n')
    found = config.load_settings("paper", file, ["cluster.k=9"], seed=5)
    assert (found.cluster.k, found.tag.model, found.seed, found.cluster.membership) == (
        9,
        "from-file",
        5,
        "every",
    )


def test_a_judge_that_is_named_later_takes_the_place_of_a_panel() -> None:
    panel = {"judge": {"model": "llm", "models": ["a", "b"]}}
    assert config.load_settings(under=panel).judges == ("a", "b")
    assert config.load_settings(under=panel, sets=["judge.model=c"]).judges == ("c",)
    assert config.load_settings(
        sets=["judge.model=c", 'judge.models=["a", "b"]']
    ).judges == (
        "a",
        "b",
    )
    assert config.load_settings(under=panel, sets=["judge.repetitions=2"]).judges == (
        "a",
        "b",
    )


def test_values_are_read_as_toml_else_as_text() -> None:
    assert config.parse_set_option("normalise.rules=false") == {
        "normalise": {"rules": False}
    }
    assert config.parse_set_option("normalise.alpha=auto") == {
        "normalise": {"alpha": "auto"}
    }
    assert config.parse_set_option('tag.model="a=b"') == {"tag": {"model": "a=b"}}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("cluster.kk=3", "cluster.k"),
        ("clutser.k=3", "cluster"),
        ("normalise.alfa=3", "normalise.alpha"),
        ("judge.temprature=3", "judge.temperature"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {hint}"):
        config.load_settings(sets=[text])


def test_a_dotted_name_where_a_table_is_meant_shows_the_table() -> None:
    with pytest.raises(ConfigError, match=r'\{"tag": \{"model": \.\.\.\}\}, not'):
        config.load_settings(**{"tag.model": "mymodel/"})
    with pytest.raises(ConfigError, match="did you mean seed"):
        config.load_settings(sets=["tag.seed=3"])


@pytest.mark.parametrize(
    "text",
    [
        "select.n=0",
        "tag.temperature=hot",
        "rate.scope=world",
        "cluster.k=some",
        "normalise.alpha=-5",
        "normalise.min_support=-3",
    ],
)
def test_a_value_out_of_range_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=text.partition("=")[0].replace(".", r"\.")):
        config.load_settings(sets=[text])


def test_other_mistakes_are_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1")
    for call in (
        lambda: config.load_settings("papper"),
        lambda: config.load_settings(file=tmp_path / "absent.toml"),
        lambda: config.load_settings(file=broken),
        lambda: config.load_settings(sets=["cluster.k"]),
        lambda: config.load_settings(sets=["cluster=3"]),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_settings_are_frozen_and_survive_json() -> None:
    settings = config.load_settings("paper", sets=["select.n=7"])
    with pytest.raises(ValueError):
        settings.seed = 2  # type: ignore[misc]
    assert config.Settings.model_validate(settings.model_dump(mode="json")) == settings
