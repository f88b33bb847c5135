"""Which selection of a run a file holds: what `tacos reselect` writes is noted in the run, so that
`tacos explain` can be asked about the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tacos.config import Settings
from tacos.formats.paths import is_run_folder
from tacos.store import files
from tacos.store.artifacts import Artifact, Store

NOTES = "reselected.json"
"""The file of a run: name of an output -> artifact and key of its selection, digest of the file."""


def note_file(run: Path, file: Path, selection: Artifact) -> None:
    """Note that a file holds a selection of a run."""
    # A pipe or a device cannot be read back.
    if not file.is_file():
        return
    store = Store(run)
    notes = _read_notes(run)
    notes[file.name] = {
        "artifact": selection.path.parent.name,
        "key": selection.manifest["key"],
        "digest": files.digest_files([file]),
    }
    with store.lock():
        store.write_state(NOTES, notes)


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
    """The settings of a run with the size and the seed of another selection of it."""
    selecting = settings.select.model_copy(update={"n": selection.manifest["n_rows"]})
    seed = selection.manifest["settings"]["seed"]
    return settings.model_copy(update={"select": selecting, "seed": seed})


def _read_notes(run: Path) -> dict[str, Any]:
    """The notes of a run; none where they are damaged."""
    try:
        return dict(orjson.loads((run / NOTES).read_bytes()))
    except (OSError, ValueError):
        return {}
