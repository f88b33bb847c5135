"""Turns raw open tags into a vocabulary of canonical tags, in InsTag's four steps (section 3.2).

    frequency -> rules -> semantic -> association

A language model may say which tags mean the same in place of the semantic step
(`tacos.methods.tags.tag_matching`). The last step merges in InsTag; here it can also leave all tags
as they are, and only note the broader ones (`tacos.methods.tags.tag_links`).

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
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import polars as pl
from scipy import sparse

from tacos.config import NormaliseSettings
from tacos.errors import ConfigError, InputError
from tacos.methods.tags import (
    association_rules,
    frequency_filter,
    merge_steps,
    tag_likeness,
    tag_links,
    tag_matching,
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
from tacos.methods.tags.tag_links import TagLink
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
    n_links: int = 0
    """Links from a canonical tag to a broader one (`tacos.methods.tags.tag_links`)."""
    remarks: tuple[str, ...] = ()
    """Notes on the override file: merges that it forbade, and names that no tag has."""

    @property
    def mapping(self) -> dict[str, str | None]:
        """Raw tag -> canonical tag (None: dropped); each canonical tag maps to itself."""
        return build_tag_mapping(self.vocabulary)

    def notes(self) -> dict[str, Any]:
        """What a report says: alpha, min_support, counts of each step, rules and links, remarks."""
        return {
            "alpha": self.alpha,
            "min_support": self.min_support,
            "steps": [asdict(step) for step in self.steps],
            "n_rules": self.rules.height,
            "n_links": self.n_links,
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
    matches: pl.DataFrame | None = None,
) -> NormalisationResult:
    """The vocabulary of a data set.

    `counts` are those of raw tags (tag, count). `transactions` are frames (id, tags) of raw tags,
    one row per sample, read once and only with `settings.association`. `n_samples` serves "auto"
    settings. `matches`, by `TAG_MATCHES`, are a language model's answers; they take the place of
    the semantic step. Raises `InputError` if no tag is left after the filter, or too many to merge
    by meaning, and `ConfigError` if a step lacks what it needs.
    """
    min_support = frequency_filter.choose_min_support(settings.min_support, n_samples)
    kept_apart: list[str] = []
    spelt = _merge_spellings(
        counts,
        n_samples,
        settings,
        encoder,
        overrides,
        kept_apart,
    )
    hold = _build_hold(
        spelt.filtered,
        overrides,
        settings.signs,
        kept_apart,
    )
    merged = _run_meaning_step(
        spelt,
        settings,
        encoder,
        matches,
        hold,
    )
    associated = _run_association_step(
        merged.trace,
        transactions,
        settings,
        min_support,
        hold,
    )

    # After the last merge: new names.
    table = pl.concat([tag_trace.tabulate_trace(associated.trace), spelt.dropped])
    renamed, rename_counts, unknown = _run_rename_step(
        table.sort("raw"),
        overrides,
        settings.signs,
    )
    last = tag_trace.read_trace(renamed)
    links = tag_links.follow_names(merged.links, merged.trace, last)
    links += tag_links.follow_names(associated.links, associated.trace, last)
    links = tag_links.drop_cycles(links, last.totals())
    all_steps = (
        *spelt.steps,
        *merged.steps,
        *associated.steps,
        *rename_counts,
    )
    # A merge that is tried in several rounds is forbidden each time, and noted once.
    distinct_kept_apart = dict.fromkeys(kept_apart)
    return NormalisationResult(
        tag_links.attach_parents(renamed, links),
        steps=all_steps,
        rules=associated.rules,
        alpha=spelt.alpha,
        min_support=min_support,
        n_links=len(links),
        remarks=(*spelt.remarks, *merged.remarks, *distinct_kept_apart, *unknown),
    )


def count_spelt_tags(
    counts: Mapping[str, int] | pl.DataFrame,
    n_samples: int,
    settings: NormaliseSettings,
    encoder: Encoder | None = None,
    overrides: Overrides = NONE,
) -> dict[str, int]:
    """The names that stand before the merging by meaning, and their counts.

    The arguments are those of `build_vocabulary`, which raises the same errors.
    """
    spelt = _merge_spellings(
        counts,
        n_samples,
        settings,
        encoder,
        overrides,
        kept_apart=[],
    )
    return spelt.trace.totals()


class _SpeltTags(NamedTuple):
    """What overrides, the frequency filter and the rules make of raw tags."""

    trace: TagTrace
    """Of the tags that are left."""
    filtered: TagTrace
    """The same tags before the rules."""
    dropped: pl.DataFrame
    """By `tag_trace.TRACE`: the tags that were dropped before the rules."""
    steps: list[StepCounts]
    remarks: list[str]
    alpha: int


def _merge_spellings(
    counts: Mapping[str, int] | pl.DataFrame,
    n_samples: int,
    settings: NormaliseSettings,
    encoder: Encoder | None,
    overrides: Overrides,
    kept_apart: list[str],
) -> _SpeltTags:
    """Raw tags after the overrides, the frequency filter and the rules."""
    alpha = frequency_filter.choose_alpha(
        settings.alpha,
        n_samples,
        at=settings.auto_samples,
    )
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
    is_dropped = pl.col("canonical").is_null()
    filtered = tag_trace.read_trace(vocabulary.filter(~is_dropped))
    hold = _build_hold(
        filtered,
        overrides,
        settings.signs,
        kept_apart,
    )
    trace, rule_steps = _run_rule_step(
        filtered,
        settings,
        encoder,
        hold,
    )
    return _SpeltTags(
        trace,
        filtered,
        dropped=vocabulary.filter(is_dropped),
        steps=[*steps, filter_step, *rule_steps],
        remarks=remarks,
        alpha=alpha,
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
    if settings.semantic == "off" or step.n_out <= settings.max_tags:
        return
    higher, n_left = frequency_filter.find_alpha(vocabulary, settings.max_tags)
    if n_left:
        advice = f"raise it (--set normalise.alpha={higher} leaves {n_left:,})"
    else:
        advice = "no higher one leaves any tag"
    raise InputError(
        f"{step.n_out:,} distinct tags are left after the frequency filter (alpha = {alpha}), more "
        f"than can be merged by meaning ({settings.max_tags:,}), as the time grows with the square "
        f"of their number: {advice}, skip merging by meaning (--set normalise.semantic=off), or "
        f"accept the time (--set normalise.max_tags={step.n_out})"
    )


def _require_tags_left(
    step: StepCounts,
    missing: str,
) -> None:
    """Raise `InputError` if a step left nothing; `missing` completes "none of the tags ..."."""
    if step.n_in == 0:
        raise InputError(
            "no tags to normalise: no row was given a tag. The embedded tagger reads English only; "
            "for other languages, name a language model (--model)"
        )
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


def _start_rules() -> pl.DataFrame:
    return pl.DataFrame(schema=merge_steps.RULES)


@dataclass(frozen=True, slots=True)
class _Merged:
    """What a merging step made of the tags, and what it said without merging."""

    trace: TagTrace
    steps: list[StepCounts] = field(default_factory=list)
    links: list[TagLink] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    rules: pl.DataFrame = field(default_factory=_start_rules)


def _run_rule_step(
    trace: TagTrace,
    settings: NormaliseSettings,
    encoder: Encoder | None,
    hold: Hold,
) -> tuple[TagTrace, list[StepCounts]]:
    """The trace after the rule step, if the settings ask for it."""
    if not settings.rules:
        return trace, []
    if settings.guard > 0:
        _require_encoder(encoder)
    moves = merge_steps.find_rule_moves(
        trace.names(),
        trace.totals(),
        settings.signs,
        encoder,
        settings.guard,
    )
    trace, step = tag_trace.apply_moves(trace, "rules", hold(trace, moves))
    _require_tags_left(step, "has a letter or digit")
    return trace, [step]


def _run_meaning_step(
    spelt: _SpeltTags,
    settings: NormaliseSettings,
    encoder: Encoder | None,
    matches: pl.DataFrame | None,
    hold: Hold,
) -> _Merged:
    """The trace after merging by meaning: by a language model's answers, or by the encoder."""
    trace = spelt.trace
    # Names are ranked by their own counts, without those of other spellings.
    counts = spelt.filtered.totals()
    if matches is not None:
        resolved = tag_matching.resolve_matches(matches, counts)
        after, step = tag_trace.apply_moves(trace, "match", hold(trace, resolved.moves))
        links = tag_links.follow_names(resolved.links, trace, after)
        return _Merged(after, [step], links, resolved.remarks)
    if settings.semantic == "off":
        return _Merged(trace)
    used = _require_encoder(encoder)
    if settings.semantic == "learned" and used.name == tag_likeness.ENCODER:
        moves = tag_likeness.find_likely_moves(
            trace.names(),
            trace.totals(),
            used,
            settings.signs,
        )
    else:
        moves = merge_steps.find_semantic_moves(
            trace.names(),
            counts,
            used,
            settings.eps,
            settings.signs,
        )
    after, step = tag_trace.apply_moves(trace, "semantic", hold(trace, moves))
    return _Merged(after, [step])


def _require_encoder(encoder: Encoder | None) -> Encoder:
    """The encoder. Raises `ConfigError` if there is none."""
    if encoder is None:
        raise ConfigError(
            "merging by meaning needs an encoder; or: --set normalise.semantic=off "
            "normalise.guard=0"
        )
    return encoder


def _run_association_step(
    trace: TagTrace,
    transactions: Frames | None,
    settings: NormaliseSettings,
    min_support: int,
    hold: Hold,
) -> _Merged:
    """The trace after the association step, if the settings ask for it; links or rules."""
    if settings.association == "off":
        return _Merged(trace)
    if transactions is None:
        raise ConfigError(
            "the association step needs the samples' tags; or: --set normalise.association=off"
        )
    names = trace.names()
    x = _build_name_matrix(trace, transactions)
    if settings.association == "link":
        parents, rules = merge_steps.find_association_parents(
            names,
            x,
            min_support,
            settings.min_confidence,
        )
        links = []
        for name, move in parents.items():
            link = TagLink(name, str(move.target), "association", move.reason)
            links.append(link)
        return _Merged(
            trace,
            [_count_merge("association", trace, trace)],
            links,
            rules=rules,
        )
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
    return _Merged(after, [step], rules=result.rules)


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
