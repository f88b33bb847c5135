"""Selection: what `tacos select` takes of rows that careful readers graded, against random rows.

    # or: python benchmarks/bench_selection.py [../shared/data]
    make bench-selection

Each source of `judge_grades` is a pool: ONE `tacos select` over all its rows, in the preset
`robust`, with the embedded tagger. The judge is a function that gives each row the scores that the
embedded judge gave it out of fold: fitted without the row's instruction and response (`make
bench-judge` writes them to `benchmarks/.work/judge_oof.parquet`, for five partitions into folds).
`judge.reliability` is what the judge's card would say: the mean over sources of the squared rank
correlation of score and graded target. Figures are means over the partitions: mean value and mean
correctness by the graders, the share of the pool's tags covered, tags a row, and the median length
over the pool's. Intervals are 95%, from 1,000 bootstrap samples of the pool's rows.

Beside it stand random rows (means of 200 draws), the longest, the judge that versions up to 0.2
shipped (its scores are in `old_judge_scores.json`), both tiers of today's (the slow one's scores, of
the best `shortlist.close_factor` times the rows wanted by the fast one, all others excluded), the
best possible by the mean of both grades,
and the grades themselves as the judge ("oracle": what a perfect language model would give). On
Alpaca also: other reliabilities, targets, prices of a tag, and square-root quotas.

What it does not show: what a model learns from the rows. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import spearmanr

import tacos
from tacos.config import DEFAULT_TARGET, SelectSettings, ShortlistSettings
from tacos.methods.judging.comparisons import combine_scores

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
GRADES = Path("judge_grades") / "llm_grades.jsonl.gz"
WORK = HERE / ".work"
OUT_OF_FOLD = WORK / "judge_oof.parquet"
OLD_JUDGE = HERE / "old_judge_scores.json"
SHARES = (0.1, 0.2)
N_DRAWS = 200
N_BOOTSTRAP = 1000
FAST = "fast"
BOTH = "both tiers"
RELIABILITIES = (0.0, 0.1, 0.2, 0.5, 1.0)
TARGETS = (0.0, 0.25, 0.4, 0.5, 0.6, 1.0)
PRICES = (0.0, 0.75, 3.0, 6.0)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Row = dict[str, Any]
Settings = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Pool:
    """The distinct rows of one source, its graders' numbers, and its tags in a run of its own."""

    name: str
    rows: Sequence[Row]
    data: Sequence[Row]
    run: Path

    def column(self, name: str) -> Floats:
        """A number of each row, shape (rows,)."""
        return np.array([row[name] for row in self.rows], np.float64)

    @cached_property
    def value(self) -> Floats:
        return self.column("value")

    @cached_property
    def correctness(self) -> Floats:
        return self.column("correct")

    @cached_property
    def length(self) -> Floats:
        return np.array([len(row["response"]) for row in self.rows], np.float64)

    @cached_property
    def tags(self) -> list[list[str]]:
        """The canonical tags of each row."""
        done = self.select(lambda asked, answers: [50.0] * len(asked), 10, {})
        table = done.artifacts["canonical_tags"].scan().select("id", "tags").collect()
        tags: list[list[str]] = [[] for _ in self.rows]
        for id_, names in table.iter_rows():
            tags[place_of(id_)] = sorted(set(names or []))
        return tags

    @cached_property
    def ids(self) -> list[str]:
        """The id of each row in the run."""
        return [f"data:{place}" for place in range(len(self.rows))]

    def select(
        self,
        judge: Callable[[list[str], list[str]], Any],
        n: int,
        settings: Settings,
    ) -> tacos.Selection:
        """`tacos select` with a function as the judge of each row alone."""
        judging = {"mode": "singleton", "max_chars": 1_000_000}
        judging |= settings.get("judge", {})
        return tacos.select(
            self.data,
            n,
            run=self.run,
            judge=judge,
            settings={**settings, "judge": judging},
        )

    def take(
        self,
        name: str,
        value: Floats,
        correctness: Floats,
        n: int,
        settings: Settings,
    ) -> Ints:
        """The places of the rows selected by these scores, shape (n,)."""
        scores = {}
        for row, *pair in zip(self.data, value, correctness, strict=True):
            scores[row["instruction"], row["output"]] = pair

        def graded(instructions: list[str], responses: list[str]) -> Any:
            texts = zip(instructions, responses, strict=True)
            return [scores[text] for text in texts]

        # Part of the fingerprint, by which a run knows that it has these scores already.
        graded.__version__ = name  # type: ignore[attr-defined]
        done = self.select(graded, n, settings)
        return np.array([place_of(id_) for id_ in done.table["id"]])


