"""Recall of the true top 20 of a cluster against the number of requests, for the paper's pairing
and each of ours.

    python benchmarks/bench_ranking.py [--clusters 200] [--seed 1] [--judge fitted|noisy|moody]
    [--figure docs/figures/ranking.svg]

One run of 200 clusters of 100 to 300 samples with true qualities N(0, 1); a request is one
comparison in one order, and the paper's procedure (list neighbours, both orders, means of raw
scores) takes one per sample. Two scenarios: no prior, and a grade correlated .4 with quality, given
to the rating and to the shortlist. All plans and ratings are the package's own functions, all
clusters in one global fit; the judge is `simulated_judge.py`. Intervals are 95%, over clusters; a
gain is paired by cluster.

At fewer requests than its own the paper's procedure asks that share of its pairs. `noisy` is a
judge with noise .5; `moody` adds a shift of .5 to both scores of a call: they show what the result
depends on, they are not the benchmark.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl

from simulated_judge import FITTED, Judge, ask
from tacos.methods.judging import pairing, rating
from tacos.methods.judging.shortlist import Rule, shortlist_members

K = 20
RHO = 0.4
JUDGES = {"fitted": FITTED, "noisy": Judge(noise=0.5), "moody": Judge(shift=0.5)}


@dataclass(frozen=True)
class World:
    """The clusters: `members` (id, cluster, position, grade), the true `quality`, and the true top
    20 of each cluster.
    """

    members: pl.DataFrame
    quality: dict[str, float]
    top: pl.DataFrame
    sizes: dict[int, int]


def make_world(n_clusters: int, seed: int) -> World:
    """Sizes uniform in 100..300, qualities N(0, 1), grades correlated .4 with them."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(100, 301, n_clusters)
    n = int(sizes.sum())
    quality = rng.standard_normal(n)
    table = pl.DataFrame(
        {
            "id": [f"sim:{i}" for i in range(n)],
            "cluster": np.repeat(np.arange(n_clusters, dtype=np.uint32), sizes),
            "position": np.arange(n),
            "length": np.ones(n, np.uint32),
            "tag_set": [[0]] * n,
            "grade": RHO * quality + np.sqrt(1 - RHO**2) * rng.standard_normal(n),
            "quality": quality,
        }
    )
    top = table.filter(
        pl.col("quality").rank("ordinal", descending=True).over("cluster") <= K
    )
    return World(
        table,
        dict(table.select("id", "quality").rows()),
        top.select("id", "cluster"),
        dict(enumerate(sizes.tolist())),
    )


def recalls(world: World, scores: pl.DataFrame, seed: int) -> np.ndarray:
    """The recall of the top 20 by score in each cluster; equal scores are ordered by chance."""
    chance = pl.Series("chance", np.random.default_rng(seed).random(scores.height))
    best = (
        scores.sort("id")
        .with_columns(chance)
        .sort("cluster", "score", "chance", descending=[False, True, True])
        .group_by("cluster", maintain_order=True)
        .head(K)
    )
    found = (
        world.top.join(best, on=["id", "cluster"], how="semi").group_by("cluster").len()
    )
    return np.array([dict(found.rows()).get(cluster, 0) / K for cluster in world.sizes])


def n_requests(plan: pl.DataFrame) -> int:
    """Requests of a plan: one per order."""
    return (
        2 * plan.height - plan.filter(pl.col("orders") != "both").height
        if "orders" in plan.columns
        else 2 * plan.height
    )


Point = tuple[str, float, np.ndarray]
"""A procedure, its requests per sample, its recall in each cluster."""


def paper(world: World, judge: Judge, seed: int) -> Iterator[Point]:
    """The paper's procedure, in full and with a share of its pairs."""
    plan = pairing.pair_neighbours(world.members)
    verdicts = ask(plan, world.quality, judge, seed)
    chance = pl.DataFrame(
        {
            "pair": plan["pair"],
            "chance": np.random.default_rng(seed).random(plan.height),
        }
    )
    for share in (0.25, 0.5, 0.625, 0.75, 1.0):
        asked = chance.sort("chance").head(round(share * plan.height))
        part = verdicts.join(asked, on="pair", how="semi")
        yield (
            "paper",
            part.height / world.members.height,
            recalls(world, rating.average_raw_scores(part), seed),
        )


def referenced(world: World, judge: Judge, seed: int) -> Iterator[Point]:
    """Every sample against one reference."""
    plan = pairing.pair_with_reference(world.members, seed)
    scores = rating.fit_least_squares(
        ask(plan, world.quality, judge, seed), "global", world.members
    )
    yield (
        "reference",
        n_requests(plan) / world.members.height,
        recalls(world, scores, seed),
    )


def swiss(
    world: World, judge: Judge, seed: int, entered: pl.DataFrame, prior: bool
) -> Iterator[Point]:
    """A chain, then three Swiss rounds, both orders always."""
    plan = pairing.pair_in_chain(entered, seed)
    verdicts = ask(plan, world.quality, judge, seed)
    for number in range(4):
        scores = rate(verdicts, world, prior)
        yield (
            "chain+swiss",
            n_requests(plan) / world.members.height,
            recalls(world, scores, seed),
        )
        more = pairing.plan_swiss_round(entered, scores, plan, number + 1, seed)
        verdicts = pl.concat(
            [verdicts, ask(more, world.quality, judge, seed + number + 1)]
        )
        plan = pl.concat([plan, more])


