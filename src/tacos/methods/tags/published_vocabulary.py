"""A vocabulary as an artifact of its own: what is published, and how new data is mapped onto it.

A published vocabulary is one JSON object that a person can read and edit: for each canonical tag
its raw tags with their counts. Tags that a person dropped by hand stay with it; tags too rare for
it are left out, so they count as new elsewhere. New raw tags are looked up exactly, then by their
words (`stemming`), then by meaning (the nearest known tag within the threshold), and are new
otherwise: reported, never squeezed in.

It does not know when a vocabulary is too old; `measure_drift` gives the figures by which a person decides.
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
FIELDS = ("n_samples", "alpha", "eps", "signs", "guard", "encoder", "tags")
N_SHOWN = 50
"""New tags that the notes list."""


@dataclass(frozen=True, slots=True)
class PublishedVocabulary:
    """A published vocabulary: `table` has raw, count, canonical (null: dropped by hand), sorted by
    raw.
    """

    table: pl.DataFrame
    n_samples: int
    alpha: int
    eps: float
    signs: bool
    guard: float
    encoder: str
    """Name of the encoder it was made with, "" where meaning played no part."""


@dataclass(frozen=True, slots=True)
class VocabularyDrift:
    """How new data differs from its vocabulary. Shares are of tag occurrences, unless they say
    distinct or unseen.
    """

    n_distinct: int
    n_occurrences: int
    share_exact: float
    share_rules: float
    share_semantic: float
    share_dropped: float
    """Tags that a person had dropped by hand."""
    share_new: float
    share_new_distinct: float
    share_unseen: float
    """Canonical tags of the vocabulary that the new data has none of."""
    shift: float
    """Total variation distance (0 to 1) between the frequencies of canonical tags then and now."""
    new_frequent: pl.DataFrame
    """New tags seen at least alpha times: tag, count, most frequent first."""


def vocabulary_to_json(vocabulary: PublishedVocabulary) -> dict[str, Any]:
    """The object to be written."""
    members: dict[str, dict[str, int]] = {}
    dropped: dict[str, int] = {}
    for raw, count, canonical in vocabulary.table.iter_rows():
        (dropped if canonical is None else members.setdefault(canonical, {}))[raw] = count
    return {
        "format": FORMAT,
        "version": VERSION,
        "n_samples": vocabulary.n_samples,
        "alpha": vocabulary.alpha,
        "eps": vocabulary.eps,
        "signs": vocabulary.signs,
        "guard": vocabulary.guard,
        "encoder": vocabulary.encoder,
        "tags": dict(sorted(members.items())),
        "dropped": dropped,
    }


def vocabulary_from_json(value: Any) -> PublishedVocabulary:
    """The vocabulary in a parsed file. Raises `InputError` where it is none."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f"this is no vocabulary: its field 'format' is not '{FORMAT}'")
    if value.get("version") != VERSION:
        raise InputError(
            f"this vocabulary has version {value.get('version')!r}; this tacos reads version {VERSION}"
        )
    lacking = [name for name in FIELDS if name not in value]
    if lacking:
        raise InputError(f"this vocabulary cannot be read: it has no field {lacking[0]!r}")
    rows = [
        *_parse_members(value["tags"], "tags"),
        *_parse_members({None: value.get("dropped", {})}, "dropped"),
    ]
    try:
        schema = {"raw": pl.String, "count": pl.UInt32, "canonical": pl.String}
        table = pl.DataFrame(rows, schema, orient="row", strict=True)
        numbers = int(value["n_samples"]), int(value["alpha"]), float(value["eps"])
        words = bool(value["signs"]), float(value["guard"])
        found = PublishedVocabulary(table.sort("raw"), *numbers, *words, str(value["encoder"]))
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise InputError(f"this vocabulary cannot be read: {error}".partition("\n")[0]) from None
    if not (
        found.n_samples >= 0 and found.alpha >= 0 and 0 < found.eps < 2 and 0 <= found.guard <= 1
    ):
        raise InputError(
            "this vocabulary has a number out of range: n_samples, alpha, eps or guard"
        )
    twice = found.table.filter(pl.col("raw").is_duplicated())["raw"].to_list()
    if twice:
        raise InputError(f"this vocabulary gives the raw tag {twice[0]!r} two canonical tags")
    return found


