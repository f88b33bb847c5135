"""The semantic step and the association step on real tags, against scikit-learn and mlxtend."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mlxtend.frequent_patterns import association_rules, fpgrowth
from sklearn.cluster import DBSCAN

from tacos.methods.tags import semantic_merging
from tacos.methods.tags.association_rules import build_tag_matrix, mine_pair_rules
from tacos.models import encoder

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def tagged(shared_data: Path) -> pl.DataFrame:
    """5,540 instructions with the tags that annotators gave them."""
    lines = gzip.decompress((shared_data / "tags" / "open_tags.jsonl.gz").read_bytes())
    return pl.read_ndjson(lines).unique("id", maintain_order=True).select("id", "tags")


@pytest.mark.parametrize("support, confidence", [(3, 0.8), (5, 0.99)])
def test_pair_rules_equal_mlxtends(
    tagged: pl.DataFrame, support: int, confidence: float
) -> None:
    counts = tagged["tags"].list.unique().explode().drop_nulls().value_counts()
    names = counts.filter(pl.col("count") >= support)["tags"].sort().to_list()
    x = build_tag_matrix(tagged, {name: i for i, name in enumerate(names)}, len(names))
    rules = mine_pair_rules(x, support, confidence)
    found = {
        (names[a], names[b])
        for a, b in zip(
            rules.antecedent.tolist(), rules.consequent.tolist(), strict=True
        )
    }
    table = pd.DataFrame(x.toarray().astype(bool), columns=names)
    itemsets = fpgrowth(
        table, min_support=(support - 0.5) / len(table), max_len=2, use_colnames=True
    )
    peer = association_rules(
        itemsets, metric="confidence", min_threshold=confidence - 1e-9
    )
    assert found == {(*row.antecedents, *row.consequents) for row in peer.itertuples()}
    assert len(found) > 2


@pytest.mark.parametrize("eps", [0.05, 0.15])
def test_groups_equal_dbscans(shared_data: Path, eps: float) -> None:
    lines = gzip.decompress(
        (shared_data / "tags" / "raw_tag_counts_11976.jsonl.gz").read_bytes()
    )
    tags = (
        pl.read_ndjson(lines)["tag"].sort().gather_every(1, 3000).head(1500).to_list()
    )
    vectors = encoder.load("minilm").encode(tags)
    labels = DBSCAN(eps=eps, min_samples=1, metric="cosine").fit_predict(
        vectors.astype(np.float64)
    )
    found = semantic_merging.group_by_cosine(vectors, eps)
    assert (found == semantic_merging.number_labels(labels)).all()
    assert found.max() + 1 < len(tags)
