"""What the judge gives points for beside quality, in figures and in sentences: place, length,
sources, topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods.judging.comparisons import combine_verdicts
from tacos.methods.judging.rating.presentation_orders import estimate_position_bias
from tacos.methods.measures import judge_tastes
from tacos.methods.measures.judge_tastes import TAIL, Taste
from tacos.pipeline.steps.pool import average_cheap_grades, find_newest_scores
from tacos.report.better_than_random import is_second_judge
from tacos.report.judge_words import name_judge
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]

N_SOURCES = 5
"""Sources of which it is told, those of most points first."""
N_TOPICS = 5
"""Tags of which it is told, those of most points first."""


def summarise_tastes(artifacts: Artifacts, settings: Settings) -> dict[str, Any]:
    """ "place" (judge -> taste), "length", "sources" (source -> taste), "topics" (tag -> taste,
    those that are shown) and "second_judge", as far as the run can tell; a taste is a dict of
    `tacos.methods.measures.judge_tastes.Taste`.
    """
    found: dict[str, Any] = {}
    place = _measure_place(artifacts, settings)
    if place:
        found["place"] = place
    if not is_second_judge(artifacts, settings):
        return found
    rows = _collect_rows(artifacts, settings)
    scores = rows["score"].to_numpy()
    grades = rows["grade"].to_numpy()
    lengths = rows["length"].to_numpy()
    sources = rows["source"].to_list()
    length = judge_tastes.measure_length_taste(scores, grades, lengths, sources)
    if length is not None:
        found["length"] = length._asdict()
    of_sources = {}
    for source in sorted(set(sources)):
        taste = judge_tastes.measure_source_taste(
            scores, grades, lengths, sources, source
        )
        if taste is not None:
            of_sources[source] = taste._asdict()
    if of_sources:
        found["sources"] = of_sources
    if "canonical_tags" in artifacts:
        topics = _place_rows_by_tag(artifacts["canonical_tags"], rows)
        shown = judge_tastes.find_topic_tastes(scores, grades, lengths, topics)
        found["topics"] = {tag: taste._asdict() for tag, taste in shown.items()}
    found["second_judge"] = name_judge(artifacts["grades"].model)
    return found


def describe_tastes(tastes: Mapping[str, Any]) -> list[str]:
    """A sentence for each taste, with how many rows or pairs it rests on.

    >>> taste = {"points": 3.4, "low": 3.1, "high": 3.7, "n": 6177}
    >>> describe_tastes({"place": {"": taste}})[0]
    'What it is shown first gets 3.4 points more (95%: 3.1 to 3.7; 6,177 pairs in both orders).'
    """
    sentences = []
    for judge, figures in tastes.get("place", {}).items():
        taste = Taste(**figures)
        whose = f" from {judge}" if judge else ""
        sentences.append(
            f"What it is shown first gets {_tell(taste)}{whose} "
            f"({_tell_interval(taste)}; {taste.n:,} pairs in both orders)."
        )
    if any(Taste(**each).is_shown for each in tastes.get("place", {}).values()):
        sentences.append(
            "Over both orders of a pair this cancels out; a pair asked in one order keeps it."
        )
    if "length" in tastes:
        taste = Taste(**tastes["length"])
        sentences.append(
            f"A response twice as long gets {_tell(taste)} ({_tell_interval(taste)}; "
            f"{taste.n:,} rated rows)."
        )
    sources = [(name, Taste(**it)) for name, it in tastes.get("sources", {}).items()]
    sources.sort(key=lambda item: -item[1].points)
    if len(sources) == 2:
        # What one of two gets more, the other gets less.
        sources = sources[:1]
    sources.sort(key=lambda item: -abs(item[1].points))
    for source, taste in sources[:N_SOURCES]:
        sentences.append(
            f"Rows of {source} get {_tell(taste)} than the others "
            f"({_tell_interval(taste)}; {taste.n:,} rated rows)."
        )
    topics = [(name, Taste(**it)) for name, it in tastes.get("topics", {}).items()]
    topics.sort(key=lambda item: -abs(item[1].points))
    for tag, taste in topics[:N_TOPICS]:
        sentences.append(
            f"Rows with the tag {tag} get {_tell(taste)} than the others "
            f"({_tell_interval(taste)}, of all tags at once; "
            f"{taste.n:,} of them are rated)."
        )
    if "length" in tastes or sources or topics:
        second = tastes["second_judge"]
        sentences.append(
            "Length, source and tag are compared among rows to which "
            f"{second} gave the same grade: a difference in quality that {second} does not see "
            "would show here, too, and a taste that both share would not."
        )
    return sentences


def _measure_place(
    artifacts: Artifacts, settings: Settings
) -> dict[str, dict[str, Any]]:
    """Judge ("" for a single one) -> points of the first place; judges that see no order have
    none.
    """
    rounds = [each for name, each in artifacts.items() if name.startswith("verdicts/")]
    if not rounds or any(each.manifest["notes"].get("pointwise") for each in rounds):
        return {}
    verdicts = combine_verdicts(
        pl.concat([each.scan() for each in rounds]).collect(),
        settings.judge.target,
    )
    biases = estimate_position_bias(verdicts).filter(pl.col("n_pairs") > 1)
    is_single = biases.height == 1
    place = {}
    for judge, bias, error, n_pairs in biases.iter_rows():
        half = TAIL * (error or 0.0)
        taste = Taste(bias, bias - half, bias + half, n_pairs)
        place["" if is_single else judge] = taste._asdict()
    return place


def _collect_rows(artifacts: Artifacts, settings: Settings) -> pl.DataFrame:
    """score, grade, length and source of the rows that both judges rated."""
    newest = find_newest_scores(artifacts)
    assert newest is not None  # there are verdicts
    scores = artifacts[newest].scan().group_by("id").agg(pl.col("score").mean())
    grades = average_cheap_grades(artifacts["grades"], settings).select("id", "grade")
    samples = artifacts["samples"].scan().select("id", "source", "length")
    rows = samples.join(scores, on="id").collect()
    return rows.join(grades, on="id").drop_nulls(["score", "grade"]).sort("id")


def _place_rows_by_tag(
    canonical_tags: Artifact,
    rows: pl.DataFrame,
) -> dict[str, list[int]]:
    """Tag -> the places of its rows among those that both judges rated."""
    tagged = (
        canonical_tags.scan()
        .select("id", "tags")
        .explode("tags")
        .drop_nulls()
        .unique()
        .collect()
    )
    places = rows.select("id").with_row_index("place")
    lists = (
        tagged.join(places, on="id")
        .sort("tags", "place")
        .group_by("tags", maintain_order=True)
        .agg("place")
    )
    return dict(lists.iter_rows())


def _tell(taste: Taste) -> str:
    """Points in words."""
    if not taste.is_shown:
        return f"neither more nor less for certain ({taste.points:+.1f} points)"
    word = "more" if taste.points > 0 else "less"
    return f"{abs(taste.points):.1f} points {word}"


def _tell_interval(taste: Taste) -> str:
    """The interval, in the direction of the points."""
    low, high = taste.low, taste.high
    if taste.is_shown and taste.points < 0:
        low, high = -high, -low
    return f"95%: {low:.1f} to {high:.1f}"
