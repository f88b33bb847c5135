"""MIG: lazy greedy against the definition."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from tacos.methods.selecting import mig


def pool(n_rows: int, n_tags: int, seed: int, levels: int | None = None):
    """0/1 tags and scores; `levels` makes scores, and so gains, tie often."""
    rng = np.random.default_rng(seed)
    tags = csr_array((rng.random((n_rows, n_tags)) < 0.15).astype(float))
    scores = (
        rng.uniform(1, 100, n_rows)
        if levels is None
        else rng.integers(1, levels + 1, n_rows).astype(float)
    )
    return tags, scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("held", [1, 7, 64, 1000])
def test_lazy_greedy_is_plain_greedy(seed, held) -> None:
    rows = mig.information_matrix(*pool(300, 25, seed))
    np.testing.assert_array_equal(
        mig.take_informative(rows, 120, pool=held),
        mig.take_informative_plainly(rows, 120),
    )


def test_with_similar_tags_too() -> None:
    vectors = np.random.default_rng(1).standard_normal((25, 3))
    spread = mig.propagation_matrix(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    )
    assert spread.nnz > 25
    rows = mig.information_matrix(*pool(300, 25, 0), spread)
    np.testing.assert_array_equal(
        mig.take_informative(rows, 120, pool=16),
        mig.take_informative_plainly(rows, 120),
    )


def test_the_formula_by_hand() -> None:
    tags = csr_array(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    rows = mig.information_matrix(tags, [8.0, 5.0, 4.0])
    np.testing.assert_allclose(rows.toarray(), [[4, 4], [5, 0], [0, 4]])
    np.testing.assert_allclose(
        mig.information_slope(np.array([0.0, 4.0])),
        [0.8 * 1e-6**-0.2, 0.8 * 4.000001**-0.2],
    )
    assert mig.take_informative(rows, 3).tolist() == [
        0,
        1,
        2,
    ]  # 8 > 5 > 4, then 5 on one tag beats 4 on the other


def test_columns_of_p_sum_to_1_and_edges_need_a_cosine_of_9_tenths() -> None:
    angle = np.arccos([1.0, 0.95, 0.5])
    spread = mig.propagation_matrix(
        np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ).toarray()
    np.testing.assert_allclose(spread.sum(axis=0), 1)
    np.testing.assert_allclose(spread[0, 1], 0.95 / 1.95)
    assert spread[2, 0] == spread[0, 2] == 0


def test_rows_without_tags_are_never_taken_and_the_first_gain_counts_what_is_there() -> (
    None
):
    tags = csr_array(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    rows = mig.information_matrix(tags, [9.0, 5.0, 4.0])
    assert mig.take_informative(rows, 3).tolist() == [1, 2]
    assert mig.take_informative(rows, 1, start=np.array([50.0, 0.0])).tolist() == [2]


def test_a_score_below_0_adds_nothing() -> None:
    assert mig.information_matrix(
        csr_array(np.ones((1, 2))), [-3.0]
    ).toarray().tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("held", [1, 4, 1000])
def test_of_equal_gains_the_lowest_number_is_taken_however_many_tie(held) -> None:
    tags, scores = pool(200, 12, 2, levels=1)
    rows = mig.information_matrix(tags, scores)
    np.testing.assert_array_equal(
        mig.take_informative(rows, 150, pool=held),
        mig.take_informative_plainly(rows, 150),
    )
    twins = mig.information_matrix(csr_array(np.ones((30, 3))), np.full(30, 7.0))
    assert mig.take_informative(twins, 30, pool=held).tolist() == list(range(30))
