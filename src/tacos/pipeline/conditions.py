"""Which stages run under which settings."""

from __future__ import annotations

from tacos.config import Settings
from tacos.methods.judging.shortlist import BY_GRADE, Rule
from tacos.pipeline.judging_mode import resolve_mode


def always_runs(settings: Settings) -> bool:
    """Most stages run under any settings."""
    return True


def extends_runs(settings: Settings) -> bool:
    """The input joins the rows of earlier runs."""
    return bool(settings.extend.runs)


def uses_comparisons(settings: Settings) -> bool:
    """Samples are compared, unless the input brings its own scores or the judge grades each sample
    alone.
    """
    return not settings.ingest.score and resolve_mode(settings) == "comparative"


def uses_close_judge(settings: Settings) -> bool:
    """The embedded judge reads the shortlist a second time, with its slow tier."""
    return settings.judge.close == "on" and not uses_comparisons(settings)


def uses_grades(settings: Settings) -> bool:
    """Grades of single samples fill the shortlist, are the prior of ratings, or are the scores."""
    return (
        resolve_rule(settings) in BY_GRADE
        or settings.rate.prior == "grades"
        or not uses_comparisons(settings)
    )


def resolve_rule(settings: Settings) -> Rule:
    """`shortlist.rule`, where `auto` depends on the quotas and the judge that follow."""
    rule = settings.shortlist.rule
    if rule != "auto":
        return rule
    if settings.select.quota != "none":
        return "embedded-judge"
    return "objective" if uses_close_judge(settings) else "stratified"


def uses_itemset_rules(settings: Settings) -> bool:
    """Rules between sets of tags are mined."""
    return settings.normalise.itemsets


def uses_tag_matching(settings: Settings) -> bool:
    """A language model says which tags mean the same."""
    if settings.extend.keeps_vocabulary:
        return False
    return bool(settings.normalise.model) and not settings.normalise.vocabulary


def uses_cascade(settings: Settings) -> bool:
    """A language model tags a sample, and a small model distilled from it tags the rest."""
    return settings.cascade.sample > 0


def rewrites_instructions(settings: Settings) -> bool:
    """A refinement rewrites instructions, too."""
    return settings.refine.instructions
