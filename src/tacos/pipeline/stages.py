"""The whole system on one screen: `PIPELINE`.

A stage is a pure function from tables to a table. There are three shapes; `tacos.pipeline.run_loop`
is the one loop that runs them:

- `BatchStage`: row-wise, so any shard of any size gives the same rows.
- `PromptStage`: one row is one question to a model.
- `TableStage`: works on aggregates or on a few narrow columns, never on whole samples at once.

`reads` names artifacts; inside the rounds `pairs/before` are those of all earlier rounds,
`pairs/now` this round's, `verdicts/all` those of all rounds so far, `scores/last` the newest ones.
`uses` names the settings that are part of the stage's key: all others can change without re-running
it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import comparisons, refinement
from tacos.methods.tags import open_tags, tag_checks
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS
from tacos.pipeline.steps import (
    calibrate,
    cascade,
    check_tags,
    clusters,
    ingest,
    judgements,
    refine,
    selection,
    tags,
)
from tacos.records import (
    CANDIDATES,
    CANONICAL_TAGS,
    CLUSTERS,
    EXCERPTS,
    FILES,
    GRADES,
    GUESSES,
    IMPLICATIONS,
    INSTRUCTIONS,
    LABELS,
    MEMBERSHIPS,
    PAIRS,
    RESPONSES,
    SAMPLES,
    SCORES,
    SELECTION,
    SHORTLIST,
    TAGS,
    VERDICTS,
    VOCABULARY,
    Reject,
    Reply,
    Request,
    StageOutput,
    Table,
)

Tables = Mapping[str, Table]
Row = dict[str, Any]


def _always_runs(settings: Settings) -> bool:
    """Most stages run under every setting."""
    return True


def _uses_comparisons(settings: Settings) -> bool:
    """Comparisons are made unless the input brought its own scores, or the judge grades every
    sample alone.
    """
    return not settings.ingest.score and settings.judge.mode == "comparative"


def _uses_grades(settings: Settings) -> bool:
    """Grades of single samples are the prior that fills the shortlist, or the scores themselves."""
    return (
        settings.shortlist.rule == "embedded-judge"
        or settings.rate.prior == "grades"
        or not _uses_comparisons(settings)
    )


def _uses_itemset_rules(settings: Settings) -> bool:
    """Whether rules between sets of tags are looked for."""
    return settings.normalise.itemsets


def _uses_cascade(settings: Settings) -> bool:
    """Whether a language model tags a sample, and a model distilled from it the rest."""
    return settings.cascade.sample > 0


def _rewrites_instructions(settings: Settings) -> bool:
    """Whether a refinement rewrites instructions, too."""
    return settings.refine.instructions


@dataclass(frozen=True)
class BatchStage:
    """`source` yields batches, `work` turns each into rows; `prepare` reads small side tables once,
    before.

    Its third argument is the stage's tool: an encoder (assign), or None.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    source: Callable[[Tables], Iterator[Any]]
    work: Callable[[Any, Any, Settings], StageOutput]
    prepare: Callable[[Tables, Settings, Any], Any] = lambda tables, settings, tool: None
    where: Literal["process", "here"] = "here"
    distinct: str = ""
    """A column whose later repetitions are rejects ("duplicate of ...")."""
    gate: str = ""
    """The settings whose `max_failure_rate` holds, when not its own."""
    when: Callable[[Settings], bool] = _always_runs
    version: int = 1


@dataclass(frozen=True)
class PromptStage:
    """One row is one question: `ask` makes the request, `parse` reads the reply; `given` rows are
    not asked.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    template: str
    questions: Callable[[Tables, Settings], Iterator[pl.DataFrame]]
    ask: Callable[[Row, str, str, Any], Request]
    parse: Callable[[Row, Reply], Row | Reject]
    given: Callable[[Row], Row | None] = lambda row: None
    section: str = ""
    """The settings handed to `ask`, when they are not the stage's own."""
    gate: str = ""
    """The settings whose `max_failure_rate` holds, when not those."""
    when: Callable[[Settings], bool] = _always_runs
    version: int = 1


@dataclass(frozen=True)
class TableStage:
    """`run(tables, settings, tool, round)` makes the whole table; the tool is an encoder, a
    selector, or None.
    """

    name: str
    makes: str
    schema: pl.Schema
    reads: tuple[str, ...]
    uses: tuple[str, ...]
    run: Callable[[Tables, Settings, Any, int], StageOutput]
    when: Callable[[Settings], bool] = _always_runs
    version: int = 1


Stage = BatchStage | PromptStage | TableStage
Pipeline = tuple[Stage | tuple[Stage, ...], ...]

