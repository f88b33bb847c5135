"""Reads and writes a published vocabulary, and maps the tags of new data onto it.

A published vocabulary is one JSON object that people can read and edit: for each canonical tag its
raw tags with their counts. Tags dropped by hand stay with it; tags too rare for it are left out, so
elsewhere they count as new.

New raw tags are looked up exactly, then by their words (`tacos.methods.tags.stem_keys`), then by
meaning (the nearest known tag within the threshold). All others are new: reported, never forced
into a canonical tag. `measure_drift` gives the figures by which a person decides whether a
vocabulary is too old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tacos.config import NormaliseSettings
from tacos.errors import InputError
from tacos.methods.tags import merge_steps, semantic_merging, stem_keys, tag_trace
from tacos.methods.tags.overrides import Move
from tacos.methods.tags.tag_trace import StepCounts
from tacos.records import Encoder

FORMAT = "tacos-vocabulary"
VERSION = 1
FIELDS = (
    "n_samples",
    "alpha",
    "eps",
    "signs",
    "guard",
    "encoder",
    "tags",
)
"""Fields that a file must have, beside `format` and `version`; `dropped` may be missing."""
TABLE = {
    "raw": pl.String,
    "count": pl.UInt32,
    "canonical": pl.String,
}
MAX_COUNT = 2**32
UNREADABLE = "this vocabulary cannot be read:"
N_SHOWN = 50
"""New tags that the notes list."""


@dataclass(frozen=True, slots=True)
class PublishedVocabulary:
    """A published vocabulary and the settings with which it was made."""

    table: pl.DataFrame
    """raw, count, canonical (null: dropped by hand), sorted by raw."""
    n_samples: int
    alpha: int
    eps: float
    signs: bool
    guard: float
    encoder: str
    """Name of the encoder it was made with, "" if meaning played no part."""


@dataclass(frozen=True, slots=True)
class VocabularyDrift:
    """How new data differs from its vocabulary.

    Shares are of tag occurrences, unless they say distinct or unseen.
    """

    n_distinct: int
    n_occurrences: int
    share_exact: float
    share_rules: float
    share_semantic: float
    share_dropped: float
    """Tags dropped by hand."""
    share_new: float
    share_new_distinct: float
    share_unseen: float
    """Canonical tags of the vocabulary that the new data lacks."""
    shift: float
    """Total variation distance (0 to 1) between the old and new frequencies of canonical tags."""
    new_frequent: pl.DataFrame
    """New tags seen at least alpha times: tag, count, most frequent first."""


# Writing


def publish_vocabulary(
    vocabulary: pl.DataFrame,
    n_samples: int,
    alpha: int,
    settings: NormaliseSettings,
    encoder: str,
) -> PublishedVocabulary:
    """What is published of a table by `VOCABULARY`: the tags it kept, and those dropped by hand."""
    is_canonical = pl.col("canonical").is_not_null()
    is_by_hand = pl.col("step") == "override"
    published = vocabulary.filter(is_canonical | is_by_hand)
    return PublishedVocabulary(
        table=published.select(*TABLE).sort("raw"),
        n_samples=n_samples,
        alpha=alpha,
        eps=settings.eps,
        signs=settings.signs,
        guard=settings.guard,
        encoder=encoder,
    )


def vocabulary_to_json(vocabulary: PublishedVocabulary) -> dict[str, Any]:
    """The JSON object of a vocabulary."""
    tags: dict[str, dict[str, int]] = {}
    dropped: dict[str, int] = {}
    for raw, count, canonical in vocabulary.table.iter_rows():
        if canonical is None:
            dropped[raw] = count
        else:
            members = tags.setdefault(canonical, {})
            members[raw] = count
    return {
        "format": FORMAT,
        "version": VERSION,
        "n_samples": vocabulary.n_samples,
        "alpha": vocabulary.alpha,
        "eps": vocabulary.eps,
        "signs": vocabulary.signs,
        "guard": vocabulary.guard,
        "encoder": vocabulary.encoder,
        "tags": dict(sorted(tags.items())),
        "dropped": dropped,
    }


# Reading


def vocabulary_from_json(value: Any) -> PublishedVocabulary:
    """The vocabulary in a parsed file. Raises `InputError` that names what is wrong."""
    _check_fields(value)
    rows = _parse_members(value["tags"], "tags")
    rows += _parse_members({None: value.get("dropped", {})}, "dropped")
    try:
        table = pl.DataFrame(
            rows,
            TABLE,
            orient="row",
            strict=True,
        )
        vocabulary = PublishedVocabulary(
            table=table.sort("raw"),
            n_samples=int(value["n_samples"]),
            alpha=int(value["alpha"]),
            eps=float(value["eps"]),
            signs=bool(value["signs"]),
            guard=float(value["guard"]),
            encoder=str(value["encoder"]),
        )
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        first_line, _, _ = f"{UNREADABLE} {error}".partition("\n")
        raise InputError(first_line) from None
    _check_values(vocabulary)
    return vocabulary


def _check_fields(value: Any) -> None:
    """Raise `InputError` unless a file holds a vocabulary of this version, with all fields."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(
            f"this is not a vocabulary: its field 'format' is not '{FORMAT}'; "
            "use a file that tacos has written"
        )
    version = value.get("version")
    if version != VERSION:
        raise InputError(
            f"this vocabulary has version {version!r}; this tacos reads version {VERSION}"
        )
    for name in FIELDS:
        if name not in value:
            raise InputError(f"{UNREADABLE} it has no field {name!r}")


