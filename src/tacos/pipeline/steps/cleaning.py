"""Finds the rows of a pool that the rules of cleaning drop, for `tacos clean` and for ingest.

Rules read one row at a time, or compare rows with earlier ones or with the prompts of evaluation
sets; see `tacos.methods.cleaning.rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.addresses import is_elsewhere, redact_address
from tacos.config import Settings
from tacos.config.files import digest_file
from tacos.counts import count_words
from tacos.errors import ConfigError, InputError
from tacos.formats import reading
from tacos.methods.cleaning.contamination import (
    Prompt,
    PromptIndex,
    is_long_enough,
    list_evaluation_prompts,
    split_words,
)
from tacos.methods.cleaning.languages import LanguageFilter
from tacos.methods.cleaning.near_duplicates import NearDuplicateFinder
from tacos.methods.cleaning.normalised_texts import hash_normalised
from tacos.methods.cleaning.rules import PRESETS, RULES, find_row_fault
from tacos.methods.cleaning.sensitive_rows import SENSITIVE_RULES, find_sensitive_text
from tacos.methods.samples import sample_parsing
from tacos.methods.samples.column_names import join_names
from tacos.pipeline.steps import paraphrased_rows, worse_answers
from tacos.records import Reject, SampleBatch, StageOutput, Tables, build_reject_frame
from tacos.store.exact_duplicates import DuplicateFinder, RowNumbers

TEXTS = ("id", "instruction", "response")
"""The columns of samples that rules read; rules for every text of a row read `raw`, too."""
MIN_LENGTH = 1
MAX_LENGTH = 32_768
"""Characters of a response, where the rule "lengths" is on and nothing else is said."""
MOST_WITHOUT = 0.5
"""The largest share of rows without a prompt that an evaluation set may have."""

ReadBatches = Callable[[], Iterator[pl.DataFrame]]


class CleaningRules(NamedTuple):
    """The names of rules, the least and the greatest length of a response, the prompts of
    evaluation sets, and the languages that are wanted.
    """

    names: frozenset[str]
    bounds: tuple[int, int] = (MIN_LENGTH, MAX_LENGTH)
    prompts: Sequence[Prompt] = ()
    languages: Sequence[str] = ()

    @property
    def sensitive(self) -> list[str]:
        """Those that read every text of a row, in the order in which they are applied."""
        return [rule for rule in RULES if rule in self.names & SENSITIVE_RULES.keys()]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of samples that they read."""
        return (*TEXTS, "raw") if self.sensitive else TEXTS


class _RowRules(NamedTuple):
    """What the rules for single rows need, made once."""

    rules: CleaningRules
    prompts: PromptIndex | None
    languages: LanguageFilter | None


class EvaluationCounts(NamedTuple):
    """Prompts of an evaluation set, its rows, those of them that have no prompt, and the prompts
    that are too short to be looked for.
    """

    n_prompts: int
    n_rows: int
    n_without: int
    n_short: int


def find_unfit_samples(tables: Tables, settings: Settings) -> pl.DataFrame:
    """The rows of an input that the settings clean away, as rejects of the stage ingest.

    Raises `ConfigError` where a rule lacks its library, `InputError` for an evaluation set without
    prompts.
    """
    if not settings.clean.is_on:
        return build_reject_frame()
    names = frozenset(PRESETS.get(settings.clean.preset, ()))
    names = names.union(settings.clean.rules)
    for file, digest in settings.clean.against.items():
        if not is_elsewhere(file) and digest_file(Path(file)) != digest:
            raise ConfigError(
                f"{file} has changed since these settings were made; name it again (--against)"
            )
    prompts, _ = read_evaluation_prompts([*settings.clean.against])
    if prompts:
        names |= {"contamination"}
    languages = settings.clean.languages
    if languages:
        names |= {"language"}
    rules = CleaningRules(names, prompts=prompts, languages=languages)
    unfit = find_unfit_rows(
        lambda: _read_texts(tables, settings, rules.columns),
        rules,
    )
    return unfit.select(
        "id",
        pl.lit("ingest").alias("stage"),
        pl.format("clean: {}", "stage").alias("reason"),
        pl.col("reason").alias("raw"),
        pl.lit(False).alias("failure"),
    )


