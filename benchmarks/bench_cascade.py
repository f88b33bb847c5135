"""How far a cascade of taggers agrees with the language model that it saves: `make bench-cascade`.

    python benchmarks/bench_cascade.py [../shared/data] [--sizes 250,500,1000,2000,4000] [--seeds
    1,2,3]

The known tags of 5,539 instructions play the language model. It tags a sample of S, a tagger is
distilled from these, and its tags of the rest are compared with the known ones: alone, and where
the least sure 10% or 25% (or as many at random, in expectation) have the known tags instead. Tag F1
as in the tagger's card; intervals (95%) by instruction, for the first seed; the other seeds draw
other samples. The last line is the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tacos.methods.tags import tagger_cascade
from tacos.models import encoder, tag_agreement, tagger, tagger_files, train
from tacos.models.tag_agreement import MatchCounts
from tacos.models.training import llm_imitation
from tacos.models.training.tagger import freeze_tagger

AGAIN = (0.10, 0.25)


def main() -> dict[str, Any]:
    """Every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sizes", default="250,500,1000,2000,4000")
    parser.add_argument("--seeds", default="1,2,3")
    asked = parser.parse_args()
    texts, tags, _ = train.read_tagging_data(asked.data)
    first, *others = map(int, asked.seeds.split(","))
    out: dict[str, Any] = {"n": len(texts)}
    for size in map(int, asked.sizes.split(",")):
        out[str(size)] = figures(texts, tags, size, first)
        out[str(size)]["exact micro by seed"] = [
            out[str(size)]["alone"]["exact"]["micro"],
            *(
                rounded(
                    tag_agreement.count_exact_matches(
                        *guesses(texts, tags, size, seed)[:2]
                    ).micro()
                )
                for seed in others
            ),
        ]
        print(size, json.dumps(out[str(size)]), flush=True)
    return out


def guesses(
    texts: list[str], tags: list[list[str]], size: int, seed: int
) -> tuple[list[list[str]], list[list[str]], list[float]]:
    """Tags of the rest by a tagger distilled from a sample, the known tags, and how sure it is."""
    order = np.argsort(
        tagger_cascade.hash_instructions(texts, seed).to_numpy(), kind="stable"
    )
    seen, rest = order[:size].tolist(), order[size:].tolist()
    made = llm_imitation.fit_tagger(
        [texts[row] for row in seen], [tags[row] for row in seen], ""
    )
    found = tagger.tag_instructions(
        tagger_files.assemble_tagger(*freeze_tagger(made)),
        [texts[row] for row in rest],
    )
    sure = pl.DataFrame(
        {"confidences": [[p for _, p, _ in row] for row in found]}
    ).select(tagger_cascade.mean_confidence())
    return (
        [[tag for tag, _, _ in row] for row in found],
        [tags[row] for row in rest],
        sure["sureness"].to_list(),
    )


def figures(
    texts: list[str], tags: list[list[str]], size: int, seed: int
) -> dict[str, Any]:
    """Agreement on the rest for one size of the sample."""
    start, judge = time.perf_counter(), encoder.load("minilm")
    found, truth, sure = guesses(texts, tags, size, seed)
    seconds = time.perf_counter() - start
    counts = {
        "exact": tag_agreement.count_exact_matches(found, truth),
        "fuzzy": tag_agreement.count_fuzzy_matches(found, truth, judge),
    }
    order = np.argsort(
        sure, kind="stable"
    )  # the rest is in the order of its lots, which decide among equals
    common = [
        llm_imitation.find_frequent_tags(
            [tags[n] for n in sample_of(texts, size, seed)]
        )
    ] * len(truth)
    return {
        "n": len(truth),
        "seconds": round(seconds, 1),
        "most frequent tags": tag_agreement.measure_tag_agreement(common, truth, judge),
        "alone": {name: both(each) for name, each in counts.items()},
        **{
            f"{share:.0%} again": {
                name: asked_again(each, truth, order[: round(share * len(truth))])
                for name, each in counts.items()
            }
            for share in AGAIN
        },
    }


def sample_of(texts: list[str], size: int, seed: int) -> list[int]:
    """The rows of the sample."""
    hashes = tagger_cascade.hash_instructions(texts, seed).to_numpy()
    rows: list[int] = np.argsort(hashes, kind="stable")[:size].tolist()
    return rows


def asked_again(
    counts: MatchCounts, truth: list[list[str]], rows: np.ndarray
) -> dict[str, Any]:
    """Agreement when these rows, or as many at random, have the known tags; the gain with its
    interval.
    """
    n_tags = np.array(
        [len(tag_agreement.lowercase_tags(row)) for row in truth], dtype=np.float64
    )
    share = len(rows) / len(truth)
    hits, totals = counts.hits.copy(), counts.totals.copy()
    hits[rows], totals[rows] = n_tags[rows], 2 * n_tags[rows]
    chosen = MatchCounts(hits, totals)
    chance = MatchCounts(
        (1 - share) * counts.hits + share * n_tags,
        (1 - share) * counts.totals + share * 2 * n_tags,
    )  # what a random choice of rows comes to on average
    draws = np.random.default_rng(0).integers(0, len(truth), (1000, len(truth)))
    gains = [micro(chosen, rows) - micro(chance, rows) for rows in draws]
    untouched = np.delete(np.arange(len(truth)), rows)
    return {
        "least sure": both(chosen),
        "random": rounded(chance.micro()),
        "gain": rounded(chosen.micro() - chance.micro()),
        "interval of gain": [
            rounded(value) for value in np.quantile(gains, [0.025, 0.975])
        ],
        "these rows before": rounded(micro(counts, rows)),
        "other rows": rounded(micro(counts, untouched)),
    }


def micro(counts: MatchCounts, rows: np.ndarray) -> float:
    """Micro F1 of some rows."""
    return MatchCounts(counts.hits[rows], counts.totals[rows]).micro()


def both(counts: MatchCounts) -> dict[str, Any]:
    """Micro F1 with its interval, and macro F1."""
    low, high = counts.interval()
    return {
        "micro": rounded(counts.micro()),
        "interval": [rounded(low), rounded(high)],
        "macro": rounded(counts.macro()),
    }


def rounded(value: float) -> float:
    """Four decimals."""
    return round(float(value), 4)


if __name__ == "__main__":
    print(json.dumps(main()))
