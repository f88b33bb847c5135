"""`tacos clean`: drop the rows that rules find unfit, with a reason each.

The input is read once, into a temporary store (`tacos.workflows.input_samples`), so rows are never
held in memory; the samples are then read as often as the rules need. The rows that stay keep their
own fields and types, in the order of the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos.config import Settings
from tacos.errors import ConfigError
from tacos.formats import sources, writing
from tacos.methods.cleaning.languages import LanguageFilter
from tacos.methods.cleaning.rules import PRESETS, RULES
from tacos.methods.cleaning.sensitive_rows import SENSITIVE_RULES
from tacos.pipeline.steps.cleaning import (
    MAX_LENGTH,
    MIN_LENGTH,
    CleaningRules,
    EvaluationCounts,
    find_unfit_rows,
    read_evaluation_prompts,
)
from tacos.store import files
from tacos.store.artifacts import Store
from tacos.workflows import arguments, cleaned_rows, kept_files
from tacos.workflows.cleaned_rows import RowMasking
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_settings,
)
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
    masked: dict[str, int]
    """What was masked in the rows that stayed ("e-mail address") -> in how many places."""
    n_masked: int
    """Rows that stayed with something masked."""

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
    languages: Iterable[str] = (),
    mask: bool = False,
    settings: GivenSettings = None,
    force: bool = False,
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
        languages: Codes of the languages whose rows stay, such as "en"; turns the rule "language"
            on.
        mask: Whether rows in which "pii" or "secrets" finds something stay, with what was found
            replaced by its kind in brackets.
        settings: How rows are read (the section `ingest`).
        force: Whether the output replaces a file that tacos did not write.

    Raises:
        ConfigError: A preset or rule is unknown, a rule lacks its library, or there is nothing
            that could be masked.
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
    sensitive = [rule for rule in SENSITIVE_RULES if rule in chosen]
    if mask and not sensitive:
        raise ConfigError(
            "nothing would be masked: name what is looked for, --rule pii or --rule secrets"
        )
    wanted = arguments.list_items(languages)
    if wanted:
        chosen |= {"language"}
        # An unknown one is an error before anything is read.
        LanguageFilter(wanted)
    elif "language" in chosen:
        raise ConfigError("the rule language needs the languages: --language en")
    target = arguments.to_path("output", output)
    writing.check_rows_writable(target)
    dropped_file = cleaned_rows.dropped_path(target)
    kept_files.check_files_kept(
        [target, dropped_file],
        [
            *kept_files.list_data_files(data),
            *kept_files.list_data_files(evaluation_files),
            *list_setting_files(settings),
        ],
    )
    kept_files.check_own_rows(target, [dropped_file], force=force)
    of_reading = resolve_settings(settings)
    prompts, evaluation_sets = read_evaluation_prompts(evaluation_files)
    dropping = chosen.difference(sensitive) if mask else chosen
    cleaning_rules = CleaningRules(dropping, bounds, prompts, wanted)
    with (
        files.hold_output(target, cleaned_rows.dropped_path(target)),
        files.make_temporary_folder() as folder,
    ):
        store = Store(folder)
        source = sources.open_source(data, store.root)
        samples = read_samples(source, _read_every_row(of_reading), store)
        dropped = find_unfit_rows(
            lambda: samples.batches(cleaning_rules.columns),
            cleaning_rules,
        )
        # The dropped rows first: beside them, the rows that stay are known to be of this command.
        dropped_file, counts = cleaned_rows.write_dropped_rows(
            source,
            samples,
            dropped,
            target,
            RowMasking(sensitive),
        )
        masking = RowMasking(sensitive if mask else ())
        cleaned_rows.write_kept_rows(samples, dropped, target, masking)
        n_kept = int(samples.manifest["n_rows"]) - dropped.height
    ordered = [rule for rule in RULES if rule in chosen]
    return Cleaning(
        target,
        dropped_file,
        rules=tuple(ordered),
        n_read=n_kept + counts.total(),
        n_kept=n_kept,
        counts=_order_counts(counts, [rule for rule in ordered if rule in dropping]),
        evaluation_sets=evaluation_sets,
        masked=dict(masking.places.most_common()),
        n_masked=masking.n_rows,
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
    if least < 0:
        raise ConfigError(
            f"the least length of a response must be 0 or more, not {least:,}"
        )
    if least > greatest:
        raise ConfigError(
            f"responses of {least:,} to {greatest:,} characters: "
            "the least length must not be above the greatest"
        )
    return least, greatest


def _read_every_row(settings: Settings) -> Settings:
    """Settings by which unreadable rows are dropped, however many they are."""
    ingest = settings.ingest.model_copy(update={"max_failure_rate": 1.0})
    return settings.model_copy(update={"ingest": ingest})


def _order_counts(counts: Counter[str], rules: Sequence[str]) -> dict[str, int]:
    """What was dropped as it was read, if anything, and by each rule."""
    at_reading = [name for name in cleaned_rows.AT_READING if counts[name]]
    return {name: counts[name] for name in (*at_reading, *rules)}
