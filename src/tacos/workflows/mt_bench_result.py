"""The result of `tacos mt-bench`: scores with intervals, differences, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

from tacos.errors import IncompleteError
from tacos.methods.evaluating.clustered_means import MeanEstimate
from tacos.methods.evaluating.mt_bench import (
    Grades,
    Item,
    Items,
    MtBenchScore,
    average_grades,
    compare_grades,
    guess_detectable_difference,
    is_doubtful,
    summarise_grades,
)
from tacos.workflows.evaluated_models import (
    EvaluatedModel,
    list_warnings,
    suggest_asking,
)
from tacos.workflows.files_read import FilesRead, serialise_files

N_SHOWN = 5


@dataclass(frozen=True)
class MissingGrade:
    """An item without a grade in a judging, and why."""

    item: Item
    repetition: int
    reason: str

    def describe(self) -> str:
        """In words."""
        question, turn = self.item
        text = f"question {question} turn {turn}"
        if self.repetition:
            text += f" in judging {self.repetition + 1}"
        return f"{text} ({self.reason})"


@dataclass(frozen=True)
class ModelGrades:
    """The grades of one model, by judging."""

    label: str
    sittings: list[Grades]
    missing: list[MissingGrade]
    judges: Mapping[str, int]
    """Who gave them, as the server calls it -> grades."""
    answers: EvaluatedModel | None = None
    """None where only grades are known."""
    score: MtBenchScore | None = None
    """None where a grade is missing."""
    sitting_means: tuple[float, ...] = ()
    """The mean of each judging, where there are several."""

    @property
    def n_grades(self) -> int:
        """Grades of all judgings."""
        return sum(len(grades) for grades in self.sittings)

    def with_answers(self, answers: EvaluatedModel) -> ModelGrades:
        """The same, with what is known of the answers."""
        return replace(self, answers=answers)

    def describe_missing(self, n_items: int) -> str:
        """How many grades there are, and which are missing, on one line."""
        shown = "; ".join(missing.describe() for missing in self.missing[:N_SHOWN])
        n_more = len(self.missing) - N_SHOWN
        more = f" and {n_more:,} more" if n_more > 0 else ""
        n_all = n_items * len(self.sittings)
        return f"{self.label}: {self.n_grades:,} of {n_all:,} grades; missing: {shown}{more}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.label,
            "n_grades": self.n_grades,
            "score": None if self.score is None else asdict(self.score),
            "sitting_means": list(self.sitting_means),
            "missing": [asdict(missing) for missing in self.missing],
            "judges": dict(self.judges),
            "answers": None if self.answers is None else asdict(self.answers),
        }


@dataclass(frozen=True)
class ModelDifference:
    """How much better the first of two models is graded, by the questions that both answered."""

    better: str
    worse: str
    estimate: MeanEstimate


@dataclass(frozen=True)
class MtBenchEvaluation:
    """Scores of models on one set of questions."""

    models: list[ModelGrades]
    differences: list[ModelDifference]
    n_questions: int
    n_items: int
    doubtful: list[str]
    """Questions of the set whose GPT-4 reference is known to be wrong in a turn."""
    references: str | None = None
    """What the judge could check against; None where that is not known."""
    without_reference: list[str] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    """What makes the models hard to compare, in sentences."""
    spending: Mapping[str, Any] = field(default_factory=dict)
    is_judged_here: bool = False
    """Whether a judge was asked, so that asking it again may complete what is missing."""
    files: FilesRead = field(default_factory=dict)

    @property
    def detectable(self) -> float:
        """The smallest difference between two models that so many questions usually show."""
        return guess_detectable_difference(self.n_questions)

    def check_complete(self) -> None:
        """Raise `IncompleteError` where a model lacks grades, with what to do."""
        lacking = [model for model in self.models if model.missing]
        if not lacking:
            return
        described = ". ".join(model.describe_missing(self.n_items) for model in lacking)
        go_on = "Have these answers judged anew: `tacos mt-bench ANSWERS --judge MODEL`"
        if self.is_judged_here:
            reasons = [grade.reason for model in lacking for grade in model.missing]
            go_on = suggest_asking(reasons)
        raise IncompleteError(f"no score without every grade. {described}. {go_on}")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "n_questions": self.n_questions,
            "n_grades_needed": self.n_items,
            "models": [model.as_dict() for model in self.models],
            "differences": [
                {
                    "better": difference.better,
                    "worse": difference.worse,
                    **asdict(difference.estimate),
                    "detectable": (
                        difference.estimate.smallest_detectable_difference()
                    ),
                }
                for difference in self.differences
            ],
            "usually_detectable": self.detectable,
            "references": self.references,
            "without_reference": self.without_reference,
            "doubtful_references": self.doubtful,
            "warnings": list(self.warnings),
            "spending": dict(self.spending),
            "files": serialise_files(self.files),
        }


def build_evaluation(
    models: Sequence[ModelGrades],
    items: Items,
    *,
    references: str | None = None,
    without_reference: Sequence[str] = (),
    judge: str = "",
    max_chars: int = 0,
    spending: Mapping[str, Any] | None = None,
    files: FilesRead | None = None,
) -> MtBenchEvaluation:
    """Scores and differences of the models that have every grade; `spending` of the judge, if it
    was asked, `judge` the name by which it was, and `max_chars` what it saw of an answer at most.
    """
    scored = [_score_model(model, items) for model in models]
    doubtful = [item[0] for item in items if is_doubtful(item, items)]
    return MtBenchEvaluation(
        models=scored,
        differences=_list_differences(scored, items),
        n_questions=len({question for question, _ in items}),
        n_items=len(items),
        doubtful=list(dict.fromkeys(doubtful)),
        references=references,
        without_reference=list(without_reference),
        warnings=list_warnings(
            [model.label for model in models],
            [model.answers for model in models if model.answers is not None],
            [judge, *(name for model in models for name in model.judges)],
            max_chars,
        ),
        spending=spending or {},
        is_judged_here=spending is not None,
        files=files or {},
    )


def _score_model(model: ModelGrades, items: Items) -> ModelGrades:
    """A model with its score, if no grade is missing."""
    if model.missing:
        return model
    means = tuple(
        summarise_grades(grades, items).mean.mean for grades in model.sittings
    )
    score = summarise_grades(average_grades(model.sittings), items)
    several = means if len(means) > 1 else ()
    return replace(model, score=score, sitting_means=several)


def _list_differences(
    models: Sequence[ModelGrades], items: Items
) -> list[ModelDifference]:
    """The paired differences of all complete models, the better one first."""
    complete = [model for model in models if model.score is not None]
    differences = []
    for first, second in combinations(complete, 2):
        grades = average_grades(first.sittings)
        others = average_grades(second.sittings)
        better, worse = first.label, second.label
        if sum(grades.values()) < sum(others.values()):
            grades, others = others, grades
            better, worse = worse, better
        estimate = compare_grades(grades, others, items)
        differences.append(ModelDifference(better, worse, estimate))
    return differences


def list_judges(models: Sequence[ModelGrades]) -> Counter[str]:
    """Judge, as the server calls it -> grades of all models."""
    judges: Counter[str] = Counter()
    for model in models:
        judges.update(model.judges)
    return judges