def place_of(id_: str) -> int:
    """The place of a row in the input, from its id."""
    return int(id_.rpartition(":")[2])


def read_rows(data: Path) -> list[Row]:
    """The graded rows, in the order of the file."""
    with gzip.open(data / GRADES, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def build_pools(rows: Sequence[Row]) -> list[Pool]:
    """A pool per source; the two parts of CoachLM and of PandaLM are one pool each."""
    by_source: dict[str, dict[tuple[str, str], Row]] = {}
    for row in rows:
        source = row["source"].partition("-")[0]
        texts = (row["instruction"].strip(), row["response"].strip())
        # As in `tacos select`, the first of equal rows counts.
        by_source.setdefault(source, {}).setdefault(texts, row)
    pools = []
    for source, distinct in by_source.items():
        data = [
            {"instruction": instruction, "output": response}
            for instruction, response in distinct
        ]
        run = WORK / "selection" / source
        pools.append(Pool(source, list(distinct.values()), data, run))
    return sorted(pools, key=lambda pool: -len(pool.rows))


# Figures


def measure(pool: Pool, selections: Sequence[Ints]) -> dict[str, Any]:
    """The mean figures of several selections."""
    n_tags = count_tags(pool, range(len(pool.rows)))
    figures = []
    for rows in selections:
        tags_a_row = np.mean([len(pool.tags[row]) for row in rows])
        figures.append(
            {
                "value": pool.value[rows].mean(),
                "correctness": pool.correctness[rows].mean(),
                "coverage": 100 * count_tags(pool, rows) / n_tags,
                "tags": tags_a_row,
                "length": np.median(pool.length[rows]) / np.median(pool.length),
            }
        )
    names = figures[0]
    return {
        name: round(float(np.mean([each[name] for each in figures])), 2)
        for name in names
    }


def count_tags(pool: Pool, rows: Any) -> int:
    """The number of distinct tags of rows."""
    return len({tag for row in rows for tag in pool.tags[row]})


def measure_gain(
    pool: Pool, selections: Sequence[Ints], seed: int = 1
) -> dict[str, list[float]]:
    """How far the selections' means lie above the pool's: gain, low and high."""
    n_rows = len(pool.rows)
    members = np.zeros((n_rows, len(selections)))
    for number, rows in enumerate(selections):
        members[rows, number] = 1
    rng = np.random.default_rng(seed)
    # How often each bootstrap sample has each row, shape (samples, rows).
    draws = rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), N_BOOTSTRAP)
    gains = {}
    for name in ("value", "correctness"):
        grades = getattr(pool, name)
        everyone = np.ones((1, n_rows))
        gain = mean_gains(everyone, members, grades)[0]
        resampled = mean_gains(draws, members, grades)
        low, high = np.quantile(resampled, [0.025, 0.975])
        gains[name] = [round(float(figure), 2) for figure in (gain, low, high)]
    return gains


def mean_gains(weights: Any, members: Floats, grades: Floats) -> Floats:
    """Mean grade of the members less that of all rows, over selections, shape (samples,)."""
    n_members = weights @ members
    selected = (weights @ (members * grades[:, None])) / n_members
    pool = (weights @ grades) / weights.sum(axis=1)
    return np.asarray(selected.mean(axis=1) - pool)


def draw_random(pool: Pool, n: int) -> list[Ints]:
    """Random selections."""
    rng = np.random.default_rng(1)
    n_rows = len(pool.rows)
    return [rng.choice(n_rows, n, replace=False) for _ in range(N_DRAWS)]


def rank(score: Floats, n: int) -> list[Ints]:
    """The n best by a score alone."""
    return [np.argsort(-score, kind="stable")[:n]]


# Judges


