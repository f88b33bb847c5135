"""Near-duplicates: 5,000 variants of Alpaca's rows planted behind it, and how many are found.

    # or: python benchmarks/bench_clean.py [../shared/data/corpora/alpaca_data.json.gz]
    make bench-clean

Variants are those of `benchmarks.row_generator`: case and punctuation, one word of the longest
text, the order of the output's sentences. Where datasketch is installed, its MinHash LSH reads the
same words with the same number of permutations, for the rows per second. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from row_generator import vary_row
from tacos.formats.reading import read_rows
from tacos.methods.cleaning.near_duplicates import (
    BAND_WIDTH,
    N_BANDS,
    NearDuplicateFinder,
    hash_words,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALPACA = DATA / "corpora" / "alpaca_data.json.gz"
N_PLANTED = 5_000
KINDS = ("case", "word", "order")
Row = dict[str, str]


def plant_variants(rows: list[Row], seed: int = 1) -> list[tuple[str, Row]]:
    """Kind and row of each variant."""
    rng = np.random.default_rng(seed)
    planted: list[tuple[str, Row]] = []
    while len(planted) < N_PLANTED:
        kind = KINDS[len(planted) % len(KINDS)]
        row = rows[rng.integers(len(rows))]
        varied = vary_row(row, kind, rng)
        if varied is not None and varied != row:
            planted.append((kind, varied))
    return planted


def list_texts(rows: list[Row]) -> tuple[pl.Series, pl.Series]:
    """Questions and answers."""
    questions = [f"{row['instruction']}\n{row['input']}" for row in rows]
    answers = [row["output"] for row in rows]
    return pl.Series(questions), pl.Series(answers)


def time_datasketch(questions: pl.Series, answers: pl.Series) -> float | None:
    """Rows per second of datasketch on the same words; None where it is not installed."""
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        return None
    words, lengths = hash_words(questions, answers)
    texts = [
        [str(word).encode() for word in row]
        for row in np.split(words, np.cumsum(lengths)[:-1])
    ]
    start = time.process_time()
    n_permutations = N_BANDS * BAND_WIDTH
    lsh = MinHashLSH(num_perm=n_permutations, params=(N_BANDS, BAND_WIDTH))
    for number, minhash in enumerate(MinHash.generator(texts, num_perm=n_permutations)):
        lsh.query(minhash)
        lsh.insert(number, minhash)
    return len(texts) / (time.process_time() - start)


def main() -> None:
    """Print recall by kind, the pairs that were not planted, and rows per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default=ALPACA, type=Path)
    options = parser.parse_args()
    rows: list[Any] = [
        row for batch in read_rows(options.file) for _, row in batch.rows
    ]
    planted = plant_variants(rows)
    questions, answers = list_texts([*rows, *(row for _, row in planted)])
    start = time.process_time()
    finder = NearDuplicateFinder()
    finder.add(questions, answers)
    found = {each.row for each in finder.find()}
    seconds = time.process_time() - start

    n_planted = Counter(kind for kind, _ in planted)
    n_found = Counter(
        kind for number, (kind, _) in enumerate(planted, len(rows)) if number in found
    )
    # A part is enough to time it.
    of_datasketch = time_datasketch(questions.head(5_000), answers.head(5_000))
    figures = {
        "recall": {kind: n_found[kind] / n_planted[kind] for kind in KINDS},
        "found among the rows themselves": sum(row < len(rows) for row in found),
        "rows per second of CPU": round(len(questions) / seconds),
        "datasketch, rows per second of CPU": of_datasketch and round(of_datasketch),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
