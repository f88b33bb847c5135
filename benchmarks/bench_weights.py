"""MiniLM's weights in float16 and int8 against float32 (shipped): do the same tags merge, and are
the clusters the same?

    python benchmarks/bench_weights.py [--seeds 3] [../shared/data]

The 11,976 raw tags with counts, normalised with alpha 20 and alpha 1 (no samples, so no
association). Then each corpus, tagged by the embedded tagger, normalised and clustered with default
settings and several seeds. Prints one line of JSON: rows of each table that differ from float32's
(-1: another number of rows).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tacos import config
from tacos.config import NormaliseSettings
from tacos.methods.tags import normalisation
from tacos.models import encoder, minilm_encoder
from tacos.workflows import select
from tacos.workflows.selection import OutputTargets

ROOT = Path(__file__).resolve().parents[1]
N_QUERIES = 306_044
"""InsTag's, from which the raw counts are."""
CORPORA = ("alpaca_data", "dolly_3k", "code_alpaca_4535", "lima_1029")
N_ROWS = 3000
Loader = Callable[[Path], dict[str, np.ndarray]]

load_published: Loader = minilm_encoder._load_weights


def load_float16(path: Path) -> dict[str, np.ndarray]:
    """All weights rounded to float16."""
    return {
        name: array.astype(np.float16).astype(np.float32)
        for name, array in load_published(path).items()
    }


def load_int8(path: Path) -> dict[str, np.ndarray]:
    """Matrices in int8, with one scale per token or per output; vectors stay in float32."""
    rounded = load_published(path)
    for name, array in rounded.items():
        if array.ndim == 2:
            axis = 1 if name in ("words", "positions") else 0
            scale = np.maximum(np.abs(array).max(axis=axis, keepdims=True), 1e-12) / 127
            rounded[name] = (np.rint(array / scale) * scale).astype(np.float32)
    return rounded


LOADERS: dict[str, Loader] = {
    "float32": load_published,
    "float16": load_float16,
    "int8": load_int8,
}


def normalise_raw_tags(data: Path) -> dict[str, pl.DataFrame]:
    """The vocabularies of the 11,976 raw tags."""
    with gzip.open(data / "tags" / "raw_tag_counts_11976.jsonl.gz") as file:
        counts = {row["tag"]: row["count"] for row in map(json.loads, file)}
    minilm = encoder.load("minilm")
    tables = {"vectors": pl.DataFrame({"vector": minilm.encode(sorted(counts))})}
    for alpha in (20, 1):
        settings = NormaliseSettings(association="off", alpha=alpha)
        result = normalisation.build_vocabulary(
            counts, None, N_QUERIES, settings, minilm
        )
        tables[f"raw tags, alpha {alpha}"] = result.vocabulary
    return tables


def cluster_corpora(data: Path, runs: Path, seeds: int) -> dict[str, pl.DataFrame]:
    """Vocabulary and clusters of each corpus under each seed."""
    tables = {}
    for name in CORPORA:
        rows = json.loads(
            gzip.decompress((data / "corpora" / f"{name}.json.gz").read_bytes())
        )
        rows = rows[:: max(1, len(rows) // N_ROWS)]
        for seed in range(seeds):
            settings = config.load_settings(seed=seed)
            targets = OutputTargets(run=runs / name)
            done = select.run_selection(rows, settings, targets, until="cluster")
            for artifact in ("vocabulary", "clusters"):
                tables[f"{name}, seed {seed}, {artifact}"] = (
                    done.artifacts[artifact].scan().collect()
                )
    return tables


def count_differences(left: pl.DataFrame, right: pl.DataFrame) -> int:
    """Rows that differ, -1 where the tables have different lengths."""
    if left.height != right.height:
        return -1
    return sum(a != b for a, b in zip(left.iter_rows(), right.iter_rows(), strict=True))


def compare(
    tables: dict[str, pl.DataFrame], truth: dict[str, pl.DataFrame]
) -> dict[str, Any]:
    """Differing rows per table, and the largest difference of a vector's element."""
    vectors = (
        tables["vectors"]["vector"].to_numpy() - truth["vectors"]["vector"].to_numpy()
    )
    differing = {
        name: count_differences(table, truth[name])
        for name, table in tables.items()
        if name != "vectors"
    }
    return {
        "largest difference": float(np.abs(vectors).max()),
        "rows that differ": differing,
    }


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data"
    )
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if not args.data.is_dir():
        print(json.dumps({"skipped": f"{args.data} is not here"}))
        return
    results: dict[str, dict[str, pl.DataFrame]] = {}
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        for name, loader in LOADERS.items():
            minilm_encoder._load_weights = loader  # type: ignore[assignment]
            minilm_encoder.load_session.cache_clear()
            runs = Path(folder) / name
            results[name] = {
                **normalise_raw_tags(args.data),
                **cluster_corpora(args.data, runs, args.seeds),
            }
    truth = results.pop("float32")
    print(
        json.dumps({name: compare(tables, truth) for name, tables in results.items()})
    )


if __name__ == "__main__":
    main()
