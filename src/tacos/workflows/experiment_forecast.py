"""What all trainings of an experiment will take together, told before the first of them.

The training environment reads the rows of all arms once; a recipe, a model or a machine that does
not fit is refused then, and not after hours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tacos.counts import count_words
from tacos.store import files
from tacos.trainers.training_preparation import (
    check_all_rows,
    forecast_rows,
)
from tacos.workflows.chat_pool import read_chat_pool
from tacos.workflows.experiment_arms import draw_arm
from tacos.workflows.experiment_evaluation import Experiment
from tacos.workflows.experiment_folder import FORECAST, write_json, write_rows


@dataclass(frozen=True)
class ExperimentForecast:
    """What all trainings of an experiment take together."""

    n_models: int
    """Models that are trained; the untrained base is none."""
    trained_tokens: int
    seconds: float
    """About, of training alone: no model is measured in them."""
    memory: int
    """Bytes of the largest training, about."""
    machine: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def describe(self) -> str:
        """One line.

        >>> ExperimentForecast(9, 163_000, 7_500.0, 1_200_000_000, "CPU").describe()
        '9 models train on 163,000 tokens in all: about 125 minutes and 1.2 GB of memory on CPU, \
without measuring them'
        """
        minutes = count_words(max(1, round(self.seconds / 60)), "minute")
        return (
            f"{count_words(self.n_models, 'model')} train on {self.trained_tokens:,} tokens in "
            f"all: about {minutes} and {self.memory / 1e9:,.1f} GB of memory on {self.machine}, "
            "without measuring them"
        )


def forecast_experiment(experiment: Experiment) -> ExperimentForecast:
    """What all trainings take together; what the folder says where it was asked before.

    Raises:
        ConfigError: There is no environment, or the machine cannot train the model.
        FailureRateError: Too many rows would be trained on otherwise than meant.
        InputError: No row can be trained on.
    """
    plan, maker, pool = experiment.plan, experiment.maker, experiment.pool
    kept = _read_forecast(experiment)
    if kept is not None:
        return kept
    drawn = [
        draw_arm(pool, arm, plan.match, seed)
        for arm, seed in plan.list_trainings()
        if arm != "untrained"
    ]
    places = np.unique(np.concatenate(drawn))
    job = maker.make_job("pool")
    with files.make_temporary_folder() as folder:
        file = Path(folder, "pool.jsonl")
        write_rows(file, pool.read_rows(places))
        ids, check = check_all_rows(read_chat_pool(file, maker.reading).chats, job)
    # An id is the file and the place in it.
    numbers = {int(id_.rpartition(":")[2]): number for number, id_ in enumerate(ids)}
    forecasts = []
    for rows in drawn:
        own = np.searchsorted(places, rows).tolist()
        own_numbers = [numbers[place] for place in own if place in numbers]
        forecasts.append(forecast_rows(check, own_numbers, job))
    return ExperimentForecast(
        n_models=len(forecasts),
        trained_tokens=sum(each.trained_tokens for each in forecasts),
        seconds=round(sum(each.seconds for each in forecasts), 1),
        memory=max(each.memory for each in forecasts),
        machine=check.machine.name,
    )


def keep_forecast(experiment: Experiment, forecast: ExperimentForecast) -> None:
    """Write a forecast into the folder. Raises `OutputError`."""
    content = {"plan": experiment.plan.hash(), **forecast.as_dict()}
    write_json(content, experiment.folder.root / FORECAST)


def _read_forecast(experiment: Experiment) -> ExperimentForecast | None:
    """The forecast of a folder; None without one of this plan."""
    try:
        content = orjson.loads((experiment.folder.root / FORECAST).read_bytes())
        if content.pop("plan") != experiment.plan.hash():
            return None
        return ExperimentForecast(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
