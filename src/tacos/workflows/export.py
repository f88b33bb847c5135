"""`tacos export`: a run's selection, or any data set, as the folder that a trainer reads.

Trainers leave out rows that they cannot read, or train on them otherwise than meant, with a line in
a log at most. So rows are checked here: one that the trainer's format cannot say is left out and
counted, and a file in the folder says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tacos.config import IngestSettings
from tacos.counts import count_words
from tacos.errors import ConfigError, InputError, OutputError
from tacos.formats import reading, templates, trainer_folders, writing
from tacos.formats.paths import is_run_folder
from tacos.formats.trainer_folders import (
    CARD,
    LEFT_OUT,
    TRAINERS,
    LeftOutRow,
    TrainerFolder,
)
from tacos.methods.chats.chat import Chat, read_chat
from tacos.methods.samples import prompt_templates
from tacos.methods.samples.cells import UnusableRow
from tacos.methods.samples.layout_detection import detect_layout
from tacos.methods.samples.sample_parsing import row_to_json
from tacos.store import files, folders
from tacos.store.spilled_values import SpilledValues
from tacos.workflows import arguments, kept_files
from tacos.workflows.export_check import ExportCheck, check_folder
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
    resolve_run_settings,
    resolve_settings,
)
from tacos.workflows.publication import (
    PUBLISHED,
    Publication,
    describe_export,
    push_export,
)
from tacos.workflows.selection import Selection, load

MAX_TOKENS = 2048
MANY = 10
"""Rows that OpenAI-like services ask for at least."""


@dataclass(frozen=True)
class Export:
    """What was written for a trainer."""

    trainer: str
    folder: Path | None
    """None where nothing was to be written."""
    files: tuple[str, ...]
    layout: str
    """The form of the rows: prompt-completion, messages, alpaca, sharegpt, tagged."""
    n_rows: int
    """Rows written."""
    left_out: tuple[LeftOutRow, ...]
    usage: tuple[str, ...]
    """What the trainer is told, a line each."""
    cautions: tuple[str, ...] = ()
    check: ExportCheck | None = None
    """What the trainer will make of the rows, where that was asked."""
    pushed: str = ""
    """The address of the data set on the hub, where it was pushed."""

    @property
    def reasons(self) -> dict[str, int]:
        """Why rows were left out -> rows, the most frequent first."""
        return _count_reasons(self.left_out)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "trainer": self.trainer,
            "folder": None if self.folder is None else str(self.folder),
            "files": list(self.files),
            "layout": self.layout,
            "rows": self.n_rows,
            "left_out": len(self.left_out),
            "reasons": self.reasons,
            "usage": list(self.usage),
            "cautions": list(self.cautions),
            "check": None if self.check is None else self.check.as_dict(),
            "pushed": self.pushed,
        }


@dataclass(frozen=True)
class _Pool:
    """The rows to export, read as chats."""

    chats: SpilledValues[Chat]
    left_out: list[LeftOutRow]
    columns: Mapping[str, Mapping[str, Any]]
    """Id -> score columns."""
    done: Selection | None = None
    """The run that selected the rows, if one did."""


def export(  # noqa: PLR0913 - the options of the command
    data: Any,
    trainer: str,
    output: str | Path | None = None,
    settings: GivenSettings = None,
    *,
    template: str = "chatml",
    columns: bool = False,
    max_tokens: int = MAX_TOKENS,
    check: bool = False,
    force: bool = False,
    push: str = "",
    public: bool = False,
    source: str = "",
    licence: str = "",
) -> Export:
    """Write rows as the folder that a trainer reads.

    Args:
        data: A run directory or a selection, of which the selected rows are taken, or whatever
            `tacos.select` reads.
        trainer: "trl", "llama-factory", "axolotl", "messages", "alpaca", "sharegpt" or
            "datasets".
        output: The folder to write; None writes nothing, for a check alone.
        settings: How rows are read (section `ingest`); for a run, as it read them.
        template: The chat template: "chatml", "llama-2", "mistral", "vicuna-1.1" or "alpaca".
        columns: Whether scores, tags and clusters become columns `tacos_...`; of a run only.
        max_tokens: Where the trainer cuts long rows; goes into its configuration.
        check: Whether to read the rows as the trainer will: how many it keeps, what it trains on.
        force: Whether an older export in the folder, and on the hub, is replaced.
        push: The repository on the Hugging Face hub (OWNER/NAME) that gets the rows and their card;
            for "datasets" only. The token is taken from the environment variable HF_TOKEN.
        public: Whether a new repository can be read by everybody.
        source: Where the pool comes from, for the card.
        licence: The pool's licence, for the card: as the hub names it ("cc-by-4.0"), or any words.

    Raises:
        ConfigError: The trainer or the template is unknown, or the token is missing or refused.
        InputError: The data cannot be read, or no row can be written.
        OutputError: The folder or the repository exists, or cannot be written.
    """
    arguments.check_choice("trainer (--for)", trainer, TRAINERS)
    templates.read_template(template)
    arguments.check_type("max_tokens", max_tokens, int, "a number of tokens")
    if max_tokens < 1:
        raise ConfigError(f"max_tokens is {max_tokens}: give at least 1")
    publication = Publication(push, public, source, licence)
    publication.check(trainer)
    target = arguments.to_optional_path("output", output)
    if target is not None:
        kept_files.check_folder_kept(
            target,
            [*kept_files.list_data_files(data), *list_setting_files(settings)],
        )
        _check_target(target, force)
    elif not check and not push:
        raise ConfigError(
            "nothing to do: name a folder with -o (output), or look first with --check"
        )
    pool = _read_pool(data, settings, columns)
    folder = trainer_folders.build_trainer_folder(
        trainer,
        pool.chats,
        template,
        max_tokens,
    )
    left_out = [*pool.left_out, *folder.left_out]
    _check_rows_left(folder, left_out, trainer)
    added = []
    if pool.columns:
        added = [pool.columns[id_] for id_ in folder.ids]
    if trainer == PUBLISHED:
        folder.texts[CARD] = describe_export(
            target.name if target else "",
            folder,
            added,
            _count_reasons(left_out),
            pool.done,
            publication,
        )
    names: tuple[str, ...] = ()
    if target is not None:
        names = _write_folder(target, folder, left_out, added)
    checked = None
    if check:
        checked = check_folder(trainer, folder, template, max_tokens)
    pushed = ""
    if push:
        pushed = push_export(
            folder,
            added,
            publication,
            replace=force,
        )
    return Export(
        trainer,
        target,
        names,
        folder.layout,
        len(folder.rows),
        tuple(left_out),
        tuple(line.replace("FOLDER", str(target or "FOLDER")) for line in folder.usage),
        (
            *_list_cautions(trainer, folder, pool.chats),
            *publication.list_cautions(),
        ),
        checked,
        pushed,
    )


# Reading


def _read_pool(data: Any, settings: GivenSettings, columns: bool) -> _Pool:
    """The rows of a run's selection, or of a data set."""
    is_path = isinstance(data, str | Path)
    if isinstance(data, Selection) or (is_path and is_run_folder(data)):
        return _read_selection(load(data), settings, columns)
    if columns:
        raise ConfigError(
            "--columns adds a run's scores: give a run, such as selected.jsonl.run"
        )
    ingest = resolve_settings(settings).ingest
    chats: SpilledValues[Chat] = SpilledValues()
    left_out: list[LeftOutRow] = []
    for batch in reading.read_rows(data):
        if batch.first_row == 0 and batch.rows:
            rows = [row for _, row in batch.rows]
            detect_layout(rows, ingest, name=batch.file)
        left_out += [LeftOutRow(reject.id, reject.reason) for reject in batch.rejects]
        for number, row in batch.rows:
            _add_chat(chats, left_out, row, f"{batch.file}:{number}", ingest)
    return _Pool(chats, left_out, {})


