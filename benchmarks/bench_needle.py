"""Needle test: does a selection prefer the version of a row that language experts revised to the
raw one?

    # or: python benchmarks/bench_needle.py [../shared/data] [-n 1000 -n 5000]
    make bench-needle

The pool is Alpaca, with every expert-revised pair of CoachLM in BOTH versions, shuffled. Of the
pairs' rows that a strategy selects the share of revised ones is counted: by chance it is a half,
whatever the strategy takes from where. Beside all pairs stand bands of the length of the revised
response over that of the raw one, since most revisions are longer: within 5% or 10% of each other
length can hardly help. "One of two" is the share of revised ones among pairs of which exactly one
version was selected. Intervals are 95% (Wilson; rows of one pair are taken as independent, which
makes them too wide, if anything); random is 20 draws: their mean, and from the least to the
greatest.

Cross-fit: ten judges, each fitted without the graded rows that share a text with a tenth of the
pairs (by instruction). Both versions of a pair are scored by the judge that saw neither; all other rows by the
judge of the fold that their instruction falls into. `judge.reliability` is that of the shipped
judge's card. The encoder and the tagger have never seen a preference.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

import tacos
from tacos.config import DEFAULT_TARGET
from tacos.methods.judging.comparisons import combine_scores
from tacos.models import judge
from tacos.models.judge import save_judge
from tacos.models.training import graded_rows, preference_pairs
from tacos.models.training.judge import fit_graded_rows
from tacos.workflows import compare
from tacos.workflows.strategy_pool import Pool, SelectionRequest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BANDS = {
    "within 5%": (1 / 1.05, 1.05),
    "within 10%": (1 / 1.1, 1.1),
    "shorter": (0.0, 1 / 1.1),
    "1.1 to 2 times": (1.1, 2.0),
    "2 to 4 times": (2.0, 4.0),
    "over 4 times": (4.0, float("inf")),
}
"""Characters of the revised response over those of the raw one."""
OTHERS = ("complexity-first", "mig", "deita", "car", "k-center", "singleton", "longest")
BY_GRADE = ("mig", "deita", "car")
"""Strategies that can read the grade of every row in place of the score, which shortlisted rows
have.
"""
Row = dict[str, str]


@dataclass(frozen=True)
class Needle:
    """The two versions of a row of Alpaca."""

    raw: Row
    revised: Row

    @property
    def ratio(self) -> float:
        """Characters of the revised response over those of the raw one."""
        return len(self.revised["output"]) / len(self.raw["output"])


def needles(data: Path) -> list[Needle]:
    """The pairs of CoachLM whose versions differ, each raw version once."""
    found: dict[tuple[str, ...], Needle] = {}
    for row in preference_pairs.read_json(
        data / preference_pairs.FOLDER / "coachlm_expert_revision.json.gz"
    ):
        raw, revised = (version(row, name) for name in ("Raw", "Revised"))
        if raw["output"] and revised["output"] and raw != revised:
            found.setdefault(tuple(raw.values()), Needle(raw, revised))
    return list(found.values())


def version(row: Mapping[str, Any], name: str) -> Row:
    """One version as a row in Alpaca's form."""
    columns = {"instruction": "Instruction", "input": "Input", "output": "Response"}
    return {
        column: str(row[f"{name} {theirs}"]).strip()
        for column, theirs in columns.items()
    }


def haystack(data: Path, found: Sequence[Needle]) -> list[tuple[Row, int]]:
    """Rows, and which needle's version each is: 2 k raw, 2 k + 1 revised, -1 neither; shuffled."""
    own = {tuple(needle.raw.values()) for needle in found}
    rows = [
        (one, -1)
        for one in map(
            stripped,
            preference_pairs.read_json(data / "corpora" / "alpaca_data.json.gz"),
        )
    ]
    pool = [(row, mark) for row, mark in rows if tuple(row.values()) not in own]
    for k, needle in enumerate(found):
        pool += [(needle.raw, 2 * k), (needle.revised, 2 * k + 1)]
    random.Random(1).shuffle(pool)
    return pool


def stripped(row: Mapping[str, Any]) -> Row:
    """A row of Alpaca without blanks around its texts."""
    return {name: str(row[name]).strip() for name in ("instruction", "input", "output")}


