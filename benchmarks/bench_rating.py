"""Rating: 1,000,000 verdicts over 200,000 samples (limit 30 s); how well it finds what was planted;
its standard errors.

    OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 taskset -c 0 python benchmarks/bench_rating.py [--samples
    200000] [--pairs 500000]

Pairs: a chain through every cluster of 4,000 and random ones; both orders, noise .3 and position
bias .3 in units of quality, whole points. `z` is the spread of (score - truth) / standard error, 1
where errors are right; every error here is by random draws, as the component has more than 5,000
samples; of Bradley-Terry it says little here, as these verdicts are not drawn from its model.
`exact` times one component of 5,000 with exact errors. Memory is the peak of the process.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from tacos.methods.judging import rating


def verdicts(
    n: int, n_pairs: int, seed: int, bias: float = 0.3, noise: float = 0.3
) -> tuple[pl.DataFrame, np.ndarray]:
    """A table VERDICTS and the true qualities of f:0, f:1, ..."""
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal(n)
    a = np.concatenate([np.arange(n - 1), rng.integers(0, n, n_pairs - n + 1)])
    b = np.concatenate([np.arange(1, n), rng.integers(0, n, n_pairs - n + 1)])
    b = np.where(a == b, (b + 1) % n, b)
    ids = np.array([f"f:{i}" for i in range(n)])
    parts = []
    for order in ("ab", "ba"):
        x = quality[a] + noise * rng.standard_normal(n_pairs) + bias * (order == "ab")
        y = quality[b] + noise * rng.standard_normal(n_pairs) + bias * (order == "ba")
        columns = {
            "left": ids[a],
            "right": ids[b],
            "score_left": np.round(50 + 15 * x),
            "score_right": np.round(50 + 15 * y),
        }
        parts.append(
            pl.DataFrame(columns).with_columns(
                pair=pl.int_range(n_pairs, dtype=pl.UInt32), order=pl.lit(order)
            )
        )
    table = pl.concat(parts).with_columns(
        cluster=(pl.col("left").str.slice(2).cast(pl.UInt32) // 4000),
        judge=pl.lit("j"),
        repetition=pl.lit(0, pl.UInt16),
    )
    return table, quality


def measure(
    rate: Callable[[pl.DataFrame], pl.DataFrame],
    table: pl.DataFrame,
    quality: np.ndarray,
) -> dict[str, float | None]:
    """Seconds, correlation with the truth, and how right the errors are."""
    began = time.perf_counter()
    scores = rate(table)
    seconds = time.perf_counter() - began
    truth = quality[scores["id"].str.slice(2).cast(pl.Int64).to_numpy()]
    slope, offset = np.polyfit(truth, scores["score"].to_numpy(), 1)
    off = scores["score"].to_numpy() - offset - slope * truth
    errors = scores["error"].fill_null(0.0).to_numpy()
    z = round(float(np.std(off / errors)), 3) if (errors > 0).all() else None
    return {
        "seconds": round(seconds, 1),
        "correlation": round(float(np.corrcoef(scores["score"], truth)[0, 1]), 4),
        "z": z,
    }


def main() -> None:
    """Time and check every rating."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=500_000)
    options = parser.parse_args()
    table, quality = verdicts(options.samples, options.pairs, 1)
    small, small_quality = verdicts(5000, 12_500, 2)
    figures = {
        "bench": "rating",
        "verdicts": table.height,
        "samples": options.samples,
        "limit": 30,
        "least_squares": measure(rating.fit_least_squares, table, quality),
        "differences_only": measure(
            lambda t: rating.fit_least_squares(t, level="ignore"), table, quality
        ),
        "mean": measure(rating.average_raw_scores, table, quality),
        "bradley_terry": measure(
            lambda t: rating.fit_bradley_terry(t)[0], table, quality
        ),
        "exact": measure(rating.fit_least_squares, small, small_quality),
        "bias_planted": 4.5,
        "bias_found": round(float(rating.estimate_position_bias(table)["bias"][0]), 3),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
