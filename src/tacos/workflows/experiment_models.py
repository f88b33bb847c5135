"""The models of an experiment: each is trained on the rows of its arm, then scores the items."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tacos.config import Settings
from tacos.counts import count_words
from tacos.errors import ModelError, RunError
from tacos.methods.evaluating.experiment_items import ExperimentItem
from tacos.methods.evaluating.experiment_plan import ArmName, InstrumentName
from tacos.methods.evaluating.experiment_table import AnswerScore
from tacos.pipeline.run_loop import Progress
from tacos.store import files
from tacos.trainers import trained_folder
from tacos.trainers.model_folder import (
    ModelFolder,
    check_model_files,
    open_model_folder,
)
from tacos.trainers.model_training import train_model
from tacos.trainers.recipe import Recipe
from tacos.trainers.row_check import Device
from tacos.trainers.trained_folder import Training
from tacos.trainers.trained_model import TrainedModel
from tacos.trainers.training_plan import TrainingPlan
from tacos.trainers.training_preparation import TrainingJob
from tacos.workflows.chat_pool import read_chat_pool
from tacos.workflows.experiment_folder import (
    MEASURE_ANEW,
    ExperimentFolder,
    read_lines,
    write_lines,
)

Items = Mapping[InstrumentName, Sequence[ExperimentItem]]
"""The items of the files in `items/`: answer-loss and preference."""


@dataclass(frozen=True)
class ModelMaker:
    """How models are trained and asked: the same for all arms."""

    recipe: Recipe
    base_model: str
    python: Path
    device: Device
    reading: Settings
    """How the run read its rows, which are read so again."""

    def make_job(self, data: str, seed: int = 0) -> TrainingJob:
        """A training by the recipe of all arms; `data` names its rows."""
        return TrainingJob(
            recipe=self.recipe,
            model=self.base_model,
            seed=seed,
            data=data,
            python=self.python,
            device=self.device,
        )


def train_arm(
    folder: ExperimentFolder,
    maker: ModelMaker,
    arm: ArmName,
    seed: int,
    progress: Progress,
) -> Training | None:
    """Train one model, or go on, or read a finished training; None for the untrained base.

    A model whose weights were removed after it was measured is trained again.

    Raises as `tacos.trainers.model_training.train_model`.
    """
    if arm == "untrained":
        return None
    place = folder.place_training(arm, seed)
    rows_file = folder.place_rows(arm, seed)
    if trained_folder.is_trained_folder(place):
        training = trained_folder.read_training(place)
        with suppress(ModelError):
            check_model_files(place / trained_folder.MODEL)
            return training
        shutil.rmtree(place, ignore_errors=True)
    pool = read_chat_pool(rows_file, maker.reading)
    job = maker.make_job(rows_file.name, seed)
    files.make_folder(place.parent)
    return train_model(
        pool.chats,
        pool.left_out,
        job,
        place,
        progress,
        lambda plan: _announce_left_out(plan, progress),
    )


def _announce_left_out(plan: TrainingPlan, progress: Progress) -> None:
    """Tell of rows that a training does without, and why."""
    reasons = dict(plan.left_out)
    if plan.n_held_out:
        reasons["held out by the recipe"] = plan.n_held_out
    for reason, n_rows in reasons.items():
        progress.announce(
            f"not trained on: {n_rows:,} of {count_words(plan.n_rows, 'row')}: {reason}"
        )


def score_arm(
    folder: ExperimentFolder,
    maker: ModelMaker,
    arm: ArmName,
    seed: int,
    items: Items,
    progress: Progress,
) -> None:
    """Score all items by one model into its file; nothing where that is there."""
    target = folder.place_scores(arm, seed)
    if target.is_file():
        return
    places = [
        (name, item, number)
        for name, members in items.items()
        for item in members
        for number in range(len(item.answers))
    ]
    chats = [
        [*item.messages, {"role": "assistant", "content": item.answers[number]}]
        for _, item, number in places
    ]
    files.make_folder(target.parent)
    name = f"score {arm}, seed {seed}"
    progress.start(name, len(chats))
    # In 32-bit floats: what a short training changes is lost in 16 bits.
    with TrainedModel(
        open_arm_model(folder, maker, arm, seed), maker.python, "float32"
    ) as model:
        scored = model.score_answers(
            chats,
            maker.recipe.max_length,
            lambda n_answers: progress.advance(name, n_answers),
        )
    lines = [
        {
            "instrument": instrument,
            "id": item.id,
            "key": item.key,
            "answer": number,
            "log_probability": answer.log_probability,
            "n_tokens": answer.n_tokens,
            "is_cut": answer.is_cut,
        }
        for (instrument, item, number), answer in zip(places, scored, strict=True)
    ]
    write_lines(target, lines)
    progress.finish(name, len(chats), skipped=False)


def read_scores(
    folder: ExperimentFolder,
    arm: ArmName,
    seed: int,
    items: Items,
) -> dict[InstrumentName, list[list[AnswerScore]]] | None:
    """The scores of a model's file: of each item those of its answers; None without a file.

    Raises `RunError` where the file is not about these items.
    """
    path = folder.place_scores(arm, seed)
    if not path.is_file():
        return None
    scores: dict[InstrumentName, list[list[AnswerScore]]] = {}
    try:
        lines = {
            (line["instrument"], line["key"], line["answer"]): line
            for line in read_lines(path)
        }
        for name, members in items.items():
            scores[name] = [
                [
                    _read_score(lines[(name, item.key, number)])
                    for number in range(len(item.answers))
                ]
                for item in members
            ]
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{path} lacks items of the plan: {MEASURE_ANEW}") from None
    return scores


def is_measured(
    folder: ExperimentFolder,
    arm: ArmName,
    seed: int,
    *,
    is_asked: bool,
) -> bool:
    """Whether a model has its scores, the manifest of its training, and its answers if it is asked
    for some.
    """
    place = folder.place_training(arm, seed)
    return (
        folder.place_scores(arm, seed).is_file()
        and (arm == "untrained" or trained_folder.is_trained_folder(place))
        and (not is_asked or folder.place_answers(arm, seed).is_file())
    )


def drop_model(folder: ExperimentFolder, arm: ArmName, seed: int) -> None:
    """Remove the weights of a scored model; its manifest and its log stay."""
    model = folder.place_training(arm, seed) / trained_folder.MODEL
    if folder.place_scores(arm, seed).is_file():
        shutil.rmtree(model, ignore_errors=True)


def open_arm_model(
    folder: ExperimentFolder,
    maker: ModelMaker,
    arm: ArmName,
    seed: int,
) -> ModelFolder:
    """A trained model, or the base model asked in the recipe's template and frame."""
    if arm != "untrained":
        return open_model_folder(folder.place_training(arm, seed))
    base = open_model_folder(Path(maker.base_model), maker.recipe.template)
    return replace(base, frame=maker.recipe.frame)


def _read_score(line: Mapping[str, float | int]) -> AnswerScore:
    """The score of a line."""
    return AnswerScore(
        float(line["log_probability"]), int(line["n_tokens"]), bool(line["is_cut"])
    )
