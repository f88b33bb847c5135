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

from tacos.counts import count_words
from tacos.errors import ConfigError, InputError, OutputError
from tacos.formats import templates, trainer_folders
from tacos.formats.trainer_folders import (
    CARD,
    LEFT_OUT,
    TRAINERS,
    LeftOutRow,
    TrainerFolder,
)
from tacos.methods.chats.chat import Chat
from tacos.methods.samples import prompt_templates
from tacos.store import files, folders
from tacos.store.spilled_values import SpilledValues
from tacos.trainers.recipe import Recipe
from tacos.trainers.training_rows import FramedChats
from tacos.workflows import arguments, kept_files
from tacos.workflows.chat_pool import read_chat_pool
from tacos.workflows.export_check import ExportCheck, check_folder
from tacos.workflows.given_settings import (
    GivenSettings,
    list_setting_files,
)
from tacos.workflows.publication import (
    PUBLISHED,
    Publication,
    describe_export,
    push_export,
)
from tacos.workflows.recipe_export import add_recipe, read_export_recipe

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


def export(  # noqa: PLR0913 - the options of the command
    data: Any,
    trainer: str,
    output: str | Path | None = None,
    settings: GivenSettings = None,
    *,
    template: str | None = None,
    columns: bool = False,
    max_tokens: int | None = None,
    recipe: str | Path | None = None,
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
        template: The chat template: "chatml" (where none is named), "llama-2", "mistral",
            "vicuna-1.1" or "alpaca".
        columns: Whether scores, tags and clusters become columns `tacos_...`; of a run only.
        max_tokens: Where the trainer cuts long rows; goes into its configuration; 2,048 where none
            is given.
        recipe: How the model is trained, as for `tacos.train`: its chat template, its length and
            the trainer's whole configuration; for "trl", "llama-factory" and "axolotl".
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
    chosen = None if recipe is None else read_export_recipe(recipe, trainer)
    template, max_tokens = _choose_form(template, max_tokens, chosen)
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
    pool = read_chat_pool(data, settings, columns)
    folder = trainer_folders.build_trainer_folder(
        trainer,
        FramedChats(pool.chats, chosen) if chosen else pool.chats,
        template,
        max_tokens,
    )
    left_out = [*pool.left_out, *folder.left_out]
    _check_rows_left(folder, left_out, trainer)
    if chosen is not None:
        add_recipe(folder, trainer, chosen)
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
        names = _write_folder(target, folder, left_out, added, force)
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


def _choose_form(
    template: str | None,
    max_tokens: int | None,
    recipe: Recipe | None,
) -> tuple[str, int]:
    """The chat template and the length of rows. Raises `ConfigError`."""
    if recipe is not None:
        if template is not None or max_tokens is not None:
            raise ConfigError(
                "the recipe has a template and a length: leave out --template and --max-tokens"
            )
        return recipe.template, recipe.max_length
    template = "chatml" if template is None else template
    templates.read_template(template)
    max_tokens = MAX_TOKENS if max_tokens is None else max_tokens
    arguments.check_type("max_tokens", max_tokens, int, "a number of tokens")
    if max_tokens < 1:
        raise ConfigError(f"max_tokens is {max_tokens}: give at least 1")
    return template, max_tokens


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
    force: bool,
) -> tuple[str, ...]:
    """Write all files, and return their names. Raises `OutputError`."""
    contents = trainer_folders.encode_folder(folder, added)
    if left_out:
        contents[LEFT_OUT] = _encode_left_out(left_out)
    with files.hold_output(target):
        # Another process may have written it while the rows were read.
        _check_target(target, force)
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
