"""The folders that trainers read: the rows, and the settings that make a trainer read all of them.

trl            train.jsonl  sft.yaml  TEMPLATE.jinja
llama-factory  train.json or train.jsonl  dataset_info.json  llama_factory.yaml (by a recipe)
axolotl        train.jsonl  axolotl.yaml  TEMPLATE.jinja
messages       train.jsonl
alpaca         train.json
sharegpt       train.json
datasets       data-00000-of-00001.arrow  dataset_info.json  state.json  README.md

Chats and rows are read one after another, several times, and are never in memory as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tacos.formats import saved_dataset, templates
from tacos.formats.templates import TemplateRefusal
from tacos.methods.chats import trainer_rows
from tacos.methods.chats.chat import Chat
from tacos.methods.chats.trainer_reading import read_trainer_row
from tacos.methods.chats.trainer_rows import Layout, TrainerRow
from tacos.methods.samples.cells import UnusableRow
from tacos.store.spilled_values import SpilledValues

TRAINERS = (
    "trl",
    "llama-factory",
    "axolotl",
    "messages",
    "alpaca",
    "sharegpt",
    "datasets",
)
LINES = "train.jsonl"
ARRAY = "train.json"
LEFT_OUT = "left_out.jsonl"
DATASET_INFO = "dataset_info.json"
TRL_CONFIG = "sft.yaml"
AXOLOTL_CONFIG = "axolotl.yaml"
LLAMA_FACTORY_CONFIG = "llama_factory.yaml"
"""With a recipe only."""
CARD = "README.md"
CHATML_END = "<|im_end|>"
FILES = (
    LINES,
    ARRAY,
    LEFT_OUT,
    DATASET_INFO,
    TRL_CONFIG,
    AXOLOTL_CONFIG,
    LLAMA_FACTORY_CONFIG,
    CARD,
    saved_dataset.DATA,
    saved_dataset.INFO,
    saved_dataset.STATE,
    *(f"{name}.jinja" for name in templates.TEMPLATES),
)
"""All names that an exported folder may hold."""

# A block of columns or tags takes the place of LLaMA-Factory's defaults, so all of them are named:
# without "query", every input would be dropped without a word.
ALPACA_ENTRY = {
    "file_name": ARRAY,
    "columns": {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
        "system": "system",
        "history": "history",
    },
}
CHAT_ENTRY = {
    "file_name": LINES,
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "observation_tag": "observation",
        "function_tag": "function_call",
        "system_tag": "system",
    },
}


@dataclass(frozen=True)
class LeftOutRow:
    """A row that is not written, and why."""

    id: str
    reason: str


@dataclass
class TrainerFolder:
    """What a folder will hold. `ids` are those of `rows`, in the same order."""

    layout: Layout
    rows_file: str
    rows: SpilledValues[TrainerRow] = field(default_factory=SpilledValues)
    """As they were built; `iterate_rows` has them as they are written."""
    ids: SpilledValues[str] = field(default_factory=SpilledValues)
    names: dict[str, None] = field(default_factory=dict)
    """The fields that every row is written with, null where it has none, so that a loader finds the
    same columns in each; empty where rows may differ.
    """
    left_out: list[LeftOutRow] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """Name of a file -> its text, for all files but the rows."""
    usage: tuple[str, ...] = ()
    """How the trainer is told to read the folder, a line each."""

    def iterate_rows(self) -> Iterator[TrainerRow]:
        """The rows as they are written."""
        for row in self.rows:
            yield trainer_rows.fill_missing_fields(row, self.names)


def build_trainer_folder(
    trainer: str,
    chats: Iterable[Chat],
    template: str,
    max_tokens: int,
) -> TrainerFolder:
    """The folder of a trainer; `max_tokens` is the length at which it cuts rows.

    The chats are read several times.
    """
    if trainer == "trl":
        return _build_trl_folder(chats, template, max_tokens)
    if trainer == "datasets":
        folder = _build_trl_rows(chats)
        folder.rows_file = saved_dataset.DATA
        folder.usage = ('datasets.load_from_disk("FOLDER")',)
        return folder
    if trainer == "llama-factory":
        return _build_llama_factory_folder(chats, max_tokens)
    if trainer == "axolotl":
        return _build_axolotl_folder(chats, template, max_tokens)
    if trainer == "messages":
        folder = TrainerFolder("messages", LINES)
        _add_rows(folder, chats, trainer_rows.build_messages_row, alike=False)
        return folder
    if trainer == "alpaca":
        return _build_alpaca_folder(chats, with_history=False)
    folder = TrainerFolder("sharegpt", ARRAY)
    _add_rows(folder, chats, trainer_rows.build_sharegpt_row)
    return folder


def encode_folder(
    folder: TrainerFolder,
    columns: Sequence[Mapping[str, Any]],
) -> dict[str, Iterable[bytes]]:
    """Name of a file -> its bytes in pieces, each to be read once and in this order; `columns` are
    more columns of the rows, or empty.
    """
    contents = {name: [text.encode()] for name, text in folder.texts.items()}
    if folder.rows_file == saved_dataset.DATA:
        saved = saved_dataset.encode_saved_dataset(folder.iterate_rows, columns)
        return {**saved, **contents}
    lines = encode_rows(folder, columns)
    return {folder.rows_file: lines, **contents}


def encode_rows(
    folder: TrainerFolder,
    columns: Sequence[Mapping[str, Any]] = (),
) -> Iterator[bytes]:
    """The text of the file of rows, row by row: JSON lines, or a list with a row per line."""
    is_list = folder.rows_file == ARRAY
    rows: Iterable[Mapping[str, Any]] = folder.iterate_rows()
    if columns:
        pairs = zip(rows, columns, strict=True)
        rows = ({**row, **more} for row, more in pairs)
    if is_list:
        yield b"[\n"
    for number, row in enumerate(rows):
        line = json.dumps(row, ensure_ascii=False)
        if not is_list:
            yield f"{line}\n".encode()
        else:
            yield f",\n{line}".encode() if number else line.encode()
    if is_list:
        yield b"\n]\n"


def _build_trl_folder(
    chats: Iterable[Chat],
    template: str,
    max_tokens: int,
) -> TrainerFolder:
    """Rows and a configuration for `trl sft`."""
    folder = _build_trl_rows(chats, template)
    if folder.layout == "prompt-completion":
        loss = "completion_only_loss: true  # of each row, its completion is trained on"
    else:
        loss = "assistant_only_loss: true  # without it, questions are trained on, too"
    folder.texts[f"{template}.jinja"] = templates.read_template(template)
    folder.texts[TRL_CONFIG] = f"""\
