"""Reads rows that language-model annotators graded, and what they are divided by.

Each row has two numbers from 1 to 100, *value* (worth imitating in training) and *correctness*, and
the fault that an annotator named. The README of the data describes them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

FILE = Path("judge_grades") / "llm_grades.jsonl.gz"
N_FOLDS = 10
N_TURNS = 10
SHRINKAGE = 5.0
"""An annotator's strictness is shrunk as if so many rows had shown none."""
Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GradedRow:
    """A sample, the file and row that it is from, its two grades and its fault ("none" for none).

    `score` is a third annotator's: correctness and little else. `annotator` gave the two grades.
    """

    source: str
    row: int
    instruction: str
    response: str
    value: float
    correctness: float
    score: float
    fault: str
    annotator: str = ""


def read_graded_rows(data: Path) -> list[GradedRow]:
    """Read the graded rows under the folder of the data, in the order of the file."""
    rows: list[GradedRow] = []
    with gzip.open(data / FILE, "rt", encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            row = GradedRow(
                source=entry["source"],
                row=int(entry["row"]),
                instruction=entry["instruction"],
                response=entry["response"],
                value=float(entry["value"]),
                correctness=float(entry["correct"]),
                score=float(entry["score"]),
                fault=entry["fault"],
                annotator=str(entry["value_annotator"]),
            )
            rows.append(row)
    return rows


def group_rows(texts: Sequence[tuple[str, str]]) -> list[str]:
    """Name the group of each (instruction, response).

    Rows that share an instruction or a response, whatever its case and blanks, are in one group,
    and so are all that such rows connect.
    """
    parent = list(range(len(texts)))

    def find_root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first_row: dict[tuple[str, str], int] = {}
    for row, text in enumerate(texts):
        for key in _list_keys(text):
            earlier = first_row.setdefault(key, row)
            # The earlier row stays the root, so that a group is named after its first row.
            low, high = sorted((find_root(earlier), find_root(row)))
            parent[high] = low
    return [
        texts[find_root(row)][0] + "\0" + texts[find_root(row)][1] for row in parent
    ]


def _list_keys(text: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for side, part in zip(("instruction", "response"), text, strict=True):
        plain = " ".join(part.lower().split())
        if plain:
            yield side, plain


def assign_group_folds(groups: Sequence[str], partition: int = 0) -> Rows:
    """Assign each row to a fold (0 to 9) by a hash of its group; other partitions divide anew."""
    folds: list[int] = []
    for group in groups:
        content = f"{partition} {group}".encode(errors="replace")
        digest = hashlib.blake2b(content, digest_size=8).digest()
        folds.append(int.from_bytes(digest) % N_FOLDS)
    return np.array(folds, dtype=np.int64)


def measure_strictness(
    scores: Numbers,
    sources: Sequence[str],
    annotators: Sequence[str],
) -> Numbers:
    """Measure by how much each row's annotator grades above the others, (n,).

    Annotators read different sources, so sources and annotators are fitted together, in turns. An
    annotator of few rows counts as one like the others.
    """
    names = np.array(sources)
    graders = np.array(annotators)
    strictness = np.zeros(len(scores))
    for _ in range(N_TURNS):
        rest = scores - strictness
        for name in np.unique(names):
            inside = names == name
            rest[inside] = scores[inside] - rest[inside].mean()
        for grader in np.unique(graders):
            own = graders == grader
            strictness[own] = rest[own].sum() / (own.sum() + SHRINKAGE)
    return strictness


def rank_grades(
    grades: Numbers,
    sources: Sequence[str],
    annotators: Sequence[str] = (),
    share: float = 0.5,
) -> Numbers:
    """Turn grades (n,) into normal scores of their ranks, less `share` of their source's mean.

    Whole centring would lose the order of the sources, none the order within them. Where
    `annotators` are named, each one's strictness is taken off first.
    """
    ranks = rankdata(grades)
    scores = np.asarray(ndtri((ranks - 0.5) / len(grades)), dtype=np.float64)
    if annotators:
        scores -= measure_strictness(scores, sources, annotators)
    names = np.array(sources)
    centred = scores.copy()
    for name in np.unique(names):
        inside = names == name
        centred[inside] -= share * scores[inside].mean()
    return centred