PIPELINE: Pipeline = (
    BatchStage(
        "ingest",
        "samples",
        SAMPLES,
        ("input",),
        ("ingest",),
        source=ingest.read_input_rows,
        work=ingest.ingest_batch,
        where="process",
        distinct="content_hash",
    ),
    PromptStage(
        "tag-sample",
        "sample_tags",
        TAGS,
        ("samples",),
        ("tag", "ingest.tags", "cascade.sample", "seed"),
        template="tag",
        questions=cascade.draw_sample_questions,
        ask=open_tags.build_tag_request,
        parse=open_tags.parse_tag_reply,
        section="tag",
        when=_uses_cascade,
    ),
    TableStage(
        "distill",
        "tagger",
        FILES,
        ("sample_tags", "samples"),
        ("tag.max_chars",),
        run=cascade.distill_tagger,
        when=_uses_cascade,
    ),
    BatchStage(
        "guess",
        "guesses",
        GUESSES,
        ("samples", "sample_tags", "tagger"),
        ("tag.max_chars", "ingest.tags", "seed"),
        source=cascade.list_remaining_questions,
        prepare=cascade.read_tagger_files,
        work=cascade.guess_tags,
        where="process",
        when=_uses_cascade,
    ),
    PromptStage(
        "tag",
        "tags",
        TAGS,
        ("samples", "sample_tags", "guesses"),
        ("tag", "ingest.tags", "cascade.again"),
        template="tag",
        questions=cascade.build_cascade_questions,
        ask=open_tags.build_tag_request,
        parse=open_tags.parse_tag_reply,
        given=open_tags.reuse_known_tags,
        version=2,
    ),
    TableStage(
        "normalise", "vocabulary", VOCABULARY, ("tags",), ("normalise",), run=tags.normalise_tags
    ),
    TableStage(
        "imply",
        "implications",
        IMPLICATIONS,
        ("tags", "vocabulary"),
        ("normalise.itemsets", "normalise.min_support", "normalise.min_confidence"),
        run=tags.mine_implications,
        when=_uses_itemset_rules,
    ),
    BatchStage(
        "canonicalise",
        "canonical_tags",
        CANONICAL_TAGS,
        ("tags", "vocabulary", "implications"),
        (),
        source=tags.read_tag_rows,
        prepare=tags.read_naming_rules,
        work=tags.canonicalise_batch,
    ),
    TableStage(
        "cluster",
        "clusters",
        CLUSTERS,
        ("canonical_tags", "samples"),
        ("cluster", "seed"),
        run=clusters.make_clusters,
        version=2,
    ),
    BatchStage(
        "assign",
        "memberships",
        MEMBERSHIPS,
        ("canonical_tags", "clusters", "samples"),
        (),
        source=clusters.read_assignment_rows,
        prepare=clusters.read_clusters,
        work=clusters.assign_clusters,
    ),
    PromptStage(
        "grade",
        "grades",
        GRADES,
        ("samples",),
        ("judge.grading", "ingest.score"),
        template="grade",
        questions=judgements.build_grade_questions,
        ask=comparisons.ask_grade,
        parse=comparisons.parse_grade,
        given=comparisons.copy_given_grade,
        section="judge",
        when=_uses_grades,
    ),
    TableStage(
        "shortlist",
        "shortlist",
        SHORTLIST,
        ("samples", "canonical_tags", "memberships", "clusters", "grades"),
        (
            "shortlist",
            "cluster.membership",
            "select.n",
            "select.quota",
            "select.exclude",
            "select.per_source",
            "select.per_tag",
            "select.match_length",
            "ingest.score",
            "judge.mode",
            "seed",
        ),
        run=selection.make_shortlist,
    ),
    (  # once per round
        TableStage(
            "pair",
            "pairs",
            PAIRS,
            (
                "shortlist",
                "pairs/before",
                "scores/before",
                "grades",
                "memberships",
                "clusters",
                "samples",
            ),
            ("pair", "cluster.membership", "select.n", "select.quota", "seed"),
            run=judgements.pair_samples,
            when=_uses_comparisons,
            version=2,
        ),
        PromptStage(
            "judge",
            "verdicts",
            VERDICTS,
            ("pairs/now", "samples"),
            ("judge",),
            template="judge",
            questions=judgements.build_judge_questions,
            ask=comparisons.ask_comparison,
            parse=comparisons.parse_verdict,
            when=_uses_comparisons,
        ),
        TableStage(
            "rate",
            "scores",
            SCORES,
            ("shortlist", "verdicts/all", "grades", "samples"),
            ("rate", "ingest.score", "judge.mode", "seed"),
            run=judgements.rate_samples,
            version=2,
        ),
    ),
    TableStage(
        "select",
        "selection",
        SELECTION,
        ("samples", "canonical_tags", "memberships", "clusters", "shortlist", "scores/last"),
        ("select", "cluster.membership", "seed"),
        run=selection.make_selection,
        version=3,
    ),
)

