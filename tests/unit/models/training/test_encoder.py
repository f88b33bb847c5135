"""How the static table is made: each step against its definition."""

import numpy as np
import pytest
import scipy.sparse as sp

from tacos.methods.measures.unit_rows import scale_rows
from tacos.models.training import corpora, token_distillation, token_table_fit


@pytest.fixture
def texts() -> sp.csr_array:
    return token_table_fit.weigh_counts(
        sp.csr_array(
            np.random.default_rng(0).integers(0, 3, (40, 12)).astype(np.float32)
        )
    )


def unit(shape, seed: int) -> np.ndarray:
    return scale_rows(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def test_least_squares_is_the_closed_form(texts) -> None:
    targets, prior = unit((40, 4), 1), unit((12, 4), 2)
    dense = texts.toarray().astype(np.float64)
    expected = np.linalg.solve(
        dense.T @ dense + 0.5 * np.eye(12), dense.T @ targets + 0.5 * prior
    )
    assert np.allclose(
        token_table_fit.solve_token_table(texts, targets, prior, pull=0.5),
        expected,
        atol=1e-3,
    )


def test_a_token_that_no_text_has_stays_as_it_was(texts) -> None:
    wider = sp.csr_array(sp.hstack([texts, sp.csr_array((40, 1), dtype=np.float32)]))
    prior = unit((13, 4), 2)
    assert np.allclose(
        token_table_fit.solve_token_table(wider, unit((40, 4), 1), prior, pull=0.5)[12],
        prior[12],
    )
    assert np.array_equal(
        token_table_fit.descend_gradient(wider, unit((40, 4), 1), prior, batch=8)[12],
        prior[12],
    )


def loss(sums: np.ndarray, targets: np.ndarray, relation: float) -> float:
    rows = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    off = rows @ rows.T - targets @ targets.T
    np.fill_diagonal(off, 0)
    return float(
        (1 - (rows * targets).sum(axis=1)).sum()
        + relation / len(sums) * np.square(off).sum()
    )


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    sums, targets = (
        np.random.default_rng(3).normal(size=(6, 3)),
        unit((6, 3), 4).astype(np.float64),
    )
    found = token_table_fit.cosine_gradient(sums, targets, relation=2.0)
    for place in np.ndindex(sums.shape):
        step = np.zeros_like(sums)
        step[place] = 1e-5
        slope = (
            loss(sums + step, targets, 2.0) - loss(sums - step, targets, 2.0)
        ) / 2e-5
        assert found[place] == pytest.approx(slope, abs=1e-3)


def test_descending_comes_closer(texts) -> None:
    truth, start = unit((12, 4), 5), unit((12, 4), 6)
    targets = scale_rows(texts @ truth)
    closeness = [
        (scale_rows(texts @ table) * targets).sum(axis=1).mean()
        for table in (
            start,
            token_table_fit.descend_gradient(
                texts, targets, start, n_epochs=60, rate=0.2, batch=20
            ),
        )
    ]
    assert closeness[1] > max(closeness[0], 0.9)


def test_directions_keep_the_most_and_are_unique() -> None:
    vectors = unit((200, 10), 7) * np.array(
        [5, 4, 3, 1, 1, 1, 1, 1, 1, 1], dtype=np.float32
    )
    kept = token_distillation.find_main_directions(vectors, 3)
    assert np.allclose(kept.T @ kept, np.eye(3), atol=1e-5)
    assert np.square(vectors @ kept).sum() > 0.7 * np.square(vectors).sum()
    assert np.allclose(
        token_distillation.find_main_directions(vectors[::-1], 3), kept, atol=1e-3
    )


def test_frequent_tokens_weigh_little() -> None:
    weights = token_distillation.zipf_weights(2000, first=1000)
    assert (weights[:1000] == 0).all()
    assert (np.diff(weights[1000:]) > 0).all()


def test_a_tag_in_ten_is_held_out() -> None:
    share = np.mean([corpora.is_holdout_tag(f"tag {n}") for n in range(5000)])
    assert 0.08 < share < 0.12


@pytest.mark.data
def test_held_out_tags_are_in_no_training_text(shared_data) -> None:
    texts = corpora.read_training_texts(shared_data, n_longer=1000, n_made_up=1000)
    hidden = {
        tag for tag in corpora.read_tags(shared_data) if corpora.is_holdout_tag(tag)
    }
    assert len(hidden) > 1000
    assert hidden.isdisjoint(texts)
    assert len(texts) == len(set(texts)) > 50_000
