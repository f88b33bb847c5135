"""`tacos duel`: which of two models answers better, by a judge that sees both orders.

Replies are in the ledger, so a command that was stopped goes on where it was, and judging the same
answers again costs nothing (`tacos.workflows.judging`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tacos.counts import count_words
from tacos.errors import InputError
from tacos.formats import writing
from tacos.formats.answer_files import read_answers
from tacos.formats.duel_files import read_duels, write_duels
from tacos.formats.pinned_files import PinnedFile
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.evaluating import duel_questions
from tacos.methods.evaluating.duel_summary import (
    DuelFigures,
    DuelSummary,
    JudgedDuel,
    find_repeated,
    summarise_duels,
)
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.model_factory import (
    resolve_evaluation_judge,
)
from tacos.pipeline.run_loop import Progress
from tacos.pipeline.stages import find_stage
from tacos.workflows import arguments, kept_files
from tacos.workflows.duel_judging import (
    OR_COUNT,
    STAGE,
    judge_pairs,
    list_circles,
    require_all,
    suggest_remedy,
)
from tacos.workflows.evaluated_models import (
    EvaluatedModel,
    describe_answers,
    name_different_templates,
    name_long_answers,
)
from tacos.workflows.evaluation_forecast import QuestionForecast, forecast_questions
from tacos.workflows.files_read import FilesRead, serialise_files
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.selection import GivenRun, load
from tacos.workflows.silent_progress import choose_progress

N_SHOWN = 5
"""Models that an error names."""
Pairs = list[tuple[AnsweredQuestion, AnsweredQuestion]]


@dataclass(frozen=True)
class Duels:
    """Judged duels in figures."""

    summaries: list[DuelSummary]
    """One for each two models."""
    duels: list[JudgedDuel]
    models: tuple[EvaluatedModel, ...] = ()
    """Both models' answers in figures; empty for a file of duels."""
    warnings: tuple[str, ...] = ()
    """What makes the comparison unfair, in sentences."""
    circular: tuple[str, ...] = ()
    """What the judge did in the making of the training data, in sentences; empty for nothing that
    is known.
    """
    output: Path | None = None
    """The file of verdicts, if one was written."""
    files: FilesRead = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "duels": [_serialise_summary(summary) for summary in self.summaries],
            "counts": self.counts,
            "answers": [asdict(model) for model in self.models],
            "warnings": list(self.warnings),
            "circular": list(self.circular),
            "output": None if self.output is None else str(self.output),
            "files": serialise_files(self.files),
        }

    @property
    def counts(self) -> dict[str, int]:
        """All duels, by what both orders say together."""
        results = [summary.pooled.result for summary in self.summaries]
        return {
            "duels": len(self.duels),
            "same in both orders": sum(result.same for result in results),
            "one-sided ties": sum(result.one_sided_ties for result in results),
            "flips": sum(result.outcomes["flip"] for result in results),
            "missing": sum(result.n_missing for result in results),
        }


