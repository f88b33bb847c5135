"""Decontamination: prompts of evaluation sets planted in Alpaca, and how many `tacos clean` drops.

    # or: python benchmarks/bench_contamination.py [--show]
    make bench-contamination

200 prompts of MT-Bench and five test sets are drawn. Each is planted five times: as it is, in
capitals without punctuation, with a word more, with a word less, with another word. Rows of Alpaca
itself that are dropped are counted apart; `--show` prints them, to be read. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tacos.methods.cleaning.contamination import list_evaluation_prompts

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALPACA = DATA / "corpora" / "alpaca_data.json.gz"
EVALUATION = DATA / "evaluation"
N_PROMPTS = 200
KINDS = ("verbatim", "capitals", "word more", "word less", "another word")
FEWEST_WORDS = 6
"""Words of a prompt that is planted: one of two words less one is another prompt."""
FILLERS = ("really", "maybe", "today", "kindly", "indeed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true")
    show = parser.parse_args().show
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = write_sets(folder)
        prompts = [prompt for file in sets for prompt in read_prompts(file)]
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(prompts), N_PROMPTS, replace=False)
        planted = [
            (kind, vary(prompts[number], kind, rng))
            for number in chosen
            for kind in KINDS
        ]
        rows = json.loads(gzip.decompress(ALPACA.read_bytes()))
        for kind, prompt in planted:
            answer = f"Yes, {len(rows)}."  # or rows of equal prompts would be the same
            rows.append(
                {"instruction": prompt, "input": "", "output": answer, "planted": kind}
            )
        dropped = clean(rows, sets, folder)
    found = Counter(row["planted"] for row in dropped if row.get("planted"))
    own = [row for row in dropped if not row.get("planted")]
    if show:
        for row in own:
            print(json.dumps(row, ensure_ascii=False)[:600])
    figures = {
        "planted of each kind": N_PROMPTS,
        "found": {kind: found[kind] for kind in KINDS},
        "other rows": len(rows) - len(planted),
        "other rows dropped": len(own),
    }
    print(json.dumps(figures))


def write_sets(folder: Path) -> list[Path]:
    """The evaluation sets as plain files."""
    questions = folder / "mt_bench.jsonl"
    packed = EVALUATION / "mt_bench" / "mt_bench__question.jsonl.gz"
    questions.write_bytes(gzip.decompress(packed.read_bytes()))
    return [questions, *sorted((EVALUATION / "test_sets").glob("*.jsonl"))]


def read_prompts(file: Path) -> list[str]:
    """The prompts of a set that are long enough to be changed by a word."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    texts = [text for row in rows for text in list_evaluation_prompts(row)[:1]]
    return [text for text in texts if len(text.split()) >= FEWEST_WORDS]


def vary(prompt: str, kind: str, rng: np.random.Generator) -> str:
    """The prompt, lightly edited."""
    if kind == "verbatim":
        return prompt
    if kind == "capitals":
        return re.sub(r"[^\w\s]", "", prompt).upper()
    words = prompt.split(" ")
    place = int(rng.integers(len(words)))
    filler = str(rng.choice(FILLERS))
    if kind == "word more":
        words.insert(place, filler)
    elif kind == "word less":
        del words[place]
    else:
        words[place] = filler
    return " ".join(words)


def clean(
    rows: list[dict[str, Any]], sets: list[Path], folder: Path
) -> list[dict[str, Any]]:
    """The rows that `tacos clean` drops for contamination."""
    source = folder / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    source.write_text("".join(lines), "utf-8")
    target = folder / "clean.jsonl"
    command = [sys.executable, "-m", "tacos", "clean", str(source), "-o", str(target)]
    for rule in ("secrets", "encoding", "refusals", "duplicates"):
        command += ["--without", rule]
    for file in sets:
        command += ["--against", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = Path(f"{target}.dropped.jsonl").read_text("utf-8").splitlines()
    dropped = [json.loads(line) for line in lines]
    found = [each for each in dropped if each["rule"] == "contamination"]
    return [
        {"reason": each["reason"], **json.loads(str(each["row"]))} for each in found
    ]


if __name__ == "__main__":
    main()
