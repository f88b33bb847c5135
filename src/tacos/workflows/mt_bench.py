"""`tacos mt-bench`: grades of trained models' answers, all of them or no score.

Replies of the judge are in the ledger, so a command that was stopped goes on where it stopped, and
grading the same answers again costs nothing (`tacos.workflows.judging`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tacos import prompts
from tacos.errors import InputError
from tacos.formats import writing
from tacos.formats.fastchat_files import read_judgments
from tacos.formats.pinned_files import PinnedFile
from tacos.formats.question_sets import read_questions
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.evaluating.answer_grades import Row, format_item
from tacos.methods.evaluating.judgments import (
    Judgment,
    UnusableJudgment,
    collect_grades,
)
from tacos.methods.evaluating.mt_bench import (
    Grades,
    Items,
    list_items,
    list_standard_items,
)
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.model_factory import (
    resolve_evaluation_judge,
)
from tacos.pipeline.run_loop import Progress
from tacos.pipeline.stages import find_stage
from tacos.workflows import arguments, kept_files
from tacos.workflows.evaluation_forecast import QuestionForecast, forecast_questions
from tacos.workflows.files_read import list_paths
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.judging import judge_table
from tacos.workflows.mt_bench_inputs import GradingInput, read_grading_input
from tacos.workflows.mt_bench_result import (
    MissingGrade,
    ModelGrades,
    MtBenchEvaluation,
    build_evaluation,
)
from tacos.workflows.silent_progress import choose_progress

STAGE = "grade-answers"


def mt_bench(
    answers: Any,
    settings: GivenSettings = None,
    *,
    questions: str | Path,
    references: str | Path,
    output: str | Path | None = None,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> MtBenchEvaluation:
    """Have a judge grade every turn of every answer on a scale from 1 to 10.

    Args:
        answers: A file of answers, or several: what `tacos answer` or FastChat wrote, a file per
            model. Every file may lie elsewhere, and be named with its hash
            (`tacos.formats.pinned_files`).
        settings: All settings, or nested ones over the defaults; `llm.model` is the judge.
        questions: The file of the questions.
        references: A file of reference answers for math, reasoning and coding, "question" for
            those that the questions bring along, or "none".
        output: A file to write every grade to, with the judge's text.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            a file in the user's data folder by default.
        progress: What is told of the progress.

    Returns the scores of the models of which every answer has a grade, and what is missing of the
    others: `check_complete` raises where anything is.

    Raises:
        ConfigError: No judge is named, or the references are unknown.
        InputError: A file cannot be read, or a question is not answered.
        FailureRateError: Too many replies of the judge hold no grade.
    """
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    target = arguments.to_optional_path("output", output)
    chosen = resolve_settings(settings)
    given = _read_input(answers, questions, references)
    if target is not None:
        read = [*list_paths(given.files), *list_setting_files(settings)]
        writing.check_rows_writable(target)
        kept_files.check_files_kept([target], [*read, *list_ledger_files(location)])
    judging = judge_table(
        STAGE, given.turns, chosen, chosen.mt_bench.model, location, watcher, target
    )
    rows = judging.rows.to_dicts()
    if target is not None:
        writing.write_rows(map(_build_grade_row, rows), target)
    by_model = _group_judgments(rows)
    items = list_items(given.questions)
    models = [
        _collect_model(
            model.label,
            by_model.get(model.label, []),
            items,
            chosen.mt_bench.repeat,
            judging.reasons,
        ).with_answers(model)
        for model in given.models
    ]
    return build_evaluation(
        models,
        items,
        references=given.references.name,
        without_reference=given.without_reference,
        judge=resolve_evaluation_judge(chosen, chosen.mt_bench.model),
        max_chars=chosen.mt_bench.max_chars,
        spending=judging.notes,
        files=given.files,
    )


def forecast_mt_bench(
    answers: Any,
    settings: GivenSettings = None,
    *,
    questions: str | Path,
    references: str | Path,
    ledger: str | Path | None = None,
) -> QuestionForecast:
    """What `mt_bench` would ask and cost at most; nothing is sent. Raises as that does."""
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_settings(settings)
    given = _read_input(answers, questions, references)
    return forecast_questions(
        find_stage(STAGE),
        {"graded_turns": FrameTable(given.turns)},
        chosen,
        chosen.mt_bench.model,
        location,
    )


def count_judgments(
    judgments: Any, *, questions: str | Path | None = None
) -> MtBenchEvaluation:
    """The scores of grades that exist already; nothing is asked.

    Args:
        judgments: A file of grades, or several: FastChat's `model_judgment/..._single.jsonl`, or
            what `mt_bench` wrote. A file may hold several models.
        questions: The file of the questions; MT-Bench's own 80 by default.

    Raises:
        InputError: A file cannot be read, holds no grades, or grades an answer twice.
    """
    files = arguments.to_files("judgments", judgments)
    sets = []
    items = list_standard_items()
    if questions is not None:
        sets = arguments.to_files("questions", [questions])
        items = list_items(read_questions([file.path for file in sets]))
    models = []
    for file in files:
        models += _read_graded_models(file, items)
    labels = Counter(model.label for model in models)
    for model in models:
        if labels[model.label] > 1:
            raise InputError(
                f"{model.label} is in {labels[model.label]} of the files: count them one by one, "
                "or rename a model"
            )
    read = {"judgments": files, "questions": sets}
    return build_evaluation(models, items, files=read)


def _read_input(
    answers: Any, questions: str | Path, references: str | Path
) -> GradingInput:
    """What is graded, from the arguments."""
    files = arguments.to_files("answers", answers)
    if not files:
        raise InputError(
            "no answers given: name the files that `tacos answer` wrote, or grades that exist "
            "already (--judgments)"
        )
    return read_grading_input(
        files, arguments.to_file("questions", questions), references
    )


def _build_grade_row(row: Row) -> Row:
    """A line of the output: FastChat's form, which `count_judgments` reads."""
    prompt = f"tacos mt_bench {prompts.hash_template('mt_bench')[:8]}"
    return {
        "question_id": row["question"],
        "model": row["model"],
        "judge": [row["judge"], prompt],
        "judgment": row["judgment"],
        "score": row["grade"],
        "turn": row["turn"],
        "repetition": row["repetition"],
    }


