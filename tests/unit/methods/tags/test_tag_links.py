"""Links from tags to broader ones."""

from typing import Any

import polars as pl
from tests.unit.methods.tags.test_association_rules import matrix
from tests.unit.methods.tags.test_normalisation import build

from tacos.config import NormaliseSettings
from tacos.methods.tags import merge_steps, tag_lineage, tag_links
from tacos.methods.tags.normalisation import NormalisationResult
from tacos.methods.tags.overrides import Overrides
from tacos.methods.tags.tag_links import TagLink
from tacos.methods.tags.tag_matching import resolve_matches
from tacos.records import TAG_MATCHES, VOCABULARY

SETTINGS = NormaliseSettings(alpha=1, min_support=2, guard=0, semantic="off")
SAMPLES = [["Passive Voice", "Grammar"]] * 4 + [["Grammar", "Commas"]] + [["Poem"]]


def parents(found: NormalisationResult) -> dict[str, list[str]]:
    """The parents of each canonical tag that has some."""
    rows = found.vocabulary.filter(pl.col("parents").list.len() > 0)
    return {
        row["canonical"]: [parent["tag"] for parent in row["parents"]]
        for row in rows.iter_rows(named=True)
    }


def link(child: str, parent: str, **rest: Any) -> TagLink:
    return TagLink(child, parent, rest.get("step", "match"), rest.get("reason", ""))


def test_association_links_and_deletes_nothing() -> None:
    found = build(SAMPLES, SETTINGS)
    assert found.vocabulary.schema == VOCABULARY
    assert found.mapping["Passive Voice"] == "Passive Voice"
    assert parents(found) == {"Passive Voice": ["Grammar"]}
    assert (found.notes()["n_links"], found.steps[-1].n_merged) == (1, 0)


def test_a_link_follows_a_new_name() -> None:
    renamed = Overrides(rename={"Grammar": "Grammar and Style"})
    found = build(SAMPLES, SETTINGS, renamed)
    assert parents(found) == {"Passive Voice": ["Grammar and Style"]}


def test_a_tag_has_its_most_specific_parent_and_this_one_has_its_own() -> None:
    rows = [[0, 1, 2]] * 4 + [[1, 2]] * 4 + [[2]] * 4
    names = ["list comprehension", "Python", "code"]
    found, rules = merge_steps.find_association_parents(names, matrix(rows, 3), 2, 0.99)
    assert {name: move.target for name, move in found.items()} == {
        "list comprehension": "Python",
        "Python": "code",
    }
    assert rules.height == 3


def test_in_a_cycle_all_fall_under_the_most_frequent() -> None:
    rows = [[0, 1, 2]] * 200 + [[1]] + [[2]] * 50
    found, _ = merge_steps.find_association_parents(
        ["a", "b", "c"], matrix(rows, 3), 2, 0.99
    )
    assert {name: move.target for name, move in found.items()} == {"a": "b", "b": "c"}


def test_links_in_a_circle_lose_the_one_to_the_rarest() -> None:
    links = [link("a", "b"), link("b", "c"), link("c", "a"), link("a", "b")]
    kept = tag_links.drop_cycles(links, {"a": 9, "b": 5, "c": 1})
    assert [each[:2] for each in kept] == [("a", "b"), ("c", "a")]


def test_a_model_merges_and_links_and_overrides_win() -> None:
    answers = [("Comma", "Commas", "same"), ("Grammar", "Poem", "a-parent")]
    left, right, relation = zip(*answers, strict=True)
    row = {"id": "0", "left": left, "right": right, "relation": relation}
    matches = pl.DataFrame([{**row, "reason": ["x", "y"], "reply": ""}], TAG_MATCHES)
    assert [each[:2] for each in resolve_matches(matches, {"Poem": 1}).links] == []

    samples = [*SAMPLES, ["Comma"]]
    found = build(samples, SETTINGS.model_copy(update={"rules": False}), None, matches)
    assert found.mapping["Commas"] == "Comma"
    assert parents(found) == {"Passive Voice": ["Grammar"], "Poem": ["Grammar"]}
    lineage = tag_lineage.find_lineage(found.vocabulary, "Grammar")
    assert lineage.children["tag"].to_list() == ["Passive Voice", "Poem"]
    reasons = dict(found.vocabulary.select("raw", "reason").iter_rows())
    assert reasons["Commas"] == "match: same as 'Comma': x"

    apart = Overrides(keep_apart=(("Comma", "Commas"),))
    held = build(samples, SETTINGS.model_copy(update={"rules": False}), apart, matches)
    assert held.mapping["Commas"] == "Commas"
    assert held.remarks == ("kept apart by hand: 'Commas' from 'Comma'",)


def test_a_vocabulary_from_before_has_no_parents() -> None:
    vocabulary = build(SAMPLES, SETTINGS).vocabulary.drop("parents")
    lineage = tag_lineage.find_lineage(vocabulary, "Grammar")
    assert (lineage.parents.height, lineage.children.height) == (0, 0)
