"""Association rules equal mlxtend's; merging along chains, cycles and choices is what the module
says.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mlxtend import frequent_patterns
from scipy import sparse

from tacos.methods.tags import association_rules, merge_steps

NAMES = [f"tag {i:03}" for i in range(40)]


def random_samples(n: int, seed: int, n_tags: int = 40) -> list[list[int]]:
    """Samples with planted rules: 7 => 3 always, 8 => 7 nearly, {1, 2} => 9 always."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, n_tags + 1) ** -0.9
    rows = []
    for _ in range(n):
        row = set(
            rng.choice(n_tags, size=rng.poisson(4), p=weights / weights.sum()).tolist()
        )
        row |= {3} if 7 in row else set()
        row |= {7, 3} if 8 in row and rng.random() < 0.97 else set()
        row |= {9} if {1, 2} <= row else set()
        rows.append(sorted(row))
    return rows


def matrix(rows: list[list[int]], n_tags: int = 40) -> sparse.csr_array:
    at = [(i, tag) for i, row in enumerate(rows) for tag in row]
    places = np.array(at, dtype=np.int64).reshape(-1, 2)
    return association_rules.build_indicator(
        places[:, 0], places[:, 1], (len(rows), n_tags)
    )


def oracle(
    rows: list[list[int]], support: int, confidence: float, size: int
) -> set[tuple[frozenset[int], int, int]]:
    """mlxtend's rules with one consequent: antecedent, consequent, samples with both."""
    table = pd.DataFrame(matrix(rows).toarray().astype(bool))
    itemsets = frequent_patterns.fpgrowth(
        table, min_support=(support - 0.5) / len(rows), max_len=size
    )
    if itemsets.empty:
        return set()
    found = frequent_patterns.association_rules(
        itemsets, metric="confidence", min_threshold=confidence - 1e-9
    )
    return {
        (row.antecedents, next(iter(row.consequents)), round(row.support * len(rows)))
        for row in found.itertuples()
        if len(row.consequents) == 1
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "support, confidence", [(2, 0.5), (20, 0.9), (10, 0.97), (40, 0.99)]
)
def test_pair_rules_equal_mlxtends(seed: int, support: int, confidence: float) -> None:
    rows = random_samples(1500, seed)
    rules = association_rules.mine_pair_rules(matrix(rows), support, confidence)
    found = zip(
        rules.antecedent.tolist(),
        rules.consequent.tolist(),
        rules.n_both.tolist(),
        strict=True,
    )
    assert {(frozenset([a]), b, n) for a, b, n in found} == oracle(
        rows, support, confidence, 2
    )
    assert len(rules) > 0


def test_support_is_a_count_of_samples() -> None:
    rows = [[0, 1]] * 39 + [[2]] * 100_000
    assert len(association_rules.mine_pair_rules(matrix(rows), 40, 0.99)) == 0
    assert (
        len(association_rules.mine_pair_rules(matrix([*rows, [0, 1]]), 40, 0.99)) == 2
    )


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = matrix(random_samples(800, 1))
    whole = association_rules.mine_pair_rules(x, 5, 0.6)
    monkeypatch.setattr(association_rules, "BLOCK_PRODUCTS", 50)
    parts = association_rules.mine_pair_rules(x, 5, 0.6)
    assert all(
        (getattr(whole, c) == getattr(parts, c)).all()
        for c in ("antecedent", "consequent", "n_both")
    )


def test_only_changed_tags_are_looked_at_again() -> None:
    x = matrix(random_samples(1500, 2))
    rules = association_rules.mine_pair_rules(x, 5, 0.6)
    changed = np.zeros(40, dtype=bool)
    changed[[3, 9]] = True
    again = association_rules.mine_pair_rules(x, 5, 0.6, changed)
    keep = changed[rules.antecedent] | changed[rules.consequent]
    assert again.antecedent.tolist() == rules.antecedent[keep].tolist()
    assert again.consequent.tolist() == rules.consequent[keep].tolist()


def merged(rows: list[list[int]], names: list[str]) -> dict[str, str]:
    """The end of every tag that was merged, at support 2 and confidence 99%."""
    found = merge_steps.merge_by_association(names, matrix(rows, len(names)), 2, 0.99)
    end = {name: name for name in names}
    for moves in found.rounds:
        end = {
            raw: (moves[now].target or "") if now in moves else now
            for raw, now in end.items()
        }
    return {raw: now for raw, now in end.items() if raw != now}


def test_the_antecedent_goes_into_the_consequent_and_never_the_other_way() -> None:
    rows = [[0, 1]] * 5 + [[1]] * 5
    assert merged(rows, ["list comprehension", "Python"]) == {
        "list comprehension": "Python"
    }


def test_a_chain_ends_in_its_last_tag() -> None:
    rows = [[0, 1, 2]] * 4 + [[1, 2]] * 4 + [[2]] * 4
    assert merged(rows, ["a", "b", "c"]) == {"a": "c", "b": "c"}


def test_a_cycle_is_named_after_its_most_frequent_tag() -> None:
    rows = [[0, 1]] * 200 + [[1]]
    assert merged(rows, ["a", "z"]) == {"a": "z"}


def test_a_cycle_of_equals_is_named_after_the_smaller_string() -> None:
    assert merged([[0, 1, 2]] * 5, ["c", "a", "b"]) == {"c": "a", "b": "a"}


def test_of_two_consequents_the_more_specific_is_taken_and_they_stay_apart() -> None:
    rows = [[0, 1, 2]] * 4 + [[1]] * 30 + [[2]] * 10
    assert merged(rows, ["pandas", "code", "Python"]) == {"pandas": "Python"}


def test_merged_tags_are_looked_at_again() -> None:
    # "d" stands beside "a" or beside "b", so it implies neither; once "a" has become "b" it implies
    # "b".
    rows = [[0, 1]] * 300 + [[0, 3]] * 3 + [[1, 3]] * 3 + [[1]] * 99
    assert merged(rows, ["a", "b", "c", "d"]) == {"a": "b", "d": "b"}
    assert len(association_rules.mine_pair_rules(matrix(rows, 4), 2, 0.99)) == 1


def test_encode_reads_batches_and_counts_a_tag_once_per_sample() -> None:
    frame = pl.DataFrame(
        {"id": ["1", "2", "3", "4"], "tags": [["A", "a", "b"], [], ["zzz"], ["b"]]}
    )
    codes = {"A": 0, "a": 0, "b": 1}

    def batches() -> Iterator[pl.DataFrame]:
        yield frame[:1]
        yield frame[1:]

    expected = [[1, 1], [0, 0], [0, 0], [0, 1]]
    assert (
        association_rules.build_tag_matrix(frame, codes, 2).toarray().tolist()
        == expected
    )
    assert (
        association_rules.build_tag_matrix(batches(), codes, 2).toarray().tolist()
        == expected
    )
    assert association_rules.build_tag_matrix([], codes, 2).shape == (0, 2)
