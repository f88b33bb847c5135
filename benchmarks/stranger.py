"""The stranger's run: a run whose right answers are known, for a reader who has the report alone.

`python benchmarks/stranger.py FOLDER [-n 1000] [--port 8931]` selects from 8,000 rows of Alpaca and
2,000 of Dolly by `tacos select` in a process of its own, with a simulated model behind a real local
server (`stranger_world`). FOLDER then holds the inputs, `selected.jsonl`, the run (`run/`, with
`report.html`), what the terminal said (`terminal.txt`), and `answers.json`: ten questions with what
is known from the world itself, from the server's counts and from the tables, not from the report.
`--report` only writes the report anew, with the code of today. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tacos
from tacos.pipeline.steps.pool import find_newest_scores

sys.path.insert(0, str(Path(__file__).parents[1]))

import stranger_world
from stranger_world import SimulatedModel, World

LARGER = 2000
"""The size of the selection that the reader is asked about."""
FEWEST = 20
"""Rows of the pool that a topic must have to be missed."""


def main() -> None:
    """Make the run, and write down what is true of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--port", type=int, default=8931)
    parser.add_argument("--report", action="store_true")
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    if chosen.report:
        write_report(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    files = stranger_world.write_inputs(folder)
    world = World(files)
    server = SimulatedModel(world)
    server.start(chosen.port)
    command = build_command(files, chosen.n, server.url)
    try:
        select_rows(folder, command)
    finally:
        server.stop()
    done = tacos.load(folder / "run")
    answers = collect_answers(done, world, server.sold, command)
    text = json.dumps(answers, indent=2, ensure_ascii=False)
    (folder / "answers.json").write_text(text + "\n")
    print(folder / "answers.json")


def build_command(files: Mapping[str, Path], n: int, url: str) -> list[str]:
    """What a user would type; the settings keep it to some 25,000 requests."""
    prices = (
        f"llm.price_in={stranger_world.PRICE_IN}",
        f"llm.price_out={stranger_world.PRICE_OUT}",
    )
    sets = [
        *prices,
        "llm.concurrency=64",
        "normalise.model=llm",
        "normalise.alpha=2",
        "shortlist.factor=2.5",
    ]
    command = ["tacos", "select", *(file.name for file in files.values())]
    command += ["-n", str(n), "-o", "selected.jsonl", "--run", "run"]
    command += ["--llm", url, "--model", "sim-1", "--yes"]
    command += ["--ledger", "ledger.sqlite"]
    for each in sets:
        command += ["--set", each]
    return command


def select_rows(folder: Path, command: list[str]) -> None:
    """Run the command in the folder, and keep what it printed, at 80 columns."""
    environment = {**os.environ, "OPENAI_API_KEY": "sk-none", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"$ {shlex.join(command)}\n{done.stderr}{done.stdout}"
    (folder / "terminal.txt").write_text(said)
    if done.returncode:
        raise SystemExit(said)


def write_report(folder: Path) -> None:
    """The report of a run that exists, by the code of today."""
    done = tacos.load(folder / "run")
    done.report(folder / "run" / "report.html")


def collect_answers(
    done: tacos.Selection,
    world: World,
    sold: Mapping[str, int],
    command: list[str],
) -> dict[str, Any]:
    """Question -> what is true."""
    usd = sold["prompt_tokens"] * stranger_world.PRICE_IN
    usd += sold["completion_tokens"] * stranger_world.PRICE_OUT
    return {
        "why was row X dropped": list_dropped_rows(done),
        "is the judge biased, towards what": {
            "first place wins equal pairs": stranger_world.FIRST_SHARE,
            "points of the first place": round(stranger_world.FIRST_BONUS, 2),
            "points for a response e times as long": stranger_world.LENGTH_BONUS,
            "points for rows of Dolly": stranger_world.SOURCE_BONUS,
            "topics that lose points": stranger_world.DISLIKED,
        },
        "what did it cost": {**sold, "usd": round(usd / 1e6, 4)},
        "which topics are missing": {
            "planted": stranger_world.DISLIKED,
            "in the tables": list_missing_tags(done),
        },
        "is it better than random": compare_quality(done, world),
        "what would 2,000 rows have added": measure_larger(done),
        "which tags were merged wrongly": list_wrong_merges(done),
        "which source was favoured": count_sources(done),
        "how do I reproduce it": shlex.join(command),
        "what should I not believe": [
            "the judge's scores across lengths, places and sources (planted)",
            "tags that are two things (planted)",
            f"{stranger_world.MALFORMED:.1%} of the questions have no answer: their rows are "
            "missing, not bad",
            "what a training run would make of the rows: nobody tried",
        ],
    }


def list_dropped_rows(done: tacos.Selection) -> list[dict[str, str]]:
    """One row for each way to be dropped."""
    rows = []
    taken = done.table["id"]
    is_out = ~pl.col("id").is_in(taken.implode())
    for name in ("samples", "tags", "shortlist"):
        # A row whose tags could not be used may be selected all the same.
        rejects = done.artifacts[name].rejects().filter(is_out)
        for (reason,), group in rejects.group_by("reason", maintain_order=True):
            first = group.row(0, named=True)
            rows.append({"id": first["id"], "stage": name, "reason": str(reason)})
    scores = read_scores(done)
    rest = scores.filter(is_out).sort("score")
    for place, reason in ((0, "the lowest score"), (-1, "the highest score not taken")):
        rows.append({"id": rest["id"][place], "stage": "select", "reason": reason})
    return rows


def read_scores(done: tacos.Selection) -> pl.DataFrame:
    """id and score of every rated row."""
    newest = find_newest_scores(done.artifacts)
    assert newest is not None
    return done.artifacts[newest].scan().drop_nulls("score").collect()


def list_missing_tags(done: tacos.Selection) -> list[dict[str, Any]]:
    """Tags of many rows that no selected row has, the most frequent first."""
    tags = done.artifacts["canonical_tags"].scan().select("id", "tags").collect()
    tags = tags.explode("tags").drop_nulls()
    taken = tags.filter(pl.col("id").is_in(done.table["id"].implode()))
    counts = tags.group_by("tags").len("rows").filter(pl.col("rows") >= FEWEST)
    missing = counts.join(taken, on="tags", how="anti")
    return missing.sort("rows", "tags", descending=[True, False]).to_dicts()


def compare_quality(done: tacos.Selection, world: World) -> dict[str, float]:
    """Mean true quality of the selection, of the rated rows and of all rows."""
    samples = done.artifacts["samples"].scan().select("id", "instruction", "response")
    quality = {}
    for row in samples.collect().iter_rows():
        known = world.rows.get(row[1:])
        if known is not None:
            quality[row[0]] = known.quality
    rated = read_scores(done)["id"].to_list()
    groups = {"selected": done.table["id"].to_list(), "rated": rated, "all": quality}
    means = {}
    for name, ids in groups.items():
        values = [quality[id_] for id_ in ids if id_ in quality]
        means[name] = round(float(np.mean(values)), 2)
    means["selected over rated"] = round(means["selected"] - means["rated"], 2)
    means["selected over all"] = round(means["selected"] - means["all"], 2)
    return means


def measure_larger(done: tacos.Selection) -> dict[str, Any]:
    """Tags covered and mean score at both sizes."""
    larger = tacos.reselect(done, n=LARGER, strategy="tacos")
    figures = {}
    for name, each in (("as selected", done), (f"{LARGER} rows", larger)):
        selection = each.summary.selection["selection"]
        figures[name] = {
            key: selection[key]
            for key in ("n", "coverage", "mean_score", "mean_length")
        }
    return figures


def list_wrong_merges(done: tacos.Selection) -> list[dict[str, Any]]:
    """The planted pairs, what became of them, and their rows."""
    vocabulary = done.artifacts["vocabulary"].scan().collect()
    by_tag = {row["raw"].lower(): row for row in vocabulary.to_dicts()}
    merges = []
    for pair in stranger_world.WRONG_MERGES:
        rows = [by_tag.get(tag.lower()) for tag in pair]
        names = [row["canonical"] if row else None for row in rows]
        merges.append(
            {
                "tags": pair,
                "canonical": names,
                "merged": names[0] == names[1] and names[0] is not None,
            }
        )
    return merges


def count_sources(done: tacos.Selection) -> dict[str, Any]:
    """Rows of each source in the pool and in the selection."""
    samples = done.artifacts["samples"].scan().select("id", "source").collect()
    taken = samples.filter(pl.col("id").is_in(done.table["id"].implode()))
    pool = dict(samples["source"].value_counts().iter_rows())
    selected = dict(taken["source"].value_counts().iter_rows())
    return {
        source: {
            "pool": n / samples.height,
            "selection": selected.get(source, 0) / taken.height,
        }
        for source, n in pool.items()
    }


if __name__ == "__main__":
    main()
