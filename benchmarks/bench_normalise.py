"""Time and peak memory of associating and merging tags at scale, beside mlxtend, pyfim and
scikit-learn.

Transactions: Poisson(5) distinct tags each, Zipf exponent 0.9, fixed seed, with planted pair rules
(a tag that never stands without another) and itemset rules (two tags, planted together with a third
in 200 samples). Tags: unit vectors whose principal axes fall off as MiniLM's do on 11,976 real
tags, one in five a near copy of another.

Every case runs in a process of its own. `mib` is the growth of its resident memory over what its
input took, at the highest; the time of making the input is left out of `seconds`, but is in
`cpu_seconds` of the case `associate`, whose input is made batch by batch. A peer that needs more than
--limit seconds or --memory GiB is stopped, and that is its figure.

    python benchmarks/bench_normalise.py [--quick] [--limit 120] [--memory 12]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import psutil
from scipy import sparse

from tacos.methods.selecting import complexity_first
from tacos.methods.tags import merge_steps, semantic_merging
from tacos.methods.tags.association_rules import build_indicator, build_tag_matrix

Ints = npt.NDArray[np.int64]
SUPPORT, CONFIDENCE, EPS = 40, 0.99, 0.05
N_PAIRS, N_ITEMSETS = 50, 20
BATCH = 100_000
GOALS = {
    "associate 3000000 30000": (6, 1024),
    "merge 30000": (4, 512),
    "merge 100000": (40, None),
}


def transactions(n: int, n_tags: int, seed: int = 1) -> sparse.csr_array:
    """Samples x tags."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, n_tags + 1) ** -0.9
    edges = np.cumsum(weights / weights.sum())
    sizes = rng.poisson(5, n)
    keys = np.unique(drawn(sizes, edges, n_tags, rng))
    more = np.zeros(0, np.int64)
    while (
        lacking := sizes
        - np.bincount(np.concatenate([keys, more]) // n_tags, minlength=n)
    ).any():
        new = drawn(lacking, edges, n_tags, rng)
        known = keys[np.searchsorted(keys, new).clip(max=len(keys) - 1)] == new
        more = np.unique(np.concatenate([more, new[~known]]))
    keys = np.sort(np.concatenate([keys, more]))
    keys = plant(keys, n, n_tags, rng)
    return build_indicator(
        (keys // n_tags).astype(np.int32), (keys % n_tags).astype(np.int32), (n, n_tags)
    )


def drawn(
    sizes: Ints, edges: npt.NDArray[np.float64], n_tags: int, rng: np.random.Generator
) -> Ints:
    """Occurrences (row * n_tags + tag) with as many tags per row as `sizes` says, repeats among
    them.
    """
    rows = np.repeat(np.arange(len(sizes)), sizes)
    tags = np.searchsorted(edges, rng.random(len(rows))).clip(max=n_tags - 1)
    return np.asarray(rows * n_tags + tags, np.int64)


def plant(keys: Ints, n: int, n_tags: int, rng: np.random.Generator) -> Ints:
    """The occurrences (row * n_tags + tag) with the planted rules."""
    chosen = rng.permutation(np.arange(100, 2000))
    pairs = chosen[: 2 * N_PAIRS].reshape(-1, 2)
    triples = chosen[2 * N_PAIRS :][: 3 * N_ITEMSETS].reshape(-1, 3)
    more = [keys[keys % n_tags == a] - a + b for a, b in pairs]
    more += [
        (rng.choice(n, size=(200, 1), replace=False) * n_tags + triple).ravel()
        for triple in triples
    ]
    return np.unique(np.concatenate([keys, *more]))


def vectors(n: int, dim: int = 384, seed: int = 1) -> npt.NDArray[np.float32]:
    """Unit vectors as the module says: variance of the k-th axis proportional to (k + 3) ** -0.9,
    the mean apart.
    """
    rng = np.random.default_rng(seed)
    scale = np.sqrt((np.arange(dim) + 3) ** -0.9)
    x = rng.normal(size=(n, dim)) * scale / np.linalg.norm(scale)
    x[:, 0] += 0.4
    copies = rng.choice(n, size=n // 5, replace=False)
    noise = (
        rng.uniform(0.1, 0.5, size=(len(copies), 1))
        * rng.normal(size=(len(copies), dim))
        * scale
    )
    x[copies] = x[rng.integers(n, size=len(copies))] + noise / np.linalg.norm(scale)
    turn, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    x = x @ turn
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def associate(n: int, n_tags: int) -> Callable[[], dict[str, Any]]:
    """Ours: frames of raw tags in, rules and merges out."""
    x = transactions(n, n_tags)
    names = [f"tag {i}" for i in range(n_tags)]
    spent = 0.0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal spent
        words = pl.Series(names)
        for start in range(0, n, BATCH):
            began = time.perf_counter()
            part = x[start : start + BATCH]
            flat = words.gather(part.indices)
            rows = pl.Series(np.repeat(np.arange(part.shape[0]), np.diff(part.indptr)))
            all_rows = pl.DataFrame({"id": pl.int_range(part.shape[0], eager=True)})
            tags = (
                pl.DataFrame({"id": rows, "tags": flat})
                .group_by("id", maintain_order=True)
                .agg("tags")
            )
            frame = all_rows.join(tags, on="id", how="left", maintain_order="left")
            spent += time.perf_counter() - began
            yield frame

    def run() -> dict[str, Any]:
        began = time.perf_counter()
        codes = {name: i for i, name in enumerate(names)}
        encoded = build_tag_matrix(frames(), codes, n_tags)
        encoding = time.perf_counter() - began - spent
        found = merge_steps.merge_by_association(names, encoded, SUPPORT, CONFIDENCE)
        seconds = time.perf_counter() - began - spent
        return {
            "seconds": seconds,
            "encoding": encoding,
            "rules": found.rules.height,
            "rounds": len(found.rounds),
        }

    return run


def merge(n: int) -> Callable[[], dict[str, Any]]:
    """Ours: vectors in, groups out."""
    x = vectors(n)
    return timed(
        lambda: {"groups": int(semantic_merging.group_by_cosine(x, EPS).max()) + 1}
    )


def sample(n: int, n_tags: int) -> Callable[[], dict[str, Any]]:
    """Algorithm 1: 6,000 rows."""
    x = transactions(n, n_tags)
    return timed(
        lambda: {
            "rows": len(complexity_first.take_by_walks(x.indptr, x.indices, 6000)[0])
        }
    )


def dbscan(n: int) -> Callable[[], dict[str, Any]]:
    """scikit-learn's DBSCAN on the same vectors."""
    from sklearn.cluster import DBSCAN

    x, model = vectors(n), DBSCAN(eps=EPS, min_samples=1, metric="cosine", n_jobs=-1)
    return timed(lambda: {"groups": len(np.unique(model.fit_predict(x)))})


def mlxtend(n: int, n_tags: int) -> Callable[[], dict[str, Any]]:
    """mlxtend's FP-growth and rules of pairs, on its own sparse table."""
    import pandas as pd
    from mlxtend.frequent_patterns import association_rules, fpgrowth

    warnings.simplefilter("ignore")
    x = sparse.csr_matrix(transactions(n, n_tags), dtype=bool)
    table = pd.DataFrame.sparse.from_spmatrix(
        x, columns=[str(i) for i in range(n_tags)]
    )

    def run() -> dict[str, Any]:
        itemsets = fpgrowth(table, min_support=(SUPPORT - 0.5) / n, max_len=2)
        return {
            "rules": len(
                association_rules(
                    itemsets, metric="confidence", min_threshold=CONFIDENCE - 1e-9
                )
            )
        }

    return timed(run)


def pyfim(n: int, n_tags: int) -> Callable[[], dict[str, Any]]:
    """pyfim's FP-growth, rules of pairs, from Python lists."""
    import fim

    x = transactions(n, n_tags)
    samples = [row.tolist() for row in np.split(x.indices, x.indptr[1:-1])]
    how = {
        "target": "r",
        "supp": -SUPPORT,
        "zmin": 2,
        "zmax": 2,
        "conf": 100 * (CONFIDENCE - 1e-9),
        "mode": "o",
    }
    return timed(lambda: {"rules": len(fim.fpgrowth(samples, **how))})


def timed(call: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The call with its seconds."""

    def run() -> dict[str, Any]:
        began = time.perf_counter()
        found = call()
        return {"seconds": time.perf_counter() - began, **found}

    return run


CASES: dict[str, Callable[..., Callable[[], dict[str, Any]]]] = {
    "associate": associate,
    "merge": merge,
    "sample": sample,
    "dbscan": dbscan,
    "mlxtend": mlxtend,
    "pyfim": pyfim,
}


def one(name: str, sizes: list[int]) -> None:
    """Run one case in this process and print its figures."""
    run = CASES[name](*sizes)
    print("ready", flush=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before, cpu = psutil.Process().memory_info().rss, time.process_time()
    found = run()
    status = Path("/proc/self/status").read_text()
    largest = next(
        int(line.split()[1]) << 10
        for line in status.splitlines()
        if line.startswith("VmHWM")
    )
    cost = {
        "cpu_seconds": time.process_time() - cpu,
        "mib": (largest - before) >> 20,
        "mib_in_all": largest >> 20,
    }
    print(json.dumps({**found, **cost}))


def apart(name: str, sizes: list[int], limit: float, memory: float) -> dict[str, Any]:
    """Run one case in a process of its own."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory * 2**30),) * 2)

    command = [sys.executable, __file__, "--one", name, *map(str, sizes)]
    with subprocess.Popen(
        command,
        preexec_fn=bound,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        child.stdout.readline()  # its input is there: from here on the time counts
        try:
            printed, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            return {"stopped": f"over {limit:.0f} s"}
    if child.returncode:
        return {
            "stopped": (errors.strip().splitlines() or [f"exit {child.returncode}"])[
                -1
            ][:80]
        }
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return {
        key: round(value, 2) if isinstance(value, float) else value
        for key, value in found.items()
    }


def plan(quick: bool) -> list[tuple[str, list[int]]]:
    """The cases, ours before the peers."""
    sizes = [
        (52_000, 30_000),
        (300_000, 30_000),
        (3_000_000, 30_000),
        (3_000_000, 100_000),
    ]
    tags = [30_000, 100_000]
    if quick:
        sizes, tags = sizes[:2], tags[:1]
    ours = (
        [("associate", [*size]) for size in sizes]
        + [("merge", [n]) for n in tags]
        + [("sample", [*sizes[1]])]
    )
    peers = [(peer, [*size]) for peer in ("mlxtend", "pyfim") for size in sizes[:3]] + [
        ("dbscan", [n]) for n in tags
    ]
    return ours + peers


def main() -> None:
    """All cases; the last line is JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--memory", type=float, default=12)
    parser.add_argument("--one", nargs="+")
    args = parser.parse_args()
    if args.one:
        one(args.one[0], [int(size) for size in args.one[1:]])
        return
    figures = {}
    for name, sizes in plan(args.quick):
        case = " ".join([name, *map(str, sizes)])
        figures[case] = apart(name, sizes, args.limit, args.memory)
        print(f"{case:<28} {figures[case]}", flush=True)
    print(
        json.dumps(
            {
                "figures": figures,
                "goals": {
                    case: goal for case, goal in GOALS.items() if case in figures
                },
            }
        )
    )


if __name__ == "__main__":
    main()
