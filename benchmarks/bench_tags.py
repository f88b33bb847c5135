"""Do tags mean one thing? Merging by meaning, against readers.

    python benchmarks/bench_tags.py [--merges 50] [--seed 1] [../shared/data]

- `readers`: `tag_pairs.jsonl`, pairs of tags that readers answered through exchange files; how far
  the two readers of the first 695 pairs agree ("same" or not).
- `learned`: the merging step by cross-validation on these pairs (and on those that are never fitted
  to), beside the cosine alone: average precision, precision and recall.
- `f1`: exact tag F1 between the annotators of 50 instructions, whose tags are normalised together
  with all others (every tag kept): as they are, after the rules, after each way of merging, and
  with the readers' answers in the place of a language model's.
- `apart`: the share of 200 planted pairs of different tags (`planted_tag_pairs.tsv`) that stay
  apart, in the same vocabulary.
- `seconds`: normalising the tags of 52,002 Alpaca rows by the embedded tagger, without tagging.

Prints merges of the learned step at random, for a person to read, then one line of JSON.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score

from bench_merges import parse_arguments, tagged_alpaca
from tacos.config import NormaliseSettings
from tacos.methods.tags import normalisation, tag_likeness
from tacos.models import encoder
from tacos.models.tag_agreement import lowercase_tag
from tacos.models.training import tag_likeness as training
from tacos.pipeline.model_factory import CachingEncoder
from tacos.pipeline.steps import tags as tag_steps
from tacos.records import TAG_MATCHES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAIRS = HERE / "tag_pairs.jsonl"
PLANTED = HERE / "planted_tag_pairs.tsv"
N_ANNOTATORS = 5
KEEP_ALL: dict[str, Any] = {"alpha": 1, "association": "off"}

Name = Callable[[str], str | None]
Taggings = Sequence[Sequence[list[str]]]
"""Per instruction, the tags of each annotator."""


def read_open_tags(data: Path) -> list[dict[str, Any]]:
    """Rows with instruction, annotator, tags."""
    with gzip.open(
        data / "tags" / "open_tags.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        return [json.loads(line) for line in file]


def find_shared_taggings(rows: Sequence[Mapping[str, Any]]) -> Taggings:
    """The instructions that at least five annotators tagged."""
    by_instruction: dict[str, dict[int, list[str]]] = defaultdict(dict)
    for row in rows:
        by_instruction[row["instruction"]][row["annotator"]] = row["tags"]
    return [
        list(taggings.values())
        for taggings in by_instruction.values()
        if len(taggings) >= N_ANNOTATORS
    ]


def measure_f1(taggings: Taggings, name: Name) -> float:
    """Micro F1 over all pairs of annotators."""
    hits = total = 0
    for of_instruction in taggings:
        named = [{name(tag) for tag in tags} - {None} for tags in of_instruction]
        for one, other in combinations(named, 2):
            hits += 2 * len(one & other)
            total += len(one) + len(other)
    return hits / total


def read_planted() -> list[tuple[str, str]]:
    """Pairs of different tags."""
    lines = PLANTED.read_text("utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines]  # type: ignore[misc]


def read_judgements() -> list[dict[str, Any]]:
    """The readers' pairs."""
    return [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]


