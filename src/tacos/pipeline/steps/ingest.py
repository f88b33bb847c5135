"""The stage ingest: raw rows -> samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tacos.config import IngestSettings, Settings
from tacos.methods.samples import prompt_templates, sample_parsing
from tacos.methods.samples.prompt_templates import PromptTemplate
from tacos.records import Sample, SampleBatch, StageOutput, Tables, build_reject_frame

TEMPLATE = "template: "
"""How the note begins that counts the rows of a prompt template; the template's name follows."""

N_READ_BEFORE = "n_read_before"
"""The note that counts the rows of extended runs, which were read before."""

Templates = Mapping[str, Sequence[PromptTemplate]]
"""File -> the prompt templates around its questions."""


def read_input_rows(tables: Tables) -> Iterator[Any]:
    """Batches of raw rows, as `tacos.formats.reading` yields them, and of samples that extended
    runs have read.
    """
    yield from tables["input"].batches()


def find_file_templates(
    tables: Tables,
    settings: Settings,
    tool: Any,
) -> Templates:
    """The prompt templates around the questions of each file, by its first rows."""
    if not settings.ingest.templates:
        return {}
    templates = {}
    # The input is a `run_loop.Source`, which has more than a table.
    source: Any = tables["input"]
    for batch in source.heads(prompt_templates.N_READ):
        questions = _list_first_questions(batch, settings.ingest)
        templates[batch.file] = prompt_templates.find_templates(questions)
    return templates


def ingest_batch(
    batch: Any,
    templates: Templates,
    settings: Settings,
) -> StageOutput:
    """Raw rows -> samples, row by row; their turns are without the templates. What is a sample
    already stays as it is.
    """
    if isinstance(batch, SampleBatch):
        return StageOutput(
            batch.table,
            build_reject_frame(),
            {N_READ_BEFORE: batch.table.height},
            batch.original,
        )
    notes: Counter[str] = Counter()
    samples, rejects = sample_parsing.parse_sample_batch(batch, settings.ingest, notes)
    file_templates = templates.get(batch.file, ())
    if file_templates:
        samples = [
            _set_template_aside(sample, file_templates, notes) for sample in samples
        ]
    return StageOutput(
        table=sample_parsing.samples_to_frame(samples),
        rejects=build_reject_frame(rejects),
        notes=dict(notes),
        original=batch.original,
    )


def count_templates(notes: Mapping[str, int]) -> dict[str, int]:
    """Prompt template -> rows whose questions stand in it, from the notes of the stage."""
    return {
        note.removeprefix(TEMPLATE): n_rows
        for note, n_rows in notes.items()
        if note.startswith(TEMPLATE)
    }


def _list_first_questions(batch: Any, settings: IngestSettings) -> list[str]:
    """The first question of each usable row."""
    samples, _ = sample_parsing.parse_sample_batch(batch, settings)
    questions = []
    for sample in samples:
        asked = (turn.text for turn in sample.turns if turn.role == "user")
        questions.append(next(asked))  # a sample without a question is a reject
    return questions


def _set_template_aside(
    sample: Sample,
    templates: Sequence[PromptTemplate],
    notes: Counter[str],
) -> Sample:
    """The sample without its template, which is counted in the notes."""
    turns, template = prompt_templates.strip_turns(sample.turns, templates)
    if template is None:
        return sample
    notes[f"{TEMPLATE}{template.name}"] += 1
    # Before its turns are changed: judges read what the response answers.
    framed = sample_parsing.extract_instruction(sample.turns)
    return replace(sample, turns=turns, framed=framed)
