"""Rows that a person keeps, drops or gives tags: lists of ids and files of edits as settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.errors import InputError
from tacos.formats import reading, row_edits
from tacos.formats.row_edits import Edits
from tacos.pipeline.manifest import Manifest
from tacos.pipeline.stage_key import collect_digests
from tacos.pipeline.steps import hand_tags
from tacos.pipeline.steps import pool as pool_steps
from tacos.records import Table, build_reject_frame, canonical_hash
from tacos.store.artifacts import LAYOUT, Artifact, Store
from tacos.workflows.reselected_files import EDITED_TAGS
from tacos.workflows.selection import Selection

KEPT = "keep"
DROPPED = "drop"
VERSION = 1
"""Of the artifact of edited tags."""


def add_hand_lists(
    settings: Settings,
    keep: Path | None = None,
    exclude: Path | None = None,
    edits: Path | None = None,
) -> Settings:
    """Settings with the rows of a must-keep file, of an exclude file and of a file of edits added.

    Raises `InputError`, with file and line, if one row is both kept and dropped.
    """
    kept = {} if keep is None else reading.read_ids(keep)
    dropped = {} if exclude is None else reading.read_ids(exclude)
    by_hand: Edits = {} if edits is None else row_edits.read_edits(edits)
    edits_kept = _list_places(by_hand, KEPT)
    edits_dropped = _list_places(by_hand, DROPPED)
    for row, place in (kept | edits_kept).items():
        other = (dropped | edits_dropped).get(row)
        if other is not None:
            raise InputError(
                f"{place}: {row} must be kept, but {other} drops it: remove it from one of them"
            )
    listed = _add_lists(settings, kept, dropped)
    return apply_edits(listed, by_hand)


def apply_edits(settings: Settings, edits: Edits) -> Settings:
    """Settings in which the rows of these edits are kept, dropped and tagged as they say, whatever
    the settings say of the same rows.
    """
    decided = {row for row, edit in edits.items() if edit.decision is not None}
    selecting = settings.select
    keep = [row for row in selecting.keep if row not in decided]
    exclude = [row for row in selecting.exclude if row not in decided]
    lists = {
        "keep": (*keep, *sorted(_list_places(edits, KEPT))),
        "exclude": (*exclude, *sorted(_list_places(edits, DROPPED))),
    }
    tags = dict(settings.canonicalise.tags)
    for row, edit in edits.items():
        if edit.tags is not None:
            tags[row] = edit.tags
    # Sorted, so that the order of the file does not change any key.
    tagged = {"tags": dict(sorted(tags.items()))}
    update: dict[str, Any] = {
        "select": selecting.model_copy(update=lists),
        "canonicalise": settings.canonicalise.model_copy(update=tagged),
    }
    return settings.model_copy(update=update)


def edit_run(done: Selection, edits: Edits) -> Selection:
    """A finished run with these edits: its lists, and its canonical tags. Clusters and scores stay.

    Raises `InputError` if a row is not in the data, or the run has no tags yet.
    """
    if not edits:
        return done
    settings = apply_edits(done.settings, edits)
    check_hand_lists(done.artifacts["samples"], settings)
    artifacts = dict(done.artifacts)
    if any(edit.tags is not None for edit in edits.values()):
        if "canonical_tags" not in artifacts:
            raise InputError(f"{done.run} has no tags yet: finish it first")
        artifacts["canonical_tags"] = _find_or_edit_tags(done, settings)
    return replace(done, settings=settings, artifacts=artifacts)


def check_hand_lists(samples: Table, settings: Settings) -> None:
    """Raise `InputError` if a list names a row that is not in the data, or if one row must be both
    kept and left out, by its id and by its content.
    """
    selecting = settings.select
    rows = samples.scan()
    keep = pool_steps.resolve_ids(rows, selecting.keep, "must-keep")
    exclude = pool_steps.resolve_ids(rows, selecting.exclude, "exclude")
    on_both = sorted(set(keep).intersection(exclude))
    if on_both:
        raise InputError(
            f"{on_both[0]} must be kept and must be left out: remove it from the must-keep list or "
            "from the exclude list (its id and its content hash are the same row)"
        )
    pool_steps.resolve_ids(rows, tuple(settings.canonicalise.tags), "hand tags")


def _find_or_edit_tags(done: Selection, settings: Settings) -> Artifact:
    """The canonical tags of a run with those set by hand, as an artifact of it."""
    store = Store(done.run)
    samples = done.artifacts["samples"]
    canonical = done.artifacts["canonical_tags"]
    tags = settings.canonicalise.tags
    inputs = collect_digests({"samples": samples, "canonical_tags": canonical})
    key = canonical_hash([LAYOUT, EDITED_TAGS, VERSION, tags, inputs])[:16]
    existing = store.find(EDITED_TAGS, key)
    if existing is not None:
        return existing
    hand = hand_tags.find_hand_tags(samples, canonical, tags)
    manifest = Manifest(
        stage="edit-tags",
        version=VERSION,
        round=None,
        key=key,
        settings={"canonicalise.tags": tags},
        inputs=inputs,
        notes={"n_by_hand": len(hand.tags)},
    )
    with store.lock():
        draft = store.begin(EDITED_TAGS, key, resume=False)
        for number, batch in enumerate(canonical.batches()):
            edited = hand_tags.set_hand_tags(batch, hand)
            draft.write(number, edited, build_reject_frame())
        return draft.commit(manifest.as_dict())


def _add_lists(
    settings: Settings,
    kept: Iterable[str],
    dropped: Iterable[str],
) -> Settings:
    """Settings with ids added to their lists."""
    selecting = settings.select
    lists = {
        "keep": (*selecting.keep, *sorted(kept)),
        "exclude": (*selecting.exclude, *sorted(dropped)),
    }
    return settings.model_copy(update={"select": selecting.model_copy(update=lists)})


def _list_places(edits: Edits, decision: str) -> dict[str, str]:
    """The rows with a decision, and where their edits stand."""
    return {row: edit.place for row, edit in edits.items() if edit.decision == decision}
