"""Writes the run directory of a run that nobody ran: any number of made-up rows, with tags,
clusters, grades, scores, a selection and rejects, in the tables that `tacos select` writes.

Words are drawn by Zipf's law from 20,000; questions have a dozen of them, answers about 45, as in
Alpaca.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from tacos import records
from tacos.config import load_settings
from tacos.pipeline.manifest import Manifest
from tacos.store.artifacts import Store
from tacos.workflows.run_state import STATE

PART = 10_000
"""Rows of a part, as the pipeline writes them."""
N_WORDS = 20_000
N_TAGS = 3_000
N_CLUSTERS = 200
SOURCES = ("alpaca.json", "dolly.jsonl", "oasst.parquet")
FAULTS = ("wrong", "incomplete", "unclear", "off topic", "padded")
REJECTED = 200
"""One of so many rows is rejected."""
KEY = "0123456789abcdef"

Generator = np.random.Generator


def write_run(folder: Path, n_rows: int, n_selected: int, seed: int = 1) -> Path:
    """Write the run and return its directory."""
    random = np.random.default_rng(seed)
    words = _make_words(random)
    store = Store(folder)
    drafts = {
        name: store.begin(name, KEY, resume=False)
        for name in ("samples", "canonical_tags", "memberships", "grades")
    }
    scores = []
    for number, start in enumerate(range(0, n_rows, PART)):
        n = min(PART, n_rows - start)
        tables = _make_part(random, words, start, n)
        rejects = tables.pop("rejects")
        scores.append(tables.pop("scores"))
        for name, table in tables.items():
            own = rejects if name == "samples" else rejects.clear()
            drafts[name].write(number, table, own)
    all_scores = pl.concat(scores)
    whole = {
        "clusters": _make_clusters(),
        "vocabulary": _make_vocabulary(),
        "scores/0": all_scores,
        "selection": _take_best(all_scores, n_selected),
    }
    for name, table in whole.items():
        drafts[name] = store.begin(name, KEY, resume=False)
        drafts[name].write(0, table, records.build_reject_frame())
    settings = load_settings(seed=seed, select={"n": n_selected})
    for name, draft in drafts.items():
        stage = name.partition("/")[0]
        manifest = Manifest(stage=stage, version=1, round=None, key=KEY, settings={})
        draft.commit(manifest.as_dict())
    state: dict[str, Any] = {
        "artifacts": dict.fromkeys(drafts, KEY),
        "input": list(SOURCES),
        "n": n_selected,
        "output": "",
        "preset": settings.preset,
        "settings": settings.model_dump(mode="json"),
        "status": "finished",
    }
    store.write_state(STATE, state)
    return folder


def _make_words(random: Generator) -> np.ndarray[Any, Any]:
    """Different words of 2 to 11 letters."""
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words: dict[str, None] = {}
    while len(words) < N_WORDS:
        length = int(random.integers(2, 12))
        words["".join(random.choice(letters, length))] = None
    return np.array(list(words), dtype=object)


def _make_texts(
    random: Generator,
    words: np.ndarray[Any, Any],
    n: int,
    mean: float,
) -> list[str]:
    """Texts with a mean number of words."""
    lengths = random.lognormal(np.log(mean), 0.6, n).astype(int) + 1
    places = random.zipf(1.3, int(lengths.sum())) % N_WORDS
    drawn = words[places]
    ends = np.cumsum(lengths)
    return [
        " ".join(drawn[end - length : end]).capitalize() + "."
        for length, end in zip(lengths, ends, strict=True)
    ]


def _make_part(
    random: Generator,
    words: np.ndarray[Any, Any],
    start: int,
    n: int,
) -> dict[str, pl.DataFrame]:
    """The rows of one part in every table."""
    source = SOURCES[start // PART % len(SOURCES)]
    ids = [f"{source}:{row}" for row in range(start, start + n)]
    questions = _make_texts(random, words, n, 11)
    answers = _make_texts(random, words, n, 38)
    pairs = list(zip(questions, answers, strict=True))
    raw = [
        orjson.dumps({"instruction": question, "output": reply}).decode()
        for question, reply in pairs
    ]
    turns = [
        [{"role": "user", "text": question}, {"role": "assistant", "text": reply}]
        for question, reply in pairs
    ]
    hashes = random.bytes(16 * n).hex()
    samples = pl.DataFrame(
        {
            "id": ids,
            "content_hash": [hashes[32 * row : 32 * row + 32] for row in range(n)],
            "source": source,
            "turns": turns,
            "instruction": questions,
            "response": answers,
            "length": [len(reply) for reply in answers],
            "raw": raw,
        }
    )
    is_rejected = pl.Series(np.arange(start, start + n) % REJECTED == 7)
    rejects = samples.filter(is_rejected).select(
        "id",
        stage=pl.lit("ingest"),
        reason=pl.lit("empty response"),
        raw="raw",
        failure=pl.lit(False),
    )
    kept = samples.filter(~is_rejected)
    kept = records.add_missing_columns(kept, records.SAMPLES)
    return {
        "samples": records.conform_table(kept, records.SAMPLES),
        "rejects": records.conform_table(rejects, records.REJECTS),
        **_annotate(random, kept["id"]),
    }


def _annotate(random: Generator, ids: pl.Series) -> dict[str, pl.DataFrame]:
    """Tags, cluster, grade and score of each row."""
    n = len(ids)
    drawn = random.zipf(1.4, (n, 3)) % N_TAGS
    tags = [[f"Tag {tag}" for tag in dict.fromkeys(row)] for row in drawn.tolist()]
    homes = pl.Series(random.integers(0, N_CLUSTERS, n), dtype=pl.UInt32)
    value = random.uniform(1, 100, n)
    correctness = random.uniform(1, 100, n)
    faults = random.choice(FAULTS, n)
    reasons = [
        f"{fault} ({int(n_percent)}%)"
        for fault, n_percent in zip(faults, value, strict=True)
    ]
    grades = pl.DataFrame(
        {
            "id": ids,
            "judge": "embedded",
            "repetition": 0,
            "value": value,
            "correctness": correctness,
            "reason": reasons,
            "reply": "",
        }
    )
    grades = records.add_missing_columns(grades, records.GRADES)
    scores = pl.DataFrame(
        {
            "id": ids,
            "cluster": homes,
            "score": 0.6 * value + 0.4 * correctness,
            "n_comparisons": 0,
            "component": 0,
            "value": value,
            "correctness": correctness,
        }
    )
    scores = records.add_missing_columns(scores, records.SCORES)
    memberships = pl.DataFrame(
        {"id": ids, "clusters": homes.reshape((-1, 1)).arr.to_list(), "home": homes}
    )
    return {
        "canonical_tags": pl.DataFrame({"id": ids, "tags": tags}),
        "memberships": records.conform_table(memberships, records.MEMBERSHIPS),
        "grades": records.conform_table(grades, records.GRADES),
        "scores": records.conform_table(scores, records.SCORES),
    }


def _make_clusters() -> pl.DataFrame:
    """One row per cluster."""
    numbers = range(N_CLUSTERS)
    clusters = pl.DataFrame(
        {
            "cluster": numbers,
            "count": 1,
            "name": [f"Topic {number}" for number in numbers],
        }
    )
    complete = records.add_missing_columns(clusters, records.CLUSTERS)
    return records.conform_table(complete, records.CLUSTERS)


def _make_vocabulary() -> pl.DataFrame:
    """Every tag is canonical."""
    tags = [f"Tag {number}" for number in range(N_TAGS)]
    vocabulary = pl.DataFrame(
        {"raw": tags, "count": 1, "canonical": tags, "step": "", "reason": ""}
    )
    complete = records.add_missing_columns(vocabulary, records.VOCABULARY)
    return records.conform_table(complete, records.VOCABULARY)


def _take_best(scores: pl.DataFrame, n: int) -> pl.DataFrame:
    """The rows with the best scores."""
    best = scores.sort("score", "id", descending=[True, False]).head(n)
    selection = best.with_row_index("rank", offset=1).with_columns(rule=pl.lit("gain"))
    return records.conform_table(selection, records.SELECTION)