def _read_selection(
    done: Selection,
    settings: GivenSettings,
    columns: bool,
) -> _Pool:
    """The selected rows of a run, in the order of the input."""
    ingest = resolve_run_settings(settings, done.settings).ingest
    chats: SpilledValues[Chat] = SpilledValues()
    left_out: list[LeftOutRow] = []
    ids = done.in_input_order["id"].to_list()
    for id_, row in zip(ids, done.rows, strict=True):
        _add_chat(chats, left_out, row, id_, ingest)
    score_columns: dict[str, Mapping[str, Any]] = {}
    if columns:
        for score in done.scores.iter_rows(named=True):
            score_columns[score["id"]] = {
                f"{writing.PREFIX}{name}": value for name, value in score.items()
            }
    return _Pool(
        chats,
        left_out,
        score_columns,
        done,
    )


def _add_chat(
    chats: SpilledValues[Chat],
    left_out: list[LeftOutRow],
    row: Mapping[str, Any],
    id_: str,
    ingest: IngestSettings,
) -> None:
    """Add a row to the chats, or the reason why it is none."""
    try:
        row_to_json(row)
    except (TypeError, ValueError, RecursionError) as error:
        # Of lone surrogates, for example: no file can hold them.
        reason = f"cannot be stored as JSON: {type(error).__name__}"
        left_out.append(LeftOutRow(id_, reason))
        return
    try:
        chats.append(read_chat(row, id_, ingest))
    except UnusableRow as problem:
        left_out.append(LeftOutRow(id_, problem.reason))


