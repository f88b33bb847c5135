"""Reads exported rows as their trainer will, before it does: how many it keeps, what it trains on.

No tokenizer of the trained model is at hand, so lengths are estimates, of four characters to a
token.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tacos.formats import templates, trainer_folders
from tacos.formats.templates import RenderedChat, Span, TemplateRefusal
from tacos.formats.trainer_folders import DATASET_INFO, TrainerFolder
from tacos.methods.chats.trainer_reading import (
    DroppedRow,
    TrainerChat,
    read_trainer_row,
)

CHARACTERS_PER_TOKEN = 4
N_SHOWN = 3
MAX_SHOWN = 400
"""Characters at each end of a long part that are shown."""
MARKS = ("⟦", "⟧")
"""Stand around what is trained on."""


@dataclass(frozen=True)
class ExportCheck:
    """What a trainer makes of exported rows."""

    n_rows: int
    n_kept: int
    reasons: dict[str, int]
    """Why the trainer leaves rows out -> rows."""
    n_answers: int
    """Answers that are trained on, in the rows kept."""
    n_characters: int
    n_trained_characters: int
    n_cut: int
    """Rows kept that are longer than the trainer reads, about."""
    shown: tuple[str, ...]
    """The first rows as the model reads them, with `MARKS` around what is trained on."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": self.n_rows,
            "kept": self.n_kept,
            "reasons": self.reasons,
            "answers": self.n_answers,
            "characters": self.n_characters,
            "trained_characters": self.n_trained_characters,
            "cut": self.n_cut,
            "shown": list(self.shown),
        }


def check_folder(
    trainer: str,
    folder: TrainerFolder,
    template: str,
    max_tokens: int,
) -> ExportCheck:
    """Read the rows of a folder from the text that is written, as the trainer does."""
    entry = _read_entry(folder)
    reasons: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    shown: list[str] = []
    for row in _read_rows(folder):
        try:
            chat = read_trainer_row(row, folder.layout, entry)
            rendered = templates.render_chat(template, chat.messages, chat.tools)
        except DroppedRow as dropped:
            reasons[str(dropped)] += 1
            continue
        except TemplateRefusal as refusal:
            reasons[f"template {template}: {refusal}"] += 1
            continue
        spans = _list_trained_spans(rendered, chat, folder)
        reason = _explain_length(trainer, rendered, spans, max_tokens)
        if reason:
            reasons[reason] += 1
            continue
        counts["kept"] += 1
        counts["answers"] += len(spans)
        counts["characters"] += len(rendered.text)
        counts["trained"] += sum(end - start for start, end in spans)
        counts["cut"] += len(rendered.text) > max_tokens * CHARACTERS_PER_TOKEN
        if len(shown) < N_SHOWN:
            shown.append(_mark_spans(rendered.text, spans))
    return ExportCheck(
        n_rows=len(folder.rows),
        n_kept=counts["kept"],
        reasons=dict(reasons.most_common()),
        n_answers=counts["answers"],
        n_characters=counts["characters"],
        n_trained_characters=counts["trained"],
        n_cut=counts["cut"],
        shown=tuple(shown),
    )


def _list_trained_spans(
    rendered: RenderedChat,
    chat: TrainerChat,
    folder: TrainerFolder,
) -> tuple[Span, ...]:
    """The spans of a rendered row that its trainer trains on."""
    pairs = zip(rendered.spans, chat.is_trained, strict=True)
    spans = [span for span, trained in pairs if trained]
    if folder.layout == "prompt-completion":
        # TRL trains on all that follows the prompt, also on what the template writes last.
        spans[-1] = (spans[-1][0], len(rendered.text))
    return tuple(spans)


def _explain_length(
    trainer: str,
    rendered: RenderedChat,
    spans: tuple[Span, ...],
    max_tokens: int,
) -> str:
    """Why a trainer leaves out a row for its length, "" where it keeps the row, whole or cut."""
    limit = max_tokens * CHARACTERS_PER_TOKEN
    if trainer == "axolotl" and len(rendered.text) > limit:
        return f"longer than about {max_tokens:,} tokens"
    if trainer in ("trl", "datasets") and spans[0][0] >= limit:
        return f"cut before the answer, at about {max_tokens:,} tokens"
    return ""


def _read_rows(folder: TrainerFolder) -> Iterator[dict[str, Any]]:
    """The rows, read back from the text of each."""
    for line in trainer_folders.encode_rows(folder):
        # What stands around rows: commas, brackets and line feeds.
        text = line.strip(b"[],\n")
        if text:
            yield json.loads(text)


def _read_entry(folder: TrainerFolder) -> Mapping[str, Any]:
    """The entry of `dataset_info.json`, if the folder has one."""
    info = json.loads(folder.texts.get(DATASET_INFO, "{}"))
    return next(iter(info.values()), {})


def _mark_spans(text: str, spans: tuple[Span, ...]) -> str:
    """A text with marks around what is trained on, its long parts shortened."""
    parts = []
    done = 0
    for start, end in spans:
        trained = _shorten(text[start:end])
        parts += [_shorten(text[done:start]), MARKS[0], trained, MARKS[1]]
        done = end
    parts.append(_shorten(text[done:]))
    return "".join(parts)


def _shorten(text: str) -> str:
    """A text, or its two ends."""
    n_hidden = len(text) - 2 * MAX_SHOWN
    if n_hidden <= 0:
        return text
    return f"{text[:MAX_SHOWN]} [... {n_hidden:,} characters ...] {text[-MAX_SHOWN:]}"
