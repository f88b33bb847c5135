"""Near-duplicates: 5,000 variants of Alpaca's rows planted behind it, and how many are found.

    # or: python benchmarks/bench_clean.py [--pairs RULE] [FILE...]
    make bench-clean

Variants are those of `benchmarks.row_generator`: case and punctuation, one word of the longest
text, the order of the output's sentences; and rows reworded by a table of synonyms, of which at
least a twentieth of the words is another then. With `--pairs RULE` (near-duplicates, or
paraphrases, which are found by their embeddings) the pairs that are found among the rows of some
files are printed instead, to be read.

For the rows per second, datasketch's MinHash LSH (the same words, as many permutations) and
datatrove's MinHash (its own words and defaults, all four steps) read the first 5,000 rows where
they are installed; so does text-dedup's with `--text-dedup PYTHON`, the Python of an environment
of its own. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from row_generator import vary_row
from tacos.config import IngestSettings
from tacos.formats.reading import read_rows
from tacos.methods.cleaning.near_duplicates import (
    BAND_WIDTH,
    N_BANDS,
    NearDuplicateFinder,
    hash_words,
)
from tacos.methods.cleaning.paraphrases import ParaphraseFinder, hash_details
from tacos.methods.samples.sample_parsing import parse_sample_batch, samples_to_frame
from tacos.models import encoder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALPACA = DATA / "corpora" / "alpaca_data.json.gz"
N_PLANTED = 5_000
N_TIMED = 5_000
TEXTS = ("instruction", "response")
KINDS = ("case", "word", "order", "paraphrase")
LEAST_REWORDED = 0.05
_SYNONYMS = """
    create make, write compose, generate produce, describe depict, explain clarify, list enumerate,
    find locate, identify spot, provide give, rewrite rephrase, important vital, help assist,
    use employ, using with, used employed, large big, small little, many numerous, different various,
    people persons, person individual, also too, because since, however but, such like, can could,
    should ought, need require, needs requires, great excellent, good fine, new novel, old ancient,
    quickly fast, begin start, ends stops, result outcome, results outcomes, allow let, allows lets,
    increase raise, reduce lower, reducing lowering, increasing raising, ensure guarantee, way manner,
    ways manners, often frequently, usually normally, main chief, difficult hard, easy simple,
    children kids, job work, money funds, happy glad, sad unhappy, beautiful lovely, following next,
    given stated, sentence phrase, story tale, improve better, show display, shows displays,
    understand grasp, keep retain, buy purchase, choose pick, try attempt, essential crucial,
    around about, including notably, more further, most nearly, by through, from out, very highly