def duel(
    first: str | Path,
    second: str | Path,
    settings: GivenSettings = None,
    *,
    selected_by: GivenRun | Sequence[GivenRun] = (),
    output: str | Path | None = None,
    allow_missing: bool = False,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> Duels:
    """Have a judge compare two models' answers to the same questions, in both orders.

    Args:
        first: A file of answers, as `tacos answer` writes it, here or elsewhere, perhaps with a
            hash (`tacos.formats.pinned_files`).
        second: The other model's.
        settings: All settings, or nested ones over the preset robust; `duel.model` or `llm.model`
            names the judge.
        selected_by: The runs that chose what the models were trained on: a judge that took part in
            one is circular.
        output: A file to write the verdicts to (.jsonl, ...).
        allow_missing: Whether figures may rest on fewer questions than were asked.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            in the user's data folder by default.
        progress: What is told of the progress.

    Raises:
        ConfigError: No judge is named.
        IncompleteError: A question was not judged in both orders.
        InputError: A file holds no answers, or the models did not answer the same questions.
        RunError: One of `selected_by` is no run.
    """
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    files = (arguments.to_file("first", first), arguments.to_file("second", second))
    target = arguments.to_optional_path("output", output)
    chosen = resolve_settings(settings)
    judge = resolve_evaluation_judge(chosen, chosen.duel.model)
    # A run that is none is refused before anybody is asked.
    selections = [load(run) for run in arguments.list_items(selected_by)]
    if target is not None:
        writing.check_rows_writable(target)
        paths = [file.path for file in files]
        read = [*paths, *list_setting_files(settings)]
        kept_files.check_files_kept([target], [*read, *list_ledger_files(location)])
    pairs = _pair_files(*files)
    duels, verdicts, reasons = judge_pairs(pairs, chosen, location, watcher, target)
    # Written before anything is refused: what was judged is there to be read.
    if target is not None:
        write_duels(duels, verdicts, target)
    if not allow_missing:
        require_all(duels, suggest_remedy(reasons) + OR_COUNT, reasons)
    sides = tuple(zip(*pairs, strict=True))
    models = tuple(describe_answers(side[0].model, side) for side in sides)
    warnings = _list_warnings(models, sides[0], sides[1], chosen.duel.max_chars)
    return Duels(
        summaries=summarise_duels(duels),
        duels=duels,
        models=models,
        warnings=tuple(warnings),
        circular=tuple(list_circles(judge, duels, selections)),
        output=target,
        files={"answers": files},
    )


def forecast_duel(
    first: str | Path,
    second: str | Path,
    settings: GivenSettings = None,
    *,
    ledger: str | Path | None = None,
) -> QuestionForecast:
    """What `duel` would ask and cost at most; nothing is sent. Raises as that does."""
    location = arguments.to_ledger_location(ledger)
    files = (arguments.to_file("first", first), arguments.to_file("second", second))
    chosen = resolve_settings(settings)
    pairs = _pair_files(*files)
    return forecast_questions(
        find_stage(STAGE),
        {"answer_pairs": FrameTable(duel_questions.tabulate_pairs(pairs))},
        chosen,
        chosen.duel.model,
        location,
    )


def recount_duels(
    files: str | Path | Sequence[str | Path],
    *,
    allow_missing: bool = False,
) -> Duels:
    """Count duels that were judged before: files of `duel`, or of FastChat's pairwise judging.

    Raises:
        IncompleteError: An order has no readable winner, and `allow_missing` is not set.
        InputError: A file holds no judged duels, or two files the same one.
    """
    duels: list[JudgedDuel] = []
    read = arguments.to_files("files", files)
    for file in read:
        duels += read_duels(file.path)
    twice = find_repeated(duels)
    if twice:
        raise InputError(f"{twice} is judged in two files: give one of them")
    if not allow_missing:
        require_all(duels, "have them judged anew" + OR_COUNT)
    return Duels(summarise_duels(duels), duels, files={"judgments": read})


def _pair_files(first: PinnedFile, second: PinnedFile) -> Pairs:
    """The answers of two files to each question."""
    are_there = first.path.exists() and second.path.exists()
    if are_there and first.path.samefile(second.path):
        raise InputError(f"{first} is given twice: give the files of two models")
    answers = _name_model(read_answers(first.path), first)
    others = _name_model(read_answers(second.path), second)
    pairs = duel_questions.pair_answers(answers, others)
    if answers[0].model != others[0].model:
        return pairs
    # Two trainings of one model, say: their files tell them apart.
    return [
        (replace(answer, model=str(first)), replace(other, model=str(second)))
        for answer, other in pairs
    ]


def _name_model(
    answers: list[AnsweredQuestion], file: PinnedFile
) -> list[AnsweredQuestion]:
    """The answers of a file. Raises `InputError` unless they are one model's."""
    names = list(dict.fromkeys(answer.model for answer in answers))
    if len(names) == 1:
        return answers
    if not names:
        raise InputError(f"{file} holds no answers: give a file of `tacos answer`")
    raise InputError(
        f"{file} holds answers of {len(names)} models ({', '.join(names[:N_SHOWN])}): "
        "give a file for each of them"
    )


def _list_warnings(
    models: Sequence[EvaluatedModel],
    answers: Sequence[AnsweredQuestion],
    others: Sequence[AnsweredQuestion],
    max_chars: int,
) -> list[str]:
    """What makes a comparison unfair."""
    # All turns of a side together have `max_chars`.
    n_turns = max(len(answer.turns) for answer in answers)
    warnings = name_long_answers(models, max_chars // n_turns)
    templates = name_different_templates(models)
    if templates:
        warnings.append(templates)
    n_different = 0
    for answer, other in zip(answers, others, strict=True):
        n_different += answer.generation != other.generation
    if n_different:
        warnings.append(
            f"{count_words(n_different, 'question')} were answered under different settings "
            "(temperature, seed or limit of tokens; see generation in the files)"
        )
    return warnings


def _serialise_summary(summary: DuelSummary) -> dict[str, Any]:
    """For JSON."""
    return {
        "models": list(summary.models),
        "judges": list(summary.judges),
        "verdict": summary.verdict,
        "all": _serialise_figures(summary.pooled),
        "sets": {
            name: _serialise_figures(figures) for name, figures in summary.sets.items()
        },
        "missing": list(summary.missing),
    }


def _serialise_figures(figures: DuelFigures) -> dict[str, Any]:
    """For JSON."""
    plain = asdict(figures)
    return {**plain.pop("result"), "n": figures.result.n, **plain}
