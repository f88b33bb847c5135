"""The stages from tag to canonicalise: questions about tags, the vocabulary, canonical tags.

A cascade of taggers has stages of its own before `tag`: see `tacos.pipeline.steps.cascade`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import polars as pl

from tacos.config import NormaliseSettings, Settings
from tacos.methods.tags import (
    extended_vocabulary,
    itemset_rules,
    merge_steps,
    normalisation,
    open_tags,
    overrides,
    published_vocabulary,
    tag_links,
    tag_matching,
    tag_pairs,
)
from tacos.pipeline.steps import hand_tags
from tacos.pipeline.steps.extension import list_known_ids, read_old_rows
from tacos.pipeline.steps.hand_tags import HandTags
from tacos.pipeline.steps.matched_rows import count_distinct_ids
from tacos.records import (
    VOCABULARY,
    Encoder,
    StageOutput,
    Table,
    Tables,
    add_missing_columns,
)

N_QUESTIONS_PER_BATCH = 64
N_COUNTED_AT_ONCE = 50
"""Batches whose counts are held beside each other."""

TagMapping = Mapping[str, str | None]


class NamingRules(NamedTuple):
    """How raw tags become canonical ones."""

    mapping: TagMapping
    implied_by: itemset_rules.ImplicationIndex
    by_hand: HandTags = hand_tags.NONE


def build_tag_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch; what an extended run has tagged is known."""
    known = read_old_rows(tables, "old_tags", "id", key=("id", "turn"))
    for samples in tables["samples"].batches(["id", "turns", "given_tags"]):
        yield open_tags.build_turn_questions(samples, known)


def read_tag_rows(tables: Tables) -> Iterator[pl.DataFrame]:
    """The raw tags of each turn, batch by batch."""
    yield from tables["tags"].batches(["id", "tags"])


def propose_pairs(
    tables: Tables, settings: Settings, encoder: Encoder, number: int
) -> StageOutput:
    """Raw tags -> pairs of tags that a language model is asked about."""
    config = settings.normalise
    tags = tables["tags"]
    counts = normalisation.count_spelt_tags(
        _count_raw_tags(tags.batches(["tags"])),
        count_distinct_ids(tags.batches(["id"])),
        config,
        encoder,
        overrides.parse_overrides(config.overrides, config.signs),
    )
    names = sorted(counts)
    vectors = merge_steps.encode_phrases(names, encoder, config.signs)
    pairs = tag_pairs.find_candidate_pairs(names, vectors, config.signs)
    asked = tag_pairs.limit_pairs(pairs, counts, config.max_pairs)
    return StageOutput.without_rejects(asked, {"n_candidates": pairs.height})


def build_match_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """How are the tags of these pairs related? Several pairs per question."""
    pairs = tables["tag_pairs"].scan().collect()
    questions = tag_matching.build_match_questions(
        pairs, settings.normalise.pairs_per_request
    )
    yield from questions.iter_slices(N_QUESTIONS_PER_BATCH)


def normalise_tags(
    tables: Tables, settings: Settings, encoder: Encoder, number: int
) -> StageOutput:
    """Raw tags -> vocabulary, with the counts of each step in the notes."""
    if "old_vocabulary" in tables:
        return _extend_vocabulary(tables, settings.normalise, encoder)
    matches = None
    if "tag_matches" in tables:
        matches = tables["tag_matches"].scan().collect()
    vocabulary, notes = make_vocabulary(
        [tables["tags"]],
        settings.normalise,
        encoder,
        matches,
    )
    return StageOutput.without_rejects(vocabulary, notes)


def mine_implications(
    tables: Tables, settings: Settings, tool: Any, number: int
) -> StageOutput:
    """Rules between sets of canonical tags."""
    if "old_implications" in tables:
        # They belong to the vocabulary, which stays, too.
        return StageOutput.without_rejects(tables["old_implications"].scan().collect())
    config = settings.normalise
    mapping = _read_tag_mapping(tables)
    rules = itemset_rules.mine_implications(
        iterate_canonical_tags(tables["tags"], mapping),
        config.min_support,
        config.min_confidence,
    )
    return StageOutput.without_rejects(rules, {"n_rules": rules.height})


def read_naming_rules(
    tables: Tables, settings: Settings, tool: Any = None
) -> NamingRules:
    """The vocabulary, the rules between sets of tags where the settings ask for them, and what a
    person has set.
    """
    rules = None
    if "implications" in tables:
        rules = tables["implications"].scan().collect()
    by_content = settings.canonicalise.tags
    by_hand = hand_tags.NONE
    if by_content:
        by_hand = hand_tags.find_hand_tags(
            tables["samples"], tables["tags"], by_content
        )
    return NamingRules(
        _read_tag_mapping(tables),
        itemset_rules.index_implications(rules),
        by_hand,
    )


def canonicalise_batch(
    batch: pl.DataFrame, naming: NamingRules, settings: Settings
) -> StageOutput:
    """Raw tags -> canonical tags without those that others imply, one row per sample; those set by
    hand stand as they are.
    """
    canonical = canonicalise_tags(batch, naming.mapping)
    # The notes of all batches are added up.
    notes = {}
    if naming.implied_by:
        kept = [
            itemset_rules.drop_implied_tags(tags, naming.implied_by)
            for tags in canonical["tags"].to_list()
        ]
        thinned = _replace_tags(canonical, kept)
        n_before = _count_tag_occurrences(canonical)
        notes["n_implied"] = n_before - _count_tag_occurrences(thinned)
        canonical = thinned
    if naming.by_hand.tags:
        canonical = hand_tags.set_hand_tags(canonical, naming.by_hand)
        is_by_hand = canonical["id"].is_in(list(naming.by_hand.tags))
        notes["n_by_hand"] = int(is_by_hand.sum())
    return StageOutput.without_rejects(canonical, notes)