"""
SYNONYMS = dict(pair.split() for pair in _SYNONYMS.split(","))
"""Words and what stands for them in a reworded row; some fit loosely, which no rule here minds."""
WORD = re.compile(r"(\w+)")
Row = dict[str, str]


def plant_variants(rows: list[Row], seed: int = 1) -> list[tuple[str, Row]]:
    """Kind and row of each variant."""
    rng = np.random.default_rng(seed)
    planted: list[tuple[str, Row]] = []
    while len(planted) < N_PLANTED:
        kind = KINDS[len(planted) % len(KINDS)]
        row = rows[rng.integers(len(rows))]
        varied = reword(row) if kind == "paraphrase" else vary_row(row, kind, rng)
        if varied is not None and varied != row:
            planted.append((kind, varied))
    return planted


def reword(row: Row) -> Row | None:
    """The row with each word that has a synonym replaced; None where these are too few."""
    n_words = 0
    n_replaced = 0
    reworded = {}
    for name, text in row.items():
        words = WORD.split(text)
        replaced = [_replace_word(word) for word in words]
        n_words += sum(word.isalnum() for word in words)
        n_replaced += sum(map(str.__ne__, words, replaced))
        reworded[name] = "".join(replaced)
    return reworded if n_replaced >= LEAST_REWORDED * n_words else None


def _replace_word(word: str) -> str:
    synonym = SYNONYMS.get(word.lower(), word)
    return synonym.capitalize() if word.istitle() else synonym


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


def time_datatrove(questions: pl.Series, answers: pl.Series) -> float | None:
    """Rows per second of CPU of datatrove's four steps; None where it is not installed."""
    try:
        from datatrove.data import Document
        from datatrove.pipeline.dedup import (
            MinhashDedupBuckets,
            MinhashDedupCluster,
            MinhashDedupFilter,
            MinhashDedupSignature,
        )
    except ImportError:
        return None
    documents = [
        Document(f"{question}\n{answer}", str(number))
        for number, (question, answer) in enumerate(
            zip(questions, answers, strict=True)
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        signatures, pairs, removed = (f"{folder}/{name}" for name in "spr")
        sign = MinhashDedupSignature(signatures)
        group = MinhashDedupBuckets(signatures, pairs)
        start = time.process_time()
        sign.run(documents)
        for bucket in range(sign.config.num_buckets):
            group.run(None, bucket, sign.config.num_buckets)
        MinhashDedupCluster(pairs, removed).run()
        kept = list(MinhashDedupFilter(removed).run(documents))
        seconds = time.process_time() - start
    assert len(kept) > len(documents) / 2
    return len(documents) / seconds


def time_text_dedup(
    python: str | None, questions: pl.Series, answers: pl.Series
) -> float | None:
    """Rows per second of CPU of text-dedup's MinHash, start of the program left out; None where no
    environment has it.
    """
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        few = _run_text_dedup(
            python, Path(folder), questions.head(50), answers.head(50)
        )
        all_rows = _run_text_dedup(python, Path(folder), questions, answers)
    return (len(questions) - 50) / (all_rows - few)


def _run_text_dedup(
    python: str, folder: Path, questions: pl.Series, answers: pl.Series
) -> float:
    """Seconds of CPU of one run over these rows."""
    name = f"rows-{len(questions)}.jsonl"
    rows = zip(questions, answers, strict=True)
    lines = [json.dumps({"text": f"{one}\n{other}"}) for one, other in rows]
    (folder / name).write_text("\n".join(lines))
    options = {
        "path": "json",
        "data_files": name,
        "split": "train",
        "cache_dir": "cache",
        "column": "text",
        "output": f"kept-{len(questions)}",
        "num_proc": "1",
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [python, "-m", "text_dedup.minhash", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def find_near_duplicates(questions: pl.Series, answers: pl.Series) -> list[Any]:
    """By their words."""
    finder = NearDuplicateFinder()
    finder.add(questions, answers)
    return finder.find()


def find_paraphrases(questions: pl.Series, answers: pl.Series) -> list[Any]:
    """By their embeddings."""
    static = encoder.load("static")
    finder = ParaphraseFinder(static.dim)
    finder.add(
        static.encode(questions.to_list()),
        static.encode(answers.to_list()),
        hash_details(questions, answers),
    )
    return finder.find()


def print_pairs(files: list[Path], rule: str) -> None:
    """What a rule finds among the rows of files, each with the row that it repeats; paraphrases
    among the rows that are no near-duplicates.
    """
    texts = []
    for file in files:
        for batch in read_rows(file):
            samples, _ = parse_sample_batch(batch, IngestSettings())
            texts.append(samples_to_frame(samples).select("id", *TEXTS))
    rows = pl.concat(texts)
    pairs = find_near_duplicates(rows["instruction"], rows["response"])
    if rule == "paraphrases":
        gone = pl.Series([pair.row for pair in pairs], dtype=pl.UInt32)
        rows = rows.with_row_index().filter(~pl.col("index").is_in(gone.implode()))
        rows = rows.drop("index")
        pairs = find_paraphrases(rows["instruction"], rows["response"])
    for found in pairs:
        print(f"--- similarity {found.similarity:.2f}")
        for row in (found.original, found.row):
            for text in rows.row(row):
                print(text)


def main() -> None:
    """Print recall by kind, the pairs that were not planted, and rows per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=[ALPACA], type=Path)
    parser.add_argument("--pairs", choices=["near-duplicates", "paraphrases"])
    parser.add_argument("--text-dedup", metavar="PYTHON")
    options = parser.parse_args()
    if options.pairs:
        print_pairs(options.files, options.pairs)
        return
    rows: list[Any] = [
        row for batch in read_rows(options.files[0]) for _, row in batch.rows
    ]
    planted = plant_variants(rows)
    questions, answers = list_texts([*rows, *(row for _, row in planted)])
    start = time.process_time()
    found = {each.row for each in find_near_duplicates(questions, answers)}
    seconds = time.process_time() - start
    start = time.process_time()
    paraphrases = {each.row for each in find_paraphrases(questions, answers)}
    seconds_of_paraphrases = time.process_time() - start

    def measure_recall(found: set[int]) -> dict[str, float]:
        n_planted = Counter(kind for kind, _ in planted)
        n_found = Counter(
            kind
            for number, (kind, _) in enumerate(planted, len(rows))
            if number in found
        )
        return {kind: n_found[kind] / n_planted[kind] for kind in KINDS}

    # A part is enough to time them.
    timed = questions.head(N_TIMED), answers.head(N_TIMED)
    of_datasketch = time_datasketch(*timed)
    of_datatrove = time_datatrove(*timed)
    of_text_dedup = time_text_dedup(options.text_dedup, *timed)
    figures = {
        "recall": measure_recall(found),
        "recall of paraphrases": measure_recall(paraphrases),
        "recall of both": measure_recall(found | paraphrases),
        "found among the rows themselves": sum(row < len(rows) for row in found),
        "rows per second of CPU": round(len(questions) / seconds),
        "paraphrases, rows per second of CPU": round(
            len(questions) / seconds_of_paraphrases
        ),
        "datasketch, rows per second of CPU": of_datasketch and round(of_datasketch),
        "datatrove, rows per second of CPU": of_datatrove and round(of_datatrove),
        "text-dedup, rows per second of CPU": of_text_dedup and round(of_text_dedup),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
