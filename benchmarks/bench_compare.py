"""All strategies side by side on Alpaca, and what they share with selections that others published.

    # or: python benchmarks/bench_compare.py [../shared/data] [-n 1000] [--run DIR]
    make bench-compare

`tacos select` with the embedded models, then `tacos compare` over every strategy; random is the
mean of 20 draws. For each strategy (of random the first draw), and for the preset `paper` in a run
of its own, the rows that it shares with the 1,000 that the authors of TACOS published, with their
baselines and ablations, and with the subsets of CaR and Cherry-LLM, beside two notions of chance:

- `chance`: as many rows drawn from the whole pool (hypergeometric: mean and 95% interval, z);
- `of these lengths`: as many rows drawn from each hundredth of the pool by length of response as
  the strategy takes from it (a sum of hypergeometrics; z): what length alone explains.

And what `select.tag_price` gives and costs: coverage of tags, mean score and length of the default
strategy by its value, on Alpaca and on 300 rows of Dolly, beside random rows.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

import tacos
from tacos.methods.selecting import strategies
from tacos.models.training import preference_pairs
from tacos.pipeline.steps.pool import measure_pool
from tacos.workflows import compare

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
N_BANDS = 100
PRICES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Values of `select.tag_price` to try."""
PROMPT = re.compile(
    r"^Below is an instruction.*?### Instruction:|### Input:|### Response:\s*$",
    re.DOTALL,
)
Marks = npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=DATA)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--run", type=Path, help="where the run is, or will be")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        alpaca = arguments.data / "corpora" / "alpaca_data.json.gz"
        run = tacos.select(
            str(alpaca), arguments.n, run=arguments.run or Path(folder) / "run"
        )
        selected = time.monotonic()
        found = compare.compare(run, arguments.n, strategies.STRATEGIES)
        compared = time.monotonic()
        paper = tacos.select(
            str(alpaca), arguments.n, run=Path(folder) / "paper", preset="paper"
        )
        curves = {"alpaca": by_tag_price(alpaca, arguments.n, run.run)}
        curves["dolly"] = by_tag_price(
            arguments.data / "corpora" / "dolly_3k.json.gz", 300, Path(folder) / "dolly"
        )
        pool = run.artifacts["samples"].scan().select("id", "length").collect()
        ids, lengths = pool["id"].to_list(), pool["length"].to_numpy()
        papers = measure_pool(paper.artifacts, paper.settings).measure(
            paper.table["id"].to_list()
        )
    others = published(arguments.data, ids)
    bands = np.minimum(
        lengths.argsort(kind="stable").argsort() * N_BANDS // len(ids), N_BANDS - 1
    )
    marks = {name: np.isin(ids, list(chosen)) for name, chosen in found.chosen.items()}
    marks["preset paper"] = np.isin(ids, paper.table["id"].to_list())
    figures = {
        **found.as_dict(),
        "preset paper": papers,
        "published": {name: int(other.sum()) for name, other in others.items()},
        "shared": {
            strategy: {
                name: shared(own, other, bands) for name, other in others.items()
            }
            for strategy, own in marks.items()
        },
        "by select.tag_price": curves,
        "seconds": {
            "select": round(selected - started),
            "compare": round(compared - selected),
        },
    }
    print(json.dumps(figures))


def by_tag_price(data: Path, n: int, run: Path) -> dict[str, dict[str, float | None]]:
    """Coverage, mean score, tags and length of the default strategy for each price of a tag, and of
    random rows.
    """
    out = {}
    for price in PRICES:
        done = tacos.select(
            str(data), n, run=run, settings={"select": {"tag_price": price}}
        )
        measured = measure_pool(done.artifacts, done.settings)
        out[str(price)] = measured.measure(done.table["id"].to_list())
    out["random"] = measured.expect_random(n)
    wanted = ("coverage", "mean_score", "mean_tags", "mean_length")
    return {
        name: {figure: rounded(row[figure]) for figure in wanted}
        for name, row in out.items()
    }


def rounded(value: float | None) -> float | None:
    """Three decimals; None where nothing was measured."""
    return None if value is None else round(value, 3)


def published(data: Path, ids: Sequence[str]) -> dict[str, Marks]:
    """For each published subset of Alpaca, which rows of the pool it has; rows are found by their
    whole text.
    """
    rows = preference_pairs.read_json(data / "corpora" / "alpaca_data.json.gz")
    numbers: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        numbers.setdefault(
            (plain(f"{row['instruction']} {row['input']}"), plain(row["output"])),
            number,
        )
    names = {one.rpartition(":")[2]: place for place, one in enumerate(ids)}
    out = {}
    for path in sorted((data / "published_selections").glob("*alpaca*.json.gz")):
        places = {numbers.get(text_of(row)) for row in preference_pairs.read_json(path)}
        mask = np.zeros(len(ids), bool)
        mask[[names[str(number)] for number in places if str(number) in names]] = True
        out[path.name.split(".")[0]] = mask
    return out


def text_of(row: dict[str, Any]) -> tuple[str, str]:
    """Instruction with input, and response, of a published row."""
    turns = row.get("conversations")
    asked = (
        PROMPT.sub(" ", turns[0]["value"])
        if turns
        else f"{row['instruction']} {row['input']}"
    )
    return plain(asked), plain(answer_of(row))


def answer_of(row: dict[str, Any]) -> str:
    """The response of a published row: of its last turn, or its output."""
    turns = row.get("conversations")
    return str(turns[-1].get("value") if turns else row.get("output", ""))


def plain(text: str) -> str:
    """A text with single blanks, since the published files differ in them."""
    return " ".join(text.split())


def shared(own: Marks, other: Marks, bands: npt.NDArray[np.int64]) -> dict[str, Any]:
    """How many rows two selections have in common, and what chance gives."""
    n, size, theirs, ours = (
        int((own & other).sum()),
        len(own),
        int(other.sum()),
        int(own.sum()),
    )
    even = hypergeom(size, theirs, ours)
    low, high = even.interval(0.95)
    parts = [
        bands == band
        for band in np.unique(bands[own & np.isin(bands, bands[other])]).tolist()
    ]
    each = [
        hypergeom(int(part.sum()), int(other[part].sum()), int(own[part].sum()))
        for part in parts
    ]
    mean, sd = sum(one.mean() for one in each), sum(one.var() for one in each) ** 0.5
    return {
        "n": n,
        "chance": {
            "mean": r(even.mean()),
            "interval": [int(low), int(high)],
            "z": z(n, even.mean(), even.std()),
        },
        "of these lengths": {"mean": r(mean), "z": z(n, mean, sd)},
    }


def z(n: int, mean: float, sd: float) -> float | None:
    """Standard deviations from the mean; None where nothing could vary."""
    return r((n - mean) / sd) if sd > 0 else None


def r(value: float) -> float:
    """Two decimals."""
    return round(float(value), 2)


if __name__ == "__main__":
    main()
