"""What the judge of an evaluation is asked, and its replies as a table.

The one stage of an evaluation runs in a temporary directory: its replies are in the ledger, so a
command that was stopped goes on where it stopped. Beside an output, in `<output>.run`, lies what is
asked: there `tacos requests` finds it, so that the replies may come by batch or exchange file, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tacos.config import Settings, read_run_settings
from tacos.engines.local import LocalEngine
from tacos.errors import OfflineError, OutputError, RunError
from tacos.llm.ledger.location import LedgerLocation
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.model_factory import open_evaluation_judge, resolve_evaluation_judge
from tacos.pipeline.plan import plan_steps
from tacos.pipeline.run_loop import Progress, run_steps
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.stages import find_stage
from tacos.store import files
from tacos.store.artifacts import Store
from tacos.store.files import name_beside
from tacos.store.tables import read_table, write_table
from tacos.workflows.answer_run import is_answer_run
from tacos.workflows.run_state import is_run

STATE = "judging.json"
TABLE = "judged.parquet"
"""What is judged, as the stage reads it."""


class Judging(NamedTuple):
    """What a judge said."""

    rows: pl.DataFrame
    """By the schema of the stage."""
    reasons: dict[str, str]
    """Id of a row without a usable reply -> why."""
    notes: Mapping[str, Any]
    """What it cost, and whence the replies came."""


@dataclass(frozen=True)
class JudgingRun:
    """What a judge is asked, as the directory beside an output holds it."""

    stage: PromptStage
    settings: Settings
    judge: str
    table: pl.DataFrame

    @property
    def tables(self) -> dict[str, FrameTable]:
        """What the stage reads."""
        return {self.stage.reads[0]: FrameTable(self.table)}


def judge_table(
    stage_name: str,
    table: pl.DataFrame,
    settings: Settings,
    judge: str,
    ledger: LedgerLocation | None,
    progress: Progress,
    output: Path | None = None,
) -> Judging:
    """Have a judge answer every question of a stage about the rows of a table.

    Args:
        stage_name: The only stage of an evaluation.
        table: What it reads.
        settings: Those of the command.
        judge: The setting that names the judge.
        ledger: Where paid replies are.
        progress: What is told of the progress.
        output: The file that the command writes, if it writes one.

    Raises:
        ConfigError: No judge is named.
        FailureRateError: Hardly any reply can be used.
        OfflineError: Nothing may be sent, and replies are missing.
        OutputError: Beside the output lies something else.
        RunError: Another command writes the same output.
    """
    stage = find_stage(stage_name)
    assert isinstance(stage, PromptStage)
    name = resolve_evaluation_judge(settings, judge)
    asked = JudgingRun(stage, settings, name, table)
    with _keep_questions(asked, output):
        try:
            return _ask_judge(asked, judge, ledger, progress)
        except OfflineError as error:
            raise OfflineError(f"{error}; {_describe_export(output)}") from None


def find_judging_run(output: Path) -> Path:
    """The directory of what is asked for an output: `<output>.run`."""
    return name_beside(output, ".run")


def is_judging_run(directory: Path) -> bool:
    """Whether a folder holds what a judge is asked."""
    return (directory / STATE).is_file()


def read_judging_run(directory: Path) -> JudgingRun:
    """What is asked, by such a folder. Raises `RunError` if it cannot be read."""
    state = Store(directory).read_state(STATE)
    stage = find_stage(state["stage"])
    assert isinstance(stage, PromptStage)
    try:
        table = read_table(directory / TABLE)
    except (OSError, pl.exceptions.PolarsError):
        raise RunError(
            f"{directory / TABLE} cannot be read: run the command that made it again"
        ) from None
    settings = read_run_settings(state["settings"])
    return JudgingRun(stage, settings, state["judge"], table)


def _describe_export(output: Path | None) -> str:
    """Where the open questions are, in words."""
    if output is None:
        return "name an output (-o FILE) to have the questions in FILE.run"
    return f"the questions are in {find_judging_run(output)}"


@contextmanager
def _keep_questions(asked: JudgingRun, output: Path | None) -> Iterator[None]:
    """Keep what is asked beside an output, and other commands off it while the context lasts."""
    if output is None:
        yield
        return
    directory = find_judging_run(output)
    if is_run(directory) or is_answer_run(directory):
        raise OutputError(
            f"{directory} holds what another command made, and {output} may be its result: "
            "name another output (-o)"
        )
    store = Store(directory)
    with store.lock():
        values = asked.settings.model_dump(mode="json", exclude={"llm": {"offline"}})
        state = {"stage": asked.stage.name, "judge": asked.judge, "settings": values}
        write_table(asked.table, directory / TABLE)
        store.write_state(STATE, state)
        yield


def _ask_judge(
    asked: JudgingRun, judge: str, ledger: LedgerLocation | None, progress: Progress
) -> Judging:
    """Run the stage in a temporary directory."""
    with (
        files.make_temporary_folder() as folder,
        closing(LocalEngine(1)) as engine,
        open_evaluation_judge(
            asked.settings, asked.stage.name, judge, ledger
        ) as models,
    ):
        store = Store(folder)
        with store.lock():
            outcome = run_steps(
                plan_steps(asked.settings, (asked.stage,)),
                asked.tables,
                asked.settings,
                store,
                engine,
                models,
                progress,
            )
        artifact = outcome.artifacts[asked.stage.makes]
        return Judging(
            rows=artifact.scan().collect(),
            reasons=dict(artifact.rejects().select("id", "reason").rows()),
            notes=dict(artifact.manifest["notes"]),
        )