def _parse_members(
    tags: Any,
    field: str,
) -> list[tuple[str, int, str | None]]:
    """(raw, count, canonical) of a field of the file. Raises `InputError` that names the fault."""
    wrong = f"{UNREADABLE} its field {field!r}"
    if not isinstance(tags, Mapping):
        raise InputError(f"{wrong} is not an object of raw tags and counts")
    rows = []
    for name, members in tags.items():
        if not isinstance(members, Mapping):
            raise InputError(f"{wrong} is not an object of raw tags and counts")
        if name is not None and members and not name.strip():
            raise InputError(f"{wrong} has an empty name")
        for raw, count in members.items():
            if not raw.strip():
                raise InputError(f"{wrong} has an empty name")
            # type(), because a bool is an int to isinstance().
            if type(count) is not int or not 0 <= count < MAX_COUNT:
                raise InputError(
                    f"{wrong} has {count!r} as the count of {raw!r}, which is not a whole number "
                    f"from 0 to {MAX_COUNT:,}"
                )
            rows.append((raw, count, name))
    return rows


def _check_values(vocabulary: PublishedVocabulary) -> None:
    """Raise `InputError` for numbers out of range, and for raw tags with two canonical tags."""
    in_range = (
        vocabulary.n_samples >= 0,
        vocabulary.alpha >= 0,
        0 < vocabulary.eps < 2,
        0 <= vocabulary.guard <= 1,
    )
    if not all(in_range):
        raise InputError(
            "this vocabulary has a number out of range: n_samples, alpha, eps or guard"
        )
    raws = vocabulary.table["raw"]
    duplicates = raws.filter(raws.is_duplicated())
    if len(duplicates):
        raise InputError(
            f"this vocabulary gives the raw tag {duplicates[0]!r} two canonical tags; remove one"
        )


# Mapping new tags


def resolve_new_tags(
    counts: pl.DataFrame,
    known: PublishedVocabulary,
    encoder: Encoder | None = None,
) -> pl.DataFrame:
    """New raw tags (tag, count) on a known vocabulary, by `VOCABULARY`.

    `step` is "" (a canonical tag itself), "exact", "rules", "semantic" or "new" (canonical null).
    Without an encoder, nothing is looked up by meaning, and the vocabulary's guard is not applied.
    """
    start = tag_trace.start_vocabulary(counts)
    steps: dict[str, dict[str, Move]] = {}
    # Each step sees only the tags that the steps before have not found.
    left = start["raw"].to_list()
    steps["exact"] = _find_exact_moves(left, known)
    left = [tag for tag in left if tag not in steps["exact"]]
    steps["rules"] = _find_word_moves(left, known, encoder)
    left = [tag for tag in left if tag not in steps["rules"]]
    if encoder is not None and left:
        steps["semantic"] = _find_meaning_moves(left, known, encoder)
        left = [tag for tag in left if tag not in steps["semantic"]]
    new = Move(None, "not in the vocabulary")
    steps["new"] = dict.fromkeys(left, new)

    trace = tag_trace.read_trace(start)
    for step, moves in steps.items():
        # A canonical tag itself stays as it is.
        changes = {tag: move for tag, move in moves.items() if tag != move.target}
        trace, _ = tag_trace.apply_moves(trace, step, changes)
    return tag_trace.tabulate_trace(trace)


