"""A run over 40,000 rows of Alpaca that 12,002 more rows join, against one run over all of them.

`python benchmarks/bench_extend.py [--old 40000] [--new 12002] [-n 1000] [--plain]`. The tests' server tags and
judges: every answer is a function of the question. Each run has a ledger of its own, so that
nothing but the extended run itself can answer for it. Prints one JSON line:

- `asked_again`: questions of the extended run that the old one had asked (goal: 0);
- `ratio`: its requests over those of a run over the new rows alone, which selects as many of them
  as fall to them (goal: <= 1.2), in all and by stage;
- `shared`: rows that it selects as the run over all does, over those that two seeds of the run over
  all share (goal: >= 0.9);
- `plain`, with `--plain`: what the same data as one input ask with the old run's ledger, without
  `--extend`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import tacos
from tacos import config
from tacos.config import Settings
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.server.fault_server import Behaviour, FaultServer

ALPACA = (
    Path(__file__).parents[2] / "shared" / "data" / "corpora" / "alpaca_data.json.gz"
)


class HashedCounter(Counter[Any]):
    """Counts texts by their hashes: the texts themselves would fill the memory."""

    def __getitem__(self, text: Any) -> int:
        return super().get(self.digest(text), 0)

    def __setitem__(self, text: Any, count: int) -> None:
        super().__setitem__(self.digest(text), count)

    @staticmethod
    def digest(text: Any) -> bytes:
        """16 bytes; those of a digest are the digest itself."""
        if isinstance(text, bytes):
            return text
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Forgetful(list[Any]):
    """Keeps nothing."""

    def append(self, item: Any) -> None:
        return


class CountingServer(FaultServer):
    """The tests' server without a memory of what came in, but for counts."""

    def __init__(self) -> None:
        super().__init__(Behaviour())
        self.bodies = Forgetful()
        self.headers = Forgetful()
        self.queries = Forgetful()
        self.start_anew()

    def start_anew(self) -> None:
        """Forget the counts."""
        self.asked = HashedCounter()
        self.answered = HashedCounter()


def build_settings(server: FaultServer, n: int, seed: int = 1) -> Settings:
    """Everything by the server, but for vectors."""
    llm = {"base_url": server.url, "model": "tiny-1", "concurrency": 64}
    return config.load_settings(
        "robust",
        seed=seed,
        tag={"model": "llm"},
        judge={"model": "llm"},
        llm=llm,
        select={"n": n},
    )


def count_questions(done: tacos.Selection) -> dict[str, int]:
    """Stage -> questions that its table rests on, answered by whatever."""
    counts: Counter[str] = Counter()
    for artifact in done.artifacts.values():
        notes = artifact.manifest.get("notes") or {}
        if artifact.manifest["stage"] in {"tag", "judge"}:
            counts[artifact.manifest["stage"]] += notes.get("n_asked", 0)
    return dict(counts)


def list_selected(done: tacos.Selection) -> set[str]:
    """The content hashes of the selected rows."""
    return set(done.table["content_hash"])


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", type=int, default=40_000)
    parser.add_argument("--new", type=int, default=12_002)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--plain", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "sk-none")
    with gzip.open(ALPACA) as file:
        rows = json.load(file)[: chosen.old + chosen.new]
    server = CountingServer()
    with tempfile.TemporaryDirectory() as name, server:
        figures = measure(
            rows,
            chosen.old,
            chosen.n,
            Path(name),
            server,
            with_plain=chosen.plain,
        )
    print(json.dumps(figures))


def measure(
    rows: list[Any],
    n_old: int,
    n: int,
    folder: Path,
    server: CountingServer,
    *,
    with_plain: bool,
) -> dict[str, Any]:
    """All figures."""
    files = {"old": rows[:n_old], "new": rows[n_old:], "all": rows}
    for name, part in files.items():
        (folder / f"{name}.json").write_text(json.dumps(part))
    seconds: dict[str, float] = {}

    def run(
        name: str, data: list[str], settings: Settings, ledger: str = ""
    ) -> tuple[tacos.Selection, Counter[Any]]:
        """A run, and the questions that reached the server."""
        server.start_anew()
        started = time.monotonic()
        done = run_selection(
            [str(folder / f"{each}.json") for each in data],
            settings,
            OutputTargets(run=folder / name),
            ledger=folder / f"{ledger or name}.sqlite",
        )
        seconds[name] = round(time.monotonic() - started, 1)
        print(name, seconds[name], server.asked.total(), file=sys.stderr)
        return done, server.asked

    _, asked_old = run("first", ["old"], build_settings(server, n))
    settings = build_settings(server, n)
    extension = config.ExtendSettings(runs=(str(folder / "first"),))
    extended, asked = run(
        "extended", ["new"], settings.model_copy(update={"extend": extension})
    )
    whole, _ = run("whole", ["all"], settings)
    seeded, _ = run("seeded", ["all"], build_settings(server, n, seed=2), "whole")
    n_alone = round(n * (len(rows) - n_old) / len(rows))
    alone, _ = run("alone", ["new"], build_settings(server, n_alone), "whole")
    plain = {}
    if with_plain:
        _, asked_plain = run("plain", ["old", "new"], settings, "first")
        again = len(asked_plain.keys() & asked_old.keys())
        plain = {"requests": asked_plain.total(), "asked_again": again}

    needed = count_questions(alone)
    own = count_questions(extended)
    same = len(list_selected(extended) & list_selected(whole))
    same_seeds = len(list_selected(seeded) & list_selected(whole))
    return {
        "rows": [n_old, len(rows) - n_old],
        "n": n,
        "asked_again": len(asked.keys() & asked_old.keys()),
        "requests": asked.total(),
        "requests_by_stage": own,
        "needed_by_new_rows_alone": needed,
        "ratio": round(asked.total() / sum(needed.values()), 3),
        "ratio_by_stage": {
            stage: round(own[stage] / needed[stage], 3) for stage in needed
        },
        "shared_with_whole": same,
        "shared_by_seeds": same_seeds,
        "shared": round(same / same_seeds, 3),
        "drift": extended.summary.extended,
        "plain": plain,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