def _parse_members(tags: Any, field: str) -> list[tuple[str, int, str | None]]:
    """(raw, count, canonical) of a field of the file. Raises `InputError` that names what is wrong."""
    wrong = f"this vocabulary cannot be read: its field {field!r}"
    if not isinstance(tags, Mapping) or not all(
        isinstance(raws, Mapping) for raws in tags.values()
    ):
        raise InputError(f"{wrong} is no object of raw tags and counts")
    found = [(raw, n, name) for name, raws in tags.items() for raw, n in raws.items()]
    for raw, n, name in found:
        if not raw.strip() or (name is not None and not name.strip()):
            raise InputError(f"{wrong} has an empty name")
        if type(n) is not int or not 0 <= n < 2**32:
            raise InputError(
                f"{wrong} has {n!r} as the count of {raw!r}, which is no whole number from 0 to {2**32:,}"
            )
    return found


def publish_vocabulary(
    vocabulary: pl.DataFrame, n_samples: int, alpha: int, settings: NormaliseSettings, encoder: str
) -> PublishedVocabulary:
    """What of a table by `VOCABULARY` is published: the tags it kept, and those dropped by hand."""
    by_hand = pl.col("step") == "override"
    kept = vocabulary.filter(pl.col("canonical").is_not_null() | by_hand).select(
        "raw", "count", "canonical"
    )
    return PublishedVocabulary(
        kept.sort("raw"), n_samples, alpha, settings.eps, settings.signs, settings.guard, encoder
    )


def resolve_new_tags(
    counts: pl.DataFrame, known: PublishedVocabulary, encoder: Encoder | None = None
) -> pl.DataFrame:
    """New raw tags (tag, count) on a known vocabulary, by `VOCABULARY`.

    `step` is "" (a canonical tag itself), "exact", "rules", "semantic" or "new" (canonical null).
    Without an encoder nothing is looked up by meaning, and words need not be alike.
    """
    start = tag_trace.start_vocabulary(counts)
    tags = start["raw"].to_list()
    moves = _find_exact_moves(tags, known)
    by_words = _find_word_moves([tag for tag in tags if tag not in moves], known, encoder)
    left = [tag for tag in tags if tag not in moves and tag not in by_words]
    by_meaning = _find_meaning_moves(left, known, encoder) if encoder is not None and left else {}
    new = {tag: Move(None, "not in the vocabulary") for tag in left if tag not in by_meaning}
    trace = tag_trace.read_trace(start)
    steps = {"exact": moves, "rules": by_words, "semantic": by_meaning, "new": new}
    for step, found in steps.items():
        trace, _ = tag_trace.apply_moves(
            trace, step, {tag: move for tag, move in found.items() if tag != move.target}
        )
    return tag_trace.tabulate_trace(trace)


def _find_exact_moves(tags: Sequence[str], known: PublishedVocabulary) -> dict[str, Move]:
    """Tags that the vocabulary has, spelt exactly so."""
    where: dict[str, str | None] = dict(known.table.select("raw", "canonical").iter_rows())
    where |= {name: name for name in where.values() if name is not None}
    return {tag: Move(where[tag], "in the vocabulary") for tag in tags if tag in where}


def _find_representatives(known: PublishedVocabulary) -> dict[str, dict[str, str | None]]:
    """For each key the most frequent raw tag of each canonical tag with that key, and the canonical
    tag of that one.
    """
    found: dict[str, dict[str, str | None]] = {}
    table = known.table.sort("count", "raw", descending=[True, False])
    for key, raw, name in zip(
        stem_keys.stem_tags(table["raw"], known.signs),
        table["raw"],
        table["canonical"],
        strict=True,
    ):
        of_key = found.setdefault(key, {})
        if key and name not in of_key.values():
            of_key[raw] = name
    return found


def _find_word_moves(
    tags: Sequence[str], known: PublishedVocabulary, encoder: Encoder | None
) -> dict[str, Move]:
    """Tags with the same words as a known one, like enough to it where the vocabulary was made with
    a guard.
    """
    known_keys = _find_representatives(known)
    keyed = zip(tags, stem_keys.stem_tags(tags, known.signs), strict=True)
    pairs = {tag: known_keys[key] for tag, key in keyed if known_keys.get(key)}
    names = [name for tag, heads in pairs.items() for name in (tag, *heads)]
    alike = merge_steps.make_likeness(names, known.signs, encoder if known.guard > 0 else None)
    heads = {
        tag: merge_steps.find_most_alike(tag, list(found), alike, known.guard)
        for tag, found in pairs.items()
    }
    return {
        tag: Move(pairs[tag][head], f"same words as '{head}'")
        for tag, head in heads.items()
        if head is not None
    }