def _read_texts(
    tables: Tables,
    settings: Settings,
    columns: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """The texts of the input's samples."""
    # Raw rows as `tacos.formats.reading` yields them, no table.
    source: Any = tables["input"]
    for batch in source.batches():
        if isinstance(batch, SampleBatch):
            yield batch.table.select(columns)
            continue
        samples, _ = sample_parsing.parse_sample_batch(batch, settings.ingest)
        yield sample_parsing.samples_to_frame(samples).select(columns)


def find_unfit_rows(read: ReadBatches, rules: CleaningRules) -> pl.DataFrame:
    """The rows to drop by `records.REJECTS`: `stage` is the rule, `reason` what was found.

    Each call of `read` reads the samples from the first on, with the columns of `rules`.
    """
    rejects = [build_reject_frame()]
    normalised = DuplicateFinder("key", "duplicates")
    near = _NearDuplicates() if "near-duplicates" in rules.names else None
    is_language_rule = "language" in rules.names
    row_rules = _RowRules(
        rules,
        _build_index(rules.prompts, read),
        LanguageFilter(rules.languages) if is_language_rule else None,
    )
    for batch in read():
        faults = list(_find_row_faults(batch, row_rules))
        found = build_reject_frame(faults)
        table = _drop_ids(batch, found.select("id"))
        rejects.append(found)
        if "duplicates" in rules.names:
            table, repeated = _drop_repeated(table, normalised)
            rejects.append(repeated)
        if near is not None:
            near.add(table)
    del normalised  # its memory is free for what follows
    if near is not None:
        rejects.append(near.list_rejects())
    later_rules = {
        paraphrased_rows.RULE: paraphrased_rows.find_paraphrases,
        worse_answers.RULE: worse_answers.find_worse_answers,
    }
    for name, find in later_rules.items():
        if name in rules.names:
            gone = pl.concat(rejects)["id"].to_frame()
            rejects.append(find(partial(_read_kept, read, gone)))
    return pl.concat(rejects)


def _read_kept(read: ReadBatches, gone: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The samples without those that are gone."""
    for batch in read():
        yield _drop_ids(batch, gone)


def _drop_ids(samples: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    return samples.join(
        gone,
        on="id",
        how="anti",
        maintain_order="left",
    )


def read_evaluation_prompts(
    files: Sequence[Any],
) -> tuple[list[Prompt], dict[str, EvaluationCounts]]:
    """The prompts of evaluation sets, and how many each has.

    Raises `InputError` for a file without any, and for one that is mostly unreadable.
    """
    prompts: list[Prompt] = []
    evaluation_sets: dict[str, EvaluationCounts] = {}
    for file in files:
        shown = redact_address(str(file))
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
                f"{shown}: no prompts found; its fields are {join_names(sorted(fields))}, "
                "a field of prompts is called prompt, instruction, question or turns"
            )
        n_short = sum(not is_long_enough(prompt) for prompt in found)
        if n_short == len(found):
            raise InputError(
                f"{shown}: {count_words(n_short, 'prompt')}, none of which has three words, so "
                "none can be looked for; give whole prompts, or leave this file out"
            )
        if n_without > MOST_WITHOUT * n_rows:
            raise InputError(
                f"{shown}: {n_without:,} of {n_rows:,} rows are unreadable or have no prompt, "
                "so contamination by them would go unseen; mend the file, or leave these rows out"
            )
        prompts += found
        evaluation_sets[shown] = EvaluationCounts(
            len(found), n_rows, n_without, n_short
        )
    return prompts, evaluation_sets


def _find_row_faults(
    batch: pl.DataFrame,
    row_rules: _RowRules,
) -> Iterator[Reject]:
    """The rows that break a rule by themselves."""
    rules, index, languages = row_rules
    least, greatest = rules.bounds
    sensitive = rules.sensitive
    for id_, instruction, response, *raw in batch.select(rules.columns).iter_rows():
        fault = find_sensitive_text(raw[0], sensitive) if sensitive else None
        fault = fault or find_row_fault(instruction, response, rules.names)
        if fault is not None:
            rule, found = fault
            yield Reject(id_, rule, found)
        elif "lengths" in rules.names and not least <= len(response) <= greatest:
            yield Reject(id_, "lengths", f"a response of {len(response):,} characters")
        elif languages is not None and (
            foreign := languages.find_foreign(instruction, response)
        ):
            yield Reject(id_, "language", foreign)
        elif index is not None and (match := index.find(instruction)):
            reason = (
                f"{match.covered:.0%} of a prompt of {match.prompt.source}: "
                f"{match.matched}"
            )
            yield Reject(id_, "contamination", reason)


def _build_index(
    prompts: Sequence[Prompt],
    read: ReadBatches,
) -> PromptIndex | None:
    """The index of the prompts, with the frequencies of their words in the samples."""
    if not prompts:
        return None
    vocabulary = {word for prompt in prompts for word in prompt.words}
    n_rows_with: Counter[str] = Counter()
    n_rows = 0
    for batch in read():
        n_rows += batch.height
        for instruction in batch["instruction"]:
            n_rows_with.update(vocabulary.intersection(split_words(instruction)))
    return PromptIndex(prompts, n_rows_with, n_rows)


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


class _NearDuplicates:
    """Near-duplicates among samples that are added batch by batch."""

    def __init__(self) -> None:
        self._finder = NearDuplicateFinder()
        self._rows = RowNumbers()
        self._numbers: list[npt.NDArray[np.int64]] = []

    def add(self, samples: pl.DataFrame) -> None:
        """The next samples."""
        self._finder.add(samples["instruction"], samples["response"])
        self._numbers.append(self._rows.number_all(samples["id"]))

    def list_rejects(self) -> pl.DataFrame:
        """The near-duplicates, as rejects that name the row they repeat."""
        if not self._numbers:
            return build_reject_frame()
        numbers = np.concatenate(self._numbers)
        rejects = []
        for found in self._finder.find():
            original = self._rows.name(int(numbers[found.original]))
            reason = f"{found.similarity:.0%} the same as {original}"
            id = self._rows.name(int(numbers[found.row]))
            rejects.append(Reject(id, "near-duplicates", reason))
        return build_reject_frame(rejects)
