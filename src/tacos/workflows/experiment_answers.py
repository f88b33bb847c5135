"""What the models of an experiment answer to the questions of its duels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import InputError, RunError
from tacos.formats.answer_files import read_answers, write_answers
from tacos.methods.evaluating.experiment_plan import ArmName
from tacos.methods.evaluating.model_answers import build_answered_questions
from tacos.methods.evaluating.questions import AnsweredQuestion, Question
from tacos.pipeline.run_loop import Progress, StageModels
from tacos.store import files
from tacos.store.artifacts import Store
from tacos.trainers.trained_model import TrainedModel
from tacos.workflows.answer_run import STAGE, ask_turns, read_answers_by_question
from tacos.workflows.experiment_folder import ExperimentFolder
from tacos.workflows.experiment_models import ModelMaker, open_arm_model


def answer_questions(
    folder: ExperimentFolder,
    maker: ModelMaker,
    arm: ArmName,
    seed: int,
    questions: Sequence[Question],
    settings: Settings,
    progress: Progress,
) -> None:
    """Have one model answer all questions into its file; nothing where that is there.

    Raises:
        FailureRateError: Some questions have no answer, since they are too long.
        ModelError: The process that answers was killed; the same call goes on.
    """
    target = folder.place_answers(arm, seed)
    if target.is_file():
        return
    files.make_folder(target.parent)
    model_folder = open_arm_model(folder, maker, arm, seed)
    store = Store(files.name_beside(target, ".run"))
    with (
        store.lock(keeps_parts=True),
        closing(LocalEngine(1)) as engine,
        TrainedModel(model_folder, maker.python) as model,
    ):
        models = StageModels({STAGE: model}, {})
        artifacts = ask_turns(questions, settings, store, engine, models, progress)
        answers = build_answered_questions(
            questions,
            read_answers_by_question(artifacts),
            f"{arm}, seed {seed}",
            model_folder.template_hash,
            settings.answer,
        )
    write_answers(answers, target)
    shutil.rmtree(store.root, ignore_errors=True)


def read_arm_answers(
    folder: ExperimentFolder,
    arm: ArmName,
    seed: int,
) -> list[AnsweredQuestion]:
    """The answers of a model. Raises `RunError` where the file cannot be read."""
    path = folder.place_answers(arm, seed)
    try:
        return read_answers(path)
    except InputError:
        raise RunError(
            f"{path} holds no answers that can be read: delete it, and run the same command again, "
            "which asks that model anew"
        ) from None
