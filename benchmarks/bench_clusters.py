"""Clusters that are topics: how well each way of clustering finds the labels that people gave.

    python benchmarks/bench_clusters.py [../shared/data] [--seeds 5] [--vectors FOLDER]

Truth: the 59 scenarios of Auto-J, the domains of FLASK (a row's set of domains is its label; also
its first domain), the categories of Dolly. All ways make as many clusters as `cluster.k=auto`
asks for, from the same tags (the embedded tagger's, canonical):

    default     what `tacos select` does: text and tags, sizes limited
    text        the same without tags; `mixture W`: with tags at weight W
    minilm      K-means over MiniLM's vectors of the instructions, all 384 dimensions
    minilm pca  the same through the default's K-means (64 components); `+ tags`: with tags at .55
    static      K-means over the static encoder's vectors of instruction and response, undamped
    tags        clusters of tags, the home cluster of each row: the default until 0.2
    hdbscan     scikit-learn's over MiniLM's vectors (20 components, at least 8 rows); rows that it
                calls noise count as one more cluster

Figures: normalised mutual information (arithmetic mean of entropies), purity, mean cosine of
MiniLM's vectors of two rows of a cluster (and of random pairs), largest share, smallest size,
seconds of clustering without encoding. Means over seeds, which set where K-means starts. The bars
compare the default with the better of `minilm` and `minilm pca`. `--vectors` keeps MiniLM's vectors
between calls: they take minutes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from tacos.config import ClusterSettings
from tacos.methods.clusters import (
    cluster_size_limits,
    kmeans_clusters,
    sample_vectors,
)
from tacos.models import encoder

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
SETTINGS = ClusterSettings()
WEIGHTS = (0.3, 0.8, 1.2)
NOT_CLUSTERED = 9_999


class Pool(NamedTuple):
    """A set with labels: texts, tags and labels by row, and the vectors that ways share."""

    rows: pl.DataFrame
    labels: list[str]
    minilm: Vectors
    tag_names: pl.Series
    k: int


def read_rows(data: Path, name: str) -> list[dict[str, str]]:
    """Rows with instruction, input, output and label."""
    if name == "dolly":
        with gzip.open(data / "corpora" / "dolly_3k.json.gz", "rt") as file:
            raw = json.load(file)
        return [{**row, "label": row["category"]} for row in raw]
    files = {
        "autoj": "autoj_scenarios_train_2383.jsonl.gz",
        "flask": "flask_1740.jsonl.gz",
    }
    with gzip.open(data / "topics" / files[name], "rt") as file:
        raw = [json.loads(line) for line in file]
    if name == "flask":
        return [
            {
                "instruction": row["instruction"],
                "output": row["answer"],
                "label": row["domain"],
            }
            for row in raw
        ]
    # Auto-J has no responses; a row without one would be rejected as empty.
    return [
        {
            "instruction": row["instruction"],
            "input": row["input"],
            "output": "-",
            "label": row["category"],
        }
        for row in raw
    ]


def build_pool(data: Path, name: str, kept_vectors: Path | None) -> Pool:
    """Tag a set with the embedded tagger and encode its instructions with MiniLM."""
    raw = read_rows(data, name)
    with tempfile.TemporaryDirectory() as folder:
        samples, tags = _tag_rows(raw, Path(folder))
    rows = samples.select("id", "instruction", "response").join(
        tags,
        on="id",
        how="left",
        maintain_order="left",
    )
    numbers = [int(row_id.rpartition(":")[2]) for row_id in rows["id"]]
    labels = [str(raw[number]["label"]) for number in numbers]
    tag_names = rows["tags"].explode().drop_nulls().unique().sort()
    minilm = _encode_with_minilm(rows["instruction"], name, kept_vectors)
    k = kmeans_clusters.choose_k("auto", rows.height, rows.height)
    return Pool(rows, labels, minilm, tag_names, k)


def _tag_rows(
    raw: list[dict[str, str]], folder: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Samples and canonical tags of a run of `tacos select` that ends there."""
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, raw)), "utf-8")
    run = folder / "bench.run"
    words = [str(rows), "-n", "10", "-o", str(folder / "out.jsonl"), "--run", str(run)]
    subprocess.run(
        [sys.executable, "-m", "tacos", "select", *words, "--until", "canonicalise"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    samples, tags = (
        pl.read_parquet(sorted((run / name).glob("*/part-*.parquet")))
        for name in ("samples", "canonical_tags")
    )
    return samples, tags


def _encode_with_minilm(
    texts: pl.Series, name: str, kept_vectors: Path | None
) -> Vectors:
    """MiniLM's vectors of the texts, from the folder if they are there."""
    if kept_vectors is None:
        return encoder.load("minilm").encode(texts.to_list())
    path = kept_vectors / f"{name}_{texts.hash(1).sum()}.npy"
    if not path.exists():
        kept_vectors.mkdir(parents=True, exist_ok=True)
        np.save(path, encoder.load("minilm").encode(texts.to_list()))
    return np.asarray(np.load(path), np.float32)


# Ways of clustering: from a seed to the cluster of each row


def build_ways(pool: Pool) -> dict[str, Callable[[int], Ints]]:
    """Every way by its name."""
    topic = encoder.load_topic_encoder()
    texts = sample_vectors.cut_texts(pool.rows)
    instructions = topic.encode(texts["instruction"].to_list())
    responses = topic.encode(texts["response"].to_list())
    tags = sample_vectors.average_tags(
        pool.rows["tags"],
        pool.tag_names,
        topic.encode(pool.tag_names.to_list()),
    )
    plain = encoder.load("static").encode(
        [
            f"{instruction}\n{response}"
            for _, instruction, response, _ in pool.rows.iter_rows()
        ]
    )

    def mix(weight: float) -> Vectors:
        return sample_vectors.combine_vectors(
            instructions,
            responses,
            tags,
            weight,
        )

    default = mix(SETTINGS.tag_weight)
    with_tags = np.hstack([pool.minilm, np.float32(SETTINGS.tag_weight) * tags])
    ways: dict[str, Callable[[int], Ints]] = {
        "default": lambda seed: cluster_balanced(default, pool.k, seed),
        "text": lambda seed: cluster_vectors(mix(0.0), pool.k, seed),
    }
    for weight in WEIGHTS:
        ways[f"mixture {weight:g}"] = partial(cluster_vectors, mix(weight), pool.k)
    ways |= {
        "minilm": lambda seed: cluster_plainly(pool.minilm, pool.k, seed),
        "minilm pca": lambda seed: cluster_vectors(pool.minilm, pool.k, seed),
        "minilm pca + tags": lambda seed: cluster_vectors(with_tags, pool.k, seed),
        "static": lambda seed: cluster_plainly(plain, pool.k, seed),
        "tags": lambda seed: cluster_by_tags(pool, seed),
        "hdbscan": lambda seed: cluster_by_density(pool.minilm),
    }
    return ways


def cluster_vectors(vectors: Vectors, k: int, seed: int) -> Ints:
    """The default's K-means."""
    centres = kmeans_clusters.fit_kmeans_centres(vectors, k, seed)
    return kmeans_clusters.find_nearest_centre(vectors, centres)


def cluster_balanced(vectors: Vectors, k: int, seed: int) -> Ints:
    """The default's K-means, then its limits of size."""
    centres = kmeans_clusters.fit_kmeans_centres(vectors, k, seed)
    centres = cluster_size_limits.resize_centres(
        centres,
        vectors,
        cluster_size_limits.relax_smallest(SETTINGS.smallest, len(vectors), k),
        cluster_size_limits.relax_largest(SETTINGS.largest, k),
        seed,
    )
    return kmeans_clusters.find_nearest_centre(vectors, centres)


def cluster_plainly(vectors: Vectors, k: int, seed: int) -> Ints:
    """scikit-learn's K-means in all dimensions."""
    model = KMeans(
        k,
        n_init=kmeans_clusters.N_RESTARTS,
        random_state=seed,
    )
    return np.asarray(model.fit_predict(vectors), np.int64)


def cluster_by_tags(pool: Pool, seed: int) -> Ints:
    """Clusters of tags; a row is in its home cluster."""
    occurrences = pool.rows.explode("tags").drop_nulls("tags")
    counts = occurrences.group_by(tag="tags").agg(count=pl.len()).sort("tag")
    vectors = encoder.load("minilm").encode(counts["tag"].to_list())
    clusters = kmeans_clusters.cluster_tags(
        counts,
        vectors,
        pool.k,
        weighted=True,
        seed=seed,
    )
    tags = pool.rows.select("id", pl.col("tags").fill_null([]))
    memberships = kmeans_clusters.assign_by_tags(tags, clusters)
    homes = memberships["home"].fill_null(NOT_CLUSTERED)
    return np.asarray(homes.to_numpy(), np.int64)


def cluster_by_density(vectors: Vectors) -> Ints:
    """HDBSCAN in 20 components: in more, it finds next to nothing but noise."""
    components = PCA(20, random_state=0).fit_transform(vectors)
    labels = HDBSCAN(min_cluster_size=8, min_samples=3, copy=True).fit_predict(
        components
    )
    return np.where(labels < 0, NOT_CLUSTERED, labels).astype(np.int64)


# Figures


def measure(pool: Pool, way: Callable[[int], Ints], n_seeds: int) -> dict[str, float]:
    """The figures of one way, means over seeds."""
    figures = []
    for seed in range(1, n_seeds + 1):
        started = time.perf_counter()
        clusters = way(seed)
        seconds = time.perf_counter() - started
        figures.append({**describe(pool, clusters), "seconds": seconds})
    means = {
        name: float(np.mean([each[name] for each in figures])) for name in figures[0]
    }
    nmi = [each["nmi"] for each in figures]
    spread = float(np.std(nmi, ddof=1)) if n_seeds > 1 else 0.0
    return {**means, "nmi_sd": spread}


def describe(pool: Pool, clusters: Ints) -> dict[str, float]:
    """Agreement with the labels, coherence and sizes."""
    table = pl.DataFrame({"cluster": clusters, "label": pool.labels})
    sizes = table.group_by("cluster").len()["len"].to_numpy()
    per_label = table.group_by("cluster", "label").len()
    most = per_label.group_by("cluster").agg(pl.col("len").max())["len"].to_numpy()
    first = [_read_first_label(label) for label in pool.labels]
    return {
        "nmi": float(normalized_mutual_info_score(pool.labels, clusters)),
        "nmi_first": float(normalized_mutual_info_score(first, clusters)),
        "purity": float(most.sum()) / len(clusters),
        "coherence": measure_coherence(pool.minilm, clusters),
        "clusters": float(len(sizes)),
        "largest": float(sizes.max()) / len(clusters),
        "smallest": float(sizes.min()),
        "noise": float((clusters == NOT_CLUSTERED).mean()),
    }


def _read_first_label(label: str) -> str:
    """The first domain of FLASK's list; other labels as they are."""
    return str(ast.literal_eval(label)[0]) if label.startswith("[") else label


def measure_coherence(vectors: Vectors, clusters: Ints) -> float:
    """The mean cosine of two rows of a cluster, over the rows in clusters of two or more."""
    total = 0.0
    n_rows = 0
    for cluster in np.unique(clusters):
        members = vectors[clusters == cluster].astype(np.float64)
        n = len(members)
        if n < 2:
            continue
        # The squared length of the sum counts every pair twice, and each row with itself.
        sum_ = members.sum(axis=0)
        total += n * (sum_ @ sum_ - n) / (n * (n - 1))
        n_rows += n
    return float(total / max(n_rows, 1))


def main() -> None:
    """Print a table per set, then the line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vectors", type=Path)
    options = parser.parse_args()
    if not (options.data / "topics").is_dir():
        print(f"no labelled sets in {options.data}: nothing measured", file=sys.stderr)
        sys.exit(0)
    results: dict[str, Any] = {"bench": "clusters", "seeds": options.seeds}
    for name in ("autoj", "flask", "dolly"):
        results[name] = measure_set(options.data, name, options.seeds, options.vectors)
    print(json.dumps(results))


def measure_set(
    data: Path, name: str, n_seeds: int, kept_vectors: Path | None
) -> dict[str, Any]:
    """The figures of every way on one set, and whether the bars hold."""
    pool = build_pool(data, name, kept_vectors)
    random = measure_coherence(pool.minilm, np.zeros(len(pool.labels), np.int64))
    print(f"{name}: {len(pool.labels)} rows, k = {pool.k}, random pairs {random:.3f}")
    ways = {}
    for way, cluster in build_ways(pool).items():
        figures = measure(pool, cluster, n_seeds)
        ways[way] = {key: round(value, 4) for key, value in figures.items()}
        print(f"  {way:18s} {ways[way]}", flush=True)
    default = ways["default"]
    best_minilm = max(ways["minilm"]["nmi"], ways["minilm pca"]["nmi"])
    return {
        "rows": len(pool.labels),
        "k": pool.k,
        "random_coherence": round(random, 4),
        "not_below_minilm": default["nmi"] >= best_minilm,
        "above_tags": default["nmi"] > ways["tags"]["nmi"],
        "largest_within_tenth": default["largest"] <= 0.1,
        "ways": ways,
    }


if __name__ == "__main__":
    main()
