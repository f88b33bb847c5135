"""`tacos prove` with a real base model on a CPU: 100 rows an arm. It shows the mechanics, and is no
evidence.

    make setup-train
    python benchmarks/prove_small.py FOLDER --prepare        # pool.json, pairs.jsonl, the selection
    make small-models TEXTS="FOLDER/pool.json FOLDER/pairs.jsonl FOLDER/lima_1029.json.gz"
    python benchmarks/prove_small.py FOLDER --model build/small-models/gemma-3-270m

The pool is about 3,000 rows of Alpaca that CoachLM's experts did not revise, since `prove` takes
rows that ask what an item asks out of all arms. Items: 60 answers of LIMA and 60 pairs of a raw and
an expert's answer, evenly over lengths. Recipe `small` with 1 epoch, 256 tokens, steps of 8 rows;
2 seeds, all arms. The same command goes on where it was stopped; the seconds of all sittings are
added up in FOLDER/sittings.json. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import time
from pathlib import Path

import tacos

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALPACA = DATA / "corpora" / "alpaca_data.json.gz"
LIMA = DATA / "corpora" / "lima_1029.json.gz"
REVISIONS = DATA / "quality_pairs" / "coachlm_expert_revision.json.gz"
N_POOL = 3_020
"""Some repeat each other, or ask what an item asks."""
N_SELECTED = 101
N_ITEMS = 60
VALUES = ("epochs=1", "max_length=256", "batch_size=8", "micro_batch_size=4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    if asked.prepare:
        prepare(asked.folder)
    elif asked.model is None:
        sys.exit("name the base model: --model FOLDER")
    else:
        prove(asked.folder, asked.model)


def prepare(
    folder: Path, n_pool: int | None = N_POOL, n_selected: int = N_SELECTED
) -> None:
    """Write the pool, the items and a selection of the pool; without a number all of Alpaca."""
    folder.mkdir(parents=True, exist_ok=True)
    revisions = json.loads(gzip.decompress(REVISIONS.read_bytes()))
    revised = {fold(row["Raw Instruction"]) for row in revisions}
    rows = json.loads(gzip.decompress(ALPACA.read_bytes()))
    pool = [row for row in rows if fold(row["instruction"]) not in revised][:n_pool]
    (folder / "pool.json").write_text(json.dumps(pool))
    with (folder / "pairs.jsonl").open("w") as file:
        for number, pair in enumerate(list_pairs(revisions)):
            file.write(json.dumps(place_pair(*pair, number)) + "\n")
    shutil.copy(LIMA, folder)
    selection = tacos.select(
        folder / "pool.json", n=n_selected, run=folder / "selected.jsonl.run"
    )
    print(json.dumps({"pool": len(pool), "selected": len(selection.rows)}))


def fold(text: str) -> str:
    """A question without what does not tell it from others."""
    return text.strip().lower()


def list_pairs(revisions: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """Question, expert's answer and raw answer, where the expert left the question as it was."""
    pairs = []
    for row in revisions:
        question, raw, revised = (
            row["Raw Instruction"],
            row["Raw Response"],
            row["Revised Response"],
        )
        is_same = (question, row["Raw Input"]) == (
            row["Revised Instruction"],
            row["Revised Input"],
        )
        if is_same and raw.strip() and raw != revised:
            given = row["Raw Input"]
            pairs.append(
                (f"{question}\n\n{given}" if given else question, revised, raw)
            )
    return pairs


def place_pair(question: str, better: str, worse: str, number: int) -> dict[str, str]:
    """A row of a file of pairs; the better answer stands first in every other one."""
    first, second, preferred = (
        (better, worse, "a") if number % 2 == 0 else (worse, better, "b")
    )
    return {
        "instruction": question,
        "response_a": first,
        "response_b": second,
        "preferred": preferred,
    }


def prove(folder: Path, model: Path) -> None:
    """One sitting; prints the figures when the experiment is complete."""
    kept = folder / "sittings.json"
    sittings = json.loads(kept.read_text()) if kept.exists() else []
    started, cpu = time.monotonic(), measure_cpu()
    try:
        proof = tacos.prove(
            folder / "selected.jsonl.run",
            folder / "experiment",
            recipe="small",
            values=VALUES,
            model=model,
            held_out=folder / LIMA.name,
            preferences=folder / "pairs.jsonl",
            seeds=2,
            n_items=N_ITEMS,
            device="cpu",
        )
    finally:
        sittings.append(
            {
                "seconds": round(time.monotonic() - started),
                "cpu_seconds": round(measure_cpu() - cpu),
            }
        )
        kept.write_text(json.dumps(sittings))
    figures = proof.results.as_dict()
    figures["minutes"] = round(sum(each["seconds"] for each in sittings) / 60, 1)
    figures["cpu_minutes"] = round(
        sum(each["cpu_seconds"] for each in sittings) / 60, 1
    )
    figures["sittings"] = len(sittings)
    print(json.dumps(figures))


def measure_cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
