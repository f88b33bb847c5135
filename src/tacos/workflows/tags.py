"""`tacos tags`: the vocabulary of a run, the lineage of every tag, and publishing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tacos.errors import InputError, RunError
from tacos.methods.tags import published_vocabulary, tag_lineage
from tacos.methods.tags.tag_lineage import TagLineage
from tacos.store import files
from tacos.store.artifacts import Artifact
from tacos.workflows import arguments, kept_files
from tacos.workflows.selection import GivenRun, Selection, load


@dataclass(frozen=True)
class TagVocabulary:
    """The raw tags of a run and the canonical tags that they became."""

    table: pl.DataFrame
    """By `tacos.records.VOCABULARY`: a row per distinct raw tag."""
    notes: Mapping[str, Any]
    """Counts of each normalisation step ("steps"), "remarks", and the "drift" from a given
    vocabulary.
    """

    @cached_property
    def canonical_tags(self) -> pl.DataFrame:
        """A row per canonical tag, the most frequent first: canonical, count (of all its raw tags),
        n_raw, raws.
        """
        return tag_lineage.list_canonical_tags(self.table)

    def lineage(self, name: str) -> TagLineage:
        """Where a raw tag went, and which raw tags became a canonical one.

        Raises:
            InputError: No tag has that name; the message lists tags with a similar one.
            TypeError: `name` is not a text.
        """
        arguments.check_type("name", name, str, "a tag")
        return tag_lineage.find_lineage(self.table, name)

    def as_dict(self, top: int = 30) -> dict[str, Any]:
        """For JSON: the notes and the `top` most frequent canonical tags."""
        return {**self.notes, "tags": self.canonical_tags.head(top).to_dicts()}


def tags(run: GivenRun) -> TagVocabulary:
    """Read the vocabulary of a run.

    Raises:
        RunError: `run` is no run directory, or was stopped before its tags were normalised.
    """
    done = load(run)
    artifact = _find_vocabulary(done)
    table = artifact.scan().collect()
    notes = artifact.manifest["notes"]
    return TagVocabulary(table, notes)


def publish_tags(
    run: GivenRun,
    output: str | Path,
) -> Path:
    """Write the vocabulary of a run as a JSON file that `normalise.vocabulary_file` and
    `--vocabulary` take.

    Raises:
        InputError: The file exists and has another content; somebody may have edited it.
        OutputError: The file cannot be written.
        RunError: `run` is no run directory, or was stopped before its tags were normalised.
    """
    target = arguments.to_path("output", output)
    kept_files.check_files_kept([target], [])
    done = load(run)
    text = _render_vocabulary(done)
    return _write_new_file(text, target)


def _find_vocabulary(done: Selection) -> Artifact:
    """The vocabulary of a run. Raises `RunError` if it has none."""
    artifact = done.artifacts.get("vocabulary")
    if artifact is None:
        raise RunError(
            f"{done.run} was stopped before its tags were normalised; "
            "finish it first (on the command line, --until normalise is enough)"
        )
    return artifact


def _render_vocabulary(done: Selection) -> str:
    """The vocabulary of a run as the text of a JSON file."""
    artifact = _find_vocabulary(done)
    settings = done.settings.normalise
    tags = done.artifacts["tags"].scan()
    n_samples = tags.select(pl.col("id").n_unique()).collect().item()
    encoder = ""
    if settings.semantic != "off":
        encoder = str(artifact.manifest["model"])
    published = published_vocabulary.publish_vocabulary(
        artifact.scan().collect(),
        n_samples=int(n_samples),
        alpha=artifact.manifest["notes"]["alpha"],
        settings=settings,
        encoder=encoder,
    )
    plain = published_vocabulary.vocabulary_to_json(published)
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode()


def _write_new_file(text: str, path: Path) -> Path:
    """Write a file that people may edit; raise `InputError` if it exists with another content."""
    if path.exists() and not _has_content(path, text):
        raise InputError(
            f"{path} exists, and somebody may have edited it: choose another name, or remove it"
        )
    return files.write_text(text, path)


def _has_content(path: Path, text: str) -> bool:
    """Whether a path is a file with exactly this text."""
    return path.is_file() and path.read_bytes() == text.encode()
