"""A judge's tastes are found as they were planted, and none where none was."""

import numpy as np
import pytest

from tacos.methods.measures.judge_tastes import (
    Taste,
    find_topic_tastes,
    measure_length_taste,
    measure_source_taste,
)

N = 1000


def draw_rows(
    rng: np.random.Generator, by_length: float, by_source: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Scores, grades, lengths and sources; both judges see the same quality with noise."""
    quality = rng.normal(50, 10, N)
    lengths = rng.lognormal(5, 1, N).round()
    sources = rng.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1]).tolist()
    is_b = np.array([source == "b" for source in sources])
    scores = quality + by_length * np.log2(np.maximum(lengths, 1)) + by_source * is_b
    noise = rng.normal(0, 3, (2, N))
    return scores + noise[0], quality + noise[1], lengths, sources


def find_source(scores: np.ndarray, *others: object) -> Taste:
    """The taste for source b."""
    taste = measure_source_taste(scores, *others, "b")  # type: ignore[arg-type]
    assert taste is not None
    return taste


def test_planted_tastes_are_found() -> None:
    rows = draw_rows(np.random.default_rng(1), by_length=2.0, by_source=5.0)
    length = measure_length_taste(*rows)
    assert length is not None
    assert length.low < 2.0 < length.high
    assert length.points == pytest.approx(2.0, abs=0.3)
    source = find_source(*rows)
    assert source.low < 5.0 < source.high
    assert source.is_shown
    assert source.n == N


def test_where_there_is_no_taste_one_is_rarely_shown() -> None:
    rng = np.random.default_rng(2)
    n_shown = 0
    for _ in range(200):
        rows = draw_rows(rng, by_length=0.0, by_source=0.0)
        length = measure_length_taste(*rows)
        assert length is not None
        n_shown += length.is_shown + find_source(*rows).is_shown
    # 5% of 400 are 20; three standard errors are 13
    assert 7 <= n_shown <= 33


def test_the_level_of_a_judge_is_no_taste() -> None:
    scores, *rest = draw_rows(np.random.default_rng(3), by_length=2.0, by_source=5.0)
    assert find_source(scores + 7, *rest) == pytest.approx(find_source(scores, *rest))


def test_few_rows_and_what_never_varies_tell_nothing() -> None:
    scores, grades, lengths, sources = draw_rows(np.random.default_rng(4), 1.0, 1.0)
    few = slice(0, 40)
    assert (
        measure_length_taste(scores[few], grades[few], lengths[few], sources[few])
        is None
    )
    assert measure_source_taste(scores, grades, lengths, ["a"] * N, "a") is None
    assert measure_length_taste(scores, grades, np.full(N, 9.0), ["a"] * N) is None


def draw_topics(rng: np.random.Generator) -> dict[str, list[int]]:
    """Twenty topics of 10 to 48 rows."""
    sizes = range(10, 50, 2)
    return {
        f"topic {size}": rng.choice(N, size, replace=False).tolist() for size in sizes
    }


def test_planted_topics_are_found() -> None:
    rng = np.random.default_rng(5)
    scores, grades, lengths, _ = draw_rows(rng, by_length=2.0, by_source=0.0)
    topics = draw_topics(rng)
    scores[topics["topic 12"]] -= 30
    found = find_topic_tastes(scores, grades, lengths, topics)
    assert list(found) == ["topic 12"]
    taste = found["topic 12"]
    assert taste.low < -30 < taste.high
    assert taste.n == 12


def test_topics_without_a_taste_are_rarely_shown() -> None:
    rng = np.random.default_rng(6)
    n_shown = 0
    for _ in range(100):
        scores, grades, lengths, _ = draw_rows(rng, by_length=0.0, by_source=0.0)
        topics = draw_topics(rng)
        n_shown += bool(find_topic_tastes(scores, grades, lengths, topics))
    # at most 5% of 100 are 5; three standard errors are 7
    assert n_shown <= 12