def active(
    world: World,
    judge: Judge,
    seed: int,
    prior: bool,
    budget: float,
    linked: bool = False,
    n_rounds: int = 6,
) -> Point:
    """An opening in one order, then active rounds that share the rest of the budget (requests per
    sample).

    Where the budget is small the opening holds 1.5 x budget of each cluster: the best by grade, or
    some at random.
    """
    entered = enter(world, min(1.0, (0.75 if linked else 1.5) * budget), prior, seed)
    plan = pairing.plan_first_round(entered, seed, linked)
    verdicts = ask(plan, world.quality, judge, seed)
    quotas = dict.fromkeys(world.sizes, K)
    for number in range(1, n_rounds):
        scores = rate(verdicts, world, prior)
        orders = plan.group_by("cluster").agg(
            (1 + (pl.col("orders") == "both").cast(pl.Int64)).sum()
        )
        spent = dict(orders.iter_rows())
        rest = {
            c: round((budget * size - spent[c]) / (n_rounds - number))
            for c, size in world.sizes.items()
        }
        more = pairing.plan_active_round(
            entered, scores, plan, quotas, rest, seed + number
        )
        verdicts = pl.concat([verdicts, ask(more, world.quality, judge, seed + number)])
        plan = pl.concat([plan, more])
    name = "active, from a chain" if linked else "active"
    return (
        name,
        n_requests(plan) / world.members.height,
        recalls(world, rate(verdicts, world, prior), seed),
    )


def enter(world: World, share: float, prior: bool, seed: int) -> pl.DataFrame:
    """The share of each cluster that enters comparison."""
    wanted = {cluster: round(share * size) for cluster, size in world.sizes.items()}
    rule: Rule = "embedded-judge" if prior else "random"
    kept, _ = shortlist_members(
        world.members, rule, wanted, factor=1.0, explore=0.0, seed=seed
    )
    return kept.join(world.members.select("id", "position"), on="id")


def rate(verdicts: pl.DataFrame, world: World, prior: bool) -> pl.DataFrame:
    """Least squares with shrinkage, cluster by cluster (no bridges here), with the grades where
    there are any.
    """
    grades = world.members.select("id", "grade") if prior else None
    return rating.fit_least_squares(verdicts, "cluster", None, grades, shrink=True)


def run(world: World, judge: Judge, seed: int, prior: bool) -> list[Point]:
    """Every procedure in one scenario."""
    points = [*paper(world, judge, seed)]
    points += [] if prior else [*referenced(world, judge, seed)]
    points += swiss(world, judge, seed, world.members, prior)
    points += [
        active(world, judge, seed, prior, budget)
        for budget in (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.5)
    ]
    points += [
        active(world, judge, seed, prior, budget, linked=True)
        for budget in (1.25, 1.5, 2.0)
    ]
    return points


def row(point: Point, scenario: str) -> dict[str, object]:
    """A point with its interval."""
    name, requests, recall = point
    half = 1.96 * float(recall.std(ddof=1)) / len(recall) ** 0.5
    return {
        "scenario": scenario,
        "procedure": name,
        "requests": round(requests, 3),
        "recall": round(float(recall.mean()), 4),
        "half": round(half, 4),
    }


def gains(points: list[Point]) -> list[dict[str, float]]:
    """Active against the paper at equal or fewer requests (paired by cluster), and the most that
    could be gained.
    """
    out = []
    for share, theirs in [(round(p[1], 2), p) for p in points if p[0] == "paper"]:
        ours = max(
            (p for p in points if p[0] == "active" and p[1] <= theirs[1] + 0.005),
            key=lambda p: p[1],
            default=None,
        )
        if ours is not None:
            gap = ours[2] - theirs[2]
            half = 1.96 * float(gap.std(ddof=1)) / len(gap) ** 0.5
            out.append(
                {
                    "requests": share,
                    "gain": round(float(gap.mean()), 4),
                    "half": round(half, 4),
                    "room": round(1 - float(theirs[2].mean()), 4),
                }
            )
    return out


def draw(rows: list[dict[str, object]], file: Path) -> None:
    """The figure: recall against requests, a panel per scenario."""
    recall, half = pl.col("recall"), pl.col("half")
    table = pl.DataFrame(rows).with_columns(low=recall - half, high=recall + half)
    scale, axis = (
        alt.Scale(type="log", nice=False),
        alt.Axis(values=[0.25, 0.5, 1, 2, 4]),
    )
    order = ["paper", "active", "active, from a chain", "chain+swiss", "reference"]
    base = alt.Chart(table).encode(
        x=alt.X(
            "requests",
            title="requests per sample (log; the paper: 1)",
            scale=scale,
            axis=axis,
        ),
        color=alt.Color("procedure", title=None, sort=order),
    )
    band = base.mark_errorbar().encode(
        y=alt.Y("low", title="recall of the true top 20"), y2="high"
    )
    line = base.mark_line(point=True).encode(
        y=alt.Y("recall", title="recall of the true top 20")
    )
    panels = alt.Column(
        "scenario", title=None, sort=["no prior", "a prior correlated .4"]
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    alt.layer(line, band).properties(width=340, height=280).facet(column=panels).save(
        str(file)
    )


def main() -> None:
    """Run both scenarios, draw, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--judge", choices=JUDGES, default="fitted")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    began, world, judge = (
        time.perf_counter(),
        make_world(options.clusters, options.seed),
        JUDGES[options.judge],
    )
    scenarios = {"no prior": False, "a prior correlated .4": True}
    points = {
        name: run(world, judge, options.seed, prior)
        for name, prior in scenarios.items()
    }
    rows = [row(point, name) for name, some in points.items() for point in some]
    line = "{scenario:22} {procedure:21} {requests:6.3f} requests per sample, recall {recall:.3f} +- {half:.3f}"
    for one in rows:
        print(line.format(**one))
    if options.figure:
        draw(rows, options.figure)
    figures = {
        "judge": options.judge,
        "clusters": options.clusters,
        "gains": {n: gains(p) for n, p in points.items()},
    }
    print(
        json.dumps(
            {
                "bench": "ranking",
                **figures,
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
