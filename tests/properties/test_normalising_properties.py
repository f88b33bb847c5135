"""Normalisation is idempotent and blind to the order of rows, of tags and to how rows are cut into
batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from random import Random

import numpy as np
import numpy.typing as npt
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tacos.config import NormaliseSettings
from tacos.methods.tags import normalisation
from tacos.methods.tags.normalisation import NormalisationResult

WORDS = [
    "Poem",
    "poems",
    "POEM!",
    "poet",
    "C",
    "C++",
    "c",
    "Maths",
    "maths",
    "math",
    "🎉",
    "",
    "शब्द",
    "شعر",
    "x y",
    "y x",
]
Samples = list[list[str]]
samples_of_tags = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=25
)
thresholds = st.builds(
    NormaliseSettings,
    alpha=st.integers(1, 3),
    association=st.just("merge"),
    min_support=st.integers(1, 4),
    min_confidence=st.sampled_from([0.5, 0.8, 0.99]),
    guard=st.sampled_from([0.0, 0.7]),
    eps=st.sampled_from([0.05, 0.3, 0.9]),
)


@dataclass(frozen=True)
class Hashed:
    """An encoder in three dimensions, where phrases often lie near each other by chance."""

    seed: int
    name: str = "hashed"
    fingerprint: str = "hashed"
    dim: int = 3

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = [
            np.random.default_rng([self.seed, *text.encode()]).normal(size=3)
            for text in texts
        ]
        return np.array(rows, dtype=np.float32).reshape(-1, 3)


def frame(samples: Samples) -> pl.DataFrame:
    ids = [str(i) for i in range(len(samples))]
    return pl.DataFrame(
        {"id": ids, "tags": samples}, {"id": pl.String, "tags": pl.List(pl.String)}
    )


def count_tags(table: pl.DataFrame) -> pl.DataFrame:
    """How many samples carry each raw tag: tag, count."""
    tags = table.select(tag=pl.col("tags").list.unique()).explode("tag").drop_nulls()
    return tags.group_by("tag").agg(pl.len().cast(pl.UInt32).alias("count")).sort("tag")


def build(
    samples: Samples, config: NormaliseSettings, seed: int, cuts: Sequence[int] = ()
) -> NormalisationResult | None:
    """None where no tag passes the filter."""
    table = frame(samples)
    edges = sorted({0, *cuts, len(samples)})
    batches = [table[a:b] for a, b in pairwise(edges)]
    try:
        return normalisation.build_vocabulary(
            count_tags(table), iter(batches), len(samples), config, Hashed(seed)
        )
    except normalisation.InputError:
        return None


@given(samples_of_tags, thresholds, st.integers(0, 99))
def test_normalising_what_is_normalised_changes_nothing(
    samples: Samples, config: NormaliseSettings, seed: int
) -> None:
    found = build(samples, config, seed)
    if found is None:
        return
    once = normalisation.apply_mapping(samples, found.mapping)
    assert normalisation.apply_mapping(once, found.mapping) == once
    again = build(once, config, seed)
    assert again is not None or not any(once)
    if again is not None:
        assert normalisation.apply_mapping(once, again.mapping) == once
        assert again.rules.is_empty()


@given(
    samples_of_tags, thresholds, st.integers(0, 99), st.randoms(use_true_random=False)
)
def test_neither_the_order_of_rows_nor_of_tags_matters(
    samples: Samples, config: NormaliseSettings, seed: int, random: Random
) -> None:
    found = build(samples, config, seed)
    shuffled = [list(tags) for tags in samples]
    random.shuffle(shuffled)
    for tags in shuffled:
        random.shuffle(tags)
    other = build(shuffled, config, seed)
    assert (found is None) == (other is None)
    if found is not None and other is not None:
        assert found.vocabulary.equals(other.vocabulary)
        assert found.steps == other.steps


@given(
    samples_of_tags,
    thresholds,
    st.integers(0, 99),
    st.lists(st.integers(0, 25), max_size=4),
)
def test_shards_of_any_size_give_the_same_vocabulary_and_rows(
    samples: Samples, config: NormaliseSettings, seed: int, cuts: list[int]
) -> None:
    cuts = [min(cut, len(samples)) for cut in cuts]
    whole, parts = build(samples, config, seed), build(samples, config, seed, cuts)
    if whole is None or parts is None:
        assert whole is parts
        return
    assert whole.vocabulary.equals(parts.vocabulary)
    assert whole.rules.equals(parts.rules)
    edges = sorted({0, *cuts, len(samples)})
    rows = [
        normalisation.apply_mapping(samples[a:b], parts.mapping)
        for a, b in pairwise(edges)
    ]
    assert list(chain.from_iterable(rows)) == normalisation.apply_mapping(
        samples, whole.mapping
    )


@given(samples_of_tags, thresholds, st.integers(0, 99))
def test_every_raw_tag_is_accounted_for(
    samples: Samples, config: NormaliseSettings, seed: int
) -> None:
    found = build(samples, config, seed)
    if found is None:
        return
    table = found.vocabulary
    assert table["raw"].to_list() == sorted({tag for tags in samples for tag in tags})
    assert table.filter(
        (pl.col("step") == "") & (pl.col("raw") != pl.col("canonical"))
    ).is_empty()
    assert table.filter((pl.col("step") == "") != (pl.col("reason") == "")).is_empty()
    assert found.steps[-1].n_out == table["canonical"].drop_nulls().n_unique()
    for before, after in pairwise(found.steps):
        assert before.n_out == after.n_in
    assert all(
        step.n_in == step.n_out + step.n_merged + step.n_dropped for step in found.steps
    )
