"""MIG: 50,000 of 1,000,000 rows, 4,531 tags with Zipf 1.0 frequencies, Poisson(4.5) tags per row;
limit 120 s on one core.

    taskset -c 0 python benchmarks/bench_mig.py [--rows 1000000] [--take 50000] [--neighbours]

Scores are uniform in 1..100. `--neighbours` adds edges between similar tags (random vectors, about
two neighbours each), which triples the matrix. A small pool is compared with plain greedy, choice
by choice. Memory is the peak of the whole process.
"""

import argparse
import json
import resource
import time

import numpy as np
from scipy.sparse import csr_array

from tacos.methods.selecting import mig

N_TAGS = 4531


def pool(n_rows: int, n_tags: int, seed: int) -> tuple[csr_array, np.ndarray]:
    """0/1 tags of every row, and scores."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(4.5, n_rows)
    zipf = 1 / np.arange(1, n_tags + 1)
    columns = rng.choice(n_tags, counts.sum(), p=zipf / zipf.sum())
    tags = csr_array(
        (np.ones(len(columns)), columns, np.concatenate([[0], np.cumsum(counts)])),
        shape=(n_rows, n_tags),
    )
    tags.sum_duplicates()
    tags.data[:] = 1.0
    return tags, rng.uniform(1, 100, n_rows)


def edges(n_tags: int, seed: int) -> csr_array:
    """P of random vectors."""
    vectors = np.random.default_rng(seed).standard_normal((n_tags, 8))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return csr_array(mig.propagation_matrix(vectors / lengths))


def main() -> None:
    """Time the lazy greedy; compare with the plain one on a small pool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--take", type=int, default=50_000)
    parser.add_argument("--neighbours", action="store_true")
    options = parser.parse_args()
    small = mig.information_matrix(*pool(5_000, 200, 2))
    same = bool(
        (
            mig.take_informative(small, 1_000, pool=64)
            == mig.take_informative_plainly(small, 1_000)
        ).all()
    )
    tags, scores = pool(options.rows, N_TAGS, 1)
    began = time.perf_counter()
    rows = mig.information_matrix(
        tags, scores, edges(N_TAGS, 1) if options.neighbours else None
    )
    taken = mig.take_informative(rows, options.take)
    seconds = time.perf_counter() - began
    figures = {
        "bench": "mig",
        "rows": options.rows,
        "taken": len(np.unique(taken)),
        "neighbours": options.neighbours,
        "entries": int(rows.nnz),
        "seconds": round(seconds, 1),
        "limit": 120,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "equals_plain_greedy": same,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
