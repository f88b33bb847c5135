"""Normalisation: from raw open tags to a vocabulary of canonical tags, in InsTag's four steps and
order (section 3.2).

    frequency -> rules -> semantic -> association          (filtering, stemming, merging, associating)

Each step turns names into fewer names and says, for every raw tag, where it went and why. The
canonical name of a merged group is its most frequent surface form (ties: the smaller string); in
the association step the consequent's. A hand-written override has its say before the first step, in
every merge, and after the last one (`overriding`).

Counts are occurrences of raw tags; where two merged spellings stand in one sample, both count.
`build_vocabulary` looks at counts and a sparse matrix only, so its result does not depend on the order of rows
or on how they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tacos.config import NormaliseSettings
from tacos.errors import ConfigError, InputError
from tacos.methods.tags import association_rules, frequency_filter, merge_steps, tag_trace
from tacos.methods.tags import overrides as overriding
from tacos.methods.tags.overrides import Move, Overrides
from tacos.methods.tags.tag_trace import StepCounts, TagTrace
from tacos.records import Encoder

Frames = pl.DataFrame | Iterable[pl.DataFrame]
Hold = Callable[[TagTrace, Mapping[str, Move]], dict[str, Move]]


@dataclass(frozen=True, slots=True)
class NormalisationResult:
    """A vocabulary by `VOCABULARY` (sorted by raw tag) and how it came about; `rules` by
    `aggregating.RULES`.
    """

    vocabulary: pl.DataFrame
    steps: tuple[StepCounts, ...]
    rules: pl.DataFrame
    alpha: int
    min_support: int
    remarks: tuple[str, ...] = ()
    """What a person should know of the override file: merges that it forbade, and names that no tag
    has.
    """

    @property
    def mapping(self) -> dict[str, str | None]:
        """For each raw tag its canonical tag (None: dropped); each canonical tag is its own."""
        return build_tag_mapping(self.vocabulary)

    def notes(self) -> dict[str, Any]:
        """What a report says: alpha, min_support, counts of each step, number of rules, remarks."""
        return {
            "alpha": self.alpha,
            "min_support": self.min_support,
            "steps": [asdict(step) for step in self.steps],
            "n_rules": self.rules.height,
            "remarks": list(self.remarks),
        }


def build_tag_mapping(vocabulary: pl.DataFrame) -> dict[str, str | None]:
    """The mapping that a table by `VOCABULARY` stands for, closed: what it gives, it maps to
    itself.
    """
    own: dict[str, str | None] = {
        name: name for name in vocabulary["canonical"].drop_nulls().unique().to_list()
    }
    return (
        dict(zip(vocabulary["raw"].to_list(), vocabulary["canonical"].to_list(), strict=True)) | own
    )


def apply_mapping(
    tags_batch: Iterable[Sequence[str]], mapping: Mapping[str, str | None]
) -> list[list[str]]:
    """Each sample's canonical tags, each once, in the order of first sight; tags that are dropped
    or unknown leave.

    >>> apply_mapping([["Maths", "noise", "maths", "Python"]], {"Maths": "maths", "maths": "maths", "Python": "Python"})
    [['maths', 'Python']]
    """
    found = ((mapping.get(tag) for tag in tags) for tags in tags_batch)
    return [list(dict.fromkeys(name for name in names if name is not None)) for names in found]


def count_raw_tags(frames: Frames) -> pl.DataFrame:
    """How many samples carry each raw tag: tag, count, sorted by tag; frames (id, tags) are read
    one by one.
    """
    total = pl.DataFrame(schema={"tag": pl.String, "count": pl.UInt32})
    for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
        tags = frame.select(pl.col("tags").list.unique().alias("tag")).explode("tag").drop_nulls()
        part = tags.group_by("tag").agg(pl.len().cast(pl.UInt32).alias("count"))
        total = pl.concat([total, part]).group_by("tag").agg(pl.col("count").sum())
    return total.sort("tag")


def build_vocabulary(
    counts: Mapping[str, int] | pl.DataFrame,
    transactions: Frames | None,
    n_samples: int,
    settings: NormaliseSettings,
    encoder: Encoder | None = None,
    overrides: Overrides = overriding.NONE,
) -> NormalisationResult:
    """The vocabulary of a data set.

    `counts` are those of raw tags (tag, count); `transactions` are frames (id, tags) of raw tags,
    one row per sample, read once and only where `settings.association` is on; `n_samples` serves
    "auto" settings. Raises `InputError` where no tag is left after the filter, or too many to merge
    by meaning, `ConfigError` where a step lacks what it needs.
    """
    alpha = frequency_filter.choose_alpha(settings.alpha, n_samples, settings.auto_samples)
    min_support = frequency_filter.choose_min_support(settings.min_support, n_samples)
    vocabulary, steps, remarks = _apply_overrides(
        tag_trace.start_vocabulary(_counts_to_frame(counts)), overrides, settings.signs
    )
    vocabulary, step = frequency_filter.drop_rare_tags(vocabulary, alpha)
    _require_tags_left(
        step,
        f"is seen {alpha} times (alpha); lower it with --set normalise.alpha=1, or look at the tags",
    )
    if settings.semantic and step.n_out > settings.max_tags:
        raise InputError(_explain_too_many_tags(vocabulary, step.n_out, alpha, settings.max_tags))
    dropped = vocabulary.filter(pl.col("canonical").is_null())
    trace = tag_trace.read_trace(vocabulary.filter(pl.col("canonical").is_not_null()))
    kept_apart: list[str] = []
    hold = _build_hold(trace, overrides, settings.signs, kept_apart)
    steps += [step]
    trace, merged = _run_merge_steps(trace, settings, encoder, hold)
    trace, associated, rules = _run_association_step(
        trace, transactions, settings, min_support, hold
    )
    vocabulary = pl.concat([tag_trace.tabulate_trace(trace), dropped]).sort("raw")
    vocabulary, renamed, unknown = _run_rename_step(vocabulary, overrides, settings.signs)
    steps += [*merged, *associated, *renamed]
    return NormalisationResult(
        vocabulary,
        tuple(steps),
        rules,
        alpha,
        min_support,
        (*remarks, *dict.fromkeys(kept_apart), *unknown),
    )


def _counts_to_frame(counts: Mapping[str, int] | pl.DataFrame) -> pl.DataFrame:
    """Counts as a table tag, count."""
    if isinstance(counts, pl.DataFrame):
        return counts.select("tag", "count")
    return pl.DataFrame(
        {"tag": list(counts), "count": list(counts.values())},
        {"tag": pl.String, "count": pl.UInt32},
    )


def _require_tags_left(step: StepCounts, lacking: str) -> None:
    """Raise `InputError` where a step left nothing."""
    if step.n_in == 0:
        raise InputError("there are no tags to normalise: no sample was given one")
    if step.n_out == 0:
        raise InputError(f"no tag is left: none of the {step.n_in:,} distinct tags {lacking}")


def _explain_too_many_tags(vocabulary: pl.DataFrame, n: int, alpha: int, most: int) -> str:
    """What to do where more tags are left after the filter than are merged by meaning."""
    higher, left = frequency_filter.find_alpha(vocabulary, most)
    raised = (
        f"raise it (--set normalise.alpha={higher} leaves {left:,})"
        if left
        else "no higher one leaves any tag"
    )
    return (
        f"{n:,} distinct tags are left after the frequency filter (alpha = {alpha}), more than are merged by meaning "
        f"({most:,}), since the time grows with the square of their number: {raised}, leave meaning out (--set "
        f"normalise.semantic=false), or take the time (--set normalise.max_tags={n})"
    )


def _apply_overrides(
    vocabulary: pl.DataFrame, overrides: Overrides, signs: bool
) -> tuple[pl.DataFrame, list[StepCounts], list[str]]:
    """The vocabulary after `drop` and `_run_merge_steps` of the override file."""
    if not overrides:
        return vocabulary, [], []
    moves, notes = overriding.find_override_moves(overrides, vocabulary["raw"].to_list(), signs)
    trace, step = tag_trace.apply_moves(tag_trace.read_trace(vocabulary), "override", moves)
    return tag_trace.tabulate_trace(trace), [step], notes


def _build_hold(start: TagTrace, overrides: Overrides, signs: bool, told: list[str]) -> Hold:
    """A function that takes back what `keep_apart` forbids, and adds to `told` what that is; raw
    tags are looked up among those after the filter.
    """
    sets = overriding.expand_keep_apart(overrides, list(start.counts), signs)
    counts = start.totals()

    def hold(trace: TagTrace, moves: Mapping[str, Move]) -> dict[str, Move]:
        held = overriding.enforce_keep_apart(moves, sets, trace.name, counts)
        told.extend(
            f"kept apart by hand: '{a}' from '{moves[a].target}'"
            for a in sorted(moves.keys() - held.keys())
        )
        return held

    return hold


def _run_merge_steps(
    trace: TagTrace, settings: NormaliseSettings, encoder: Encoder | None, hold: Hold
) -> tuple[TagTrace, list[StepCounts]]:
    """The rule step and the semantic step, where they are on."""
    steps, counts = [], trace.totals()
    if encoder is None and (settings.semantic or (settings.rules and settings.guard > 0)):
        raise ConfigError(
            "merging by meaning needs an encoder; or: --set normalise.semantic=false normalise.guard=0"
        )
    if settings.rules:
        moves = merge_steps.find_rule_moves(
            trace.names(), counts, settings.signs, encoder, settings.guard
        )
        trace, step = tag_trace.apply_moves(trace, "rules", hold(trace, moves))
        _require_tags_left(step, "has a letter or digit")
        steps.append(step)
    if settings.semantic and encoder is not None:
        moves = merge_steps.find_semantic_moves(
            trace.names(), counts, encoder, settings.eps, settings.signs
        )
        trace, step = tag_trace.apply_moves(trace, "semantic", hold(trace, moves))
        steps.append(step)
    return trace, steps


def _run_association_step(
    trace: TagTrace,
    transactions: Frames | None,
    settings: NormaliseSettings,
    min_support: int,
    hold: Hold,
) -> tuple[TagTrace, list[StepCounts], pl.DataFrame]:
    """The association step, where it is on."""
    if not settings.association:
        return trace, [], pl.DataFrame(schema=merge_steps.RULES)
    if transactions is None:
        raise ConfigError(
            "the association step needs the samples' tags; or: --set normalise.association=false"
        )
    names = trace.names()
    number = {name: i for i, name in enumerate(names)}
    codes = {raw: number[name] for raw, name in trace.name.items() if name is not None}
    x = association_rules.build_tag_matrix(transactions, codes, len(names))
    after = trace

    def accept(moves: Mapping[str, Move]) -> dict[str, Move]:
        nonlocal after
        held = hold(after, moves)
        after, _ = tag_trace.apply_moves(after, "association", held)
        return held

    found = merge_steps.merge_by_association(names, x, min_support, settings.min_confidence, accept)
    n_out = len(after.names())
    step = StepCounts("association", len(names), n_out, len(names) - n_out, 0)
    return after, [step], found.rules


def _run_rename_step(
    vocabulary: pl.DataFrame, overrides: Overrides, signs: bool
) -> tuple[pl.DataFrame, list[StepCounts], list[str]]:
    """The vocabulary after `_run_rename_step` of the override file; a raw tag spelt like a new name follows
    it, wherever it had gone, so that every canonical tag is its own.
    """
    if not overrides.rename:
        return vocabulary, [], []
    trace = tag_trace.read_trace(vocabulary)
    moves, notes = overriding.find_rename_moves(overrides, trace.names(), signs)
    after, _ = tag_trace.apply_moves(trace, "rename", moves)
    after = tag_trace.assign_own_names(after, "rename", {move.target for move in moves.values()})
    n_in, n_out = len(trace.names()), len(after.names())
    return (
        tag_trace.tabulate_trace(after),
        [StepCounts("rename", n_in, n_out, n_in - n_out, 0)],
        notes,
    )
