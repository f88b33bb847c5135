"""`tacos answer`: a model's answers to the questions of one or more sets.

The pipeline `ANSWERING` runs once per turn, in a directory of its own beside the output, so that a
command that was stopped goes on where it stopped. Replies of a server are in the ledger, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.local import LocalEngine
from tacos.errors import ConfigError, ModelError
from tacos.formats import writing
from tacos.formats.answer_files import write_answers
from tacos.formats.question_sets import read_questions
from tacos.llm.ledger.location import LedgerLocation, list_ledger_files
from tacos.methods.evaluating.model_answers import build_answered_questions
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.pipeline.model_factory import open_evaluation_judge
from tacos.pipeline.run_loop import Progress, StageModels
from tacos.store.artifacts import Artifact, Store
from tacos.store.files import name_beside
from tacos.trainers.environment import find_python
from tacos.trainers.model_folder import ModelFolder, open_model_folder
from tacos.trainers.trained_model import Dtype, TrainedModel
from tacos.workflows import arguments, kept_files
from tacos.workflows.answer_run import (
    STAGE,
    ask_turns,
    read_answers_by_question,
    write_answer_run,
)
from tacos.workflows.files_read import FilesRead, serialise_files
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.silent_progress import choose_progress

DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class ModelAnswers:
    """What a model answered, and what it did not."""

    output: Path
    run: Path
    """The directory with all that is known so far."""
    model: str
    template_hash: str | None
    """Of the chat template; None for a server, which has its own."""
    n_questions: int
    answers: list[AnsweredQuestion]
    """In the order of the questions."""
    missing: dict[str, str]
    """Set, id and turn of what has no answer -> why."""
    files: FilesRead = field(default_factory=dict)
    has_other_template: bool = False
    """Whether the model's folder has a chat template, in whose place another one was given."""

    @property
    def n_turns(self) -> int:
        """Answers, over all turns."""
        return sum(len(answer.answers) for answer in self.answers)

    @property
    def mean_length(self) -> float | None:
        """Characters of an answer."""
        lengths = [len(text) for each in self.answers for text in each.answers]
        return sum(lengths) / len(lengths) if lengths else None

    @property
    def faults(self) -> list[str]:
        """The answers that are empty or were cut, in words."""
        return [
            f"{answer.set} {answer.question_id}, {fault}"
            for answer in self.answers
            for fault in answer.list_faults()
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "output": str(self.output),
            "run": str(self.run),
            "model": self.model,
            "template_hash": self.template_hash,
            "n_questions": self.n_questions,
            "n_answered": len(self.answers),
            "n_turns": self.n_turns,
            "mean_length": self.mean_length,
            "faults": self.faults,
            "missing": self.missing,
            "files": serialise_files(self.files),
            "has_other_template": self.has_other_template,
        }


def answer(  # noqa: PLR0913 - the options of the command
    model: str | Path,
    questions: Any,
    output: str | Path,
    settings: GivenSettings = None,
    *,
    template: str | None = None,
    trainer_python: str | Path | None = None,
    dtype: Dtype = "auto",
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> ModelAnswers:
    """Have a model answer every question of some sets, and write the answers.

    Args:
        model: A folder of `tacos train`, any other that transformers loads, or the name of a model
            of the server in `settings` (`llm.base_url`).
        questions: A file of questions, or several, here or elsewhere, perhaps with a hash
            (`tacos.formats.pinned_files`); `tacos.methods.evaluating.questions` lists the forms of
            their rows.
        output: The file of the answers (.jsonl).
        settings: All settings, or nested ones over the defaults; section `answer`.
        template: The name of a chat template of tacos, or a .jinja file, for a folder without one.
        trainer_python: The Python of the training environment, where it is not found by itself.
        dtype: float32, bfloat16, or auto: bfloat16 on GPUs alone.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        progress: What is told of the progress.

    If it is stopped, the same call continues from there.

    Raises:
        ConfigError: There is no training environment, no template, or another one than the model
            was trained with.
        FailureRateError: More questions than the settings allow have no answer.
        InputError: The questions cannot be read.
        ModelError: The folder lacks something, or the process that answers was killed.
    """
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_settings(settings)
    target = arguments.to_path("output", output)
    files = arguments.to_files("questions", questions)
    arguments.check_choice("dtype", dtype, DTYPES)
    writing.check_rows_writable(target)
    run = find_answer_run(target)
    paths = [file.path for file in files]
    read = [*paths, *list_setting_files(settings), *list_ledger_files(location)]
    kept_files.check_files_kept([target], read)
    asked = read_questions(paths)
    folder = find_model_folder(model, template)
    if folder is None:
        chosen = name_server_model(chosen, str(model))
    store = Store(run)
    with (
        # The first part may have taken hours.
        store.lock(keeps_parts=True),
        closing(LocalEngine(1)) as engine,
        _open_model(folder, chosen, trainer_python, dtype, location) as models,
    ):
        if folder is None:
            write_answer_run(store, chosen, asked)
        artifacts = ask_turns(asked, chosen, store, engine, models, watcher)
    by_question = read_answers_by_question(artifacts)
    answered = build_answered_questions(
        asked,
        by_question,
        folder.name if folder else str(model),
        folder.template_hash if folder else None,
        chosen.answer,
    )
    write_answers(answered, target)
    return ModelAnswers(
        output=target,
        run=run,
        model=folder.name if folder else str(model),
        template_hash=folder.template_hash if folder else None,
        n_questions=len(asked),
        answers=answered,
        missing=_list_missing(artifacts),
        files={"questions": files},
        has_other_template=folder is not None and folder.has_other_template,
    )


def find_answer_run(output: Path) -> Path:
    """The directory of the answers in a file: `<output>.run`."""
    return name_beside(output, ".run")


def find_model_folder(model: str | Path, template: str | None) -> ModelFolder | None:
    """The folder that a model's name means; None for a model of a server. Raises as
    `open_model_folder` does.
    """
    path = Path(model)
    if path.is_dir():
        return open_model_folder(path, template)
    if str(model).startswith((".", "/", "~")) or str(model).endswith("/"):
        raise ModelError(
            f"there is no folder {model}: name one that holds a model, or a model of a server "
            "(--llm URL)"
        )
    if template is not None:
        raise ConfigError(
            f"{model} is no folder, and a server has its own template: leave --template out, or "
            "name a folder"
        )
    return None


def name_server_model(settings: Settings, name: str) -> Settings:
    """The settings under which a model of a server answers."""
    values = {"model": name}
    llm = settings.llm.model_copy(update=values)
    return settings.model_copy(update={"llm": llm})


@contextmanager
def _open_model(
    folder: ModelFolder | None,
    settings: Settings,
    trainer_python: str | Path | None,
    dtype: Dtype,
    ledger: LedgerLocation | None,
) -> Iterator[StageModels]:
    """The model that answers."""
    if folder is None:
        name = settings.answer.model
        with open_evaluation_judge(settings, STAGE, name, ledger) as models:
            yield models
        return
    python = find_python(trainer_python)
    with TrainedModel(folder, python, dtype) as model:
        yield StageModels({STAGE: model}, {})


def _list_missing(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """What has no answer -> why."""
    rejects = pl.concat([artifact.rejects() for artifact in artifacts])
    return dict(rejects.select("id", "reason").rows())