def measure_agreement(judgements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far the first two readers agree."""
    both = [row["answers"] for row in judgements if {"1", "2"} <= row["answers"].keys()]
    answers = Counter(
        answer for row in judgements for answer in row["answers"].values()
    )
    found: dict[str, Any] = {
        "pairs": len(judgements),
        "answers": dict(answers),
        "by two": len(both),
    }
    if both:
        same = [(row["1"] == "same") == (row["2"] == "same") for row in both]
        found["agree same or not"] = float(np.mean(same))
        found["agree"] = float(np.mean([row["1"] == row["2"] for row in both]))
    return found


def list_reader_matches(judgements: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The first reader's answers by `TAG_MATCHES`; of two readers, the more careful answer."""
    left, right, relation = [], [], []
    for row in judgements:
        answers = list(row["answers"].values())
        others = [answer for answer in answers if answer != "same"]
        left.append(row["left"])
        right.append(row["right"])
        relation.append(others[0] if others else "same")
    reasons = [""] * len(left)
    return pl.DataFrame(
        [("readers", left, right, relation, reasons, "")], TAG_MATCHES, orient="row"
    )


def validate(encoder_: Any) -> dict[str, Any]:
    """The learned step on pairs that it was not fitted to."""
    pairs = training.read_pairs(PAIRS, encoder_)
    chances = training.cross_validate(pairs)
    is_same = pairs.same > 0.5
    cosines = pairs.features[:, 0]
    found = {}
    for part in ("fit", "held"):
        rows = (pairs.table["part"] == part).to_numpy()
        merged = chances[rows] >= tag_likeness.THRESHOLD
        right = is_same[rows]
        found[part] = {
            "pairs": int(rows.sum()),
            "average precision": float(average_precision_score(right, chances[rows])),
            "of the cosine": float(average_precision_score(right, cosines[rows])),
            "precision": float(right[merged].mean()),
            "recall": float(merged[right].mean()),
            "recall of eps .05": float((cosines[rows] >= 0.95)[right].mean()),
        }
    return found


def draw_merges(vocabulary: pl.DataFrame, n: int, seed: int) -> list[str]:
    """Merges of the semantic step at random."""
    merged = vocabulary.filter(pl.col("step") == "semantic").sort("raw")
    drawn = merged.sample(min(n, merged.height), seed=seed, shuffle=True)
    return [
        f"{row['raw']} -> {row['canonical']} ({row['reason']})"
        for row in drawn.iter_rows(named=True)
    ]


def time_alpaca(data: Path) -> dict[str, Any]:
    """Seconds and counts of normalising Alpaca's tags, tagged by the embedded tagger."""
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        done = tagged_alpaca(data, Path(folder), {})
        began = time.perf_counter()
        vocabulary, notes = tag_steps.make_vocabulary(
            [done.artifacts["tags"]],
            NormaliseSettings(),
            CachingEncoder(encoder.load("minilm")),
        )
        seconds = time.perf_counter() - began
    steps = {step["name"]: step["n_out"] for step in notes["steps"]}
    print(*draw_merges(vocabulary, 50, 1), sep="\n")
    return {"seconds": seconds, **steps, "links": notes["n_links"]}


def main() -> None:
    """Print."""
    args = parse_arguments(__doc__)
    minilm = CachingEncoder(encoder.load("minilm"))
    judgements = read_judgements()
    out: dict[str, Any] = {
        "readers": measure_agreement(judgements),
        "learned": validate(minilm),
    }
    if not args.data.is_dir():
        print(json.dumps({**out, "skipped": f"{args.data} is not here"}))
        return

    rows = read_open_tags(args.data)
    taggings = find_shared_taggings(rows)
    planted = read_planted()
    counts = Counter(tag for row in rows for tag in row["tags"])
    for pair in planted:
        counts.update(pair)
    f1 = {"as they are": measure_f1(taggings, lowercase_tag)}
    apart = {}
    for way, settings, matches in (
        ("rules", {"semantic": "off"}, None),
        ("distance", {"semantic": "distance"}, None),
        ("learned", {}, None),
        ("readers", {}, list_reader_matches(judgements)),
    ):
        found = normalisation.build_vocabulary(
            counts,
            None,
            len(rows),
            NormaliseSettings(**{**KEEP_ALL, **settings}),
            minilm,
            matches=matches,
        )
        f1[way] = measure_f1(taggings, found.mapping.get)
        together = [
            pair for pair in planted if len({found.mapping[tag] for tag in pair}) < 2
        ]
        apart[way] = 1 - len(together) / len(planted)
        print(f"\n== {way}: {[(step.name, step.n_out) for step in found.steps]}")
        print("planted pairs that became one:", together)
        if way == "learned":
            print(*draw_merges(found.vocabulary, args.merges, args.seed), sep="\n")
    print("\n== Alpaca, tagged by the embedded tagger")
    out |= {"f1": f1, "apart": apart, "alpaca": time_alpaca(args.data)}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