def _find_meaning_moves(
    tags: Sequence[str], known: PublishedVocabulary, encoder: Encoder
) -> dict[str, Move]:
    """Tags whose nearest known tag lies within the vocabulary's threshold."""
    heads = [pair for of_key in _find_representatives(known).values() for pair in of_key.items()]
    anchors = sorted((raw, name) for raw, name in heads if name is not None)
    if not anchors:
        return {}
    near = merge_steps.encode_phrases([raw for raw, _ in anchors], encoder, known.signs)
    far = merge_steps.encode_phrases(tags, encoder, known.signs)
    which, cosine = semantic_merging.find_nearest_known(far, near)
    return {
        tag: Move(anchors[i][1], merge_steps.describe_semantic_merge(anchors[i][0], c, known.eps))
        for tag, i, c in zip(tags, which.tolist(), cosine.tolist(), strict=True)
        if 1 - c <= known.eps
    }


def measure_drift(resolved: pl.DataFrame, known: PublishedVocabulary) -> VocabularyDrift:
    """The figures of `VocabularyDrift` from what `resolve_new_tags` gave. Raises `InputError` where there are no tags."""
    total = int(resolved["count"].sum())
    if total == 0:
        raise InputError("there are no tags to compare with the vocabulary")
    new = resolved.filter(pl.col("step") == "new")
    dropped = pl.col("canonical").is_null() & (pl.col("step") != "new")

    def share(where: pl.Expr) -> float:
        return float(resolved.filter(where)["count"].sum() / total)

    now, then = _compute_tag_shares(resolved), _compute_tag_shares(known.table)
    return VocabularyDrift(
        n_distinct=resolved.height,
        n_occurrences=total,
        share_exact=share(pl.col("step").is_in(["", "exact"]) & ~dropped),
        share_rules=share((pl.col("step") == "rules") & ~dropped),
        share_semantic=share(pl.col("step") == "semantic"),
        share_dropped=share(dropped),
        share_new=share(pl.col("step") == "new"),
        share_new_distinct=new.height / resolved.height,
        share_unseen=len(then.keys() - now.keys()) / max(1, len(then)),
        shift=sum(
            abs(now.get(name, 0.0) - then.get(name, 0.0))
            for name in sorted(now.keys() | then.keys())
        )
        / 2,
        new_frequent=new.filter(pl.col("count") >= known.alpha)
        .select(pl.col("raw").alias("tag"), "count")
        .sort("count", "tag", descending=[True, False]),
    )


def summarise_drift(
    resolved: pl.DataFrame, known: PublishedVocabulary, encoder: str = ""
) -> dict[str, Any]:
    """What a report says: the step, the drift with the most frequent new tags, and where `encoder`
    ("": meaning played no part) is not the vocabulary's, that. Raises `InputError` where the
    vocabulary knows none of the tags.
    """
    other = encoder and known.encoder and encoder != known.encoder
    remark = f"the vocabulary was made with the encoder {known.encoder}, and tags are looked up with {encoder}: the "
    remark += f"threshold {known.eps} may not fit; see --set normalise.encoder"
    n_in, n_out = resolved.height, resolved["canonical"].drop_nulls().n_unique()
    n_dropped = resolved["canonical"].null_count()
    if n_in and not n_out:
        n_known = known.table["canonical"].drop_nulls().n_unique()
        raise InputError(
            f"none of the {n_in:,} tags is in the vocabulary of {n_known:,}: is it the right file?"
        )
    step = StepCounts("vocabulary", n_in, n_out, n_in - n_out - n_dropped, n_dropped)
    found = measure_drift(resolved, known)
    figures = {
        name: getattr(found, name)
        for name in VocabularyDrift.__dataclass_fields__
        if name != "new_frequent"
    }
    return {
        "alpha": known.alpha,
        "steps": [asdict(step)],
        "remarks": [remark] if other else [],
        "drift": figures | {"new_frequent": found.new_frequent.head(N_SHOWN).rows()},
    }


def _compute_tag_shares(table: pl.DataFrame) -> Mapping[str, float]:
    """Each canonical tag's share of the occurrences of canonical tags."""
    kept = (
        table.drop_nulls("canonical")
        .group_by("canonical")
        .agg(pl.col("count").cast(pl.UInt64).sum())
    )
    return dict(kept.select("canonical", pl.col("count") / pl.col("count").sum()).iter_rows())