def cross_fit(
    data: Path, folder: Path, found: Sequence[Needle]
) -> list[judge.EmbeddedJudge]:
    """Judge k, which saw no graded row that shares a text with a pair of fold k."""
    rows, shipped = graded_rows.read_graded_rows(data), judge.load()
    made = []
    for k in range(graded_rows.N_FOLDS):
        held = {
            text
            for needle in found
            if fold(group_of(needle)) == k
            for text in texts(needle)
        }
        some = [
            row
            for row in rows
            if held.isdisjoint({plain(row.instruction), plain(row.response)})
        ]
        fitted = fit_graded_rows(some)
        model = replace(
            fitted, scales=shipped.model.scales, faults=shipped.model.faults
        )
        save_judge(model, folder / f"judge-{k}", shipped.reliability)
        made.append(judge.load(folder / f"judge-{k}"))
    return made


def texts(needle: Needle) -> set[str]:
    """The texts of a pair: instructions, and responses longer than a word or a number, which anyone
    may give.
    """
    found: set[str] = set()
    for row in (needle.raw, needle.revised):
        found |= {
            plain(asked(row)),
            plain(preference_pairs.join_input(row["instruction"], row["input"])),
        }
        if len(row["output"]) > 20:
            found.add(plain(row["output"]))
    return found


def plain(text: str) -> str:
    """A text whatever its case and blanks."""
    return " ".join(text.lower().split())


def fold(text: str) -> int:
    """A fold below `graded_rows.N_FOLDS`, by the text alone."""
    return int(graded_rows.assign_group_folds([text])[0])


def scorer(
    judges: Sequence[judge.EmbeddedJudge], found: Sequence[Needle]
) -> Callable[[list[str], list[str]], list[tuple[float, float]]]:
    """A user's function as the judge: every row by the judge of its fold, both versions of a pair
    by the same.
    """
    groups = {
        asked(row): group_of(needle)
        for needle in found
        for row in (needle.revised, needle.raw)
    }
    known: dict[judge.Text, tuple[float, float]] = {}

    def cross_fitted(
        instructions: list[str], responses: list[str]
    ) -> list[tuple[float, float]]:
        wanted = list(zip(instructions, responses, strict=True))
        new = [text for text in dict.fromkeys(wanted) if text not in known]
        of = np.array([fold(groups.get(text, text)) for text, _ in new])
        for k in np.unique(of).tolist():
            some = [new[i] for i in np.flatnonzero(of == k).tolist()]
            scores = judges[k].score(*judge.split_columns(some))
            pairs = zip(scores.value.tolist(), scores.correctness.tolist(), strict=True)
            known.update(zip(some, pairs, strict=True))
        return [known[text] for text in wanted]

    return cross_fitted


def asked(row: Row) -> str:
    """What the pipeline shows the judge as the instruction."""
    return "\n\n".join(filter(None, (row["instruction"], row["input"])))


def group_of(needle: Needle) -> str:
    """What `cross_fit` folds by."""
    return preference_pairs.join_input(needle.raw["instruction"], needle.raw["input"])


