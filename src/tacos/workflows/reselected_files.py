"""Which selection of a run a file holds: what `tacos reselect` writes is noted in the run, so that
`tacos explain` can be asked about the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import orjson

from tacos.config import CanonicaliseSettings, Settings
from tacos.formats.paths import is_run_folder
from tacos.store import files
from tacos.store.artifacts import Artifact, Store
from tacos.workflows.selection import GivenRun, Selection, load

EDITED = "edited"
"""The note of a selection with the edits by hand that it was made with."""
EDITED_TAGS = "edited_tags"
"""The artifact that takes the place of `canonical_tags` where tags were set by hand."""
NOTES = "reselected.json"
"""The file of a run: name of an output -> artifact and key of its selection, digest of the file."""


def note_file(run: Path, file: Path, selection: Artifact) -> None:
    """Note that a file holds a selection of a run."""
    # A pipe or a device cannot be read back.
    if not file.is_file():
        return
    note = {
        "artifact": selection.path.parent.name,
        "key": selection.manifest["key"],
        "digest": files.digest_files([file]),
    }
    store = Store(run)
    with store.lock():
        # Inside the lock: another process may have noted its file meanwhile.
        store.write_state(NOTES, {**_read_notes(run), file.name: note})


def load_selection(run: GivenRun) -> Selection:
    """The selection of a run, or the one that a file of rows beside its run holds.

    Raises `RunError` and `TypeError` as `load` does.
    """
    if not isinstance(run, str | PathLike) or not Path(run).is_file():
        return load(run)
    file = Path(run)
    found = find_selection(file)
    if found is not None:
        folder, selection = found
        done = load(folder)
        return replace(
            done,
            settings=describe_selection(done.settings, selection),
            artifacts=gather_artifacts(folder, done.artifacts, selection),
            output=file,
        )
    own_run = file.with_name(f"{file.name}.run")
    return load(own_run if own_run.is_dir() else file)


def find_selection(file: Path) -> tuple[Path, Artifact] | None:
    """The run beside a file that noted it, and the selection that the file still holds."""
    digest = files.digest_files([file])
    for folder in sorted(file.absolute().parent.iterdir()):
        if not is_run_folder(folder):
            continue
        note = _read_notes(folder).get(file.name, {})
        if note.get("digest") != digest:
            continue
        selection = Store(folder).find(note["artifact"], note["key"])
        if selection is not None:
            return folder, selection
    return None


def describe_selection(settings: Settings, selection: Artifact) -> Settings:
    """The settings of a run with the size, the seed and the edits of another selection of it."""
    selecting: dict[str, Any] = {"n": selection.manifest["n_rows"]}
    update: dict[str, Any] = {"seed": selection.manifest["settings"]["seed"]}
    edited = selection.manifest["notes"].get(EDITED)
    if edited:
        selecting |= {name: tuple(edited[name]) for name in ("keep", "exclude")}
        tags = {row: tuple(names) for row, names in edited["tags"].items()}
        update["canonicalise"] = CanonicaliseSettings(tags=tags)
    update["select"] = settings.select.model_copy(update=selecting)
    return settings.model_copy(update=update)


def note_edits(settings: Settings, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """What the manifest of a selection says of the rows that a person kept, dropped or gave tags;
    nothing where there are none.
    """
    selecting = settings.select
    tags = settings.canonicalise.tags
    if not (selecting.keep or selecting.exclude or tags):
        return {}
    return {
        "keep": selecting.keep,
        "exclude": selecting.exclude,
        "tags": tags,
        "tags_key": artifacts["canonical_tags"].manifest["key"],
    }


def gather_artifacts(
    run: Path,
    artifacts: Mapping[str, Artifact],
    selection: Artifact,
) -> dict[str, Artifact]:
    """The artifacts of a run that another selection of it was made from, and that selection."""
    gathered = {**artifacts, "selection": selection}
    edited = selection.manifest["notes"].get(EDITED)
    if edited:
        tags = Store(run).find(EDITED_TAGS, edited["tags_key"])
        if tags is not None:
            gathered["canonical_tags"] = tags
    return gathered


def _read_notes(run: Path) -> dict[str, Any]:
    """The notes of a run; none where they are damaged."""
    try:
        return dict(orjson.loads((run / NOTES).read_bytes()))
    except (OSError, ValueError):
        return {}
