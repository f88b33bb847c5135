"""`tacos inspect`: what a data set is, before anything is run: nothing is written and no model is
called.

The rows are read exactly as `tacos select` reads them, batch by batch, so what is counted and
refused here is counted and refused there.

>>> import tacos
>>> found = tacos.inspect([{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?"}])
>>> found.n_samples, found.rejects["no instruction and response in the columns question"].n_rows
(1, 1)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.formats import sources
from tacos.formats.identification import identify_file, identify_remote_file
from tacos.formats.remote_files import RemoteFile
from tacos.formats.sources import InputSource
from tacos.methods.measures.input_profile import (
    REPEATED_QUESTION,
    InputProfile,
    list_most_frequent,
    name_speaker,
    summarise_counts,
)
from tacos.methods.samples.reading_notes import group_notes
from tacos.pipeline.steps import ingest
from tacos.records import StageOutput
from tacos.store import files
from tacos.store.exact_duplicates import DuplicateFinder
from tacos.store.seen_hashes import NONE, FirstOccurrences
from tacos.workflows.given_settings import GivenSettings, resolve_settings

N_EXAMPLES = 3
"""Samples that are shown, and rejects of each reason."""
N_RAW_CHARS = 200
"""Characters that are shown of a reject."""


@dataclass
class InspectedFile:
    """One file of the input."""

    name: str
    format: str
    """In words, such as "JSON Lines, gzip"."""
    n_rows: int = 0
    n_samples: int = 0
    """Rows that a run would use."""
    notes: Counter[str] = field(default_factory=Counter)
    """See `tacos.methods.samples.reading_notes`."""

    @property
    def read_as(self) -> dict[str, dict[str, int]]:
        """Columns, roles and more that were read -> how often."""
        return group_notes(self.notes)

    @property
    def templates(self) -> dict[str, int]:
        """Prompt template -> rows in which it surrounds the instruction."""
        return ingest.count_templates(self.notes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "format": self.format,
            "n_rows": self.n_rows,
            "n_samples": self.n_samples,
            "read_as": self.read_as,
            "templates": self.templates,
        }


@dataclass
class RejectedRows:
    """The rows that would be rejected for one reason."""

    n_rows: int
    is_failure: bool
    """Whether they count towards the rate of failures that stops a run."""
    examples: list[dict[str, str]]
    """The first of them: id, and how its text begins."""


@dataclass(frozen=True)
class Inspection:
    """What a data set is; `tacos.inspect` returns it."""

    files: tuple[InspectedFile, ...]
    examples: tuple[dict[str, Any], ...]
    """The first samples: id, and turns (role, text)."""
    profile: InputProfile
    """Of all samples of all files."""
    rejects: Mapping[str, RejectedRows]
    """Reason -> rows, most rows first."""
    max_failure_rate: float
    """The share of unreadable rows above which a run stops."""

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return sum(file.n_rows for file in self.files)

    @property
    def n_samples(self) -> int:
        """Rows that a run would use."""
        return self.profile.n_samples

    @property
    def n_failures(self) -> int:
        """Rows that are unreadable; duplicates and empty rows are not."""
        failed = [rows.n_rows for rows in self.rejects.values() if rows.is_failure]
        return sum(failed)

    @property
    def would_stop(self) -> bool:
        """Whether a run would stop because too many rows are unreadable, or none is left."""
        is_failing = self.n_failures > self.max_failure_rate * self.n_rows
        return is_failing or not self.n_samples

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        profile = self.profile
        return {
            "files": [file.as_dict() for file in self.files],
            "n_rows": self.n_rows,
            "n_samples": self.n_samples,
            "examples": list(self.examples),
            "roles": list_most_frequent(profile.roles),
            "questions_per_row": summarise_counts(profile.n_questions),
            "question_length": summarise_counts(profile.question_lengths),
            "answer_length": summarise_counts(profile.answer_lengths),
            "languages": list_most_frequent(profile.languages),
            "n_language_rows": profile.n_language_rows,
            "odd": {kind: asdict(rows) for kind, rows in profile.odd.items()},
            "rejects": {reason: asdict(rows) for reason, rows in self.rejects.items()},
            "n_failures": self.n_failures,
            "max_failure_rate": self.max_failure_rate,
            "would_stop": self.would_stop,
        }


def inspect(
    data: Any,
    settings: GivenSettings = None,
    *,
    preset: str = "robust",
) -> Inspection:
    """Say what a data set is and what a run would reject of it; nothing is written.

    Args:
        data: Whatever `tacos.select` reads.
        settings: All settings, or nested ones over the preset; those of `ingest` count.
        preset: "robust" or "paper"; not read if `settings` are complete.

    Raises:
        InputError: A file cannot be read, or no row of it has usable columns.
    """
    chosen = resolve_settings(settings, preset)
    with files.make_temporary_folder() as folder:
        # Standard input is kept there: it is read twice.
        source = sources.open_source(data, folder)
        return _inspect_source(source, chosen)


def _inspect_source(source: InputSource, settings: Settings) -> Inspection:
    """Read a source batch by batch, as the stage ingest does."""
    templates = ingest.find_file_templates({"input": source}, settings, None)
    files = _identify_files(source)
    counter = _RowCounter()
    for batch in source.batches():
        output = ingest.ingest_batch(batch, templates, settings)
        file = files[batch.file]
        file.notes.update(output.notes)
        file.n_rows += output.table.height + output.rejects.height
        file.n_samples += counter.add(output)
    most_first = sorted(
        counter.rejects.items(), key=lambda entry: (-entry[1].n_rows, entry[0])
    )
    return Inspection(
        tuple(files.values()),
        tuple(counter.examples),
        counter.profile,
        dict(most_first),
        settings.ingest.max_failure_rate,
    )


def _identify_files(source: InputSource) -> dict[str, InspectedFile]:
    """Name -> file, nothing counted yet."""
    if source.data is not None:
        kind = f"Python data ({type(source.data).__name__})"
        return {name: InspectedFile(name, kind) for name in source.names}
    files = {}
    for name, path in zip(source.names, source.files, strict=True):
        if isinstance(path, RemoteFile):
            format_ = identify_remote_file(path, name)
        else:
            format_ = identify_file(path, name)
        files[name] = InspectedFile(name, format_.text())
    return files


def _show_sample(sample: dict[str, Any]) -> dict[str, Any]:
    """The id of a sample, and its turns by who speaks."""
    turns = []
    for turn in sample["turns"]:
        role, text = name_speaker(turn["role"], turn["text"])
        turns.append({**turn, "role": role, "text": text})
    return {"id": sample["id"], "turns": turns}


class _RowCounter:
    """Counts samples and rejects of one batch after another."""

    def __init__(self) -> None:
        self.examples: list[dict[str, Any]] = []
        self.profile = InputProfile()
        self.rejects: dict[str, RejectedRows] = {}
        self._duplicates = DuplicateFinder("content_hash", "ingest")
        self._questions = FirstOccurrences()

    def add(self, output: StageOutput) -> int:
        """Count a batch; returns the number of its samples."""
        output = self._duplicates.drop(output)
        samples = output.table
        n_missing = N_EXAMPLES - len(self.examples)
        shown = samples.head(n_missing).select("id", "turns")
        self.examples += [_show_sample(sample) for sample in shown.to_dicts()]
        self.profile.add(samples)
        self.profile.add_odd(REPEATED_QUESTION, self._find_repeated(samples))
        for reject in output.rejects.iter_rows(named=True):
            self._count_reject(reject)
        return samples.height

    def _find_repeated(self, samples: pl.DataFrame) -> list[str]:
        """The ids of samples whose question was asked before."""
        hashes = samples["instruction"].str.strip_chars().hash(seed=0).to_numpy()
        numbers = self._duplicates.rows.number_all(samples["id"])
        first_rows = self._questions.check(hashes, numbers)
        is_repeated = pl.Series(first_rows != NONE)
        return samples.filter(is_repeated)["id"].to_list()

    def _count_reject(self, reject: Mapping[str, Any]) -> None:
        """Count one rejected row under its reason."""
        rows = self.rejects.setdefault(
            reject["reason"],
            RejectedRows(0, is_failure=reject["failure"], examples=[]),
        )
        rows.n_rows += 1
        if len(rows.examples) < N_EXAMPLES:
            text = reject["raw"][:N_RAW_CHARS]
            rows.examples.append({"id": reject["id"], "text": text})