@dataclass(frozen=True)
class Judge:
    """Out-of-fold scores by (partition, source, row), and what its card would say."""

    name: str
    scores: dict[int, dict[tuple[str, int], tuple[float, float]]]

    def read(self, pool: Pool, partition: int) -> tuple[Floats, Floats]:
        """Value and correctness of the rows of a pool, each of shape (rows,)."""
        by_row = self.scores[partition]
        pairs = [by_row[row["source"], row["row"]] for row in pool.rows]
        value, correctness = np.array(pairs).T
        return value, correctness

    def measure_reliability(self, pools: Sequence[Pool]) -> dict[str, float]:
        """The squared rank correlation with the graders' target by source, and its mean."""
        explained = {}
        for pool in pools:
            target = combine_scores(pool.value, pool.correctness, DEFAULT_TARGET)
            squares = []
            for partition in self.scores:
                score = combine_scores(*self.read(pool, partition), DEFAULT_TARGET)
                correlation = float(spearmanr(score, target).statistic)
                squares.append(max(correlation, 0.0) ** 2)
            explained[pool.name] = round(float(np.mean(squares)), 3)
        return {"all": round(float(np.mean(list(explained.values()))), 3), **explained}


def read_judges(path: Path) -> dict[str, Judge]:
    """The judge's tiers, from a table of source, row, tier, partition, value, correctness."""
    judges = {}
    for (tier,), part in pl.read_parquet(path).group_by("tier", maintain_order=True):
        scores: dict[int, dict[tuple[str, int], tuple[float, float]]] = {}
        columns = part.select("partition", "source", "row", "value", "correctness")
        for partition, source, row, value, correctness in columns.iter_rows():
            scores.setdefault(partition, {})[source, row] = (value, correctness)
        name = FAST if tier == FAST else BOTH
        judges[name] = Judge(name, scores)
    return judges


def select_by(
    judge: Judge,
    pool: Pool,
    n: int,
    settings: Settings,
    first: Judge | None = None,
) -> list[Ints]:
    """A selection per partition, of the rows that another judge shortlists `first`."""
    selections = []
    for partition in judge.scores:
        value, correctness = judge.read(pool, partition)
        name = f"{judge.name} {partition} {digest(value, correctness)}"
        if first is not None:
            left_out = list_left_out(first, pool, n, partition)
            selecting = settings.get("select", {}) | {"exclude": left_out}
            settings = settings | {"select": selecting}
        rows = pool.take(name, value, correctness, n, settings)
        selections.append(rows)
    return selections


def list_left_out(judge: Judge, pool: Pool, n: int, partition: int) -> list[str]:
    """The ids of the rows that are not among the best by the fast tier."""
    score = combine_scores(*judge.read(pool, partition), DEFAULT_TARGET)
    n_read = round(ShortlistSettings().close_factor * n)
    worst_first = np.argsort(score, kind="stable")
    left_out = worst_first[: max(len(score) - n_read, 0)]
    return [pool.ids[place] for place in sorted(left_out.tolist())]


def select_by_grades(pool: Pool, n: int, settings: Settings) -> list[Ints]:
    """The selection with the graders' own numbers as the judge's."""
    return [pool.take("oracle", pool.value, pool.correctness, n, settings)]


def digest(*arrays: Floats) -> str:
    """What changes with any number."""
    content = b"".join(array.tobytes() for array in arrays)
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def compare_on(
    pool: Pool, judges: dict[str, Judge], reliability: dict[str, float], share: float
) -> dict[str, Any]:
    """Figures of every way to select a share of a pool."""
    n = round(len(pool.rows) * share)
    old = json.loads(OLD_JUDGE.read_text("utf-8"))
    old_scores = [old[row["source"]][str(row["row"])] for row in pool.rows]
    selections = {
        "random": draw_random(pool, n),
        "longest": rank(pool.length, n),
        "old judge": rank(np.array(old_scores), n),
        "best possible": rank(pool.value + pool.correctness, n),
    }
    for name, judge in judges.items():
        trust = {"judge": {"reliability": reliability[name]}}
        first = judges[FAST] if name == BOTH else None
        selections[name] = select_by(judge, pool, n, trust, first)
    selections["oracle"] = select_by_grades(pool, n, {"judge": {"reliability": 1.0}})
    figures = {}
    for name, rows in selections.items():
        figures[name] = measure(pool, rows)
        if name != "random":
            figures[name] |= {"gain": measure_gain(pool, rows)}
    return figures