# Writing


def _check_target(target: Path, force: bool) -> None:
    """Raise `OutputError` for a folder that holds anything, unless an older export may go."""
    if not force and target.is_dir() and any(target.iterdir()):
        raise OutputError(
            f"{target} exists: name another folder, or replace an older export with --force"
        )
    folders.check_folder(target, trainer_folders.FILES)


def _check_rows_left(
    folder: TrainerFolder,
    left_out: list[LeftOutRow],
    trainer: str,
) -> None:
    """Raise `InputError` if there is no row to write."""
    if folder.rows:
        return
    reason = next(iter(_count_reasons(left_out)), "there are none")
    raise InputError(f"no row can be written for {trainer}: {reason}")


def _write_folder(
    target: Path,
    folder: TrainerFolder,
    left_out: list[LeftOutRow],
    added: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """Write all files, and return their names."""
    contents = trainer_folders.encode_folder(folder, added)
    if left_out:
        contents[LEFT_OUT] = _encode_left_out(left_out)
    with folders.replace_folder(target, trainer_folders.FILES) as fresh:
        for name, pieces in contents.items():
            with files.replace_file(fresh / name) as file:
                file.writelines(pieces)
    return tuple(contents)


def _count_templates(
    chats: SpilledValues[Chat],
    refused: Collection[str],
) -> dict[str, int]:
    """Prompt template -> rows whose first question stands in it, file by file.

    `refused` are the ids of chats that are not written.
    """
    heads: dict[str, list[str]] = {}
    for file, question in _iterate_questions(chats, refused):
        head = heads.setdefault(file, [])
        if len(head) < prompt_templates.N_READ:
            head.append(question)
    templates_of = {
        file: prompt_templates.find_templates(head) for file, head in heads.items()
    }
    if not any(templates_of.values()):
        return {}
    counts: Counter[str] = Counter()
    for file, question in _iterate_questions(chats, refused):
        _, found = prompt_templates.strip_template(question, templates_of[file])
        if found is not None:
            counts[found.name] += 1
    return dict(counts.most_common())


def _iterate_questions(
    chats: Iterable[Chat],
    refused: Collection[str],
) -> Iterator[tuple[str, str]]:
    """File and first question of each chat that is written."""
    for chat in chats:
        if chat.id in refused:
            continue
        asked = (part.content for part in chat.messages if part.role == "user")
        yield chat.id.rpartition(":")[0], next(asked)


def _count_reasons(left_out: Iterable[LeftOutRow]) -> dict[str, int]:
    """Why rows were left out -> rows, the most frequent first."""
    reasons = Counter(row.reason for row in left_out)
    return dict(reasons.most_common())


def _encode_left_out(left_out: list[LeftOutRow]) -> Iterator[bytes]:
    """The rows left out as JSON lines."""
    for row in left_out:
        line = orjson.dumps({"id": row.id, "reason": row.reason})
        yield line + b"\n"


def _list_cautions(
    trainer: str,
    folder: TrainerFolder,
    chats: SpilledValues[Chat],
) -> Iterator[str]:
    """What the user must know before training."""
    n_rows = len(folder.rows)
    refused = {row.id for row in folder.left_out}
    n_reasoned = sum(chat.n_reasoned for chat in chats if chat.id not in refused)
    if n_reasoned:
        yield (
            f"reasoning_content of {count_words(n_reasoned, 'answer')} is not written; to train "
            "on it, put it before the answer, as <think>...</think>"
        )
    for template, n_framed in _count_templates(chats, refused).items():
        yield (
            f"prompt template {template!r} is kept in the questions of "
            f"{count_words(n_framed, 'row')}; the chat template comes around it"
        )
    if trainer == "messages" and n_rows < MANY:
        yield f"services that read messages ask for {MANY} rows or more; there are {n_rows}"