def _find_exact_moves(
    tags: Sequence[str],
    known: PublishedVocabulary,
) -> dict[str, Move]:
    """Moves of tags that the vocabulary has, spelt exactly so."""
    pairs = known.table.select("raw", "canonical").iter_rows()
    targets: dict[str, str | None] = dict(pairs)
    # A canonical tag is in the vocabulary even if it is none of its raw tags.
    names = known.table["canonical"].drop_nulls()
    targets |= dict(zip(names, names, strict=True))
    moves = {}
    for tag in tags:
        if tag in targets:
            target = targets[tag]
            moves[tag] = Move(target, "in the vocabulary")
    return moves


def _find_word_moves(
    tags: Sequence[str],
    known: PublishedVocabulary,
    encoder: Encoder | None,
) -> dict[str, Move]:
    """Moves of tags with the same words as a known one.

    If the vocabulary was made with a guard, the words must be that much alike.
    """
    representatives = _find_representatives(known)
    heads_of: dict[str, dict[str, str | None]] = {}
    keys = stem_keys.stem_tags(tags, known.signs)
    for tag, key in zip(tags, keys, strict=True):
        heads = representatives.get(key)
        if heads:
            heads_of[tag] = heads

    # All names to be compared are encoded in one call.
    names: list[str] = []
    for tag, heads in heads_of.items():
        names += [tag, *heads]
    used_encoder = encoder if known.guard > 0 else None
    alike = merge_steps.make_likeness(
        names,
        known.signs,
        used_encoder,
    )
    moves = {}
    for tag, heads in heads_of.items():
        head = merge_steps.find_most_alike(
            tag,
            list(heads),
            alike,
            known.guard,
        )
        if head is not None:
            moves[tag] = Move(
                target=heads[head],
                reason=f"same words as '{head}'",
            )
    return moves


def _find_meaning_moves(
    tags: Sequence[str],
    known: PublishedVocabulary,
    encoder: Encoder,
) -> dict[str, Move]:
    """Moves of tags whose nearest known tag lies within the vocabulary's threshold."""
    anchors: list[tuple[str, str]] = []
    for heads in _find_representatives(known).values():
        anchors += [(raw, name) for raw, name in heads.items() if name is not None]
    if not anchors:
        return {}
    # In an order of their own, as ties go to the first.
    anchors.sort()
    raws = [raw for raw, _ in anchors]
    nearest, cosines = semantic_merging.find_nearest_known(
        merge_steps.encode_phrases(tags, encoder, known.signs),
        merge_steps.encode_phrases(raws, encoder, known.signs),
    )
    moves = {}
    for tag, number, cosine in zip(
        tags,
        nearest.tolist(),
        cosines.tolist(),
        strict=True,
    ):
        if 1 - cosine > known.eps:
            continue
        raw, name = anchors[number]
        reason = merge_steps.describe_semantic_merge(
            raw,
            cosine,
            known.eps,
        )
        moves[tag] = Move(name, reason)
    return moves


def _find_representatives(
    known: PublishedVocabulary,
) -> dict[str, dict[str, str | None]]:
    """key -> raw tag -> canonical tag.

    Each canonical tag is represented by its most frequent raw tag with that key.
    """
    table = known.table.sort("count", "raw", descending=[True, False])
    raws = table["raw"].to_list()
    names = table["canonical"].to_list()
    keys = stem_keys.stem_tags(raws, known.signs)
    representatives: dict[str, dict[str, str | None]] = {}
    for key, raw, name in zip(
        keys,
        raws,
        names,
        strict=True,
    ):
        of_key = representatives.setdefault(key, {})
        # Names without words are like no other.
        if key and name not in of_key.values():
            of_key[raw] = name
    return representatives


# Drift


