"""`tacos alpaca-eval`: how often a judge prefers a model's outputs to a baseline's.

Replies of the judge are in the ledger, so a command that was stopped goes on where it stopped, and
comparing again costs nothing (`tacos.workflows.judging`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tacos.errors import InputError
from tacos.formats import writing
from tacos.formats.alpaca_eval_files import read_annotations
from tacos.formats.pinned_files import PinnedFile
from tacos.llm.ledger.location import list_ledger_files
from tacos.methods.evaluating.annotations import Annotation
from tacos.methods.evaluating.preferences import ORDERS, Row, format_pair
from tacos.pipeline.frame_table import FrameTable
from tacos.pipeline.model_factory import (
    resolve_evaluation_judge,
)
from tacos.pipeline.run_loop import Progress
from tacos.pipeline.stages import find_stage
from tacos.workflows import arguments, kept_files
from tacos.workflows.alpaca_eval_inputs import (
    PreferenceInput,
    read_difficulty,
    read_optional_leaderboard,
    read_preference_input,
)
from tacos.workflows.alpaca_eval_result import (
    AlpacaEvaluation,
    ComparedSet,
    MissingPreference,
    ModelPreferences,
    build_evaluation,
)
from tacos.workflows.evaluation_forecast import QuestionForecast, forecast_questions
from tacos.workflows.files_read import list_paths
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
from tacos.workflows.judging import judge_table
from tacos.workflows.silent_progress import choose_progress

STAGE = "prefer"


def alpaca_eval(  # noqa: PLR0913 - the options of the command
    outputs: Any,
    settings: GivenSettings = None,
    *,
    baseline: str | Path,
    difficulty: Any = None,
    leaderboard: str | Path | None = None,
    allow_missing: bool = False,
    output: str | Path | None = None,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> AlpacaEvaluation:
    """Have a judge compare each output of a model with the baseline's, in both orders.

    Args:
        outputs: A file of outputs, or several: AlpacaEval's, or what `tacos answer` wrote, a file
            per model. Every file may lie elsewhere, and be named with its hash
            (`tacos.formats.pinned_files`).
        settings: All settings, or nested ones over the defaults; `llm.model` is the judge.
        baseline: The file of the baseline's outputs; its instructions are the set.
        difficulty: A file, or several, of annotations of many models against this baseline, from
            which it is told how hard each instruction is.
        leaderboard: AlpacaEval's leaderboard, to show rows of it beside.
        allow_missing: Whether a rate may rest on fewer than all 805 instructions.
        output: A file to write every preference to, as AlpacaEval writes annotations.
        ledger: The file of paid replies, or the address of a PostgreSQL database that holds them;
            in the user's data folder by default.
        progress: What is told of the progress.

    Returns the rates of the models that have every preference, and what is missing of the others:
    `check_complete` raises where anything is.

    Raises:
        ConfigError: No judge is named.
        InputError: A file cannot be read, or an instruction has no output.
        FailureRateError: Too many replies of the judge hold no preference.
    """
    watcher = choose_progress(progress)
    location = arguments.to_ledger_location(ledger)
    target = arguments.to_optional_path("output", output)
    chosen = resolve_settings(settings)
    given = _read_input(outputs, baseline, allow_missing=allow_missing)
    lengths = {key: len(each.answers[0]) for key, each in given.baseline.items()}
    beside = _open_files(difficulty, leaderboard)
    known = read_difficulty(beside["difficulty"], lengths)
    published = read_optional_leaderboard(beside["leaderboard"])
    files = {**given.files, **beside}
    if target is not None:
        paths = list_paths(files)
        read = [*paths, *list_setting_files(settings), *list_ledger_files(location)]
        writing.check_rows_writable(target)
        kept_files.check_files_kept([target], read)
    judge = chosen.alpaca_eval.model
    judging = judge_table(
        STAGE, given.compared, chosen, judge, location, watcher, target
    )
    pairs = _pair_orders(judging.rows.to_dicts())
    if target is not None:
        writing.write_rows(_build_annotation_rows(given, pairs), target)
    models = []
    for described in given.models:
        preferences = _collect_model(described.label, given, pairs, judging.reasons)
        preferences = preferences.with_answers(described)
        models.append(preferences)
    return build_evaluation(
        models,
        ComparedSet(
            given.baseline_name, len(given.baseline), allow_missing, chosen.seed
        ),
        known,
        published,
        judge=resolve_evaluation_judge(chosen, judge),
        max_chars=chosen.alpaca_eval.max_chars,
        spending=judging.notes,
        files=files,
    )


def forecast_alpaca_eval(
    outputs: Any,
    settings: GivenSettings = None,
    *,
    baseline: str | Path,
    allow_missing: bool = False,
    ledger: str | Path | None = None,
) -> QuestionForecast:
    """What `alpaca_eval` would ask and cost at most; nothing is sent. Raises as that does."""
    location = arguments.to_ledger_location(ledger)
    chosen = resolve_settings(settings)
    given = _read_input(outputs, baseline, allow_missing=allow_missing)
    return forecast_questions(
        find_stage(STAGE),
        {"compared_outputs": FrameTable(given.compared)},
        chosen,
        chosen.alpaca_eval.model,
        location,
    )


def count_annotations(
    annotations: Any,
    *,
    difficulty: Any = None,
    leaderboard: str | Path | None = None,
    allow_missing: bool = False,
    seed: int = 1,
) -> AlpacaEvaluation:
    """The win rates of preferences that exist already; nothing is asked.

    Args:
        annotations: A file, or several: AlpacaEval's `annotations.json`, or what `alpaca_eval`
            wrote. A file may hold several models.
        difficulty: As of `alpaca_eval`; it may be the same file.
        leaderboard: AlpacaEval's leaderboard, to show rows of it beside.
        allow_missing: Whether a rate may rest on fewer than all 805 instructions.
        seed: Of the intervals at equal length.

    Raises:
        InputError: A file cannot be read, or has an instruction twice for a model.
    """
    files = arguments.to_files("annotations", annotations)
    beside = _open_files(difficulty, leaderboard)
    by_model: dict[str, list[Annotation]] = {}
    for file in files:
        for annotation in read_annotations(file.path):
            by_model.setdefault(annotation.model, []).append(annotation)
    lengths: dict[str, int] = {}
    baselines: Counter[str] = Counter()
    for given in by_model.values():
        lengths.update({each.instruction: each.baseline_length for each in given})
        baselines.update({each.baseline for each in given})
    if len(baselines) > 1:
        named = ", ".join(sorted(baselines))
        raise InputError(
            f"the annotations are against different baselines ({named}): count them one by one"
        )
    known = read_difficulty(beside["difficulty"], lengths)
    models = [
        _collect_annotated(label, given, sorted(lengths))
        for label, given in by_model.items()
    ]
    return build_evaluation(
        models,
        ComparedSet(next(iter(baselines)), len(lengths), allow_missing, seed),
        known,
        read_optional_leaderboard(beside["leaderboard"]),
        files={"annotations": files, **beside},
    )


def _read_input(
    outputs: Any, baseline: str | Path, *, allow_missing: bool
) -> PreferenceInput:
    """What is compared, from the arguments."""
    files = arguments.to_files("outputs", outputs)
    if not files:
        raise InputError(
            "no outputs given: name the files that `tacos answer` wrote, or annotations that "
            "exist already (--annotations)"
        )
    return read_preference_input(
        files, arguments.to_file("baseline", baseline), allow_missing=allow_missing
    )


def _open_files(difficulty: Any, leaderboard: Any) -> dict[str, list[PinnedFile]]:
    """The files beside the outputs, none for None."""
    given = {"difficulty": difficulty, "leaderboard": leaderboard}
    return {
        name: [] if value is None else arguments.to_files(name, value)
        for name, value in given.items()
    }


# From the replies to annotations

Pairs = Mapping[tuple[str, str], dict[str, Row]]
"""Model and instruction -> order -> a row of `PREFERENCES`."""


def _pair_orders(rows: Sequence[Row]) -> Pairs:
    """Both orders of each two outputs, as far as they are there."""
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        orders = pairs.setdefault((row["model"], row["instruction"]), {})
        orders[row["order"]] = row
    return pairs


def _build_annotation(
    label: str, key: str, given: PreferenceInput, orders: Mapping[str, Row]
) -> Annotation:
    """The preference of two outputs by both orders."""
    first, second = (orders[order] for order in ORDERS)
    return Annotation(
        model=label,
        baseline=given.baseline_name,
        instruction=key,
        preference=(first["preference"] + second["preference"]) / 2,
        length=len(given.outputs[label][key].answers[0]),
        baseline_length=len(given.baseline[key].answers[0]),
        judge=first["judge"],
        is_flip=first["choice"] != second["choice"],
        is_weighed=first["weighed"] and second["weighed"],
    )


def _collect_model(
    label: str, given: PreferenceInput, pairs: Pairs, reasons: Mapping[str, str]
) -> ModelPreferences:
    """The preferences of one model, and the missing ones; `reasons` are those of rejects by id."""
    annotations = []
    missing = []
    for key in given.baseline:
        orders = pairs.get((label, key), {})
        open_orders = [order for order in ORDERS if order not in orders]
        if not open_orders:
            annotations.append(_build_annotation(label, key, given, orders))
            continue
        row = {"model": label, "instruction": key, "order": open_orders[0]}
        reason = reasons.get(format_pair(row), "no output")
        missing.append(MissingPreference(key, reason))
    return ModelPreferences(label, annotations, missing, _count_judges(annotations))


def _collect_annotated(
    label: str, given: Sequence[Annotation], expected: Sequence[str]
) -> ModelPreferences:
    """The model of annotations that exist already."""
    by_key: dict[str, Annotation] = {}
    for annotation in given:
        if annotation.instruction in by_key:
            raise InputError(
                f"{label} has two annotations of instruction {annotation.instruction}: "
                "keep one of them"
            )
        by_key[annotation.instruction] = annotation
    annotations = []
    missing = []
    for key in expected:
        known = by_key.get(key)
        if known is not None and known.preference is not None:
            annotations.append(known)
        else:
            reason = "not there" if known is None else "no preference could be read"
            missing.append(MissingPreference(key, reason))
    return ModelPreferences(label, annotations, missing, _count_judges(annotations))


def _count_judges(annotations: Sequence[Annotation]) -> Counter[str]:
    """Who gave the preferences; nobody is asked about two outputs of the same text."""
    return Counter(each.judge or "none (same text)" for each in annotations)


def _build_annotation_rows(given: PreferenceInput, pairs: Pairs) -> Iterator[Row]:
    """Lines of the output: AlpacaEval's form, which `count_annotations` reads."""
    for (label, key), orders in pairs.items():
        if len(orders) < len(ORDERS):
            continue
        answer = given.outputs[label][key]
        annotation = _build_annotation(label, key, given, orders)
        assert annotation.preference is not None
        yield {
            "instruction": answer.turns[0],
            "output_1": given.baseline[key].answers[0],
            "generator_1": given.baseline_name,
            "output_2": answer.answers[0],
            "generator_2": label,
            "dataset": answer.set,
            "annotator": annotation.judge,
            "preference": 1 + annotation.preference,
            "preference_ab": 1 + orders["ab"]["preference"],
            "preference_ba": 1 + orders["ba"]["preference"],
            "flip": annotation.is_flip,
            "weighed": annotation.is_weighed,
        }
