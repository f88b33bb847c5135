"""The directory of a model's answers: its questions and settings, and the answers turn by turn.

A server's answers may come by batch or exchange file, too: `tacos requests` finds here what is
asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from tacos.config import Settings, read_run_settings
from tacos.engines.local import LocalEngine
from tacos.methods.evaluating.model_answers import (
    Key,
    Row,
    group_answers,
    list_turns,
)
from tacos.methods.evaluating.questions import Question
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import Progress, StageModels, run_steps
from tacos.pipeline.stages import ANSWERING
from tacos.store.artifacts import Artifact, Store

STATE = "answering.json"
STAGE = "answer"


@dataclass(frozen=True)
class AnswerRun:
    """What a server's model is asked."""

    settings: Settings
    questions: list[Question]

    @property
    def model(self) -> str:
        """The model that answers."""
        return self.settings.llm.model


def is_answer_run(directory: Path) -> bool:
    """Whether a folder holds the answers of a server's model."""
    return (directory / STATE).is_file()


def read_answer_run(directory: Path) -> AnswerRun:
    """The state of such a folder. Raises `RunError` if it cannot be read."""
    state = Store(directory).read_state(STATE)
    questions = []
    for values in state["questions"]:
        texts = {name: tuple(values[name]) for name in ("turns", "reference")}
        questions.append(Question(**{**values, **texts}))
    return AnswerRun(read_run_settings(state["settings"]), questions)


def write_answer_run(
    store: Store, settings: Settings, questions: Sequence[Question]
) -> None:
    """Write the state of a folder."""
    values = settings.model_dump(mode="json", exclude={"llm": {"offline"}})
    listed = [asdict(question) for question in questions]
    store.write_state(STATE, {"settings": values, "questions": listed})


def ask_turns(
    questions: Sequence[Question],
    settings: Settings,
    store: Store,
    engine: LocalEngine,
    models: StageModels,
    progress: Progress,
    note: Callable[[pl.DataFrame], None] = lambda turns: None,
) -> list[Artifact]:
    """The answers to every turn, one artifact per turn; `note` is given the questions of each
    before they are asked.
    """
    artifacts: list[Artifact] = []
    n_turns = max(len(question.turns) for question in questions)
    for number in range(1, n_turns + 1):
        turns = list_turns(questions, number, read_answers_by_question(artifacts))
        note(turns)
        outcome = run_steps(
            plan_steps(settings, ANSWERING),
            {"asked_turns": FrameTable(turns)},
            settings,
            store,
            engine,
            models,
            progress,
        )
        artifacts.append(outcome.artifacts["model_answers"])
    return artifacts


def read_answers_by_question(
    artifacts: Sequence[Artifact],
) -> Mapping[Key, list[Row]]:
    """The answers by question, in the order of the turns."""
    rows: list[Row] = []
    for artifact in artifacts:
        rows += artifact.scan().collect().to_dicts()
    return group_answers(rows)
