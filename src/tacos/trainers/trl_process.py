"""Runs TRL, follows its steps, and says in one line why it has stopped.

    PYTHON -m trl.scripts.sft --config sft.yaml

is what `trl sft --config sft.yaml` starts; it is started without the launcher in between, so that
killing it ends it. Several GPUs need the launcher, which is `accelerate launch`.
"""

from __future__ import annotations

import ast
import math
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.errors import OutputError, TrainingError
from tacos.store.files import explain_os_errors
from tacos.trainers import environment
from tacos.trainers.checkpoints import Checkpoint

SCRIPT = "trl.scripts.sft"
LAUNCHER = "accelerate.commands.launch"
N_KEPT = 200
"""Lines of the log that are looked at for the reason of a failure."""
NO_SPACE = re.compile(
    # The last two are torch's words for a file that it could not write to its end.
    r"No space left on device|Disk quota exceeded|unexpected pos|failed writing file"
)
FULL = 1 << 20
"""Free bytes of a disk on which no checkpoint fits."""
ERROR_LINE = re.compile(r"^(?:[\w.]*(?:Error|Exception|Interrupt)\b.*)$")


@dataclass(frozen=True)
class TrlRun:
    """How TRL is run."""

    python: Path
    settings_file: Path
    log_file: Path
    variables: dict[str, str]
    n_devices: int
    lock: int
    """The file that stays locked while the trainer lives."""
    checkpoint: Checkpoint | None
    """What it goes on from; None at the start."""


def run_trl(run: TrlRun, note_step: Callable[[int], None]) -> float:
    """Run TRL to its end, and return the seconds that it says it trained.

    `note_step` is called after each step with its number.

    Raises:
        TrainingError: It was killed, ran out of memory or failed, or its loss is no number.
        OutputError: The disk is full.
    """
    process = environment.start_process(
        run.python,
        _build_arguments(run),
        run.variables,
        stderr=subprocess.STDOUT,
        keep_open=[run.lock],
    )
    assert process.stdout is not None
    last_lines: deque[str] = deque(maxlen=N_KEPT)
    seconds = 0.0
    from_step = run.checkpoint.step if run.checkpoint else 0
    step = from_step
    try:
        with explain_os_errors(run.log_file), run.log_file.open("ab") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                text = line.decode("utf-8", "replace").rstrip()
                last_lines.append(text)
                figures = _read_figures(text)
                seconds = float(figures.get("train_runtime", seconds))
                if "loss" in figures:
                    step += 1
                    _check_loss(figures["loss"], step)
                    note_step(step)
        process.wait()
    finally:
        environment.end_process(process)
        process.stdout.close()
    if process.returncode != 0:
        unread = run.checkpoint.folder if run.checkpoint and step == from_step else None
        raise _explain_failure(
            process.returncode, list(last_lines), run.log_file, unread
        )
    return seconds


def _build_arguments(run: TrlRun) -> list[str | Path]:
    """The arguments of Python."""
    script: list[str | Path] = ["-m", SCRIPT, "--config", run.settings_file]
    if run.n_devices == 1:
        return script
    return [
        "-m",
        LAUNCHER,
        "--multi_gpu",
        "--num_machines",
        "1",
        "--num_processes",
        str(run.n_devices),
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        *script,
    ]


def _read_figures(line: str) -> Mapping[str, Any]:
    """The figures that transformers prints after a step and at the end, empty for other lines."""
    if not line.startswith("{'"):
        return {}
    try:
        figures = ast.literal_eval(line)
    except (ValueError, SyntaxError):
        return {}
    return figures if isinstance(figures, dict) else {}


def _check_loss(loss: Any, step: int) -> None:
    """Raise `TrainingError` for a loss that is no number."""
    try:
        is_number = math.isfinite(float(loss))
    except (TypeError, ValueError):
        is_number = False
    if not is_number:
        raise TrainingError(
            f"the loss is {loss} at step {step}: lower the learning rate (--set "
            "learning_rate=...), or use --set precision=fp32"
        )


def _explain_failure(
    code: int,
    lines: list[str],
    log_file: Path,
    unread: Path | None,
) -> TrainingError | OutputError:
    """Why TRL has stopped, and what to do; `unread` is a checkpoint after which it took no step."""
    text = "\n".join(lines)
    if environment.is_out_of_memory(text):
        return TrainingError(
            "the trainer ran out of memory: compute layers twice (--set "
            "gradient_checkpointing=true, which leaves the recipe's hash), hold fewer rows at once "
            "(--set micro_batch_size=1) or cut rows earlier (--set max_length=...)"
        )
    if NO_SPACE.search(text) or shutil.disk_usage(log_file.parent).free < FULL:
        return OutputError(
            "the disk is full: a checkpoint takes 12 bytes per parameter; make room"
        )
    if code < 0:
        hint = "; the system does that where memory ends" if code == -9 else ""
        return TrainingError(f"the trainer was killed (signal {-code}){hint}")
    errors = [line for line in lines if ERROR_LINE.match(line)]
    said = errors[-1] if errors else f"exit code {code}"
    hint = (
        f"; if it fails here again, its checkpoint is damaged: remove {unread}"
        if unread
        else ""
    )
    return TrainingError(f"the trainer has failed: {said} (see {log_file}){hint}")
