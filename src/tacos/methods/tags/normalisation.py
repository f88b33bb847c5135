"""Normalisation: from raw open tags to a vocabulary of canonical tags, in InsTag's four steps and
order (section 3.2).

    frequency -> rules -> semantic -> association          (filtering, stemming, merging, associating)

Each step turns names into fewer names and says, for every raw tag, where it went and why. The
canonical name of a merged group is its most frequent surface form (ties: the smaller string); in
the association step the consequent's. A hand-written override has its say before the first step, in
every merge, and after the last one (`overriding`).

Counts are occurrences of raw tags; where two merged spellings stand in one sample, both count.
`build` looks at counts and a sparse matrix only, so its result does not depend on the order of rows
or on how they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tacos.config import Normalise
from tacos.errors import ConfigError, InputError
from tacos.methods.tags import association_rules, frequency_filter, merge_steps, tag_trace
from tacos.methods.tags import overrides as overriding
from tacos.methods.tags.overrides import Move, Overrides
from tacos.methods.tags.tag_trace import Step, Trace
from tacos.records import Encoder

Frames = pl.DataFrame | Iterable[pl.DataFrame]
Hold = Callable[[Trace, Mapping[str, Move]], dict[str, Move]]


@dataclass(frozen=True, slots=True)
class Normalised:
    """A vocabulary by `VOCABULARY` (sorted by raw tag) and how it came about; `rules` by
    `aggregating.RULES`.
    """

    vocabulary: pl.DataFrame
    steps: tuple[Step, ...]
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
        return mapping_of(self.vocabulary)

    def notes(self) -> dict[str, Any]:
        """What a report says: alpha, min_support, counts of each step, number of rules, remarks."""
        return {
            "alpha": self.alpha,
            "min_support": self.min_support,
            "steps": [asdict(step) for step in self.steps],
            "n_rules": self.rules.height,
            "remarks": list(self.remarks),
        }


def mapping_of(vocabulary: pl.DataFrame) -> dict[str, str | None]:
    """The mapping that a table by `VOCABULARY` stands for, closed: what it gives, it maps to
    itself.
    """
    own: dict[str, str | None] = {
        name: name for name in vocabulary["canonical"].drop_nulls().unique().to_list()
    }
    return (
        dict(zip(vocabulary["raw"].to_list(), vocabulary["canonical"].to_list(), strict=True)) | own
    )


def apply(
    tags_batch: Iterable[Sequence[str]], mapping: Mapping[str, str | None]
) -> list[list[str]]:
    """Each sample's canonical tags, each once, in the order of first sight; tags that are dropped
    or unknown leave.

    >>> apply([["Maths", "noise", "maths", "Python"]], {"Maths": "maths", "maths": "maths", "Python": "Python"})
    [['maths', 'Python']]
    """
    found = ((mapping.get(tag) for tag in tags) for tags in tags_batch)
    return [list(dict.fromkeys(name for name in names if name is not None)) for names in found]


def count(frames: Frames) -> pl.DataFrame:
    """How many samples carry each raw tag: tag, count, sorted by tag; frames (id, tags) are read
    one by one.
    """
    total = pl.DataFrame(schema={"tag": pl.String, "count": pl.UInt32})
    for frame in [frames] if isinstance(frames, pl.DataFrame) else frames:
        tags = frame.select(pl.col("tags").list.unique().alias("tag")).explode("tag").drop_nulls()
        part = tags.group_by("tag").agg(pl.len().cast(pl.UInt32).alias("count"))
        total = pl.concat([total, part]).group_by("tag").agg(pl.col("count").sum())
    return total.sort("tag")


def build(
    counts: Mapping[str, int] | pl.DataFrame,
    transactions: Frames | None,
    n_samples: int,
    settings: Normalise,
    encoder: Encoder | None = None,
    overrides: Overrides = overriding.NONE,
) -> Normalised:
    """The vocabulary of a data set.

    `counts` are those of raw tags (tag, count); `transactions` are frames (id, tags) of raw tags,
    one row per sample, read once and only where `settings.association` is on; `n_samples` serves
    "auto" settings. Raises `InputError` where no tag is left after the filter, or too many to merge
    by meaning, `ConfigError` where a step lacks what it needs.
    """
    alpha = frequency_filter.choose_alpha(settings.alpha, n_samples, settings.auto_samples)
    min_support = frequency_filter.choose_min_support(settings.min_support, n_samples)
    vocabulary, steps, remarks = by_hand(
        tag_trace.start(frame_of(counts)), overrides, settings.signs
    )
    vocabulary, step = frequency_filter.drop_rare(vocabulary, alpha)
    require_some(
        step,
        f"is seen {alpha} times (alpha); lower it with --set normalise.alpha=1, or look at the tags",
    )
    if settings.semantic and step.n_out > settings.max_tags:
        raise InputError(too_many(vocabulary, step.n_out, alpha, settings.max_tags))
    dropped = vocabulary.filter(pl.col("canonical").is_null())
    trace = tag_trace.read(vocabulary.filter(pl.col("canonical").is_not_null()))
    kept_apart: list[str] = []
    hold = holder(trace, overrides, settings.signs, kept_apart)
    steps += [step]
    trace, merged = merge(trace, settings, encoder, hold)
    trace, associated, rules = associate(trace, transactions, settings, min_support, hold)
    vocabulary = pl.concat([tag_trace.table(trace), dropped]).sort("raw")
    vocabulary, renamed, unknown = rename(vocabulary, overrides, settings.signs)
    steps += [*merged, *associated, *renamed]
    return Normalised(
        vocabulary,
        tuple(steps),
        rules,
        alpha,
        min_support,
        (*remarks, *dict.fromkeys(kept_apart), *unknown),
    )


def frame_of(counts: Mapping[str, int] | pl.DataFrame) -> pl.DataFrame:
    """Counts as a table tag, count."""
    if isinstance(counts, pl.DataFrame):
        return counts.select("tag", "count")
    return pl.DataFrame(
        {"tag": list(counts), "count": list(counts.values())},
        {"tag": pl.String, "count": pl.UInt32},
    )


def require_some(step: Step, lacking: str) -> None:
    """Raise `InputError` where a step left nothing."""
    if step.n_in == 0:
        raise InputError("there are no tags to normalise: no sample was given one")
    if step.n_out == 0:
        raise InputError(f"no tag is left: none of the {step.n_in:,} distinct tags {lacking}")


def too_many(vocabulary: pl.DataFrame, n: int, alpha: int, most: int) -> str:
    """What to do where more tags are left after the filter than are merged by meaning."""
    higher, left = frequency_filter.alpha_for(vocabulary, most)
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


def by_hand(
    vocabulary: pl.DataFrame, overrides: Overrides, signs: bool
) -> tuple[pl.DataFrame, list[Step], list[str]]:
    """The vocabulary after `drop` and `merge` of the override file."""
    if not overrides:
        return vocabulary, [], []
    moves, notes = overriding.first_moves(overrides, vocabulary["raw"].to_list(), signs)
    trace, step = tag_trace.advance(tag_trace.read(vocabulary), "override", moves)
    return tag_trace.table(trace), [step], notes


def holder(start: Trace, overrides: Overrides, signs: bool, told: list[str]) -> Hold:
    """A function that takes back what `keep_apart` forbids, and adds to `told` what that is; raw
    tags are looked up among those after the filter.
    """
    sets = overriding.members_apart(overrides, list(start.counts), signs)
    counts = start.totals()

    def hold(trace: Trace, moves: Mapping[str, Move]) -> dict[str, Move]:
        held = overriding.hold_apart(moves, sets, trace.name, counts)
        told.extend(
            f"kept apart by hand: '{a}' from '{moves[a].target}'"
            for a in sorted(moves.keys() - held.keys())
        )
        return held

    return hold


def merge(
    trace: Trace, settings: Normalise, encoder: Encoder | None, hold: Hold
) -> tuple[Trace, list[Step]]:
    """The rule step and the semantic step, where they are on."""
    steps, counts = [], trace.totals()
    if encoder is None and (settings.semantic or (settings.rules and settings.guard > 0)):
        raise ConfigError(
            "merging by meaning needs an encoder; or: --set normalise.semantic=false normalise.guard=0"
        )
    if settings.rules:
        moves = merge_steps.rule_moves(
            trace.names(), counts, settings.signs, encoder, settings.guard
        )
        trace, step = tag_trace.advance(trace, "rules", hold(trace, moves))
        require_some(step, "has a letter or digit")
        steps.append(step)
    if settings.semantic and encoder is not None:
        moves = merge_steps.semantic_moves(
            trace.names(), counts, encoder, settings.eps, settings.signs
        )
        trace, step = tag_trace.advance(trace, "semantic", hold(trace, moves))
        steps.append(step)
    return trace, steps


def associate(
    trace: Trace, transactions: Frames | None, settings: Normalise, min_support: int, hold: Hold
) -> tuple[Trace, list[Step], pl.DataFrame]:
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
    x = association_rules.encode(transactions, codes, len(names))
    after = trace

    def accept(moves: Mapping[str, Move]) -> dict[str, Move]:
        nonlocal after
        held = hold(after, moves)
        after, _ = tag_trace.advance(after, "association", held)
        return held

    found = merge_steps.associate(names, x, min_support, settings.min_confidence, accept)
    n_out = len(after.names())
    step = Step("association", len(names), n_out, len(names) - n_out, 0)
    return after, [step], found.rules


def rename(
    vocabulary: pl.DataFrame, overrides: Overrides, signs: bool
) -> tuple[pl.DataFrame, list[Step], list[str]]:
    """The vocabulary after `rename` of the override file; a raw tag spelt like a new name follows
    it, wherever it had gone, so that every canonical tag is its own.
    """
    if not overrides.rename:
        return vocabulary, [], []
    trace = tag_trace.read(vocabulary)
    moves, notes = overriding.rename_moves(overrides, trace.names(), signs)
    after, _ = tag_trace.advance(trace, "rename", moves)
    after = tag_trace.settle(after, "rename", {move.target for move in moves.values()})
    n_in, n_out = len(trace.names()), len(after.names())
    return tag_trace.table(after), [Step("rename", n_in, n_out, n_in - n_out, 0)], notes