# In this folder: trl sft --config {TRL_CONFIG} --model_name_or_path MODEL --output_dir OUTPUT
datasets:
  - path: json
    data_files: {LINES}
    split: train
chat_template_path: {template}.jinja  # marks what is trained on
{loss}
max_length: {max_tokens}  # tokens; longer rows are cut
packing: false
"""
    folder.usage = (
        f"trl sft --config {TRL_CONFIG} --model_name_or_path MODEL --output_dir OUTPUT",
    )
    return folder


def _build_trl_rows(
    chats: Iterable[Chat],
    template: str | None = None,
) -> TrainerFolder:
    """A folder with TRL's rows alone."""
    folder = TrainerFolder(trainer_rows.choose_trl_layout(chats), LINES)
    if folder.layout == "prompt-completion":
        build_row = trainer_rows.build_prompt_completion_row
    else:
        build_row = trainer_rows.build_trl_messages_row
    _add_rows(folder, chats, build_row, template)
    return folder


def _build_llama_factory_folder(
    chats: Iterable[Chat],
    max_tokens: int,
) -> TrainerFolder:
    """Rows and their entry in `dataset_info.json`."""
    if trainer_rows.choose_llama_factory_layout(chats) == "alpaca":
        name = "tacos_alpaca"
        folder = _build_alpaca_folder(chats, with_history=True)
        entry: dict[str, Any] = ALPACA_ENTRY
    else:
        name = "tacos_chat"
        folder = TrainerFolder("tagged", LINES)
        _add_rows(folder, chats, trainer_rows.build_tagged_row)
        entry = CHAT_ENTRY
        if "tools" in folder.names:
            entry = entry | {"columns": {"messages": "messages", "tools": "tools"}}
    folder.texts[DATASET_INFO] = json.dumps({name: entry}, indent=2) + "\n"
    folder.usage = (
        "dataset_dir: FOLDER",
        f"dataset: {name}",
        f"cutoff_len: {max_tokens}",
    )
    return folder


