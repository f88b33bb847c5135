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
from typing import Any, NamedTuple

import polars as pl

from tacos.config import Settings
from tacos.errors import ConfigError, InputError
from tacos.formats import reading, sources, writing
from tacos.formats.original_types import restore_types
from tacos.methods.cleaning.contamination import (
    Prompt,
    PromptIndex,
    list_evaluation_prompts,
    split_words,
)
from tacos.methods.cleaning.near_duplicates import NearDuplicateFinder
from tacos.methods.cleaning.normalised_texts import hash_normalised
from tacos.methods.cleaning.rules import PRESETS, RULES, find_row_fault
from tacos.records import Reject, StageOutput, build_reject_frame
from tacos.store.artifacts import Artifact, Store
from tacos.store.exact_duplicates import DuplicateFinder
from tacos.workflows import arguments
from tacos.workflows.given_settings import GivenSettings, resolve_settings
from tacos.workflows.input_samples import read_samples

MIN_LENGTH = 1
MAX_LENGTH = 32_768
"""Characters of a response, where the rule "lengths" is on and nothing else is said."""
MOST_WITHOUT = 0.5
"""The largest share of rows without a prompt that an evaluation set may have."""
TEXTS = ("id", "instruction", "response")


class EvaluationCounts(NamedTuple):
    """Prompts of an evaluation set, its rows, and those of them that have no prompt."""

    n_prompts: int
    n_rows: int
    n_without: int


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
    prompts, evaluation_sets = _read_prompts(evaluation_files)
    with tempfile.TemporaryDirectory(prefix="tacos-") as folder:
        store = Store(Path(folder))
        source = sources.open_source(data, store.root)
        arguments.check_output_apart(target, source.files, data)
        samples = read_samples(source, _read_every_row(of_reading), store)
        dropped = _apply_rules(samples, chosen, bounds, prompts)
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


def _apply_rules(
    samples: Artifact,
    rules: frozenset[str],
    bounds: tuple[int, int],
    prompts: Sequence[Prompt],
) -> pl.DataFrame:
    """The dropped rows by `records.REJECTS`: `stage` is the rule, in the order of the rules."""
    rejects = [build_reject_frame()]
    normalised = DuplicateFinder("key", "duplicates")
    near = NearDuplicateFinder() if "near-duplicates" in rules else None
    index = _build_index(prompts, samples)
    ids: list[pl.Series] = []
    for batch in samples.batches(TEXTS):
        faults = list(_find_row_faults(batch, rules, bounds, index))
        found = build_reject_frame(faults)
        table = batch.join(
            found.select("id"), on="id", how="anti", maintain_order="left"
        )
        rejects.append(found)
        if "duplicates" in rules:
            table, repeated = _drop_repeated(table, normalised)
            rejects.append(repeated)
        if near is not None:
            near.add(table["instruction"], table["response"])
            ids.append(table["id"])
    if near is not None and ids:
        rejects.append(_list_near_duplicates(near, pl.concat(ids)))
    return pl.concat(rejects)


def _find_row_faults(
    batch: pl.DataFrame,
    rules: frozenset[str],
    bounds: tuple[int, int],
    index: PromptIndex | None,
) -> Iterator[Reject]:
    """The rows that break a rule by themselves."""
    least, greatest = bounds
    for id_, instruction, response in batch.select(TEXTS).iter_rows():
        fault = find_row_fault(instruction, response, rules)
        if fault is not None:
            rule, found = fault
            yield Reject(id_, rule, found)
        elif "lengths" in rules and not least <= len(response) <= greatest:
            yield Reject(id_, "lengths", f"a response of {len(response):,} characters")
        elif index is not None and (match := index.find(instruction)):
            reason = (
                f"{match.covered:.0%} of a prompt of {match.prompt.source}: "
                f"{match.matched}"
            )
            yield Reject(id_, "contamination", reason)