def try_alternatives(
    pool: Pool, judge: Judge, first: Judge | None, reliability: float, share: float
) -> dict[str, Any]:
    """Figures on a pool under other settings, one changed at a time."""
    n = round(len(pool.rows) * share)
    trust = {"reliability": reliability}
    variants: dict[str, Settings] = {
        "square-root quotas": {"select": {"quota": "square-root"}, "judge": trust},
    }
    for other in RELIABILITIES:
        variants[f"reliability {other:g}"] = {"judge": {"reliability": other}}
    for target in TARGETS:
        variants[f"target {target:g}"] = {"judge": {**trust, "target": target}}
    for price in PRICES:
        variants[f"price {price:g}"] = {"select": {"tag_price": price}, "judge": trust}
    figures = {}
    for name, settings in variants.items():
        rows = select_by(judge, pool, n, settings, first)
        figures[f"{judge.name}, {name}"] = measure(pool, rows)
    for other in RELIABILITIES:
        rows = select_by_grades(pool, n, {"judge": {"reliability": other}})
        figures[f"oracle, reliability {other:g}"] = measure(pool, rows)
    for target in TARGETS:
        ranking = {"judge": {"reliability": 1.0, "target": target}}
        rows = select_by_grades(pool, n, ranking)
        figures[f"oracle, target {target:g}"] = measure(pool, rows)
    return figures


# Bars


def check_bars(figures: dict[str, dict[str, dict[str, Any]]]) -> dict[str, bool]:
    """Which of the demands of issue 12 hold."""
    alpaca = figures["alpaca"]["20%"]
    random, oracle = alpaca["random"], alpaca["oracle"]
    bars = {
        "oracle: value >= 48, correctness >= 86": oracle["value"] >= 48
        and oracle["correctness"] >= 86
    }
    demands = {FAST: (7, 4), BOTH: (9, 6)}
    for tier, (value, correctness) in demands.items():
        if tier not in alpaca:
            continue
        found = alpaca[tier]
        gain = found["gain"]
        bars[f"{tier}: value +{value}, correctness +{correctness}"] = (
            gain["value"][0] >= value and gain["correctness"][0] >= correctness
        )
        bars[f"{tier}: coverage and tags a row no lower than random's"] = (
            found["coverage"] >= random["coverage"] and found["tags"] >= random["tags"]
        )
        bars[f"{tier}: median length <= 2.5 times the pool's"] = found["length"] <= 2.5
        bars[f"{tier}: no source below random by an interval"] = all(
            each[tier]["gain"][name][2] >= 0
            for by_share in figures.values()
            for each in by_share.values()
            for name in ("value", "correctness")
        )
    return bars


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=DATA)
    parser.add_argument("--quick", action="store_true", help="no alternatives")
    arguments = parser.parse_args()
    if not (arguments.data / GRADES).exists():
        print(json.dumps({"skipped": f"no {arguments.data / GRADES}"}))
        return
    if not OUT_OF_FOLD.exists():
        print(json.dumps({"skipped": f"no {OUT_OF_FOLD}: run make bench-judge first"}))
        return
    started = time.monotonic()
    pools = build_pools(read_rows(arguments.data))
    judges = read_judges(OUT_OF_FOLD)
    explained = {
        name: judge.measure_reliability(pools) for name, judge in judges.items()
    }
    reliability = {name: by_source["all"] for name, by_source in explained.items()}

    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for pool in pools:
        figures[pool.name] = {}
        for share in SHARES:
            found = compare_on(pool, judges, reliability, share)
            figures[pool.name][f"{share:.0%}"] = found
            print_figures(f"{pool.name}, {share:.0%} of {len(pool.rows):,}", found)
    alternatives: dict[str, Any] = {}
    if not arguments.quick:
        for name, judge in judges.items():
            first = judges[FAST] if name == BOTH else None
            alternatives |= try_alternatives(
                pools[0], judge, first, reliability[name], SHARES[-1]
            )
        print_figures("alpaca, 20%, other settings", alternatives)
    print(
        json.dumps(
            {
                "reliability": explained,
                "target": DEFAULT_TARGET,
                "tag_price": SelectSettings().tag_price,
                "figures": figures,
                "alternatives": alternatives,
                "bars": check_bars(figures),
                "seconds": round(time.monotonic() - started),
            }
        )
    )


def print_figures(title: str, figures: dict[str, Any]) -> None:
    """A table for people."""
    print(f"\n{title}")
    print(f"  {'':34} value correct coverage  tags length   gain in value, correctness")
    for name, row in figures.items():
        line = (
            f"  {name:34} {row['value']:5.1f} {row['correctness']:7.1f}"
            f" {row['coverage']:8.1f} {row['tags']:5.2f} {row['length']:6.2f}"
        )
        for gain, low, high in row.get("gain", {}).values():
            line += f"   {gain:+5.1f} ({low:+.1f} to {high:+.1f})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
