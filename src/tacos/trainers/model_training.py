"""Trains a model by a recipe: has the rows checked, runs TRL, and reads what it leaves.

A training is known by a key over everything that decides its result. The same call goes on from
the last checkpoint of a folder with that key, and refuses a folder with another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tacos.config.files import digest_file
from tacos.errors import ModelError, OutputError, TrainingError
from tacos.formats import templates
from tacos.formats.trainer_folders import LeftOutRow
from tacos.methods.chats.chat import Chat
from tacos.records import canonical_hash
from tacos.store import files
from tacos.trainers import (
    checkpoints,
    environment,
    rendering,
    trained_folder,
    training_rows,
)
from tacos.trainers.checkpoints import Checkpoint
from tacos.trainers.model_folder import check_model_files
from tacos.trainers.recipe import Recipe
from tacos.trainers.step_log import StepLog
from tacos.trainers.trained_folder import Training
from tacos.trainers.training_plan import TrainingPlan, read_plan, write_plan
from tacos.trainers.training_preparation import (
    SETTINGS_FILE,
    TrainingJob,
    build_trl_job,
    digest_model,
    hash_job,
    prepare_training,
)
from tacos.trainers.training_rows import TrainingRows
from tacos.trainers.trl_process import TrlRun, run_trl

CACHE = "cache"
SECONDS_BETWEEN_CHECKPOINTS = 600
NOT_THE_MODEL = ("README.md", "training_args.bin")
"""What TRL writes beside a model that is none of it."""
STAGE = "train"


class Progress(Protocol):
    """Told how far a training has come; counts are rows, seen once in each epoch."""

    def announce(self, text: str) -> None: ...
    def start(self, name: str, total: int | None) -> None: ...
    def advance(self, name: str, n_rows: int) -> None: ...
    def finish(self, name: str, n_rows: int, *, skipped: bool) -> None: ...


def train_model(
    chats: Iterable[Chat],
    left_out: Sequence[LeftOutRow],
    job: TrainingJob,
    folder: Path,
    progress: Progress,
    note_plan: Callable[[TrainingPlan], None],
) -> Training:
    """Train a model into a folder, or go on; a finished training is read back.

    Args:
        chats: The rows; they are read several times.
        left_out: Rows that are no chats, for the counts.
        job: What is trained, and how.
        folder: The folder of `tacos.trainers.trained_folder`.
        progress: Told of each step.
        note_plan: Told what the training will take, before it starts.

    Raises:
        ConfigError: There is no environment, device or model as the job says.
        InputError: No row can be trained on.
        FailureRateError: Too many rows would be trained on otherwise than meant.
        OutputError: The folder holds something else, or the disk is full.
        RunError: The folder is in use.
        TrainingError: The trainer has stopped; the same call goes on from the last checkpoint.
    """
    rows = training_rows.build_training_rows(chats, left_out, job.recipe, job.seed)
    with trained_folder.lock_folder(folder) as lock:
        files.make_folder(folder / trained_folder.DATA)
        plan = _read_or_prepare(rows, job, folder)
        if isinstance(plan, Training):
            # A process that was killed at the end has not removed all of them.
            _remove_remains(folder)
            return plan
        note_plan(plan)
        with _explain_resuming(folder):
            seconds = _run_trainer(plan, job, folder, lock, progress)
            training = _collect_training(plan, job, rows, folder, seconds)
        trained_folder.write_training(training, folder)
        _remove_remains(folder)
    return training


def _read_or_prepare(
    rows: TrainingRows,
    job: TrainingJob,
    folder: Path,
) -> TrainingPlan | Training:
    """The training that the folder holds already, or its plan, or a new one.

    Raises `OutputError` where the folder holds another training.
    """
    data = folder / trained_folder.DATA
    plan = read_plan(folder / trained_folder.PLAN)
    is_finished = trained_folder.is_trained_folder(folder)
    if plan is None and not is_finished:
        if (folder / trained_folder.CHECKPOINTS).exists():
            raise OutputError(
                f"{folder} holds checkpoints, and no {trained_folder.PLAN} that can be read and "
                "says of which training: name another folder, or remove it"
            )
        try:
            plan = prepare_training(rows, job, data)
        except BaseException:
            # What was refused leaves nothing.
            shutil.rmtree(data, ignore_errors=True)
            raise
        write_plan(plan, folder / trained_folder.PLAN)
        return plan
    candidates = training_rows.write_candidates(rows, data)
    key = hash_job(job, digest_model(job.model), digest_file(candidates))
    candidates.unlink()
    old = trained_folder.read_training(folder) if is_finished else plan
    assert old is not None
    if old.key != key:
        raise OutputError(
            f"{folder} holds another training (other data, model, seed or recipe): name another "
            "folder, or remove it"
        )
    if is_finished:
        _check_model_is_there(folder)
    return old


def _check_model_is_there(folder: Path) -> None:
    """Raise `OutputError` where the model of a finished training is gone."""
    try:
        check_model_files(folder / trained_folder.MODEL)
    except ModelError as error:
        raise OutputError(
            f"{error}; to train it again, remove {folder / trained_folder.MANIFEST} first"
        ) from None


def _run_trainer(
    plan: TrainingPlan,
    job: TrainingJob,
    folder: Path,
    lock: int,
    progress: Progress,
) -> float:
    """Run TRL from the last checkpoint on, and return the seconds of the steps that count."""
    data = folder / trained_folder.DATA
    output = folder / trained_folder.CHECKPOINTS
    last = checkpoints.find_last_checkpoint(output)
    from_step = last.step if last else 0
    forecast = plan.forecast
    trl_job = build_trl_job(
        job,
        data,
        output,
        plan.machine.kind,
        plan.machine.n_devices,
        job.checkpoint_steps
        or _choose_checkpoint_steps(forecast.seconds, forecast.steps),
        str(last.folder.absolute()) if last else "",
    )
    settings = rendering.build_trl_settings(job.recipe, plan.layout, trl_job)
    text = rendering.write_yaml(settings)
    settings_file = files.write_text(text, data / SETTINGS_FILE)
    variables = environment.build_variables(job.model)
    # Not in the user's own cache, where rows would stay.
    variables["HF_DATASETS_CACHE"] = str((data / CACHE).absolute())
    variables["TQDM_DISABLE"] = "1"
    n_seen = round(forecast.n_rows * job.recipe.epochs)
    progress.start(STAGE, n_seen)
    progress.advance(STAGE, n_seen * from_step // forecast.steps)
    log = StepLog(folder / trained_folder.STEPS, from_step)

    def note_step(step: int) -> None:
        """Tell of a step, and note when it was done."""
        log.note_step(step)
        share = n_seen * step // forecast.steps - n_seen * (step - 1) // forecast.steps
        progress.advance(STAGE, share)

    run = TrlRun(
        python=job.python,
        settings_file=settings_file,
        log_file=folder / trained_folder.LOG,
        variables=variables,
        n_devices=plan.machine.n_devices,
        lock=lock,
        checkpoint=last,
    )
    seconds = run_trl(run, note_step)
    progress.finish(STAGE, n_seen, skipped=False)
    return seconds + log.count_earlier_seconds()


def _choose_checkpoint_steps(seconds: float, n_steps: int) -> int:
    """Steps between checkpoints."""
    steps = SECONDS_BETWEEN_CHECKPOINTS * n_steps / max(seconds, 1e-9)
    return max(1, min(n_steps, round(steps)))


@contextmanager
def _explain_resuming(folder: Path) -> Iterator[None]:
    """Add to the error of a trainer how the training goes on."""
    try:
        yield
    except (TrainingError, OutputError) as error:
        last = checkpoints.find_last_checkpoint(folder / trained_folder.CHECKPOINTS)
        where = f"goes on from step {last.step}" if last else "starts anew"
        error.add_note(f"The same command {where}")
        raise


# Reading what it left


def _collect_training(
    plan: TrainingPlan,
    job: TrainingJob,
    rows: TrainingRows,
    folder: Path,
    seconds: float,
) -> Training:
    """Put the model in its place, and say what became of the training.

    Raises `TrainingError` where TRL has not trained on what was counted.
    """
    output = folder / trained_folder.CHECKPOINTS
    last = checkpoints.find_last_checkpoint(output)
    starts = StepLog.read_starts(folder / trained_folder.STEPS)
    if last is None or not list(output.glob("*.safetensors")):
        raise TrainingError(
            f"the trainer has ended without a model (see {folder / trained_folder.LOG})"
        )
    seen = last.count_tokens(starts)
    _check_counts(plan, job.recipe, last, seen, folder)
    _move_model(output, folder / trained_folder.MODEL)
    template = templates.read_template(job.recipe.template)
    _check_template(folder / trained_folder.MODEL, template)
    forecast = plan.forecast
    return Training(
        key=plan.key,
        recipe=job.recipe.model_dump(mode="json"),
        recipe_name=job.recipe.name,
        recipe_hash=job.recipe.hash,
        seed=job.seed,
        base_model=job.model,
        base_digest=plan.base_digest,
        template=job.recipe.template,
        template_hash=canonical_hash(template),
        data=job.data,
        data_hash=plan.data_hash,
        n_rows=plan.n_rows,
        n_trained=forecast.n_rows,
        n_held_out=plan.n_held_out,
        left_out=plan.left_out,
        n_cut=forecast.n_cut,
        read_tokens=forecast.read_tokens,
        trained_tokens=forecast.trained_tokens,
        seen_tokens=seen,
        steps=last.step,
        epochs=job.recipe.epochs,
        seconds=round(seconds, 2),
        n_starts=len(starts),
        device=plan.machine.name,
        n_devices=plan.machine.n_devices,
        versions=plan.versions,
        losses=last.losses,
    )


def _check_counts(
    plan: TrainingPlan,
    recipe: Recipe,
    last: Checkpoint,
    seen: int,
    folder: Path,
) -> None:
    """Raise `TrainingError` where TRL took other steps or tokens than were counted before."""
    # It would do so again, and what it has trained stays in the folder.
    remedy = (
        f"make the training environment again with `make setup-train`, delete {folder} and train "
        "again"
    )
    forecast = plan.forecast
    if last.step != forecast.steps or last.n_steps != forecast.steps:
        raise TrainingError(
            f"the trainer took {last.step:,} of {last.n_steps:,} steps, and {forecast.steps:,} "
            f"were counted before: it has dropped rows; {remedy}"
        )
    # Several devices fill up the last batch, and part of an epoch has rows of its own.
    is_exact = plan.machine.n_devices == 1 and recipe.epochs == int(recipe.epochs)
    expected = forecast.read_tokens * int(recipe.epochs)
    if is_exact and seen != expected:
        raise TrainingError(
            f"the trainer read {seen:,} tokens, and {expected:,} were counted before: it has "
            f"dropped or cut rows otherwise than meant; {remedy}"
        )


def _check_template(model: Path, template: str) -> None:
    """Raise `TrainingError` unless the model has the chat template that it was trained with."""
    file = model / trained_folder.CHAT_TEMPLATE
    if not file.is_file() or file.read_text("utf-8").strip() != template.strip():
        raise TrainingError(
            f"{file} is not the chat template of the recipe: make the training environment again "
            "with `make setup-train`"
        )


def _move_model(output: Path, target: Path) -> None:
    """Move the files of the finished model out of the folder of checkpoints."""
    shutil.rmtree(target, ignore_errors=True)
    files.make_folder(target)
    with files.explain_os_errors(target):
        for path in sorted(output.iterdir()):
            if path.is_file() and path.name not in NOT_THE_MODEL:
                path.rename(target / path.name)


def _remove_remains(folder: Path) -> None:
    """Remove what is of no use once the manifest is written."""
    shutil.rmtree(folder / trained_folder.CHECKPOINTS, ignore_errors=True)
    shutil.rmtree(folder / trained_folder.DATA / CACHE, ignore_errors=True)
    for name in (trained_folder.PLAN, trained_folder.STEPS):
        (folder / name).unlink(missing_ok=True)
