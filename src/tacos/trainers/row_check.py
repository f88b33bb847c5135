"""Has rows read as TRL will read them, in the training environment, before it is started.

See `tacos.trainers.training_check`, which does it there.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tacos.errors import ConfigError, FailureRateError
from tacos.store import files
from tacos.trainers import environment

SCRIPT = Path(__file__).with_name("training_check.py")
Device = Literal["auto", "cpu", "cuda"]
CUT = "cut"
TOO_LONG = "the question alone is longer than"
MAX_FAILURES = 0.02
"""Share of rows that may be left out because they would be trained on otherwise than meant."""


@dataclass(frozen=True)
class Machine:
    """What a model is trained on."""

    kind: Literal["cpu", "cuda"]
    name: str
    n_devices: int
    n_threads: int
    memory: int
    """Bytes of one GPU, or of this machine."""
    flops: float
    """Operations per second of a product of matrices in the recipe's precision."""


@dataclass(frozen=True)
class ModelSize:
    """The size of a model."""

    n_parameters: int
    n_layers: int
    width: int
    n_tokens: int
    """Entries of the vocabulary."""
    max_length: int
    """The longest text that it was made for; 0 where it does not say."""


@dataclass(frozen=True)
class RowCheck:
    """What TRL will make of rows."""

    versions: dict[str, str]
    machine: Machine
    model: ModelSize
    rows: tuple[tuple[int, int, str], ...]
    """Of each row: tokens read, tokens trained on, and "", "cut" or why it is left out."""

    @property
    def n_cut(self) -> int:
        """Rows whose end is cut."""
        return sum(status == CUT for *_, status in self.rows)

    def is_kept(self, number: int) -> bool:
        """Whether a row is trained on."""
        return self.rows[number][2] in ("", CUT)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_rows(
    python: Path,
    *,
    model: str,
    rows_file: Path,
    template_file: Path,
    settings_file: Path,
    max_length: int,
    precision: str,
    device: Device,
) -> RowCheck:
    """What TRL will make of a file of rows.

    Raises:
        ConfigError: The environment lacks a package, there is no such device, or the model or its
            tokenizer cannot be loaded.
        FailureRateError: Too many rows would be trained on otherwise than meant.
    """
    request = {
        "model": model,
        "rows_file": str(rows_file),
        "template_file": str(template_file),
        "settings_file": str(settings_file),
        "max_length": max_length,
        "precision": precision,
        "device": device,
    }
    result = _run_script(python, request, model)
    check = read_row_check(result)
    _check_failures(check)
    return check


def read_row_check(result: dict[str, Any]) -> RowCheck:
    """What a check has found, as its result or a file has it."""
    machine = result.get("device") or result["machine"]
    return RowCheck(
        versions=result["versions"],
        machine=Machine(**machine),
        model=ModelSize(**result["model"]),
        rows=tuple((read, trained, status) for read, trained, status in result["rows"]),
    )


def _run_script(python: Path, request: dict[str, Any], model: str) -> dict[str, Any]:
    """The result of the script in the training environment."""
    with files.make_temporary_folder() as folder:
        request_file = folder / "request.json"
        result_file = folder / "result.json"
        request_file.write_text(json.dumps(request), "utf-8")
        process = environment.start_process(
            python,
            [SCRIPT, request_file, result_file],
            environment.build_variables(model),
        )
        try:
            _, said = process.communicate()
        finally:
            environment.end_process(process)
        if process.returncode != 0 or not result_file.is_file():
            text = said.decode("utf-8", "replace")
            raise ConfigError(_explain_end(python, process.returncode, text))
        result: dict[str, Any] = json.loads(result_file.read_bytes())
    if "problem" in result:
        raise ConfigError(result["problem"])
    return result


def _explain_end(python: Path, code: int, said: str) -> str:
    """Why there is no result, in one line."""
    # The system kills, without a word, what takes too much memory.
    if code == -signal.SIGKILL or environment.is_out_of_memory(said):
        return f"{python} ran out of memory while it read the rows: free some, or take fewer rows"
    lines = said.strip().splitlines()
    last = lines[-1] if lines else f"exit code {code}"
    return f"{python} cannot read the rows: {last}"


def _check_failures(check: RowCheck) -> None:
    """Raise `FailureRateError` where too many rows would be trained on otherwise than meant."""
    failures = [
        status
        for _, _, status in check.rows
        if status not in ("", CUT) and not status.startswith(TOO_LONG)
    ]
    if len(failures) <= MAX_FAILURES * len(check.rows):
        return
    reason, n_rows = Counter(failures).most_common(1)[0]
    raise FailureRateError(
        f"{n_rows:,} of {len(check.rows):,} rows cannot be trained on as they are ({reason}): use "
        "another chat template (--set template=...), or clean the rows"
    )
