"""Normalisation of real tags: counts after each step, merges drawn at random for a person to read,
and Algorithm 1.

    python benchmarks/bench_merges.py [--merges 50] [--seed 1] [../shared/data]

The 11,976 raw tags with counts (no samples, so no association) by InsTag's own rules, by
`robust`'s, and by `robust`'s with every tag kept; then Alpaca tagged by the embedded tagger, all
four steps. A merge is a raw tag that passed the frequency filter and has another canonical name
than itself. Algorithm 1 takes 6,000 rows of that Alpaca; random rows (20 draws) and the longest
responses stand beside it. Prints the merges, then one line of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tacos
from tacos import config
from tacos.config import NormaliseSettings
from tacos.methods.selecting import complexity_first
from tacos.methods.tags import normalisation
from tacos.methods.tags.normalisation import NormalisationResult
from tacos.models import encoder
from tacos.workflows import select
from tacos.workflows.selection import OutputTargets

ROOT = Path(__file__).resolve().parents[1]
N_SAMPLED = 6000
N_DRAWS = 20
N_QUERIES = 306_044
"""InsTag's, which the raw counts are not from: what "auto" settings take the number of samples to
be.
"""
VARIANTS: dict[str, dict[str, Any]] = {
    "InsTag's (alpha 20, guard 0)": {
        "alpha": 20,
        "guard": 0.0,
        "signs": False,
        "semantic": "distance",
    },
    "robust (alpha 20, guard .7)": {"alpha": 20},
    "robust, alpha 1": {"alpha": 1},
}
ALPACA: dict[str, dict[str, Any]] = {
    "robust": {},
    "InsTag's": {
        "alpha": 20,
        "min_support": 40,
        "guard": 0.0,
        "signs": False,
        "semantic": "distance",
        "association": "merge",
    },
}


def raw_counts(data: Path) -> dict[str, int]:
    """Raw tag -> count."""
    with gzip.open(data / "tags" / "raw_tag_counts_11976.jsonl.gz") as file:
        return {row["tag"]: row["count"] for row in map(json.loads, file)}


def steps_of(found: NormalisationResult) -> dict[str, int]:
    """Tags that are left after each step."""
    return {
        "raw": found.steps[0].n_in,
        **{step.name: step.n_out for step in found.steps},
    }


def drawn(vocabulary: pl.DataFrame, n: int, seed: int) -> list[str]:
    """Merges at random, as `raw -> canonical (reason)`."""
    merged = vocabulary.filter(
        pl.col("canonical").is_not_null() & (pl.col("canonical") != pl.col("raw"))
    )
    rows = (
        merged.sort("raw")
        .sample(min(n, merged.height), seed=seed, shuffle=True)
        .iter_rows(named=True)
    )
    return [f"{row['raw']} -> {row['canonical']} ({row['reason']})" for row in rows]


def tagged_alpaca(data: Path, run: Path, settings: dict[str, Any]) -> tacos.Selection:
    """Alpaca, tagged by the embedded tagger and normalised by these settings; one `run` is tagged
    once.
    """
    chosen, alpaca = (
        config.load_settings(normalise=settings),
        data / "corpora" / "alpaca_data.json.gz",
    )
    return select.run_selection(
        alpaca, chosen, OutputTargets(run=run), until="canonicalise"
    )


def figures(tags: pl.Series, rows: np.ndarray, n_tags: int) -> dict[str, float]:
    """Coverage of the joint vocabulary and mean tags per row."""
    some = tags.gather(rows)
    return {
        "coverage": some.explode().drop_nulls().n_unique() / n_tags,
        "mean tags": float(some.list.len().to_numpy().mean()),
    }


def algorithm_1(done: tacos.Selection) -> dict[str, Any]:
    """Complexity-first sampling, random rows and longest responses on the same canonical tags."""
    samples = done.artifacts["samples"].scan().select("id", "length").collect()
    named = done.artifacts["canonical_tags"].scan().select("id", "tags").collect()
    table = samples.join(
        named, on="id", how="left", maintain_order="left"
    ).with_columns(pl.col("tags").fill_null([]))
    n_tags = table["tags"].explode().drop_nulls().n_unique()
    began = time.perf_counter()
    chosen = complexity_first.select_complex_first(
        table.select("id", "tags"), N_SAMPLED
    )
    seconds = time.perf_counter() - began
    places = (
        table.with_row_index()
        .join(chosen.select("id"), on="id", how="semi")["index"]
        .to_numpy()
    )
    longest = table["length"].arg_sort(descending=True).head(N_SAMPLED).to_numpy()
    rng = np.random.default_rng(1)
    random = [
        figures(table["tags"], rng.permutation(table.height)[:N_SAMPLED], n_tags)
        for _ in range(N_DRAWS)
    ]
    spread = {
        name: [min(each[name] for each in random), max(each[name] for each in random)]
        for name in random[0]
    }
    ours, long = (figures(table["tags"], rows, n_tags) for rows in (places, longest))
    return {
        "tags": n_tags,
        "seconds": seconds,
        "complexity-first": ours,
        "random": spread,
        "longest": long,
    }


def parse_arguments(description: str | None) -> argparse.Namespace:
    """The data, how many merges are printed, and the seed: for this script and bench_tags."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data"
    )
    parser.add_argument("--merges", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Print."""
    args = parse_arguments(__doc__)
    if not args.data.is_dir():
        print(json.dumps({"skipped": f"{args.data} is not here"}))
        return
    counts, minilm = raw_counts(args.data), encoder.load("minilm")
    out: dict[str, Any] = {}
    for name, settings in VARIANTS.items():
        found = normalisation.build_vocabulary(
            counts,
            None,
            N_QUERIES,
            NormaliseSettings(association="off", **settings),
            minilm,
        )
        out[name] = steps_of(found)
        print(
            f"\n== 11,976 raw tags, {name}",
            *drawn(found.vocabulary, args.merges, args.seed),
            sep="\n",
        )
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        for name, settings in ALPACA.items():
            done = tagged_alpaca(args.data, Path(folder), settings)
            vocabulary = done.artifacts["vocabulary"]
            steps = vocabulary.manifest["notes"]["steps"]
            out[f"Alpaca, {name}"] = {
                "raw": steps[0]["n_in"],
                **{step["name"]: step["n_out"] for step in steps},
            }
            print(
                f"\n== Alpaca, {name}",
                *drawn(vocabulary.scan().collect(), args.merges, args.seed),
                sep="\n",
            )
            if not settings:
                out["Algorithm 1"] = algorithm_1(done)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
