"""Do the judge's prompts measure what they say? Answers of careful readers to each version of a prompt
against the graders of `../shared/data/judge_grades`.

    python benchmarks/bench_prompts.py [../shared/data]

`prompt_answers/` holds the readers' numbers (see its README.md). For each version of a prompt of
single samples: Spearman's correlation with the graders' value and correctness (95% intervals by
bootstrap over rows), means by source, correlation with length beside the graders' own, and what the
best fifth of the Alpaca rows is worth by the graders. For comparisons: the same, and how often the
same sample wins in both orders. Prints one line of JSON last.

The readers are language models, as the graders are: agreement says that the prompt asks for what the
graders were asked for, not that either is right.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = Path(__file__).parent / "prompt_answers"
NUMBERS = ("value", "correctness")
N_DRAWS = 2_000
TOP_SHARE = 0.2


def read_lines(path: Path) -> pl.DataFrame:
    """A gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return pl.DataFrame(rows, infer_schema_length=None)


def read_graders(data: Path) -> pl.DataFrame:
    """`id` (source:row), `source`, `length`, the graders' `one_score` under the prompt of one score
    (`grade_one`), and `value_ref` and `correctness_ref`.
    """
    grades = read_lines(data / "judge_grades" / "llm_grades.jsonl.gz")
    return grades.select(
        "source",
        id=pl.format("{}:{}", "source", "row"),
        length=pl.col("response").str.len_chars(),
        one_score=pl.col("score").cast(pl.Float64),
        value_ref=pl.col("value").cast(pl.Float64),
        correctness_ref=pl.col("correct").cast(pl.Float64),
    )


def correlate(table: pl.DataFrame, one: str, other: str) -> dict[str, Any]:
    """Spearman's correlation with a 95% interval by bootstrap over rows."""
    pairs = table.select(one, other).to_numpy()
    draw = np.random.default_rng(1)
    draws = []
    for _ in range(N_DRAWS):
        rows = draw.integers(len(pairs), size=len(pairs))
        draws.append(_spearman(pairs[rows]))
    low, high = np.quantile(draws, (0.025, 0.975))
    return {
        "rho": round(_spearman(pairs), 3),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "n": len(pairs),
    }


def _spearman(pairs: np.ndarray) -> float:
    frame = pl.DataFrame(pairs, schema=["one", "other"])
    return float(frame.select(pl.corr("one", "other", method="spearman")).item())


def measure_grades(answers: pl.DataFrame, graders: pl.DataFrame) -> dict[str, Any]:
    """The figures of one version of a prompt: `answers` has id and score, or both numbers."""
    table = answers.join(graders, on="id", how="inner").sort("id")
    names = [name for name in ("score", *NUMBERS) if name in table.columns]
    figures: dict[str, Any] = {"n": table.height}
    for name in names:
        figures[name] = {
            "with value": correlate(table, name, "value_ref"),
            "with correctness": correlate(table, name, "correctness_ref"),
        }
    figures["by length"] = _correlate_lengths(table, names)
    figures["by length, Alpaca"] = _correlate_lengths(
        table.filter(pl.col("source") == "alpaca"), names
    )
    means = [pl.col(name).mean().round(1) for name in (*names, *_references())]
    by_source = table.group_by("source").agg(pl.len().alias("n"), *means).sort("source")
    figures["means"] = by_source.to_dicts()
    figures["best fifth of Alpaca"] = _value_best_fifth(table, names)
    return figures


def _references() -> list[str]:
    return [f"{name}_ref" for name in NUMBERS]


def _correlate_lengths(table: pl.DataFrame, names: list[str]) -> dict[str, float]:
    """Spearman's correlation of each number, the graders' included, with length."""
    correlations = {}
    for name in (*names, *_references()):
        pairs = table.select(name, "length").to_numpy().astype(np.float64)
        correlations[name] = round(_spearman(pairs), 2)
    return correlations


def _value_best_fifth(table: pl.DataFrame, names: list[str]) -> dict[str, Any]:
    """What graders give the best fifth of the Alpaca rows by the readers' score, and the pool."""
    alpaca = table.filter(pl.col("source") == "alpaca")
    score = pl.col("score") if "score" in names else pl.mean_horizontal(*NUMBERS)
    oracle = pl.mean_horizontal(*_references())
    n = round(alpaca.height * TOP_SHARE)
    means = [pl.col(name).mean().round(1) for name in _references()]
    return {
        "n": n,
        "pool": alpaca.select(means).row(0, named=True),
        "readers": alpaca.top_k(n, by=score).select(means).row(0, named=True),
        "graders": alpaca.top_k(n, by=oracle).select(means).row(0, named=True),
    }


def measure_comparisons(answers: pl.DataFrame, graders: pl.DataFrame) -> dict[str, Any]:
    """The figures of the prompt of comparisons: `answers` is a row per pair and order."""
    sides = [
        answers.select(
            id=side,
            value=f"value_{side}",
            correctness=f"correctness_{side}",
        )
        for side in ("left", "right")
    ]
    means = pl.concat(sides).group_by("id").agg(pl.col(NUMBERS).mean())
    figures = measure_grades(means, graders)
    for name in ("score", *NUMBERS):
        figures[f"same winner swapped, {name}"] = _compare_orders(answers, name)
    return figures


def _compare_orders(answers: pl.DataFrame, name: str) -> dict[str, float]:
    """Shares of pairs with the same winner in both orders, with opposite winners, and with a tie in
    one order only; and how far a number moves when the order is swapped (mean points).
    """
    scored = answers
    if name == "score":
        scored = answers.with_columns(
            (pl.col(f"value_{side}") + pl.col(f"correctness_{side}")).alias(
                f"score_{side}"
            )
            / 2
            for side in ("left", "right")
        )
    difference = pl.col(f"{name}_left") - pl.col(f"{name}_right")
    signs = scored.with_columns(winner=difference.sign()).pivot(
        "order", index=["left", "right"], values="winner"
    )
    product = signs["ab"] * signs["ba"]
    same = signs["ab"] == signs["ba"]
    orders = scored.filter(pl.col("order") == "ab").join(
        scored.filter(pl.col("order") == "ba"), on=["left", "right"]
    )
    moved = [
        _mean((orders[f"{name}_{side}"] - orders[f"{name}_{side}_right"]).abs())
        for side in ("left", "right")
    ]
    return {
        "n": signs.height,
        "same": round(_mean(same), 3),
        "opposite": round(_mean(product < 0), 3),
        "moved": round(float(np.mean(moved)), 1),
    }


def _mean(values: pl.Series) -> float:
    """The mean of the values that are known."""
    return float(values.drop_nulls().to_numpy().mean())


def main() -> None:
    """Measure every version of which there are answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=ROOT / "../shared/data")
    data = parser.parse_args().data
    if not (data / "judge_grades").is_dir():
        print(json.dumps({"skipped": f"no judge_grades in {data}"}))
        return
    graders = read_graders(data)
    figures: dict[str, Any] = {}
    for path in sorted(ANSWERS.glob("*.jsonl.gz")):
        answers = read_lines(path)
        measure = measure_comparisons if "left" in answers.columns else measure_grades
        name = path.name.removesuffix(".jsonl.gz")
        figures[name] = {
            "prompt": answers["prompt"][0],
            **measure(answers, graders),
        }
        # The graders answered the prompt of one score on the same rows, too.
        if name == "grade":
            asked = graders.join(answers, on="id", how="semi")
            one_score = asked.select("id", score="one_score")
            figures["grade_one, by the graders"] = measure_grades(one_score, graders)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
