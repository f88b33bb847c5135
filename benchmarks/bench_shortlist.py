"""The shortlist: how good the selection is that a judge makes of it, by who chose the shortlist.

    # or: python benchmarks/bench_shortlist.py [../shared/data] [--seeds 50]
    make bench-shortlist

The pool is the 1,600 rows of Alpaca in `judge_grades`; 400 of them are shortlisted, and 100 are
selected by comparisons. A row's true score is the mean of its value and correctness, as careful
readers gave them; the judge is that score and noise of 5 points, drawn anew for each row of each
request. The stages are those of the pipeline (`make_shortlist`, `pair_samples`, `rate_samples`,
`make_selection`) on tables in memory, with `pair.method=active` and 1, 2 and 4 requests per
shortlisted row, near-duplicates allowed; only the shortlist differs:

    random       rows at random, within clusters
    before       the best of each cluster by the judge of 0.2, and a tenth at random
    today        the default rule, with the fast tier's scores out of fold: fitted without the row
    everything   no shortlist: all rows are judged, with as many requests per row

Scores out of fold come from `make bench-judge` (`benchmarks/.work/judge_oof.parquet`); the seeds
take its partitions in turn. Figures are means over the seeds of the true score of the 100 rows;
intervals are 95%, paired by seed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import tacos
from tacos.config import Settings, load_settings
from tacos.models import judge
from tacos.pipeline.steps import judgements, selection, shortlist
from tacos.pipeline.steps import pairs as pair_steps
from tacos.records import GRADES, VERDICTS, conform_table

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
READ = Path("judge_grades") / "llm_grades.jsonl.gz"
OUT_OF_FOLD = HERE / ".work" / "judge_oof.parquet"
BEFORE = HERE / "old_judge_scores.json"

N = 100
FACTOR = 4.0
NOISE = 5.0
BUDGETS = (1.0, 2.0, 4.0)
ARMS = ("random", "before", "today", "everything")
SCALE = (50.0, 15.0)
"""Points of a normal score: the mean and the standard deviation of grades."""

Floats = npt.NDArray[np.float64]
Tables = dict[str, Any]


@dataclass(frozen=True)
class MemoryTable:
    """A table in memory, as stages read theirs."""

    frame: pl.DataFrame
    model: str = ""

    def scan(self) -> pl.LazyFrame:
        return self.frame.lazy()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        yield self.frame if columns is None else self.frame.select(columns)


@dataclass(frozen=True)
class World:
    """The annotated pool: its tables, the true score of each id, and grades by partition."""

    tables: Tables
    truth: dict[str, float]
    fast: list[pl.DataFrame]
    before: pl.DataFrame


def build_world(data: Path) -> World:
    """Tag and cluster the pool, and look up its grades."""
    with gzip.open(data / READ, "rt", encoding="utf-8") as file:
        everything = [json.loads(line) for line in file]
    rows = [row for row in everything if row["source"] == "alpaca"]
    pool = [
        {"instruction": row["instruction"], "output": row["response"]} for row in rows
    ]
    done = tacos.select(pool, N)
    ids = done.artifacts["samples"].scan().select("id").collect()["id"].to_list()
    kept = [rows[int(id_.rpartition(":")[2])] for id_ in ids]
    names = ("samples", "canonical_tags", "memberships", "clusters")
    tables = {
        name: MemoryTable(done.artifacts[name].scan().collect()) for name in names
    }
    truth = [(row["value"] + row["correct"]) / 2 for row in kept]
    old = json.loads(BEFORE.read_text("utf-8"))["alpaca"]
    numbers = [str(row["row"]) for row in kept]
    before = [old[number] for number in numbers]
    return World(
        tables,
        dict(zip(ids, truth, strict=True)),
        [
            build_grades(ids, value, correctness)
            for value, correctness in read_fast_tier(numbers)
        ],
        build_grades(ids, before, before),
    )


def read_fast_tier(numbers: list[str]) -> list[tuple[Floats, Floats]]:
    """Value and correctness of these rows of Alpaca out of fold, by partition."""
    table = pl.read_parquet(OUT_OF_FOLD)
    is_wanted = (pl.col("source") == "alpaca") & (pl.col("tier") == "fast")
    table = table.filter(is_wanted)
    place = pl.DataFrame({"row": [int(number) for number in numbers]})
    partitions = []
    for part in table.partition_by("partition", maintain_order=True):
        own = part.with_columns(pl.col("row").cast(pl.Int64)).unique("row")
        ordered = place.join(own, on="row", how="left", maintain_order="left")
        partitions.append(
            (ordered["value"].to_numpy(), ordered["correctness"].to_numpy())
        )
    return partitions


def build_grades(ids: list[str], value: Any, correctness: Any) -> pl.DataFrame:
    """A table GRADES."""
    return conform_table(
        pl.DataFrame(
            {"id": ids, "value": list(value), "correctness": list(correctness)}
        ).with_columns(
            judge=pl.lit(""),
            repetition=0,
            grade=pl.lit(None),
            reason=pl.lit(""),
            reply=pl.lit(""),
        ),
        GRADES,
    )


def build_settings(arm: str, budget: float, seed: int) -> Settings:
    """The settings of one run."""
    rules: dict[str, dict[str, Any]] = {
        "random": {"rule": "random"},
        "before": {"rule": "embedded-judge", "explore": 0.1},
        "today": {},
        "everything": {"rule": "all"},
    }
    return load_settings(
        seed=seed,
        select={"n": N, "limit": 1.0},
        shortlist={"factor": FACTOR, **rules[arm]},
        pair={"method": "active", "budget": budget, "rounds": 6},
        judge={"model": "simulated", "mode": "comparative", "target": 0.5},
    )


def run(world: World, arm: str, budget: float, seed: int) -> tuple[float, float]:
    """The mean true score of the selection, and the requests per shortlisted row."""
    settings = build_settings(arm, budget, seed)
    fast = world.fast[seed % len(world.fast)]
    grades = world.before if arm == "before" else fast
    tables = {**world.tables, "grades": MemoryTable(grades, judge.load().name)}
    chosen = shortlist.make_shortlist(tables, settings, None, 0).table
    tables["shortlist"] = MemoryTable(chosen)
    random = np.random.default_rng([seed, int(10 * budget), ARMS.index(arm)])
    pairs: list[pl.DataFrame] = []
    verdicts: list[pl.DataFrame] = []
    for number in range(settings.pair.n_rounds):
        if pairs:
            tables["pairs"] = MemoryTable(pl.concat(pairs))
        new = pair_steps.pair_samples(tables, settings, None, number).table
        pairs.append(new)
        verdicts.append(answer(new, world.truth, random))
        tables["verdicts"] = MemoryTable(pl.concat(verdicts))
        rated = judgements.rate_samples(tables, settings, None, number)
        tables["scores"] = MemoryTable(rated.table)
    taken = selection.make_selection(tables, settings, None, 0).table
    score = float(np.mean([world.truth[id_] for id_ in taken["id"]]))
    return score, pl.concat(verdicts).height / chosen.height


def answer(
    pairs: pl.DataFrame,
    truth: dict[str, float],
    random: np.random.Generator,
) -> pl.DataFrame:
    """A table VERDICTS: one request per order that is asked."""
    orders = pl.DataFrame({"order": ["ab", "ba"]})
    asked = pairs.join(orders, how="cross", maintain_order="left_right")
    is_wanted = (pl.col("orders") == "both") | (pl.col("orders") == pl.col("order"))
    asked = asked.filter(is_wanted)
    scores = {}
    for side in ("left", "right"):
        exact = np.array([truth[id_] for id_ in asked[side]])
        noisy = exact + random.normal(0, NOISE, len(exact))
        scores[f"score_{side}"] = np.clip(noisy, 1, 100)
    verdicts = asked.with_columns(
        judge=pl.lit("simulated"),
        repetition=0,
        reason=pl.lit(""),
        reply=pl.lit(""),
        **{name: pl.Series(values) for name, values in scores.items()},
    )
    missing = [name for name in VERDICTS if name not in verdicts.columns]
    empty = [pl.lit(None).alias(name) for name in missing]
    return conform_table(verdicts.with_columns(empty), VERDICTS)


def summarise(scores: Floats) -> dict[str, float]:
    """Mean and half of the 95% interval, over seeds."""
    half = 1.96 * scores.std(ddof=1) / len(scores) ** 0.5
    return {"mean": round(float(scores.mean()), 2), "half": round(float(half), 2)}


def main() -> None:
    """Run every arm at every budget, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=DATA)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    options = parser.parse_args()
    for file, remedy in (
        (options.data / READ, "it needs the shared data"),
        (OUT_OF_FOLD, "run `make bench-judge` first"),
    ):
        if not file.exists():
            print(json.dumps({"bench": "shortlist", "skipped": f"no {file}: {remedy}"}))
            sys.exit(0)
    began = time.perf_counter()
    world = build_world(options.data)
    figures: dict[str, Any] = {}
    for budget in BUDGETS:
        scores = {}
        for arm in options.arms:
            runs = [run(world, arm, budget, seed) for seed in range(options.seeds)]
            scores[arm] = np.array([score for score, _ in runs])
            n_requests = np.mean([n for _, n in runs])
            found = summarise(scores[arm])
            print(
                f"{budget:.0f} requests per row, {arm:11} {found['mean']:6.2f} "
                f"+- {found['half']:.2f}, {n_requests:.2f} asked",
                flush=True,
            )
        own = {arm: summarise(values) for arm, values in scores.items()}
        gain = {
            f"{arm} - random": summarise(values - scores["random"])
            for arm, values in scores.items()
            if arm != "random" and "random" in scores
        }
        for name, found in gain.items():
            print(f"  {name}: {found['mean']:+.2f} +- {found['half']:.2f}")
        figures[f"{budget:.0f}"] = {**own, **gain}
    print(
        json.dumps(
            {
                "bench": "shortlist",
                "seeds": options.seeds,
                "pool": round(float(np.mean(list(world.truth.values()))), 2),
                "by requests per row": figures,
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
