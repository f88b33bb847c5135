"""What a run that extends others has of them, and how far its new rows drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tacos.config import Settings
from tacos.store.artifacts import Artifact


def summarise_extension(
    artifacts: Mapping[str, Artifact], settings: Settings
) -> dict[str, Any]:
    """The figures of an extension.

    `runs`: the directories; `renewed`: whether vocabulary and clusters were made anew; `n_known`,
    `n_new`, `n_removed`: rows of these runs that are here, rows they did not have, rows that are
    gone; `share_unknown`: of the new rows' tags, those that the vocabulary does not know (None
    where it was made anew or there is no tag); `distance`: of the new and of the old rows to the
    centre of their cluster, on average, with the number of rows (empty without centres); `n_pairs`:
    pairs that were judged before.
    """
    notes = _read_notes(artifacts, "known")
    drift = _read_notes(artifacts, "vocabulary").get("drift", {})
    return {
        "runs": list(settings.extend.runs),
        "renewed": settings.extend.renew,
        **notes,
        "share_unknown": drift.get("share_new") if not settings.extend.renew else None,
        "distance": _read_notes(artifacts, "clusters").get("drift", {}),
        "n_pairs": _read_notes(artifacts, "pairs/0").get("n_old", 0),
    }


def describe_extension(figures: Mapping[str, Any]) -> str:
    """The figures in one sentence or two."""
    # Runs are told by their folders, as a user names them.
    runs = " and ".join(figures["runs"])
    text = f"{figures['n_known']:,} rows of {runs}, {figures['n_new']:,} new"
    if figures["n_removed"]:
        text += f", {figures['n_removed']:,} of those runs' rows are gone"
    if figures["n_pairs"]:
        text += f"; {figures['n_pairs']:,} pairs were judged before"
    if figures["renewed"]:
        return f"{text}; vocabulary and clusters were made anew"
    if figures["share_unknown"] is not None:
        unknown = figures["share_unknown"]
        text += f"; the vocabulary does not know {unknown:.1%} of the new rows' tags"
    distance = figures["distance"]
    if distance.get("new") is not None and distance.get("old") is not None:
        text += (
            f"; new rows lie {distance['new']:.2f} from the centre of their cluster, "
            f"old ones {distance['old']:.2f}"
        )
    return text


def _read_notes(artifacts: Mapping[str, Artifact], name: str) -> dict[str, Any]:
    """The notes of an artifact; none where there is no such one."""
    if name not in artifacts:
        return {}
    notes: dict[str, Any] = artifacts[name].manifest.get("notes") or {}
    return notes
