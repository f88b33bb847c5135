"""Which steps a pipeline has under some settings, and which artifacts each of them reads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tacos.config import Settings
from tacos.errors import ConfigError, hint_at_nearest
from tacos.pipeline import conditions
from tacos.pipeline.stage_shapes import Pipeline, Stage
from tacos.pipeline.stages import PIPELINE


@dataclass(frozen=True)
class Step:
    """A stage of a plan; `round` is the number of its round, or None outside the rounds."""

    stage: Stage
    round: int | None = None

    @property
    def artifact(self) -> str:
        """`<makes>` or `<makes>/<round>`."""
        if self.round is None:
            return self.stage.makes
        return f"{self.stage.makes}/{self.round}"


def plan_steps(settings: Settings, pipeline: Pipeline = PIPELINE) -> list[Step]:
    """The steps of a pipeline under these settings, in order."""
    n_rounds = 1
    if conditions.uses_comparisons(settings):
        n_rounds = settings.pair.n_rounds
    steps: list[Step] = []
    for entry in pipeline:
        # An inner tuple is the stages of one round.
        if isinstance(entry, tuple):
            for number in range(n_rounds):
                steps += [Step(stage, number) for stage in entry]
        else:
            steps.append(Step(entry))
    return [step for step in steps if step.stage.when(settings)]


def cut_plan(steps: list[Step], until: str | None) -> list[Step]:
    """The steps up to the last one of a stage; `ConfigError` if there is no such stage."""
    if until is None:
        return steps
    numbers = []
    for number, step in enumerate(steps):
        if step.stage.name == until:
            numbers.append(number)
    if not numbers:
        names = dict.fromkeys(step.stage.name for step in steps)
        raise ConfigError(
            f"unknown stage {until!r} (--until); the stages of this run are {', '.join(names)}"
            f"{hint_at_nearest(until, names)}"
        )
    # A stage inside the rounds has several steps.
    last = numbers[-1]
    return steps[: last + 1]


def resolve_inputs(
    step: Step, planned: list[Step], start: Collection[str] = ("input",)
) -> dict[str, list[str]]:
    """The artifacts that a step reads: plain name -> artifact names (several where rounds are
    joined).

    Artifacts that the plan does not make are left out, except those that exist at the start.
    """
    earlier = planned[: planned.index(step)]
    available = {other.artifact for other in earlier} | set(start)
    inputs: dict[str, list[str]] = {}
    for read in step.stage.reads:
        name, _, which = read.partition("/")
        names = [name]
        if which:
            names = _list_rounds(name, which, step.round, available)
        present = [artifact for artifact in names if artifact in available]
        if present:
            inputs[name] = present
    return inputs


def _list_rounds(
    name: str,
    which: str,
    number: int | None,
    available: set[str],
) -> list[str]:
    """Artifact names of the rounds that `which` means, oldest first."""
    prefix = f"{name}/"
    if which == "now":
        return [f"{prefix}{number}"]
    present = [artifact for artifact in available if artifact.startswith(prefix)]
    numbers = [int(artifact.removeprefix(prefix)) for artifact in present]
    # By number, not by name: round 10 comes after round 9.
    rounds = [f"{prefix}{each}" for each in sorted(numbers)]
    # Scores rest on the verdicts of all rounds so far: only the newest count.
    if which == "last" or (which == "before" and name == "scores"):
        return rounds[-1:]
    return rounds
