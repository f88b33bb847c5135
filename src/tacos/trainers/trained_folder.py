"""The folder of a trained model, and its manifest.

DIR/
  model/            the model with its tokenizer and our chat_template.jinja, for transformers
  training.json     the manifest: written last, so that a folder with it is complete
  data/             the rows that were trained on, and those that were not
  checkpoints/      while it trains
  plan.json         while it trains: what was checked before it started
  steps.jsonl       while it trains: when each step was done
  trainer.log       what the trainer said
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from tacos.errors import RunError
from tacos.store import files, folders
from tacos.trainers.recipe import Recipe, build_recipe

MODEL = "model"
MANIFEST = "training.json"
DATA = "data"
CHECKPOINTS = "checkpoints"
PLAN = "plan.json"
STEPS = "steps.jsonl"
LOG = "trainer.log"
LOCK = ".lock"
FILES = (MODEL, MANIFEST, DATA, CHECKPOINTS, PLAN, STEPS, LOG, LOCK)
"""All names that the folder may hold."""
CHAT_TEMPLATE = "chat_template.jinja"
"""In the folder of the model, where transformers looks for it."""
VERSION = 1


@dataclass(frozen=True)
class Training:
    """What became of a training."""

    key: str
    """Over everything that decides the result."""
    recipe: dict[str, Any]
    """All values of the recipe."""
    recipe_name: str
    recipe_hash: str
    seed: int
    base_model: str
    """The folder or the name on the hub of the model that was trained."""
    base_digest: str
    """Of the base model's files; "" for one from the hub, which `base_model` names."""
    template: str
    template_hash: str
    """Of the text of the chat template."""
    data: str
    """What was given as data."""
    data_hash: str
    """Of the rows that were trained on, in their order."""
    n_rows: int
    """Rows given."""
    n_trained: int
    """Rows trained on."""
    n_held_out: int
    """Rows that the recipe holds out."""
    left_out: dict[str, int]
    """Why other rows were not trained on -> rows."""
    n_cut: int
    """Rows trained on whose end was cut."""
    read_tokens: int
    """Tokens of the rows in one epoch: questions and answers, no padding."""
    trained_tokens: int
    """Tokens that were trained on, over all epochs: answers alone."""
    seen_tokens: int
    """Tokens that the trainer counted, over all epochs, no padding."""
    steps: int
    epochs: float
    seconds: float
    """The trainer's own time, its start not counted; after an interruption, the time of the steps
    that count."""
    n_starts: int
    """1 plus the number of interruptions."""
    device: str
    n_devices: int
    versions: dict[str, str]
    """Packages of the training environment -> versions."""
    losses: list[list[float]]
    """[step, mean loss per trained token] of each step."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"version": VERSION, **asdict(self)}

    def read_recipe(self) -> Recipe:
        """The recipe. Raises `ConfigError` if this version of tacos does not know it."""
        return build_recipe(self.recipe)


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Keep others out of the folder, which is made if it does not exist, and removed again if it
    stays empty; yields the locked file, which a trainer keeps open, so that the lock lasts as long
    as it lives.

    Raises:
        OutputError: The folder cannot be made, or holds what tacos did not write.
        RunError: Another process trains there.
    """
    folders.check_folder(folder, FILES)
    with files.lock_folder(folder, LOCK, "name another folder") as handle:
        yield handle.fileno()


def is_trained_folder(folder: Path) -> bool:
    """Whether a folder holds a model that `tacos train` finished."""
    return (folder / MANIFEST).is_file()


def read_training(folder: Path) -> Training:
    """The manifest of a trained folder.

    Raises:
        RunError: The folder holds no finished training, or one of another version.
    """
    path = folder / MANIFEST
    again = "remove it, and train again"
    try:
        values = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(
            f"{folder} holds no trained model: its {MANIFEST} is missing; finish `tacos train`, or "
            "name another folder"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): {again}") from None
    if not isinstance(values, Mapping) or values.get("version") != VERSION:
        raise RunError(f"{path} is of another version of tacos: {again}")
    try:
        return TypeAdapter(Training).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RunError(f"{path}: {name}: {first['msg']}: {again}") from None


def write_training(training: Training, folder: Path) -> Path:
    """Write the manifest. Raises `OutputError`."""
    text = orjson.dumps(training.as_dict(), option=orjson.OPT_INDENT_2)
    return files.write_bytes(text + b"\n", folder / MANIFEST)
