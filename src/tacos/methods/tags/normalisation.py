"""Turns raw open tags into a vocabulary of canonical tags, in InsTag's four steps (section 3.2).

    frequency -> rules -> semantic -> association

Each step turns names into fewer names and records, for every raw tag, where it went and why. The
canonical name of a merged group is its most frequent surface form (ties: the smaller string); in
the association step it is the consequent's. Hand-written overrides take effect before the first
step, in every merge, and after the last one (`tacos.methods.tags.overrides`).

Counts are occurrences of raw tags; if two merged spellings occur in one sample, both count.
`build_vocabulary` reads only counts and a sparse matrix, so its result does not depend on the order
of the rows or on how they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from scipy import sparse

from tacos.config import NormaliseSettings
from tacos.errors import ConfigError, InputError
from tacos.methods.tags import (
    association_rules,
    frequency_filter,
    merge_steps,
    tag_trace,
)
from tacos.methods.tags.overrides import (
    NONE,
    Move,
    Overrides,
    enforce_keep_apart,
    expand_keep_apart,
    find_override_moves,
    find_rename_moves,
)
from tacos.methods.tags.tag_trace import StepCounts, TagTrace
from tacos.records import Encoder

Frames = pl.DataFrame | Iterable[pl.DataFrame]
Hold = Callable[[TagTrace, Mapping[str, Move]], dict[str, Move]]
"""Removes the moves that `keep_apart` forbids; see `_build_hold`."""


@dataclass(frozen=True, slots=True)
class NormalisationResult:
    """A vocabulary and how it came about."""

    vocabulary: pl.DataFrame
    """By `VOCABULARY`, sorted by raw tag."""
    steps: tuple[StepCounts, ...]
    rules: pl.DataFrame
    """By `merge_steps.RULES`."""
    alpha: int
    min_support: int
    remarks: tuple[str, ...] = ()
    """Notes on the override file: merges that it forbade, and names that no tag has."""

    @property
    def mapping(self) -> dict[str, str | None]:
        """Raw tag -> canonical tag (None: dropped); each canonical tag maps to itself."""
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


# Using a vocabulary


def build_tag_mapping(vocabulary: pl.DataFrame) -> dict[str, str | None]:
    """Raw tag -> canonical tag (None: dropped), from a table by `VOCABULARY`.

    The mapping is closed: each canonical tag maps to itself.
    """
    pairs = vocabulary.select("raw", "canonical").iter_rows()
    mapping: dict[str, str | None] = dict(pairs)
    names = vocabulary["canonical"].drop_nulls()
    mapping |= dict(zip(names, names, strict=True))
    return mapping


def apply_mapping(
    tags_batch: Iterable[Sequence[str]],
    mapping: Mapping[str, str | None],
) -> list[list[str]]:
    """Each sample's canonical tags, each once, in the order of their first occurrence.

    Tags that are dropped or unknown are left out.

    >>> mapping = {"Maths": "maths", "maths": "maths", "Python": "Python"}
    >>> apply_mapping([["Maths", "noise", "maths", "Python"]], mapping)
    [['maths', 'Python']]
    """
    mapped_batch = []
    for tags in tags_batch:
        # A dict keeps the order and holds each name once.
        names = dict.fromkeys(mapping.get(tag) for tag in tags)
        kept = [name for name in names if name is not None]
        mapped_batch.append(kept)
    return mapped_batch


# Building a vocabulary


def build_vocabulary(
    counts: Mapping[str, int] | pl.DataFrame,
    transactions: Frames | None,
    n_samples: int,
    settings: NormaliseSettings,
    encoder: Encoder | None = None,
    overrides: Overrides = NONE,
) -> NormalisationResult:
    """The vocabulary of a data set.

    `counts` are those of raw tags (tag, count). `transactions` are frames (id, tags) of raw tags,
    one row per sample, read once and only with `settings.association`. `n_samples` serves "auto"
    settings. Raises `InputError` if no tag is left after the filter, or too many to merge by
    meaning, and `ConfigError` if a step lacks what it needs.
    """
    alpha = frequency_filter.choose_alpha(
        settings.alpha,
        n_samples,
        at=settings.auto_samples,
    )
    min_support = frequency_filter.choose_min_support(settings.min_support, n_samples)

    # Before the first merge: overrides, then the filter.
    vocabulary, steps, remarks = _apply_overrides(
        tag_trace.start_vocabulary(_counts_to_frame(counts)),
        overrides,
        settings.signs,
    )
    vocabulary, filter_step = frequency_filter.drop_rare_tags(vocabulary, alpha)
    _check_filtered_tags(
        vocabulary,
        filter_step,
        alpha,
        settings,
    )

    # Merges, of the names that are left.
    is_dropped = pl.col("canonical").is_null()
    trace = tag_trace.read_trace(vocabulary.filter(~is_dropped))
    kept_apart: list[str] = []
    hold = _build_hold(
        trace,
        overrides,
        settings.signs,
        kept_apart,
    )
    trace, merge_counts = _run_merge_steps(
        trace,
        settings,
        encoder,
        hold,
    )
    trace, association_counts, rules = _run_association_step(
        trace,
        transactions,
        settings,
        min_support,
        hold,
    )

    # After the last merge: new names.
    dropped = vocabulary.filter(is_dropped)
    merged = pl.concat([tag_trace.tabulate_trace(trace), dropped])
    renamed, rename_counts, unknown = _run_rename_step(
        merged.sort("raw"),
        overrides,
        settings.signs,
    )
    all_steps = (
        *steps,
        filter_step,
        *merge_counts,
        *association_counts,
        *rename_counts,
    )
    # A merge that is tried in several rounds is forbidden each time, and noted once.
    distinct_kept_apart = dict.fromkeys(kept_apart)
    return NormalisationResult(
        renamed,
        steps=all_steps,
        rules=rules,
        alpha=alpha,
        min_support=min_support,
        remarks=(*remarks, *distinct_kept_apart, *unknown),
    )


def _counts_to_frame(counts: Mapping[str, int] | pl.DataFrame) -> pl.DataFrame:
    """Counts as a table tag, count."""
    if isinstance(counts, pl.DataFrame):
        return counts.select("tag", "count")
    columns = {
        "tag": list(counts),
        "count": list(counts.values()),
    }
    schema = {
        "tag": pl.String,
        "count": pl.UInt32,
    }
    return pl.DataFrame(columns, schema)


# Checks


def _check_filtered_tags(
    vocabulary: pl.DataFrame,
    step: StepCounts,
    alpha: int,
    settings: NormaliseSettings,
) -> None:
    """Raise `InputError` if the filter left no tag, or more than can be merged by meaning."""
    _require_tags_left(
        step,
        f"is seen {alpha} times (alpha); lower it with --set normalise.alpha=1, or look at the "
        "tags",
    )
    if not settings.semantic or step.n_out <= settings.max_tags:
        return
    higher, n_left = frequency_filter.find_alpha(vocabulary, settings.max_tags)
    if n_left:
        advice = f"raise it (--set normalise.alpha={higher} leaves {n_left:,})"
    else:
        advice = "no higher one leaves any tag"
    raise InputError(
        f"{step.n_out:,} distinct tags are left after the frequency filter (alpha = {alpha}), more "
        f"than can be merged by meaning ({settings.max_tags:,}), as the time grows with the square "
        f"of their number: {advice}, skip merging by meaning (--set normalise.semantic=false), or "
        f"accept the time (--set normalise.max_tags={step.n_out})"
    )


def _require_tags_left(
    step: StepCounts,
    missing: str,
) -> None:
    """Raise `InputError` if a step left nothing; `missing` completes "none of the tags ..."."""
    if step.n_in == 0:
        raise InputError("no tags to normalise: no row was given a tag")
    if step.n_out == 0:
        raise InputError(
            f"no tag is left: none of the {step.n_in:,} distinct tags {missing}"
        )


# Overrides


def _apply_overrides(
    vocabulary: pl.DataFrame,
    overrides: Overrides,
    signs: bool,
) -> tuple[pl.DataFrame, list[StepCounts], list[str]]:
    """The vocabulary after `drop` and `merge` of the override file; counts; notes."""
    if not overrides:
        return vocabulary, [], []
    raws = vocabulary["raw"].to_list()
    moves, notes = find_override_moves(overrides, raws, signs)
    trace = tag_trace.read_trace(vocabulary)
    trace, step = tag_trace.apply_moves(trace, "override", moves)
    return tag_trace.tabulate_trace(trace), [step], notes


def _build_hold(
    start: TagTrace,
    overrides: Overrides,
    signs: bool,
    kept_apart: list[str],
) -> Hold:
    """A function that removes the moves that `keep_apart` forbids, and notes them in `kept_apart`.

    Names of the file are looked up among the raw tags of `start`, those after the filter.
    """
    raws = list(start.counts)
    sets = expand_keep_apart(overrides, raws, signs)
    counts = start.totals()

    def hold(
        trace: TagTrace,
        moves: Mapping[str, Move],
    ) -> dict[str, Move]:
        allowed = enforce_keep_apart(
            moves,
            sets,
            name_of=trace.name,
            counts=counts,
        )
        forbidden = moves.keys() - allowed.keys()
        for name in sorted(forbidden):
            target = moves[name].target
            kept_apart.append(f"kept apart by hand: '{name}' from '{target}'")
        return allowed

    return hold


def _run_rename_step(
    vocabulary: pl.DataFrame,
    overrides: Overrides,
    signs: bool,
) -> tuple[pl.DataFrame, list[StepCounts], list[str]]:
    """The vocabulary after `rename` of the override file; counts; notes.

    A raw tag spelt like a new name follows it, wherever it had gone before, so that every canonical
    tag is its own.
    """
    if not overrides.rename:
        return vocabulary, [], []
    before = tag_trace.read_trace(vocabulary)
    moves, notes = find_rename_moves(overrides, before.names(), signs)
    after, _ = tag_trace.apply_moves(before, "rename", moves)
    new_names = {move.target for move in moves.values()}
    after = tag_trace.assign_own_names(after, "rename", new_names)
    step = _count_merge("rename", before, after)
    return tag_trace.tabulate_trace(after), [step], notes


# Merges


def _run_merge_steps(
    trace: TagTrace,
    settings: NormaliseSettings,
    encoder: Encoder | None,
    hold: Hold,
) -> tuple[TagTrace, list[StepCounts]]:
    """The trace after the rule step and the semantic step, as far as the settings ask for them."""
    uses_guard = settings.rules and settings.guard > 0
    if encoder is None and (settings.semantic or uses_guard):
        raise ConfigError(
            "merging by meaning needs an encoder; or: --set normalise.semantic=false "
            "normalise.guard=0"
        )
    steps = []
    # Both steps rank names by their counts before either.
    counts = trace.totals()
    if settings.rules:
        moves = merge_steps.find_rule_moves(
            trace.names(),
            counts,
            settings.signs,
            encoder,
            settings.guard,
        )
        allowed = hold(trace, moves)
        trace, step = tag_trace.apply_moves(trace, "rules", allowed)
        _require_tags_left(step, "has a letter or digit")
        steps.append(step)
    if settings.semantic and encoder is not None:
        moves = merge_steps.find_semantic_moves(
            trace.names(),
            counts,
            encoder,
            settings.eps,
            settings.signs,
        )
        allowed = hold(trace, moves)
        trace, step = tag_trace.apply_moves(trace, "semantic", allowed)
        steps.append(step)
    return trace, steps


def _run_association_step(
    trace: TagTrace,
    transactions: Frames | None,
    settings: NormaliseSettings,
    min_support: int,
    hold: Hold,
) -> tuple[TagTrace, list[StepCounts], pl.DataFrame]:
    """The trace after the association step, if the settings ask for it; counts; rules."""
    if not settings.association:
        return trace, [], pl.DataFrame(schema=merge_steps.RULES)
    if transactions is None:
        raise ConfigError(
            "the association step needs the samples' tags; or: --set normalise.association=false"
        )
    names = trace.names()
    x = _build_name_matrix(trace, transactions)
    after = trace

    def accept(moves: Mapping[str, Move]) -> dict[str, Move]:
        # Each round moves on from the names that the rounds before have left.
        nonlocal after
        allowed = hold(after, moves)
        after, _ = tag_trace.apply_moves(after, "association", allowed)
        return allowed

    result = merge_steps.merge_by_association(
        names,
        x,
        min_support,
        settings.min_confidence,
        hold=accept,
    )
    step = _count_merge("association", trace, after)
    return after, [step], result.rules


def _build_name_matrix(
    trace: TagTrace,
    transactions: Frames,
) -> sparse.csr_array:
    """Samples x current names, from frames (id, tags) of raw tags."""
    names = trace.names()
    numbers = {name: number for number, name in enumerate(names)}
    codes = {}
    for raw, name in trace.name.items():
        if name is not None:
            codes[raw] = numbers[name]
    return association_rules.build_tag_matrix(
        transactions,
        codes,
        n_tags=len(names),
    )


def _count_merge(
    name: str,
    before: TagTrace,
    after: TagTrace,
) -> StepCounts:
    """The counts of a step that drops nothing."""
    n_in = len(before.names())
    n_out = len(after.names())
    return StepCounts(
        name,
        n_in=n_in,
        n_out=n_out,
        n_merged=n_in - n_out,
        n_dropped=0,
    )
