"""What people have answered to the tasks of a run, and how far they and the judge agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tacos.methods.annotating import label_exports, labels, people_agreement
from tacos.methods.annotating.judge_agreement import compare_judges_with_people
from tacos.methods.annotating.labels import Progress, Standing
from tacos.methods.annotating.people_agreement import AgreementFigure, Majority
from tacos.methods.annotating.tasks import BETTER, KINDS, PAIR, count_kinds
from tacos.methods.judging import comparisons
from tacos.methods.judging.calibration import Calibration
from tacos.methods.tags import tag_quality
from tacos.methods.tags.tag_quality import TagQuality
from tacos.pipeline import conditions
from tacos.pipeline.run_loop import ConcatenatedTable
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.records import SCORES, VERDICTS, add_missing_columns
from tacos.workflows.annotation_tasks import TaskSet, list_rounds
from tacos.workflows.selection import Selection


@dataclass(frozen=True)
class AnnotationStatus:
    """What people have answered so far, and how far they agree."""

    n_tasks: dict[str, int]
    """By kind."""
    progress: list[Progress]
    agreement: list[AgreementFigure]
    majorities: dict[str, Majority]
    """Pair -> which row most people prefer."""
    judges: list[Calibration]
    """Of the run's judges, against the majority of people."""
    tags: TagQuality
    """What people say of tags, and how far they agree."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        preferred = [majority.answer for majority in self.majorities.values()]
        counts = {
            answer or "no majority": preferred.count(answer)
            for answer in ("a", "b", "tie", None)
        }
        return {
            "tasks": self.n_tasks,
            "progress": [asdict(each) for each in self.progress],
            "agreement": [figure._asdict() for figure in self.agreement],
            "pairs": counts,
            "judges": [_describe_calibration(judge) for judge in self.judges],
            "tag_shares": self.tags.shares.to_dicts(),
            "tag_agreement": self.tags.agreement.to_dicts(),
        }


def summarise_labels(
    done: Selection,
    chosen: TaskSet,
    standing: Standing,
) -> AnnotationStatus:
    """What these labels say of a run's tasks."""
    pairs = [task for task in chosen.tasks if task.kind == PAIR]
    judges = compare_judges_with_people(
        pairs,
        standing,
        _read_verdicts(done),
        _read_scores(done),
        _list_pointwise_judges(done),
        _list_score_keys(done),
    )
    return AnnotationStatus(
        n_tasks=count_kinds(chosen.tasks),
        progress=measure_all_progress(chosen, standing, standing.people),
        agreement=people_agreement.measure_agreement(
            pairs,
            standing,
            chosen.plan.seed,
        ),
        majorities=people_agreement.find_majorities(pairs, standing, BETTER),
        judges=judges,
        tags=tag_quality.assess_tag_quality(
            label_exports.build_case_table(chosen.tasks),
            label_exports.build_judgement_table(chosen.tasks, standing),
            chosen.check["seed"],
        ),
    )


def measure_all_progress(
    chosen: TaskSet,
    standing: Standing,
    people: Iterable[str],
) -> list[Progress]:
    """How far these people have come with each kind of task."""
    kinds = count_kinds(chosen.tasks)
    return [
        labels.measure_progress(
            chosen.tasks,
            kind,
            person,
            standing,
            chosen.plan.seed,
        )
        for person in people
        for kind in KINDS
        if kind in kinds
    ]


def _read_verdicts(done: Selection) -> pl.DataFrame:
    """All verdicts of a run, with the score that selects."""
    rounds = list_rounds(done.artifacts, "verdicts")
    if not rounds:
        return pl.DataFrame(schema=VERDICTS)
    verdicts = ConcatenatedTable(rounds).scan().collect()
    return comparisons.combine_verdicts(verdicts, done.settings.judge.target)


def _read_scores(done: Selection) -> pl.DataFrame:
    """The newest scores of a run."""
    newest = find_newest_scores(done.artifacts)
    if newest is None:
        return pl.DataFrame(schema=SCORES)
    return add_missing_columns(done.artifacts[newest].scan().collect(), SCORES)


def _list_score_keys(done: Selection) -> tuple[str, ...]:
    """The columns within which scores are comparable."""
    is_by_cluster = done.settings.rate.scope == "cluster"
    if is_by_cluster and conditions.uses_comparisons(done.settings):
        return ("component", "cluster")
    return ("component",)


def _list_pointwise_judges(done: Selection) -> list[str]:
    """The judges that cannot see the order of a pair."""
    pointwise: set[str] = set()
    for artifact in list_rounds(done.artifacts, "verdicts"):
        note = artifact.manifest["notes"].get("pointwise")
        # A panel notes the names of its pointwise members, a single judge whether it is one.
        if isinstance(note, list):
            pointwise.update(note)
        elif note:
            pointwise.update(done.settings.judges)
    return sorted(pointwise)


def _describe_calibration(calibration: Calibration) -> dict[str, Any]:
    """What is said of a judge, for JSON: its agreement with people."""
    return {
        "judge": calibration.judge,
        "n_judged": calibration.n_judged,
        "agreement": calibration.agreement._asdict(),
        "agreement_decided": calibration.agreement_decided._asdict(),
        "kappa": calibration.kappa,
        "ac1": calibration.ac1,
        "suggestions": list(calibration.suggestions),
    }
