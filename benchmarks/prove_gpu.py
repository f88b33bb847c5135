"""`tacos prove` with 1,000 rows an arm, its models trained several at a time on one GPU.

    make setup-train
    python benchmarks/prove_gpu.py FOLDER prepare     # the pool, the items, the selection
    make small-models TEXTS="FOLDER/pool.json FOLDER/pairs.jsonl FOLDER/lima_1029.json.gz"
    python benchmarks/prove_gpu.py FOLDER plan        # declares the experiment
    python benchmarks/prove_gpu.py FOLDER train       # where the GPU is
    python benchmarks/prove_gpu.py FOLDER report      # the verdict

The pool is all of Alpaca that CoachLM's experts did not revise. Items: LIMA's 1,029 answers, and
every pair of a raw and an expert's answer (1,261). Recipe `small` with 512 tokens; all arms but the
whole pool.

`tacos prove` trains one model after the other, and with a small model a GPU stands idle most of
that time. `train` has some models trained at once by the same functions, and goes on where it was
stopped. It needs of FOLDER the two files of items and experiment/, which may have been planned on
another machine: the small files of each finished model are added to --found (by default
FOLDER/found.tar.gz), to be unpacked in experiment/ there. `plan` and `report` are `tacos prove
--plan-only`, which trains nothing, counts what is there, and prints a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import prove_small
import tacos
from tacos.config import Settings
from tacos.errors import TacosError
from tacos.methods.evaluating import experiment_items
from tacos.methods.evaluating.experiment_plan import ArmName
from tacos.trainers import environment
from tacos.trainers.recipe import read_recipe
from tacos.workflows.experiment_folder import ExperimentFolder, find_plan
from tacos.workflows.experiment_inputs import read_held_out, read_preferences
from tacos.workflows.experiment_models import (
    Items,
    ModelMaker,
    drop_model,
    is_measured,
    score_arm,
    train_arm,
)
from tacos.workflows.silent_progress import SilentProgress

N_SELECTED = 1_000
RECIPE = "small"
VALUES = ("max_length=512",)
STEPS = ("prepare", "plan", "train", "report")
MODEL = Path("build/small-models/gemma-3-270m")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pool", type=int, help="rows of the pool; all by default")
    parser.add_argument("--rows", type=int, default=N_SELECTED, help="rows of an arm")
    parser.add_argument("--items", type=int, help="of each kind; all by default")
    parser.add_argument("--at-once", type=int, default=6, help="models at a time")
    parser.add_argument("--only", type=int, help="the first models alone")
    parser.add_argument("--found", type=Path)
    parser.add_argument("--python", type=Path, help="of the training environment")
    asked = parser.parse_args()
    if asked.step == "prepare":
        prove_small.prepare(asked.folder, asked.pool, asked.rows)
    elif asked.step == "train":
        found = asked.found or asked.folder / "found.tar.gz"
        trainer = Trainer(
            asked.folder,
            asked.model,
            asked.items,
            environment.find_python(asked.python),
        )
        train(trainer, found, asked.at_once, asked.only)
    else:
        proof = tacos.prove(
            asked.folder / "selected.jsonl.run",
            asked.folder / "experiment",
            recipe=RECIPE,
            values=VALUES,
            model=asked.model,
            held_out=asked.folder / prove_small.LIMA.name,
            preferences=asked.folder / "pairs.jsonl",
            seeds=asked.seeds,
            n_items=asked.items,
            without=["full"],
            plan_only=True,
            trainer_python=asked.python,
        )
        print(json.dumps(proof.as_dict()))


@dataclass(frozen=True)
class Trainer:
    """What a process needs to train and score any model of the experiment."""

    folder: Path
    model: Path
    n_items: int | None
    python: Path

    @property
    def experiment(self) -> ExperimentFolder:
        """The folder of `tacos prove`."""
        return ExperimentFolder(self.folder / "experiment")

    def measure(self, arm: ArmName, seed: int) -> dict[str, str | float]:
        """Train and score a model, and remove its weights; the seconds of both."""
        maker = ModelMaker(
            read_recipe(RECIPE, VALUES),
            str(self.model),
            self.python,
            "auto",
            Settings(),
        )
        progress = SilentProgress()
        started = time.monotonic()
        training = train_arm(self.experiment, maker, arm, seed, progress)
        trained = time.monotonic()
        score_arm(self.experiment, maker, arm, seed, self.read_items(), progress)
        drop_model(self.experiment, arm, seed)
        return {
            "model": f"{arm} {seed}",
            "train": round(trained - started, 1),
            "steps": training.seconds if training else 0.0,
            "score": round(time.monotonic() - trained, 1),
        }

    def read_items(self) -> Items:
        """The items as `tacos prove` draws them."""
        held_out = read_held_out([self.folder / prove_small.LIMA.name], Settings())
        pairs = read_preferences([self.folder / "pairs.jsonl"])
        return {
            "answer-loss": experiment_items.sample_items(
                held_out.items, self.n_items, 0
            ),
            "preference": experiment_items.sample_items(pairs.items, self.n_items, 0),
        }


def train(trainer: Trainer, found: Path, at_once: int, only: int | None) -> None:
    """Train and score what is missing, some models at a time."""
    folder = trainer.experiment
    declared = find_plan(folder)
    if declared is None:
        raise SystemExit(f"{folder.root} holds no plan: run the step `plan` first")
    missing = [
        each
        for each in declared.plan.list_trainings()[:only]
        if not is_measured(folder, *each, is_asked=False)
    ]
    started = time.monotonic()
    failures = []
    # Not forked: polars has threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, spawn) as processes:
        working = [processes.submit(trainer.measure, *each) for each in missing]
        for done in as_completed(working):
            try:
                seconds = done.result()
            except TacosError as error:
                failures.append(str(error))
                print(error, flush=True)
                continue
            at = round(time.monotonic() - started, 1)
            print(json.dumps({"at": at, **seconds}), flush=True)
            pack_found(folder, found)
    if failures:
        raise SystemExit(f"{len(failures)} of {len(missing)} models failed")


def pack_found(folder: ExperimentFolder, found: Path) -> None:
    """Write scores, manifests and logs of all models that are done, in one small file."""
    packed = found.with_suffix(".part")
    with tarfile.open(packed, "w:gz", compresslevel=3) as archive:
        for scores in sorted(folder.root.glob("scores/*/*.jsonl")):
            place = folder.place_training(scores.parent.name, seed_of(scores))
            for path in (scores, place / "training.json", place / "trainer.log"):
                if path.is_file():
                    archive.add(path, path.relative_to(folder.root))
    packed.replace(found)


def seed_of(scores: Path) -> int:
    """The seed of a file of scores, `seed-3.jsonl`."""
    return int(scores.stem.removeprefix("seed-"))


if __name__ == "__main__":
    main()