# Shared with `tacos.workflows.analyse`, which makes one vocabulary for several data sets.


def make_vocabulary(
    tag_tables: Sequence[Table],
    config: NormaliseSettings,
    encoder: Encoder,
    matches: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The vocabulary (by `VOCABULARY`) of all raw tags in these tables, and its notes.

    It is made by the steps of normalisation (`matches`: the answers of a language model, if one was
    asked), or the published one of the settings is applied; then the notes measure how far the tags
    drift from it.
    """
    counts = _count_raw_tags(
        chain.from_iterable(table.batches(["tags"]) for table in tag_tables)
    )
    if config.vocabulary:
        return _apply_published_vocabulary(counts, config, encoder)

    n_samples = sum(count_distinct_ids(table.batches(["id"])) for table in tag_tables)
    result = normalisation.build_vocabulary(
        counts,
        _iterate_transactions(tag_tables),
        n_samples,
        config,
        encoder,
        overrides.parse_overrides(config.overrides, config.signs),
        matches,
    )
    return result.vocabulary, result.notes()


def iterate_canonical_tags(table: Table, mapping: TagMapping) -> Iterator[pl.DataFrame]:
    """Canonical tags, one row per sample, batch by batch."""
    for batch in table.batches(["id", "tags"]):
        yield canonicalise_tags(batch, mapping)


def canonicalise_tags(batch: pl.DataFrame, mapping: TagMapping) -> pl.DataFrame:
    """Raw tags, one row per turn -> canonical tags, one row per sample."""
    joined = open_tags.join_turn_tags(batch)
    return _replace_tags(
        joined, normalisation.apply_mapping(joined["tags"].to_list(), mapping)
    )


def _apply_published_vocabulary(
    counts: pl.DataFrame, config: NormaliseSettings, encoder: Encoder
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The tags mapped onto a published vocabulary, and how far they drift from it."""
    published = published_vocabulary.vocabulary_from_json(config.vocabulary)
    # Without an encoder, tags match by name and stem only.
    matcher = encoder if config.semantic != "off" else None
    matcher_name = encoder.name if matcher else ""
    resolved = published_vocabulary.resolve_new_tags(counts, published, matcher)
    drift = published_vocabulary.summarise_drift(resolved, published, matcher_name)
    return tag_links.attach_parents(resolved, ()), drift


def _extend_vocabulary(
    tables: Tables, config: NormaliseSettings, encoder: Encoder
) -> StageOutput:
    """The vocabulary of an extended run with the tags of new rows, and how far these drift."""
    # A committed table of a run, with a manifest.
    table: Any = tables["old_vocabulary"]
    old = add_missing_columns(table.scan().collect(), VOCABULARY)
    alpha = table.manifest["notes"]["alpha"]
    known_ids = list_known_ids(tables)
    known = published_vocabulary.publish_vocabulary(
        old,
        len(known_ids),
        alpha,
        config,
        encoder.name,
    )
    matcher = encoder if config.semantic != "off" else None
    counts = _count_raw_tags(tables["tags"].batches(["tags"]))
    vocabulary = extended_vocabulary.extend_vocabulary(old, counts, known, matcher)
    is_new = ~pl.col("id").is_in(known_ids.implode())
    of_new_rows = (
        batch.filter(is_new) for batch in tables["tags"].batches(["id", "tags"])
    )
    drift = extended_vocabulary.describe_drift(
        vocabulary,
        old,
        _count_raw_tags(of_new_rows),
        known,
    )
    return StageOutput.without_rejects(vocabulary, {"alpha": alpha, "drift": drift})


def _count_raw_tags(batches: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """tag, count: turns with each raw tag, sorted by tag."""
    parts = [pl.DataFrame(schema={"tag": pl.String, "count": pl.UInt32})]
    for batch in batches:
        # Each turn counts: a tag that two turns of a sample have occurs twice.
        occurrences = batch.select(tag="tags").explode("tag").drop_nulls("tag")
        parts.append(occurrences.group_by("tag").agg(count=pl.len()))
        if len(parts) == N_COUNTED_AT_ONCE:
            parts = [_add_counts(parts)]
    return _add_counts(parts).sort("tag")


def _add_counts(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """tag, count: the sums of counts."""
    return pl.concat(parts).group_by("tag").agg(pl.col("count").sum())


def _iterate_transactions(tag_tables: Sequence[Table]) -> Iterator[pl.DataFrame]:
    """Raw tags, one row per sample, batch by batch, table after table."""
    for table in tag_tables:
        for batch in table.batches(["id", "tags"]):
            yield open_tags.join_turn_tags(batch)


def _read_tag_mapping(tables: Tables) -> dict[str, str | None]:
    """Raw tag -> canonical tag, or None where it was dropped."""
    columns = tables["vocabulary"].scan().select("raw", "canonical")
    return dict(columns.collect().iter_rows())


def _replace_tags(frame: pl.DataFrame, tags: list[list[str]]) -> pl.DataFrame:
    """The frame with other tags in each row."""
    return frame.with_columns(
        pl.Series(
            "tags",
            tags,
            dtype=pl.List(pl.String),
        )
    )


def _count_tag_occurrences(frame: pl.DataFrame) -> int:
    """Tags in all rows together."""
    return int(frame["tags"].list.len().sum())