def _read_prompts(
    files: Sequence[Any],
) -> tuple[list[Prompt], dict[str, EvaluationCounts]]:
    """The prompts of evaluation sets, and how many each has.

    Raises `InputError` for a file without any, and for one that is mostly unreadable.
    """
    prompts: list[Prompt] = []
    evaluation_sets: dict[str, EvaluationCounts] = {}
    for file in files:
        found: list[Prompt] = []
        fields: set[str] = set()
        n_rows = 0
        n_without = 0
        for batch in reading.read_rows(file):
            n_rows += len(batch.rows) + len(batch.rejects)
            n_without += len(batch.rejects)
            for number, row in batch.rows:
                fields.update(row)
                source = f"{batch.file}:{number}"
                texts = list_evaluation_prompts(row)
                n_without += not texts
                found += [Prompt(source, split_words(text)) for text in texts]
        if not found:
            raise InputError(
                f"{file}: no prompts found; its fields are {', '.join(sorted(fields))}, "
                "a field of prompts is called prompt, instruction, question or turns"
            )
        if n_without > MOST_WITHOUT * n_rows:
            raise InputError(
                f"{file}: {n_without:,} of {n_rows:,} rows are unreadable or have no prompt, "
                "so contamination by them would go unseen; mend the file, or leave these rows out"
            )
        prompts += found
        evaluation_sets[str(file)] = EvaluationCounts(len(found), n_rows, n_without)
    return prompts, evaluation_sets


def _build_index(
    prompts: Sequence[Prompt],
    samples: Artifact,
) -> PromptIndex | None:
    """The index of the prompts, with the frequencies of their words in the samples."""
    if not prompts:
        return None
    vocabulary = {word for prompt in prompts for word in prompt.words}
    n_rows_with: Counter[str] = Counter()
    for batch in samples.batches(("instruction",)):
        for instruction in batch["instruction"]:
            n_rows_with.update(vocabulary.intersection(split_words(instruction)))
    return PromptIndex(prompts, n_rows_with, int(samples.manifest["n_rows"]))


def _drop_repeated(
    table: pl.DataFrame,
    finder: DuplicateFinder,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows whose normalised texts are new, and the rejects of the others."""
    texts = table.select("instruction", "response").iter_rows()
    keys = [hash_normalised(instruction, response) for instruction, response in texts]
    keyed = table.with_columns(key=pl.Series(keys, dtype=pl.String))
    output = finder.drop(StageOutput.without_rejects(keyed))
    rejects = output.rejects.with_columns(
        reason=pl.lit("but for case and punctuation ") + pl.col("raw")
    )
    return output.table.drop("key"), rejects


def _list_near_duplicates(finder: NearDuplicateFinder, ids: pl.Series) -> pl.DataFrame:
    """The near-duplicates, as rejects that name the row they repeat."""
    rejects = []
    for found in finder.find():
        original = ids[found.original]
        reason = f"{found.similarity:.0%} the same as {original}"
        rejects.append(Reject(ids[found.row], "near-duplicates", reason))
    return build_reject_frame(rejects)


def _write_kept_rows(
    samples: Artifact,
    dropped: pl.DataFrame,
    target: Path,
) -> int:
    """Write the rows that stay; returns their number."""
    gone = dropped.select("id")
    n_dropped = gone.height
    n_kept = int(samples.manifest["n_rows"]) - n_dropped
    if writing.is_parquet_path(target) and samples.originals:
        kept = _drop_ids(samples.scan().select("id", "raw").collect(), gone)
        typed = restore_types(kept, samples.originals)
        if typed is not None:
            writing.write_typed_rows(typed, target)
            return n_kept
    writing.write_rows(_iterate_kept(samples, gone), target)
    return n_kept


def _iterate_kept(samples: Artifact, gone: pl.DataFrame) -> Iterator[str]:
    """The rows that stay, as JSON."""
    for batch in samples.batches(("id", "raw")):
        yield from _drop_ids(batch, gone)["raw"]


def _drop_ids(rows: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    return rows.join(
        gone,
        on="id",
        how="anti",
        maintain_order="left",
    )


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
    texts = samples.scan().select("id", row="raw")
    of_rules = dropped.lazy().join(texts, on="id", how="left", maintain_order="left")
    columns = ("id", pl.col("stage").alias("rule"), "reason")
    table = pl.concat(
        [
            at_reading.select(*columns, pl.col("raw").alias("row")),
            of_rules.select(*columns, "row").collect(),
        ]
    )
    dropped_file = target.with_name(f"{target.name}.dropped.jsonl")
    writing.write_rows(table.iter_rows(named=True), dropped_file)
    counts = Counter(table["rule"].to_list())
    ordered = [rule for rule in RULES if rule in rules]
    return Cleaning(
        target,
        dropped_file,
        rules=tuple(ordered),
        n_read=n_kept + table.height,
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
