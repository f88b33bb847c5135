"""`tacos clean`: drop the rows that rules find unfit, with a reason each.

The input is read once, into a temporary store (`tacos.workflows.input_samples`), so rows are never
held in memory; the samples are then read as often as the rules need. The rows that stay keep their
own fields and types, in the order of the input.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.formats import sources, writing
from tacos.methods.cleaning.rules import PRESETS, RULES
from tacos.pipeline.steps.cleaning import (
    MAX_LENGTH,
    MIN_LENGTH,
    TEXTS,
    CleaningRules,
    EvaluationCounts,
    find_unfit_rows,
    read_evaluation_prompts,
)
from tacos.store.artifacts import Artifact, Store
from tacos.workflows import arguments
from tacos.workflows.given_settings import GivenSettings, resolve_settings
from tacos.workflows.input_samples import read_samples


@dataclass(frozen=True)
class Cleaning:
    """A cleaned data set: the file of rows that stayed, and what was dropped."""

    output: Path
    dropped_file: Path
    """One line per dropped row: `id`, `rule`, `reason`, and the row or the row that it repeats."""
    rules: tuple[str, ...]
    n_read: int
    n_kept: int
    counts: dict[str, int]
    """Rule -> rows that it dropped; "unreadable" and "empty or repeated" before any rule."""
    evaluation_sets: dict[str, EvaluationCounts]
    """File of an evaluation set -> what was looked for of it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **vars(self),
            "output": str(self.output),
            "dropped_file": str(self.dropped_file),
            "rules": list(self.rules),
            "evaluation_sets": {
                file: counts._asdict() for file, counts in self.evaluation_sets.items()
            },
        }


def clean(  # noqa: PLR0913 - the options of the command
    data: Any,
    output: str | Path,
    *,
    preset: str = "light",
    rules: Iterable[str] = (),
    without: Iterable[str] = (),
    against: Any = (),
    min_length: int | None = None,
    max_length: int | None = None,
    settings: GivenSettings = None,
) -> Cleaning:
    """Write the rows of a data set that no rule drops, and beside them the dropped ones.

    Args:
        data: Whatever `tacos.select` reads.
        output: The file to write; its suffix names the format.
        preset: "light" or "strict".
        rules: More rules, beside those of the preset.
        without: Rules of the preset that are left out.
        against: Files of evaluation sets: rows with a prompt of theirs are dropped, by the rule
            "contamination".
        min_length: The fewest characters of a response; turns the rule "lengths" on.
        max_length: The most characters of a response; turns it on, too.
        settings: How rows are read (the section `ingest`).

    Raises:
        ConfigError: A preset or rule is unknown, or a rule lacks its library.
        InputError: The data cannot be read.
        OutputError: The output cannot be written.
    """
    chosen = _choose_rules(preset, rules, without)
    bounds = _choose_bounds(min_length, max_length)
    if min_length is not None or max_length is not None:
        chosen |= {"lengths"}
    evaluation_files = arguments.list_items(against)
    if evaluation_files:
        chosen |= {"contamination"}
    elif "contamination" in chosen:
        raise ConfigError(
            "the rule contamination needs the evaluation sets: --against FILE"
        )
    target = arguments.to_path("output", output)
    writing.check_rows_writable(target)
    of_reading = resolve_settings(settings)
    prompts, evaluation_sets = read_evaluation_prompts(evaluation_files)
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        store = Store(Path(folder))
        source = sources.open_source(data, store.root)
        arguments.check_output_apart(target, source.files, data)
        samples = read_samples(source, _read_every_row(of_reading), store)
        dropped = find_unfit_rows(
            lambda: samples.batches(TEXTS),
            CleaningRules(chosen, bounds, prompts),
        )
        n_kept = _write_kept_rows(samples, dropped, target)
        return _write_dropped_rows(
            samples,
            dropped,
            target,
            chosen,
            n_kept,
            evaluation_sets,
        )


