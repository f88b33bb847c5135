"""What comes before a training: its rows are checked as TRL will read them, its time and memory are
forecast, and it gets a key over everything that decides its result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config.files import digest_file
from tacos.errors import ConfigError
from tacos.formats import templates
from tacos.formats.trainer_folders import LeftOutRow
from tacos.methods.chats.chat import Chat
from tacos.records import canonical_hash
from tacos.store import files
from tacos.trainers import rendering, training_rows
from tacos.trainers.forecast import Forecast, forecast_training
from tacos.trainers.recipe import Recipe
from tacos.trainers.rendering import TrlJob
from tacos.trainers.row_check import CUT, Device, RowCheck, check_rows
from tacos.trainers.training_plan import TrainingPlan
from tacos.trainers.training_rows import TrainingRows
from tacos.version import read_version

SETTINGS_FILE = "sft.yaml"
"""The settings of TRL, beside the rows."""


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained, and how."""

    recipe: Recipe
    model: str
    """The base model: a folder, or a name on the Hugging Face hub."""
    seed: int
    data: str
    """The data as the manifest names them."""
    python: Path
    """Of the training environment."""
    device: Device = "auto"
    checkpoint_steps: int = 0
    """Steps between checkpoints; 0 for one in about ten minutes."""


def plan_training(
    chats: Iterable[Chat],
    left_out: Sequence[LeftOutRow],
    job: TrainingJob,
) -> TrainingPlan:
    """What a training would take; nothing is kept. Raises as `train_model` does."""
    rows = training_rows.build_training_rows(chats, left_out, job.recipe, job.seed)
    with files.make_temporary_folder() as place:
        return prepare_training(rows, job, place)


def count_trained_tokens(chats: Iterable[Chat], job: TrainingJob) -> dict[str, int]:
    """Id of a row -> the tokens of it that are trained on, by the base model's own tokenizer.

    A row that cannot be trained on has none. Raises as `train_model` does.
    """
    ids, check = check_all_rows(chats, job)
    numbers = zip(ids, check.rows, strict=True)
    return {id_: n_trained for id_, (_, n_trained, _) in numbers}


def check_all_rows(
    chats: Iterable[Chat], job: TrainingJob
) -> tuple[Sequence[str], RowCheck]:
    """The ids of a pool's rows, and what TRL will make of each. Raises as `train_model` does."""
    # Every row of a pool is counted, whatever a training would hold out.
    recipe = job.recipe.model_copy(update={"held_out": 0, "max_rows": 0})
    rows = training_rows.build_training_rows(chats, [], recipe, job.seed)
    with files.make_temporary_folder() as place:
        candidates = training_rows.write_candidates(rows, place)
        check = _check_candidates(rows, candidates, job, place)
    return list(rows.folder.ids), check


def forecast_rows(
    check: RowCheck, numbers: Sequence[int], job: TrainingJob
) -> Forecast:
    """What a training on those of some checked rows that TRL keeps will take.

    Raises `ConfigError` where the machine cannot train the model, or the recipe is for fewer rows.
    """
    _check_machine(job, check)
    training_rows.check_row_limit(job.recipe, len(numbers))
    kept = [check.rows[number] for number in numbers if check.is_kept(number)]
    forecast = forecast_training(
        job.recipe,
        [read for read, *_ in kept],
        [trained for _, trained, _ in kept],
        sum(status == CUT for *_, status in kept),
        check.model,
        check.machine,
        job.seed,
    )
    _check_memory(job, check, forecast)
    return forecast


def _check_candidates(
    rows: TrainingRows,
    candidates: Path,
    job: TrainingJob,
    place: Path,
) -> RowCheck:
    """What TRL will make of the rows that may be trained on."""
    recipe = job.recipe
    template_file = files.write_text(
        templates.read_template(recipe.template), place / f"{recipe.template}.jinja"
    )
    trl_job = build_trl_job(job, place, place, "cpu", 1, 1)
    settings = rendering.build_trl_settings(recipe, rows.layout, trl_job)
    settings_file = files.write_text(
        rendering.write_yaml(settings), place / SETTINGS_FILE
    )
    return check_rows(
        job.python,
        model=job.model,
        rows_file=candidates,
        template_file=template_file,
        settings_file=settings_file,
        max_length=recipe.max_length,
        precision=recipe.precision,
        device=job.device,
    )


