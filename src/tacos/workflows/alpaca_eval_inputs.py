"""What `tacos alpaca-eval` reads: outputs, the baseline's, difficulty, the leaderboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tacos.errors import InputError
from tacos.formats.alpaca_eval_files import (
    LeaderboardRow,
    read_annotations,
    read_leaderboard,
    read_outputs,
)
from tacos.formats.pinned_files import PinnedFile
from tacos.methods.evaluating.alpaca_eval import (
    N_INSTRUCTIONS,
    Eases,
    estimate_instruction_eases,
)
from tacos.methods.evaluating.annotations import Annotation
from tacos.methods.evaluating.preferences import COMPARED_OUTPUTS
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.workflows.evaluated_models import EvaluatedModel, describe_answers
from tacos.workflows.files_read import FilesRead, refuse_repeated

Outputs = dict[str, AnsweredQuestion]
LARGEST_MISMATCH = 0.05
"""Share of instructions on which two baselines may differ in length and still be the same one."""


@dataclass(frozen=True)
class Difficulty:
    """How easy each instruction is, and where that is known from."""

    eases: Eases | None
    source: str
    """In words; "" for nowhere."""


@dataclass(frozen=True)
class PreferenceInput:
    """Everything that is compared, read and checked."""

    baseline_name: str
    baseline: Outputs
    outputs: dict[str, Outputs]
    """By label of the model."""
    models: list[EvaluatedModel]
    compared: pl.DataFrame
    """By `COMPARED_OUTPUTS`."""
    files: FilesRead


def read_preference_input(
    files: Sequence[PinnedFile], baseline_file: PinnedFile, *, allow_missing: bool
) -> PreferenceInput:
    """Read and check outputs.

    Raises:
        InputError: A file cannot be read or is given twice, or an instruction has no output and
            that is not allowed.
    """
    refuse_repeated(files)
    baseline = read_outputs(baseline_file.path)
    if len(baseline) != N_INSTRUCTIONS and not allow_missing:
        raise InputError(
            f"{baseline_file} has {len(baseline):,} outputs, and AlpacaEval has "
            f"{N_INSTRUCTIONS:,} instructions: pass --allow-missing for a rate of these"
        )
    read = [(file, read_outputs(file.path)) for file in files]
    for file, outputs in read:
        _check_outputs(file, outputs, baseline, allow_missing=allow_missing)
    labels = _label_models(read)
    by_label = {
        label: {key: outputs[key] for key in baseline if key in outputs}
        for label, (_, outputs) in zip(labels, read, strict=True)
    }
    rows = []
    for label, outputs in by_label.items():
        for key, answer in outputs.items():
            row = {
                "model": label,
                "instruction": key,
                "text": answer.turns[0],
                "output": answer.answers[0],
                "baseline": baseline[key].answers[0],
            }
            rows.append(row)
    return PreferenceInput(
        baseline_name=next(iter(baseline.values())).model,
        baseline=baseline,
        outputs=by_label,
        models=[
            describe_answers(label, list(outputs.values()))
            for label, outputs in by_label.items()
        ],
        compared=pl.DataFrame(rows, schema=COMPARED_OUTPUTS, orient="row"),
        files={"outputs": list(files), "baseline": [baseline_file]},
    )


def read_difficulty(
    files: Sequence[PinnedFile], baseline_lengths: dict[str, int]
) -> Difficulty:
    """The difficulty of instructions by the annotations of some files; unknown without any.

    Raises:
        InputError: They are of too few models, or against another baseline than the one whose
            outputs have these lengths, by instruction.
    """
    if not files:
        return Difficulty(None, "")
    annotations: list[Annotation] = []
    for file in files:
        annotations += read_annotations(file.path)
    named = ", ".join(str(file) for file in files)
    _check_baseline(annotations, baseline_lengths, named)
    try:
        eases = estimate_instruction_eases(annotations)
    except ValueError as error:
        raise InputError(f"{named}: {error}") from None
    n_models = len({each.model for each in annotations})
    return Difficulty(eases, f"the annotations of {n_models} models in {named}")


def read_optional_leaderboard(files: Sequence[PinnedFile]) -> list[LeaderboardRow]:
    """The rows of a leaderboard; none without one."""
    return [row for file in files for row in read_leaderboard(file.path)]


def _check_outputs(
    file: PinnedFile, outputs: Outputs, baseline: Outputs, *, allow_missing: bool
) -> None:
    """Raise `InputError` where instructions have no output, unless some are allowed to."""
    missing = [key for key in baseline if key not in outputs]
    n_there = len(baseline) - len(missing)
    if not missing or (allow_missing and n_there):
        return
    example = baseline[missing[0]].turns[0][:60]
    n_others = len(outputs.keys() - baseline.keys())
    others = (
        f"; it has {n_others:,} to other instructions, so both may not be of the same set"
        if n_others
        else ""
    )
    raise InputError(
        f"{file} has outputs to {n_there:,} of the baseline's {len(baseline):,} instructions, "
        f"none to {example!r}{others}; answer all of them, or pass --allow-missing"
    )


def _check_baseline(
    annotations: Sequence[Annotation], lengths: dict[str, int], named: str
) -> None:
    """Raise `InputError` if annotations are against another baseline, whose outputs have other
    lengths.
    """
    known = {each.instruction: each.baseline_length for each in annotations}
    common = known.keys() & lengths.keys()
    n_different = sum(1 for key in common if known[key] != lengths[key])
    if not common or n_different > LARGEST_MISMATCH * len(common):
        raise InputError(
            f"{named} is against another baseline (its outputs have other lengths on "
            f"{n_different:,} of {len(common):,} common instructions): how hard an instruction "
            "is depends on the baseline"
        )


def _label_models(files: Sequence[tuple[PinnedFile, Outputs]]) -> list[str]:
    """A name for the model of each file: its own, or the file's where two have the same."""
    names = [next(iter(outputs.values())).model for _, outputs in files]
    uses = Counter(names)
    return [
        name if uses[name] == 1 else str(path)
        for name, (path, _) in zip(names, files, strict=True)
    ]