def _group_judgments(rows: Sequence[Row]) -> dict[str, list[Judgment]]:
    """The grades of a run by model."""
    by_model: dict[str, list[Judgment]] = {}
    for row in rows:
        judgment = Judgment(
            row["model"],
            (row["question"], row["turn"]),
            row["grade"],
            row["judge"],
            row["repetition"],
        )
        by_model.setdefault(row["model"], []).append(judgment)
    return by_model


def _read_graded_models(file: PinnedFile, items: Items) -> list[ModelGrades]:
    """The models of a file of judgments."""
    by_model: dict[str, list[Judgment]] = {}
    for judgment in read_judgments(file.path):
        by_model.setdefault(judgment.model, []).append(judgment)
    models = []
    for label, judgments in by_model.items():
        n_sittings = 1 + max(judgment.repetition for judgment in judgments)
        try:
            models.append(_collect_model(label, judgments, items, n_sittings, {}))
        except UnusableJudgment as error:
            raise InputError(f"{file}: {error}: keep one grade of each") from None
    return models


def _collect_model(
    label: str,
    judgments: Sequence[Judgment],
    items: Items,
    n_sittings: int,
    reasons: dict[str, str],
) -> ModelGrades:
    """The grades of one model, and the missing ones; `reasons` are those of rejects by id."""
    by_sitting = collect_grades(judgments)
    explained = {
        (judgment.item, judgment.repetition): judgment.reason for judgment in judgments
    }
    sittings: list[Grades] = []
    missing = []
    for number in range(n_sittings):
        grades = by_sitting.get(number, {})
        # A grade of another set is no part of this score.
        own = {item: grade for item, grade in grades.items() if item in items}
        sittings.append(own)
        for item in items:
            if item not in own:
                row = {"model": label, "question": item[0], "turn": item[1]}
                id_ = format_item({**row, "repetition": number})
                known = explained.get((item, number)) or reasons.get(id_)
                missing.append(MissingGrade(item, number, known or "not there"))
    judges = Counter(
        judgment.judge for judgment in judgments if judgment.grade is not None
    )
    return ModelGrades(label, sittings, missing, judges)
