"""Where a row that the shortlist left out stood: its rank, the cut-off, and what decided."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tacos.config import Settings
from tacos.methods.judging import cheap_picks
from tacos.methods.judging.comparisons import average_grades
from tacos.methods.judging.shortlist import BY_GRADE, EXTENDED
from tacos.pipeline.steps import pool as pool_steps
from tacos.report.facts import LEFT_OUT
from tacos.report.judge_words import describe_reasons, name_judge
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]


def explain_place(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
) -> str:
    """Why the shortlist left a row out; "" if it is on it, or there is none."""
    if "shortlist" not in artifacts:
        return ""
    shortlist = artifacts["shortlist"]
    rejects = shortlist.rejects().filter(pl.col("id") == row)
    kept = shortlist.scan().filter(pl.col("id") == row).collect()
    if rejects.is_empty() or not kept.is_empty():
        return ""
    reject = rejects.row(0, named=True)
    if not reject["reason"].startswith(LEFT_OUT):
        return f"not shortlisted: {reject['reason']}"
    rule = reject["reason"].removeprefix(LEFT_OUT)
    members = read_members(artifacts, settings, rule)
    cluster = int(reject["raw"].removeprefix("cluster "))
    own_cluster = members.filter(pl.col("cluster") == cluster)
    weights = describe_weights(artifacts, settings, row, rule)
    parts = [
        _describe_rank(artifacts, own_cluster, row, cluster, rule, weights),
        describe_cut(settings, members, own_cluster, row, rule),
    ]
    if rule in BY_GRADE:
        grades = artifacts["grades"].scan().filter(pl.col("id") == row)
        parts += describe_reasons(grades.collect())
    return "; ".join(part for part in parts if part)


def read_members(
    artifacts: Artifacts,
    settings: Settings,
    rule: str,
) -> pl.DataFrame:
    """id, cluster, clusters, length, grade (null: none), is_kept: a row per (sample, cluster)."""
    members = pool_steps.read_memberships(artifacts, settings)
    samples = artifacts["samples"].scan().select("id", "length").collect()
    shortlisted = artifacts["shortlist"].scan().select("id", "cluster").collect()
    is_kept = shortlisted.with_columns(is_kept=True)
    grades = pl.DataFrame(schema={"id": pl.String, "grade": pl.Float64})
    if "grades" in artifacts and rule in BY_GRADE:
        # The share of correctness that the rule itself goes by
        target = settings.judge.target
        if rule == "stratified":
            target = cheap_picks.combine_target(target)
        given = artifacts["grades"].scan().collect()
        grades = average_grades(given, target).select("id", "grade")
    return (
        members.join(samples, on="id")
        .join(grades, on="id", how="left")
        .join(is_kept, on=["id", "cluster"], how="left")
        .with_columns(pl.col("is_kept").fill_null(False))
    )


def _describe_rank(
    artifacts: Artifacts,
    own_cluster: pl.DataFrame,
    row: str,
    cluster: int,
    rule: str,
    weights: str,
) -> str:
    """The rank of the row in its cluster by grade, and how many of the cluster were shortlisted."""
    n_rows = own_cluster.height
    n_kept = int(own_cluster["is_kept"].sum())
    start = describe_rule(rule)
    taken = f"of the {n_rows:,} rows of cluster {cluster}, {n_kept:,} were shortlisted"
    own_grade = own_cluster.filter(pl.col("id") == row)["grade"].to_list()
    if rule not in BY_GRADE:
        return f"{start}: {taken}"
    judge = name_judge(artifacts["grades"].model)
    if not own_grade or own_grade[0] is None:
        return f"{start}: it has no grade by {judge}; {taken}"
    n_better = int((own_cluster["grade"] > own_grade[0]).sum())
    return (
        f"{start}: {judge} grades it {own_grade[0]:.2f}{weights}, rank {n_better + 1:,} of the "
        f"{n_rows:,} rows of cluster {cluster}, of which {n_kept:,} were shortlisted"
    )


def describe_rule(rule: str) -> str:
    """That a row was not shortlisted, and by which setting of `shortlist.rule`."""
    return f"not shortlisted, so never compared (rule {rule})"


def describe_weights(
    artifacts: Artifacts,
    settings: Settings,
    row: str,
    rule: str,
) -> str:
    """What the grade that a rule goes by is made of, where it is not the grade that the row is
    told beside it; else "".
    """
    if rule != "stratified" or "grades" not in artifacts:
        return ""
    correctness = cheap_picks.combine_target(settings.judge.target)
    if correctness == settings.judge.target:
        return ""
    grades = artifacts["grades"].scan().filter(pl.col("id") == row).collect()
    means = average_grades(grades, settings.judge.target)
    # A judge's only score is the same whatever the weights.
    if means.is_empty() or means["value"].null_count():
        return ""
    return f" ({1 - correctness:.0%} value, {correctness:.0%} correctness)"


def describe_cut(
    settings: Settings,
    members: pl.DataFrame,
    own_cluster: pl.DataFrame,
    row: str,
    rule: str,
) -> str:
    """What a row had to have to be shortlisted."""
    if rule == "longest-per-tag-set":
        return _describe_longer(own_cluster, row)
    if rule == "cap":
        return f"a cluster has at most {settings.shortlist.cap:,} (shortlist.cap)"
    if rule == "random":
        return "chance drew others"
    if rule == EXTENDED:
        return "no judge had read it in the extended run, and only new rows are asked about"
    if rule == "stratified":
        cut = _find_cut_off(members)
        rest = "below that only the best of each cluster and class of lengths"
    elif rule == "embedded-judge":
        cut = _find_cut_off(own_cluster)
        rest = "below that only some, drawn by chance"
    else:
        return "the others had a better grade, or tags that were still missing"
    return "" if cut is None else f"every row graded above {cut:.2f} was, {rest}"


def _find_cut_off(members: pl.DataFrame) -> float | None:
    """The best grade of the rows left out, above which all were taken; None where no row is."""
    is_kept = members.group_by("id").agg(
        pl.col("is_kept").any(),
        pl.col("grade").max(),
    )
    best_left_out: float | None = is_kept.filter(~pl.col("is_kept"))["grade"].max()  # type: ignore[assignment]
    # Without a graded row left out nothing was cut off.
    if best_left_out is None:
        return None
    above = is_kept.filter("is_kept", pl.col("grade") > best_left_out)
    return None if above.is_empty() else best_left_out


def _describe_longer(own_cluster: pl.DataFrame, row: str) -> str:
    """The row of the same clusters that has the longest response."""
    own = own_cluster.filter(pl.col("id") == row).row(0, named=True)
    is_same = pl.col("clusters") == pl.lit(
        own["clusters"], own_cluster.schema["clusters"]
    )
    same = own_cluster.filter(is_same & pl.col("is_kept"))
    if same.is_empty():
        return ""
    longest = same.sort("length", "id", descending=[True, False]).row(0, named=True)
    return (
        f"{longest['id']}, in the same clusters, has a response at least as long "
        f"({longest['length']:,} to {own['length']:,} characters)"
    )
