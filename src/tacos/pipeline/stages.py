"""The whole system on one screen: `PIPELINE`, and the side pipelines.

A stage is a pure function from tables to a table, in one of three shapes (with the meaning of their
fields in `tacos.pipeline.stage_shapes`): `BatchStage`, `PromptStage`, `TableStage`. The first two
words of a stage are its name, a verb, and what it makes, a noun. `tacos.pipeline.run_loop` is the
one loop that runs them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tacos.methods.evaluating import (
    answer_grades,
    duel_questions,
    model_answers,
    preferences,
)
from tacos.methods.evaluating.answer_grades import ANSWER_GRADES
from tacos.methods.evaluating.duel_questions import DUEL_VERDICTS
from tacos.methods.evaluating.model_answers import MODEL_ANSWERS
from tacos.methods.evaluating.preferences import PREFERENCES
from tacos.methods.judging import comparisons, known_answers, refinement
from tacos.methods.tags import open_tags, tag_checks, tag_matching
from tacos.methods.tags.tag_checks import CASES, JUDGEMENTS
from tacos.pipeline import whole_batches
from tacos.pipeline.conditions import (
    extends_runs,
    rewrites_instructions,
    uses_cascade,
    uses_close_judge,
    uses_comparisons,
    uses_grades,
    uses_itemset_rules,
    uses_tag_matching,
)
from tacos.pipeline.stage_shapes import (
    BatchStage,
    Pipeline,
    PromptStage,
    Stage,
    TableStage,
    run_in_processes,
)
from tacos.pipeline.steps import (
    calibrate,
    cascade,
    check_tags,
    cleaning,
    clusters,
    evaluation,
    extension,
    ingest,
    judgements,
    pairs,
    refine,
    selection,
    shortlist,
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
    KNOWN,
    LABELS,
    MEMBERSHIPS,
    PAIRS,
    RESPONSES,
    SAMPLES,
    SCORES,
    SELECTION,
    SHORTLIST,
    TAG_MATCHES,
    TAG_PAIRS,
    TAGS,
    VERDICTS,
    VOCABULARY,
)

# The formatter would put each word on a line of its own.
# fmt: off
PIPELINE: Pipeline = (
    BatchStage(
        "ingest", "samples", SAMPLES, version=8,
        reads=("input",),
        uses=("ingest", "clean"),
        source=ingest.read_input_rows,
        prepare=ingest.find_file_templates,
        leave_out=cleaning.find_unfit_samples,
        work=ingest.ingest_batch,
        where=run_in_processes, distinct="content_hash",
    ),
    TableStage(
        "recognise", "known", KNOWN, when=extends_runs,
        reads=("samples", "old_samples"),
        uses=(),
        run=extension.recognise_samples,
    ),
    PromptStage(
        "tag-sample", "sample_tags", TAGS, when=uses_cascade,
        reads=("samples",),
        uses=("tag", "ingest.tags", "cascade.sample", "seed"),
        template="tag", section="tag",
        questions=cascade.draw_sample_questions,
        ask=open_tags.build_tag_request,
        parse=open_tags.parse_tag_reply,
    ),
    TableStage(
        "distill", "tagger", FILES, version=2, when=uses_cascade,
        reads=("sample_tags", "samples"),
        uses=("tag.max_chars",),
        run=cascade.distill_tagger,
    ),
    BatchStage(
        "guess", "guesses", GUESSES, when=uses_cascade,
        reads=("samples", "sample_tags", "tagger"),
        uses=("tag.max_chars", "ingest.tags", "seed"),
        source=cascade.list_remaining_questions,
        prepare=cascade.read_tagger_files,
        work=cascade.guess_tags,
        where=run_in_processes,
    ),
    PromptStage(
        "tag", "tags", TAGS, version=2,
        reads=("samples", "sample_tags", "guesses", "old_tags", "known"),
        uses=("tag", "ingest.tags", "cascade.again"),
        template="tag",
        questions=cascade.build_cascade_questions,
        ask=open_tags.build_tag_request,
        parse=open_tags.parse_tag_reply,
        given=open_tags.reuse_known_tags,
        answer_at_once=whole_batches.tag_rows,
    ),
    TableStage(
        "propose", "tag_pairs", TAG_PAIRS, when=uses_tag_matching,
        reads=("tags",),
        uses=(
            "normalise.alpha", "normalise.auto_samples", "normalise.rules", "normalise.signs",
            "normalise.guard", "normalise.max_tags", "normalise.overrides", "normalise.max_pairs",
        ),
        run=tags.propose_pairs,
    ),
    PromptStage(
        "match", "tag_matches", TAG_MATCHES, when=uses_tag_matching,
        reads=("tag_pairs",),
        uses=(
            "normalise.pairs_per_request", "normalise.temperature", "normalise.max_tokens",
        ),
        template="match_tags", section="normalise",
        questions=tags.build_match_questions,
        ask=tag_matching.ask_matches,
        parse=tag_matching.parse_matches,
    ),
    TableStage(
        "normalise", "vocabulary", VOCABULARY, version=2,
        reads=("tags", "tag_matches", "old_vocabulary", "known"),
        uses=("normalise",),
        run=tags.normalise_tags,
    ),
    TableStage(
        "imply", "implications", IMPLICATIONS, when=uses_itemset_rules,
        reads=("tags", "vocabulary", "old_implications"),
        uses=("normalise.itemsets", "normalise.min_support", "normalise.min_confidence"),
        run=tags.mine_implications,
    ),
    BatchStage(
        "canonicalise", "canonical_tags", CANONICAL_TAGS,
        reads=("tags", "vocabulary", "implications", "samples"),
        uses=("canonicalise",),
        source=tags.read_tag_rows,
        prepare=tags.read_naming_rules,
        work=tags.canonicalise_batch,
    ),
    TableStage(
        "cluster", "clusters", CLUSTERS, version=4,
        reads=("canonical_tags", "samples", "old_clusters", "known"),
        uses=("cluster", "seed"),
        run=clusters.make_clusters,
    ),
    BatchStage(
        "assign", "memberships", MEMBERSHIPS, version=2,
        reads=("canonical_tags", "clusters", "samples"),
        uses=("cluster.tag_weight",),
        source=clusters.read_assignment_rows,
        prepare=clusters.read_clusters,
        where=clusters.find_place,
        work=clusters.assign_clusters,
    ),
    PromptStage(
        "grade", "grades", GRADES, when=uses_grades,
        reads=("samples", "old_grades", "known"),
        uses=("judge.grading", "ingest.score"),
        template="grade", one_score_template="grade_one", section="judge",
        questions=judgements.build_grade_questions,
        ask=comparisons.ask_grade,
        parse=comparisons.parse_grade,
        given=known_answers.reuse_known_grade,
        answer_at_once=whole_batches.grade_rows,
    ),
    TableStage(
        "shortlist", "shortlist", SHORTLIST, version=2,
        reads=(
            "samples", "canonical_tags", "memberships", "clusters", "grades", "old_shortlist",
            "known",
        ),
        uses=(
            "shortlist", "cluster.membership", "select.n", "select.quota", "select.exclude",
            "select.per_source", "select.per_tag", "select.match_length", "select.tag_price",
            "ingest.score", "judge.mode", "judge.close", "judge.target", "judge.reliability",
            "seed",
        ),
        run=shortlist.make_shortlist,
    ),
    PromptStage(
        "reread", "close_grades", GRADES, when=uses_close_judge,
        reads=("shortlist", "samples", "old_close_grades", "known"),
        uses=("judge.grading",),
        template="grade", one_score_template="grade_one", section="judge",
        questions=judgements.build_reread_questions,
        ask=comparisons.ask_grade,
        parse=comparisons.parse_grade,
        given=known_answers.reuse_reread_grade,
        answer_at_once=whole_batches.grade_rows,
    ),
    (  # once per round
        TableStage(
            "pair", "pairs", PAIRS, version=3, when=uses_comparisons,
            reads=(
                "shortlist", "pairs/before", "scores/before", "grades", "memberships", "clusters",
                "canonical_tags", "samples", "old_pairs", "known",
            ),
            uses=(
                "pair", "judge.target", "judge.reliability", "cluster.membership", "select.n",
                "select.quota", "select.tag_price", "seed",
            ),
            run=pairs.pair_samples,
        ),
        PromptStage(
            "judge", "verdicts", VERDICTS, when=uses_comparisons,
            reads=("pairs/now", "samples", "old_verdicts", "known"),
            uses=("judge.asking",),
            template="judge", one_score_template="judge_one",
            questions=judgements.build_judge_questions,
            ask=comparisons.ask_comparison,
            parse=comparisons.parse_verdict,
            given=known_answers.reuse_known_verdict,
        ),
        TableStage(
            "rate", "scores", SCORES, version=3,
            reads=("shortlist", "verdicts/all", "grades", "close_grades", "samples"),
            uses=("rate", "ingest.score", "judge.mode", "judge.target", "seed"),
            run=judgements.rate_samples,
        ),
    ),
    TableStage(
        "select", "selection", SELECTION, version=10,
        reads=(
            "samples", "canonical_tags", "memberships", "clusters", "shortlist", "grades",
            "close_grades", "pairs/all", "verdicts/all", "scores/last",
        ),
        uses=(
            "select", "cluster.membership", "judge.reliability", "judge.mode", "judge.panel",
            "judge.target", "ingest.score", "seed",
        ),
        run=selection.make_selection,
    ),
)

REFINEMENT: Pipeline = (  # of a finished selection: see `tacos.workflows.refine`
    BatchStage(
        "excerpt", "excerpts", EXCERPTS,
        reads=("samples", "selection"),
        uses=("ingest", "refine.max_chars"),
        source=refine.read_selected_rows,
        work=refine.extract_excerpts,
    ),
    PromptStage(
        "rewrite", "responses", RESPONSES,
        reads=("excerpts",),
        uses=("refine",),
        template="refine_response", section="refine",
        questions=refine.build_response_questions,
        ask=refinement.ask_response,
        parse=refinement.parse_response,
    ),
    PromptStage(
        "reword", "instructions", INSTRUCTIONS, when=rewrites_instructions,
        reads=("excerpts", "responses"),
        uses=("refine",),
        template="refine_instruction", section="refine",
        questions=refine.build_instruction_questions,
        ask=refinement.ask_instruction,
        parse=refinement.parse_instruction,
    ),
    BatchStage(
        "rebuild", "candidates", CANDIDATES, gate="refine",
        reads=("excerpts", "responses", "instructions"),
        uses=("ingest",),
        source=refine.read_proposals,
        work=refine.rebuild_rows,
    ),
    PromptStage(
        "confirm", "confirmations", VERDICTS, gate="refine",
        reads=("candidates", "excerpts"),
        uses=("judge.asking",),
        template="judge", one_score_template="judge_one", section="judge",
        questions=refine.build_confirm_questions,
        ask=comparisons.ask_comparison,
        parse=refinement.parse_confirmation,
    ),
)

CALIBRATION: Pipeline = (  # of a judge, on labelled pairs: see `tacos.workflows.calibrate`
    BatchStage(
        "label", "labels", LABELS, gate="ingest",
        reads=("input",),
        uses=(),
        source=ingest.read_input_rows,
        work=calibrate.parse_labelled_pairs,
    ),
    PromptStage(
        "calibrate", "verdicts", VERDICTS,
        reads=("labels",),
        uses=("judge.asking",),
        template="judge", one_score_template="judge_one", section="judge",
        questions=calibrate.build_calibration_questions,
        ask=comparisons.ask_comparison,
        parse=comparisons.parse_verdict,
    ),
)

CHECKING: Pipeline = (  # of the tags of a run: see `tacos.workflows.check_tags`
    TableStage(
        "draw", "cases", CASES,
        reads=("canonical_tags",),
        uses=(
            "check.n_precision", "check.n_consistency", "check.n_planted", "check.n_instructions",
            "seed",
        ),
        run=check_tags.draw_cases,
    ),
    PromptStage(
        "check-precision", "precision", JUDGEMENTS, gate="check",
        reads=("cases", "samples"),
        uses=("check",),
        template="check_precision", section="check",
        questions=check_tags.build_precision_questions,
        ask=tag_checks.build_check_request,
        parse=tag_checks.parse_check_reply,
    ),
    PromptStage(
        "check-consistency", "consistency", JUDGEMENTS, gate="check",
        reads=("cases", "samples"),
        uses=("check",),
        template="check_consistency", section="check",
        questions=check_tags.build_consistency_questions,
        ask=tag_checks.build_check_request,
        parse=tag_checks.parse_check_reply,
    ),
)

ANSWERING: Pipeline = (  # of a set of questions, turn by turn: see `tacos.workflows.answer`
    PromptStage(
        "answer", "model_answers", MODEL_ANSWERS,
        reads=("asked_turns",),
        uses=("answer",),
        template="answer",
        questions=evaluation.build_answer_questions,
        ask=model_answers.ask_answer,
        parse=model_answers.parse_answer,
    ),
)

MT_BENCH: Pipeline = (  # of answers of trained models: see `tacos.workflows.mt_bench`
    PromptStage(
        "grade-answers", "answer_grades", ANSWER_GRADES, needs_all=True,
        reads=("graded_turns",),
        uses=("mt_bench",),
        template="mt_bench", section="mt_bench",
        questions=evaluation.build_grade_questions,
        ask=answer_grades.ask_answer_grade,
        parse=answer_grades.parse_answer_grade,
    ),
)

ALPACA_EVAL: Pipeline = (  # of outputs of trained models: see `tacos.workflows.alpaca_eval`
    PromptStage(
        "prefer", "preferences", PREFERENCES, needs_all=True,
        reads=("compared_outputs",),
        uses=("alpaca_eval",),
        template="alpaca_eval", section="alpaca_eval",
        questions=evaluation.build_preference_questions,
        ask=preferences.ask_preference,
        parse=preferences.parse_preference,
        given=preferences.prefer_neither,
    ),
)

DUELS: Pipeline = (  # of two models' answers: see `tacos.workflows.duel`
    PromptStage(
        "duel", "duel_verdicts", DUEL_VERDICTS, needs_all=True,
        reads=("answer_pairs",),
        uses=("duel",),
        template="duel",
        questions=evaluation.build_duel_questions,
        ask=duel_questions.ask_duel,
        parse=duel_questions.parse_duel,
        given=duel_questions.decide_identical_answers,
    ),
)
# fmt: on

PIPELINES = (
    PIPELINE,
    REFINEMENT,
    CALIBRATION,
    CHECKING,
    ANSWERING,
    MT_BENCH,
    DUELS,
    ALPACA_EVAL,
)
"""Every pipeline; all their stages have different names."""


def find_stage(name: str) -> Stage:
    """The stage of that name, in whichever pipeline it is."""
    return next(stage for stage in iterate_stages() if stage.name == name)


def iterate_stages() -> Iterator[Stage]:
    """The stages of all pipelines."""
    for pipeline in PIPELINES:
        for entry in pipeline:
            if isinstance(entry, tuple):
                yield from entry
            else:
                yield entry