def _choose_rules(
    preset: str,
    rules: Iterable[str],
    without: Iterable[str],
) -> frozenset[str]:
    """The rules of a preset, with some more and some fewer."""
    arguments.check_choice("preset", preset, list(PRESETS))
    added = arguments.list_items(rules)
    removed = arguments.list_items(without)
    for name in (*added, *removed):
        arguments.check_choice("rule", name, RULES)
    return frozenset({*PRESETS[preset], *added}) - set(removed)


def _choose_bounds(
    min_length: int | None,
    max_length: int | None,
) -> tuple[int, int]:
    """The least and the greatest length of a response."""
    least = MIN_LENGTH if min_length is None else min_length
    greatest = MAX_LENGTH if max_length is None else max_length
    if not 0 <= least <= greatest:
        raise ConfigError(
            f"responses of {least:,} to {greatest:,} characters: "
            "the least length must not be above the greatest"
        )
    return least, greatest


def _read_every_row(settings: Settings) -> Settings:
    """Settings by which unreadable rows are dropped, however many they are."""
    ingest = settings.ingest.model_copy(update={"max_failure_rate": 1.0})
    return settings.model_copy(update={"ingest": ingest})


def _write_kept_rows(
    samples: Artifact,
    dropped: pl.DataFrame,
    target: Path,
) -> int:
    """Write the rows that stay; returns their number."""
    gone = dropped.select("id")
    n_dropped = gone.height
    n_kept = int(samples.manifest["n_rows"]) - n_dropped
    if writing.has_types(target) and samples.originals:
        # Only rows with types need pyarrow, which takes long to import.
        from tacos.formats.original_types import restore_types

        kept = samples.scan().join(
            gone.lazy(),
            on="id",
            how="anti",
            maintain_order="left",
        )
        typed = restore_types(kept.select("id", "raw"), samples.originals)
        if typed is not None:
            writing.write_typed_rows(typed, target)
            return n_kept
    writing.write_rows(_iterate_kept(samples, gone), target)
    return n_kept


def _iterate_kept(samples: Artifact, gone: pl.DataFrame) -> Iterator[str]:
    """The rows that stay, as JSON."""
    for batch in samples.batches(("id", "raw")):
        kept = batch.join(gone, on="id", how="anti", maintain_order="left")
        yield from kept["raw"]


def _write_dropped_rows(
    samples: Artifact,
    dropped: pl.DataFrame,
    target: Path,
    rules: Sequence[str] | frozenset[str],
    n_kept: int,
    evaluation_sets: dict[str, EvaluationCounts],
) -> Cleaning:
    """Write what was dropped beside the output, and count it."""
    at_reading = samples.rejects().with_columns(
        stage=pl.when("failure")
        .then(pl.lit("unreadable"))
        .otherwise(pl.lit("empty or repeated"))
    )
    dropped_file = target.with_name(f"{target.name}.dropped.jsonl")
    rows = _iterate_dropped(samples, at_reading, dropped)
    writing.write_rows(rows, dropped_file)
    counts = Counter(at_reading["stage"].to_list() + dropped["stage"].to_list())
    ordered = [rule for rule in RULES if rule in rules]
    return Cleaning(
        target,
        dropped_file,
        rules=tuple(ordered),
        n_read=n_kept + at_reading.height + dropped.height,
        n_kept=n_kept,
        counts={
            **{
                name: counts[name]
                for name in ("unreadable", "empty or repeated")
                if counts[name]
            },
            **{name: counts[name] for name in ordered},
        },
        evaluation_sets=evaluation_sets,
    )


def _iterate_dropped(
    samples: Artifact,
    at_reading: pl.DataFrame,
    dropped: pl.DataFrame,
) -> Iterator[dict[str, Any]]:
    """The dropped rows with rule and reason: those that reading dropped, then in the order of the
    input those that the rules did.
    """
    columns = ("id", pl.col("stage").alias("rule"), "reason")
    unread = at_reading.select(*columns, row="raw")
    yield from unread.iter_rows(named=True)
    reasons = dropped.select(*columns)
    for batch in samples.batches(("id", "raw")):
        of_rules = batch.join(reasons, on="id", maintain_order="left")
        yield from of_rules.select(
            "id",
            "rule",
            "reason",
            row="raw",
        ).iter_rows(named=True)