def shares(chosen: Collection[int], found: Sequence[Needle]) -> dict[str, Any]:
    """The share of revised ones among the selected rows of pairs, over all and by band."""
    ratios = np.array([needle.ratio for needle in found])
    inside = {"all": np.full(len(found), True)}
    inside |= {
        name: (ratios >= low) & (ratios <= high) for name, (low, high) in BANDS.items()
    }
    out: dict[str, Any] = {}
    for name, mask in inside.items():
        marks = {mark for mark in chosen if mask[mark // 2]}
        single = [mark for mark in marks if mark ^ 1 not in marks]
        out[name] = counted(marks) | {"one of two": counted(single)}
    return out


def counted(marks: Collection[int]) -> dict[str, Any]:
    """Rows, the share of revised ones and its interval; None where there is no row."""
    n, revised = len(marks), sum(mark % 2 for mark in marks)
    if not n:
        return {"n": 0, "revised": None, "interval": None}
    interval = binomtest(revised, n).proportion_ci(method="wilson")
    return {
        "n": n,
        "revised": r(revised / n),
        "interval": [r(interval.low), r(interval.high)],
    }


def random_shares(
    draws: Sequence[Collection[int]], found: Sequence[Needle]
) -> dict[str, Any]:
    """Mean, least and greatest share over random selections."""
    each, out = [shares(draw, found) for draw in draws], {}
    for name in each[0]:
        values = [one[name]["revised"] for one in each if one[name]["n"]]
        n = float(np.mean([one[name]["n"] for one in each]))
        out[name] = {
            "n": r(n),
            "revised": r(np.mean(values)),
            "interval": [r(min(values)), r(max(values))],
        }
    return out


def selections(
    rows: list[Row], n: int, scored: Callable[..., Any], folder: Path
) -> tuple[dict[str, list[str]], list[list[str]]]:
    """Strategy -> ids, and the ids of random draws."""
    trust = {"judge": {"reliability": judge.load().reliability["all"]}}
    robust = tacos.select(rows, n, run=folder / "robust", judge=scored, settings=trust)
    ids = {"tacos (robust)": robust.table["id"].to_list()}
    settings = {**trust, "select": {"tag_price": 0.0}}
    scores_only = tacos.select(
        rows, n, run=folder / "robust", judge=scored, settings=settings
    )
    ids["tacos (robust), tag_price 0"] = scores_only.table["id"].to_list()
    paper = tacos.select(rows, n, run=folder / "paper", preset="paper", judge=scored)
    ids["tacos (paper)"] = paper.table["id"].to_list()
    compared = compare.compare(robust, n, OTHERS)
    ids |= {name: list(compared.chosen[name]) for name in OTHERS}
    graded = compare.compare(robust, n, BY_GRADE, by="grade")
    ids |= {f"{name}, by grade": list(graded.chosen[name]) for name in BY_GRADE}
    pool = Pool(robust.artifacts, robust.settings)
    wish = SelectionRequest(n, "random")
    return ids, compare.draw_random_selections(
        pool, wish, list(compared.chosen["random"])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=DATA)
    parser.add_argument("-n", type=int, action="append")
    arguments = parser.parse_args()
    started, found = time.monotonic(), needles(arguments.data)
    pool = haystack(arguments.data, found)
    rows, marks = [row for row, _ in pool], [mark for _, mark in pool]
    bands = {
        name: sum(low <= needle.ratio <= high for needle in found)
        for name, (low, high) in BANDS.items()
    }
    figures: dict[str, Any] = {
        "rows": len(rows),
        "pairs": len(found),
        "pairs by band": bands,
    }
    with tempfile.TemporaryDirectory() as folder:
        scored = scorer(cross_fit(arguments.data, Path(folder), found), found)
        figures["judge alone"] = judge_alone(scored, found)
        for n in arguments.n or (1000, 5000):
            chosen, draws = selections(rows, n, scored, Path(folder))
            figures[f"n = {n}"] = {
                name: shares(marked(ids, marks), found) for name, ids in chosen.items()
            }
            figures[f"n = {n}"]["random"] = random_shares(
                [marked(ids, marks) for ids in draws], found
            )
    print(json.dumps(figures | {"seconds": round(time.monotonic() - started)}))


def judge_alone(scored: Callable[..., Any], found: Sequence[Needle]) -> dict[str, Any]:
    """How often the revised version has the higher score (ties half), each version with its own
    instruction.
    """
    sides = [[needle.raw for needle in found], [needle.revised for needle in found]]
    scores = []
    for side in sides:
        answers = [row["output"] for row in side]
        numbers = np.array(scored([asked(row) for row in side], answers), np.float64)
        combined = combine_scores(numbers[:, 0], numbers[:, 1], DEFAULT_TARGET)
        scores.append(combined)
    raw, revised = scores
    wins = (revised > raw) + 0.5 * (revised == raw)
    ratios = np.array([needle.ratio for needle in found])
    inside = {
        name: (ratios >= low) & (ratios <= high) for name, (low, high) in BANDS.items()
    }
    return {"all": r(wins.mean())} | {
        name: r(wins[mask].mean()) for name, mask in inside.items()
    }


def marked(ids: Sequence[str], marks: Sequence[int]) -> list[int]:
    """The marks of the selected rows that are of pairs."""
    found = (marks[int(one.rpartition(":")[2])] for one in ids)
    return [mark for mark in found if mark >= 0]


def r(value: float) -> float:
    """Three decimals."""
    return round(float(value), 3)


if __name__ == "__main__":
    main()
