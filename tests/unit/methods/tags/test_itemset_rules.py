"""Rules with several antecedents equal mlxtend's; a sample loses what its other tags imply, and
never everything.
"""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.methods.tags.test_association_rules import (
    NAMES,
    matrix,
    oracle,
    random_samples,
)

from tacos.config import load_settings
from tacos.methods.tags import itemset_rules
from tacos.methods.tags.itemset_rules import ImplicationIndex, drop_implied_tags
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.steps import tags as tag_steps


@pytest.mark.parametrize("seed", range(3))
def test_rules_are_mlxtends_without_needless_antecedents(seed: int) -> None:
    pytest.importorskip("fim")
    rows = random_samples(1500, seed)
    wanted = oracle(rows, 20, 0.95, 4)
    implied = {(body, head) for body, head, _ in wanted if len(body) > 1}
    minimal = {
        (body, head, n)
        for body, head, n in wanted
        if len(body) > 1 and not any((body - {tag}, head) in implied for tag in body)
    }
    found = itemset_rules.mine_itemset_rules(matrix(rows), NAMES, 20, 0.95, max_size=4)
    number = {name: i for i, name in enumerate(NAMES)}
    plain = {
        (frozenset(number[tag] for tag in row[0]), number[row[1]], row[2])
        for row in found.iter_rows()
    }
    assert plain == minimal
    assert (frozenset([1, 2]), 9) in implied, "the planted rule"
    assert dict(found.select("consequent", "n_consequent").iter_rows())[
        NAMES[9]
    ] == sum(9 in row for row in rows)


def test_rows_and_batches_in_any_order_give_the_same_rules() -> None:
    pytest.importorskip("fim")
    rows = random_samples(800, 4)
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(800)],
            "tags": [[NAMES[tag] for tag in row] for row in rows],
        }
    )
    whole = itemset_rules.mine_implications([frame], 20, 0.95)
    assert whole.height > 0
    assert itemset_rules.mine_implications(
        [frame.reverse()[:300], frame.reverse()[300:]], 20, 0.95
    ).equals(whole)


def test_too_many_rules_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fim")
    monkeypatch.setattr(itemset_rules, "N_RULES", 1)
    with pytest.raises(
        itemset_rules.ConfigError, match=r"raise normalise\.min_support \(5\)"
    ):
        itemset_rules.mine_itemset_rules(matrix(random_samples(800, 4)), NAMES, 5, 0.5)


COUNTS = {"a": 5, "b": 6, "c": 9}
CYCLE = ImplicationIndex(
    {"c": [frozenset("ab")], "a": [frozenset("bc")], "b": [frozenset("ac")]}, COUNTS
)


def test_thin_takes_out_what_the_others_imply() -> None:
    rules = ImplicationIndex({"c": [frozenset("ab")]}, COUNTS)
    assert drop_implied_tags(["c", "a", "b"], rules) == ["a", "b"]
    assert drop_implied_tags(["c", "a"], rules) == ["c", "a"]


def test_thin_never_empties_a_sample_along_a_cycle() -> None:
    assert drop_implied_tags(["a", "b", "c"], CYCLE) == ["a", "b"]
    assert drop_implied_tags(["a", "b"], CYCLE) == ["a", "b"]


@given(st.lists(st.sampled_from("abcdef"), unique=True))
def test_a_second_pass_changes_nothing(tags: list[str]) -> None:
    rules = ImplicationIndex(
        {
            "c": [frozenset("ab")],
            "a": [frozenset("bc"), frozenset("de")],
            "f": [frozenset("ac")],
        },
        {"a": 3, "b": 1, "c": 7, "d": 2, "e": 2, "f": 7},
    )
    once = drop_implied_tags(tags, rules)
    assert drop_implied_tags(once, rules) == once
    assert bool(once) == bool(tags)


def test_the_stage_runs_only_where_it_is_asked_for() -> None:
    names = [step.stage.name for step in plan_steps(load_settings())]
    asked = [
        step.stage.name
        for step in plan_steps(load_settings(sets=["normalise.itemsets=true"]))
    ]
    assert "imply" not in names
    assert asked.index("normalise") < asked.index("imply") < asked.index("canonicalise")


class Stored:
    """A table in memory."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def scan(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def batches(self, columns: list[str]) -> list[pl.DataFrame]:
        return [self.frame.select(columns)]


def test_canonical_tags_lose_what_is_implied() -> None:
    pytest.importorskip("fim")
    settings = load_settings(
        sets=["normalise.itemsets=true", "normalise.min_support=3"]
    )
    rows = [["A", "b", "c"]] * 4 + [["A", "c"]] * 2 + [["b", "c"]] + [["A"], ["b"]]
    tags = pl.DataFrame({"id": [f"{i}" for i in range(9)], "tags": rows}).with_columns(
        turn=pl.lit(0)
    )
    vocabulary = pl.DataFrame({"raw": ["A", "b", "c"], "canonical": ["a", "b", "c"]})
    tables_now = {"tags": Stored(tags), "vocabulary": Stored(vocabulary)}
    made = tag_steps.mine_implications(tables_now, settings, None, 0)
    assert made.table["consequent"].to_list() == ["c"]
    named = tag_steps.read_naming_rules(
        tables_now | {"implications": Stored(made.table)}, settings
    )
    thinned = tag_steps.canonicalise_batch(tags.select("id", "tags"), named, settings)
    assert thinned.notes == {"n_implied": 4}
    assert thinned.table["tags"].to_list()[:5] == [["a", "b"]] * 4 + [["a", "c"]]