def measure_drift(
    resolved: pl.DataFrame,
    known: PublishedVocabulary,
) -> VocabularyDrift:
    """The drift of new tags, as `resolve_new_tags` gives them, from their vocabulary.

    Raises `InputError` if there are no tags.
    """
    total = int(resolved["count"].sum())
    if total == 0:
        raise InputError("no tags to compare with the vocabulary")

    def share(where: pl.Expr) -> float:
        count = resolved.filter(where)["count"].sum()
        return float(count / total)

    step = pl.col("step")
    is_new = step == "new"
    is_dropped = pl.col("canonical").is_null() & ~is_new
    is_exact = step.is_in(["", "exact"])
    new = resolved.filter(is_new)
    old_shares = _compute_tag_shares(known.table)
    new_shares = _compute_tag_shares(resolved)
    unseen = old_shares.keys() - new_shares.keys()
    frequent = new.filter(pl.col("count") >= known.alpha)
    new_frequent = frequent.select(pl.col("raw").alias("tag"), "count")
    return VocabularyDrift(
        n_distinct=resolved.height,
        n_occurrences=total,
        share_exact=share(is_exact & ~is_dropped),
        share_rules=share((step == "rules") & ~is_dropped),
        share_semantic=share(step == "semantic"),
        share_dropped=share(is_dropped),
        share_new=share(is_new),
        share_new_distinct=new.height / resolved.height,
        share_unseen=len(unseen) / max(1, len(old_shares)),
        shift=_compute_shift(old_shares, new_shares),
        new_frequent=new_frequent.sort("count", "tag", descending=[True, False]),
    )


def summarise_drift(
    resolved: pl.DataFrame,
    known: PublishedVocabulary,
    encoder: str = "",
) -> dict[str, Any]:
    """What a report says: the step, the drift with the most frequent new tags, and remarks.

    `encoder` is the name of the one in use ("": meaning plays no part); a remark says if it is not
    the vocabulary's. Raises `InputError` if the vocabulary knows none of the tags.
    """
    n_in = resolved.height
    n_out = resolved["canonical"].drop_nulls().n_unique()
    n_dropped = resolved["canonical"].null_count()
    if n_in and not n_out:
        n_known = known.table["canonical"].drop_nulls().n_unique()
        raise InputError(
            f"none of the {n_in:,} tags is in the vocabulary of {n_known:,}: is it the right file?"
        )
    step = StepCounts(
        "vocabulary",
        n_in=n_in,
        n_out=n_out,
        n_merged=n_in - n_out - n_dropped,
        n_dropped=n_dropped,
    )
    figures = list_drift_figures(measure_drift(resolved, known))
    return {
        "alpha": known.alpha,
        "steps": [asdict(step)],
        "remarks": _compare_encoders(known, encoder),
        "drift": figures,
    }


def list_drift_figures(drift: VocabularyDrift) -> dict[str, Any]:
    """The drift as plain figures, with the most frequent new tags as (tag, count)."""
    figures: dict[str, Any] = {}
    for name in VocabularyDrift.__dataclass_fields__:
        figures[name] = getattr(drift, name)
    figures["new_frequent"] = drift.new_frequent.head(N_SHOWN).rows()
    return figures


def _compare_encoders(
    known: PublishedVocabulary,
    encoder: str,
) -> list[str]:
    """A remark if tags are looked up with another encoder than the vocabulary's."""
    if not encoder or not known.encoder or encoder == known.encoder:
        return []
    return [
        f"the vocabulary was made with the encoder {known.encoder}, and tags are looked up with "
        f"{encoder}: the threshold {known.eps} may not fit; see --set normalise.encoder"
    ]


def _compute_tag_shares(table: pl.DataFrame) -> Mapping[str, float]:
    """Each canonical tag's share of the occurrences of canonical tags."""
    kept = table.drop_nulls("canonical")
    count = pl.col("count").cast(pl.UInt64).sum()
    totals = kept.group_by("canonical").agg(count)
    shares = totals.select("canonical", pl.col("count") / pl.col("count").sum())
    return dict(shares.iter_rows())


def _compute_shift(
    old_shares: Mapping[str, float],
    new_shares: Mapping[str, float],
) -> float:
    """Total variation distance between two distributions of canonical tags."""
    differences = []
    # Sorted, so that the sum does not depend on the order of the groups.
    for name in sorted(old_shares.keys() | new_shares.keys()):
        old = old_shares.get(name, 0.0)
        new = new_shares.get(name, 0.0)
        differences.append(abs(new - old))
    return sum(differences) / 2