def _build_axolotl_folder(
    chats: Iterable[Chat],
    template: str,
    max_tokens: int,
) -> TrainerFolder:
    """Rows and the part of Axolotl's configuration that reads them."""
    folder = TrainerFolder("messages", LINES)
    with_training = any(
        message.role == "assistant" and not message.is_trained
        for chat in chats
        for message in chat.messages
    )

    def build_row(chat: Chat) -> TrainerRow:
        return trainer_rows.build_axolotl_row(chat, with_training)

    _add_rows(folder, chats, build_row, template)
    has_tools = "tools" in folder.names
    optional = ""
    if with_training:
        optional += "    message_field_training: train\n"
    if has_tools:
        optional += "    field_tools: tools\n"
    # Where the model's own end of a text is another token, Axolotl would train on no end.
    if template == "chatml":
        optional += f'eot_tokens: ["{CHATML_END}"]\n'
    # Axolotl's own ChatML has no form for tools.
    if template == "chatml" and not has_tools:
        optional += "chat_template: chatml\n"
    else:
        optional += "chat_template: jinja\n"
        optional += f"chat_template_jinja: {template}.jinja\n"
        folder.texts[f"{template}.jinja"] = templates.read_template(template)
    folder.texts[AXOLOTL_CONFIG] = f"""\
# Add base_model and how to train, then run `axolotl train {AXOLOTL_CONFIG}` in this folder.
datasets:
  - path: {LINES}
    ds_type: json
    type: chat_template
    field_messages: messages
    message_property_mappings: {{role: role, content: content}}
    roles_to_train: ["assistant"]
    train_on_eos: turn
{optional}val_set_size: 0
train_on_inputs: false
sequence_len: {max_tokens}  # tokens; longer rows are left out
"""
    folder.usage = (f"axolotl train {AXOLOTL_CONFIG}",)
    return folder


def _build_alpaca_folder(
    chats: Iterable[Chat],
    with_history: bool,
) -> TrainerFolder:
    """Rows in columns; with system and history wherever a row needs them."""
    folder = TrainerFolder("alpaca", ARRAY)
    with_history = with_history or any(map(trainer_rows.needs_history, chats))

    def build_row(chat: Chat) -> TrainerRow:
        return trainer_rows.build_alpaca_row(chat, with_history)

    _add_rows(folder, chats, build_row, alike=False)
    return folder


def _add_rows(
    folder: TrainerFolder,
    chats: Iterable[Chat],
    build_row: Callable[[Chat], TrainerRow],
    template: str | None = None,
    *,
    alike: bool = True,
) -> None:
    """Add the row of each chat to the folder, or the reason why it has none.

    Rows that `template` has no form for are left out: the trainer would stop at them. `alike` rows
    get the same fields.
    """
    refused = []
    for chat in chats:
        try:
            row = build_row(chat)
        except UnusableRow as problem:
            folder.left_out.append(LeftOutRow(chat.id, problem.reason))
            continue
        if alike:
            folder.names.update(dict.fromkeys(row))
        reason = _find_refusal(row, folder.layout, template)
        if reason:
            refused.append(LeftOutRow(chat.id, reason))
            continue
        folder.rows.append(row)
        folder.ids.append(chat.id)
    folder.left_out += refused


def _find_refusal(row: TrainerRow, layout: Layout, template: str | None) -> str:
    """Why a template has no form for a row; "" where it has one."""
    if template is None:
        return ""
    chat = read_trainer_row(row, layout, {})
    try:
        templates.render_chat(template, chat.messages, chat.tools)
    except TemplateRefusal as refusal:
        return f"template {template}: {refusal}"
    return ""