REFINEMENT: Pipeline = (  # of a selection that is there: see `tacos.workflows.refine`
    BatchStage(
        "excerpt",
        "excerpts",
        EXCERPTS,
        ("samples", "selection"),
        ("ingest", "refine.max_chars"),
        source=refine.read_selected_rows,
        work=refine.extract_excerpts,
    ),
    PromptStage(
        "rewrite",
        "responses",
        RESPONSES,
        ("excerpts",),
        ("refine",),
        template="refine_response",
        section="refine",
        questions=refine.build_response_questions,
        ask=refinement.ask_response,
        parse=refinement.parse_response,
    ),
    PromptStage(
        "reword",
        "instructions",
        INSTRUCTIONS,
        ("excerpts", "responses"),
        ("refine",),
        template="refine_instruction",
        questions=refine.build_instruction_questions,
        ask=refinement.ask_instruction,
        parse=refinement.parse_instruction,
        section="refine",
        when=_rewrites_instructions,
    ),
    BatchStage(
        "rebuild",
        "candidates",
        CANDIDATES,
        ("excerpts", "responses", "instructions"),
        ("ingest",),
        source=refine.read_proposals,
        work=refine.rebuild_rows,
        gate="refine",
    ),
    PromptStage(
        "confirm",
        "confirmations",
        VERDICTS,
        ("candidates", "excerpts"),
        ("judge",),
        template="judge",
        questions=refine.build_confirm_questions,
        ask=comparisons.ask_comparison,
        parse=refinement.parse_confirmation,
        section="judge",
        gate="refine",
    ),
)

CALIBRATION: Pipeline = (  # of a judge by labelled pairs: see `tacos.workflows.calibrate`
    BatchStage(
        "label",
        "labels",
        LABELS,
        ("input",),
        (),
        source=ingest.read_input_rows,
        work=calibrate.parse_labelled_pairs,
        gate="ingest",
    ),
    PromptStage(
        "calibrate",
        "verdicts",
        VERDICTS,
        ("labels",),
        ("judge",),
        template="judge",
        questions=calibrate.build_calibration_questions,
        ask=comparisons.ask_comparison,
        parse=comparisons.parse_verdict,
        section="judge",
    ),
)

CHECKING: Pipeline = (  # of the tags of a run: see `tacos.workflows.check_tags`
    TableStage(
        "draw",
        "cases",
        CASES,
        ("canonical_tags",),
        (
            "check.n_precision",
            "check.n_consistency",
            "check.n_planted",
            "check.n_instructions",
            "seed",
        ),
        run=check_tags.draw_cases,
    ),
    PromptStage(
        "check-precision",
        "precision",
        JUDGEMENTS,
        ("cases", "samples"),
        ("check",),
        template="check_precision",
        questions=check_tags.build_precision_questions,
        ask=tag_checks.build_check_request,
        parse=tag_checks.parse_check_reply,
        section="check",
        gate="check",
    ),
    PromptStage(
        "check-consistency",
        "consistency",
        JUDGEMENTS,
        ("cases", "samples"),
        ("check",),
        template="check_consistency",
        questions=check_tags.build_consistency_questions,
        ask=tag_checks.build_check_request,
        parse=tag_checks.parse_check_reply,
        section="check",
        gate="check",
    ),
)

PIPELINES = (PIPELINE, REFINEMENT, CALIBRATION, CHECKING)
"""Every pipeline; their stages have distinct names."""


@dataclass(frozen=True)
class Step:
    """A stage of a plan; `round` is the number of its round, or None outside the rounds."""

    stage: Stage
    round: int | None = None

    @property
    def artifact(self) -> str:
        """`<makes>` or `<makes>/<round>`."""
        return self.stage.makes if self.round is None else f"{self.stage.makes}/{self.round}"


def plan_steps(settings: Settings, pipeline: Pipeline = PIPELINE) -> list[Step]:
    """The steps of a pipeline under these settings, in order."""
    n_rounds = settings.pair.n_rounds if _uses_comparisons(settings) else 1
    steps: list[Step] = []
    for entry in pipeline:
        if isinstance(entry, tuple):
            steps += [Step(stage, number) for number in range(n_rounds) for stage in entry]
        else:
            steps.append(Step(entry))
    return [step for step in steps if step.stage.when(settings)]


def resolve_inputs(
    step: Step, planned: list[Step], start: Collection[str] = ("input",)
) -> dict[str, list[str]]:
    """The artifacts that a step reads: plain name -> artifact names (several where rounds are
    joined).

    Artifacts that the plan does not make are left out, but for those that are there at the start.
    """
    made = {other.artifact for other in planned[: planned.index(step)]} | set(start)
    found: dict[str, list[str]] = {}
    for read in step.stage.reads:
        name, _, which = read.partition("/")
        names = [name] if not which else _list_rounds(name, which, step.round, made)
        present = [each for each in names if each in made]
        if present:
            found[name] = present
    return found


def _list_rounds(name: str, which: str, number: int | None, made: set[str]) -> list[str]:
    """Artifact names of the rounds that `which` means, oldest first."""
    so_far = sorted(
        (each for each in made if each.startswith(f"{name}/")),
        key=lambda each: int(each.split("/")[1]),
    )
    if which == "now":
        return [f"{name}/{number}"]
    if which == "last" or (which == "before" and name == "scores"):
        return so_far[-1:]
    return so_far