def prepare_training(rows: TrainingRows, job: TrainingJob, place: Path) -> TrainingPlan:
    """Check the rows as TRL will read them, and write those that it keeps."""
    recipe = job.recipe
    candidates = training_rows.write_candidates(rows, place)
    check = _check_candidates(rows, candidates, job, place)
    numbers = range(len(check.rows))
    forecast = forecast_rows(check, numbers, job)
    is_kept = [check.is_kept(number) for number in numbers]
    statuses = [status for *_, status in check.rows]
    trained_file = training_rows.write_rows(rows, statuses, is_kept, place)
    reasons = Counter(row.reason for row in rows.left_out)
    reasons.update(statuses[number] for number in numbers if not is_kept[number])
    base_digest = digest_model(job.model)
    key = hash_job(job, base_digest, digest_file(candidates))
    candidates.unlink()
    return TrainingPlan(
        key=key,
        recipe_name=recipe.name,
        recipe_hash=recipe.hash,
        model=job.model,
        base_digest=base_digest,
        layout=rows.layout,
        n_rows=rows.n_given,
        n_held_out=len(rows.held_out),
        left_out=dict(reasons.most_common()),
        data_hash=digest_file(trained_file),
        forecast=forecast,
        machine=check.machine,
        model_size=check.model,
        versions={"tacos": read_version(), **check.versions},
    )


def hash_job(job: TrainingJob, base_digest: str, candidates_digest: str) -> str:
    """The key of a training."""
    template = templates.read_template(job.recipe.template)
    return canonical_hash(
        {
            "recipe": job.recipe.hash,
            "model": base_digest or job.model,
            "seed": job.seed,
            "template": canonical_hash(template),
            "rows": candidates_digest,
        }
    )


def digest_model(model: str) -> str:
    """Over the files of a local model; "" for one on the hub."""
    folder = Path(model)
    if not folder.is_dir():
        return ""
    digests = [
        [path.name, digest_file(path)]
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    return canonical_hash(digests)


def _check_machine(job: TrainingJob, check: RowCheck) -> None:
    """Raise `ConfigError` where the machine cannot train the model."""
    recipe, machine, model = job.recipe, check.machine, check.model
    if recipe.needs_gpu and machine.kind == "cpu":
        raise ConfigError(
            f"the recipe {recipe.name} needs a GPU, and there is none here: export it for "
            "LLaMA-Factory (tacos export --recipe), or allow the CPU (--set needs_gpu=false)"
        )
    if model.max_length and recipe.max_length > model.max_length:
        raise ConfigError(
            f"{job.model} reads {model.max_length:,} tokens at most, and max_length is "
            f"{recipe.max_length:,}: lower it (--set max_length={model.max_length})"
        )


def _check_memory(job: TrainingJob, check: RowCheck, forecast: Forecast) -> None:
    """Raise `ConfigError` where not even the weights and the optimizer fit."""
    memory = check.machine.memory
    if forecast.least_memory <= memory:
        return
    raise ConfigError(
        f"{job.model} takes {forecast.least_memory / 1e9:,.0f} GB or more to train, and "
        f"{check.machine.name} has {memory / 1e9:,.0f}: take a smaller model, or export for "
        "LLaMA-Factory (tacos export --recipe), which shares a model among GPUs"
    )


def build_trl_job(
    job: TrainingJob,
    data: Path,
    output: Path,
    device: Any,
    n_devices: int,
    save_steps: int,
    resume_from: str = "",
) -> TrlJob:
    """Where TRL finds and leaves everything."""
    is_local = Path(job.model).is_dir()
    return TrlJob(
        model=str(Path(job.model).absolute()) if is_local else job.model,
        rows_file=str((data / training_rows.TRAINED).absolute()),
        template_file=str((data / f"{job.recipe.template}.jinja").absolute()),
        output=str(output.absolute()),
        seed=job.seed,
        device=device,
        n_devices=n_devices,
        save_steps=save_steps,
        resume_from=resume_from,
    )
