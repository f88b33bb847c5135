"""Reads exported rows as their trainer will, before it does: how many it keeps, what it trains on.

No tokenizer of the trained model is at hand, so lengths are estimates, of four characters to a
token.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tacos.formats import templates, trainer_folders
from tacos.formats.templates import RenderedChat, Span, TemplateRefusal
from tacos.formats.trainer_folders import ARRAY, DATASET_INFO, TrainerFolder
from tacos.methods.chats.trainer_reading import DroppedRow, read_trainer_row

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
    text = trainer_folders.encode_rows(folder, folder.rows)
    rows = json.loads(text) if folder.rows_file == ARRAY else _read_lines(text)
    entry = _read_entry(folder)
    reasons: Counter[str] = Counter()
    kept: list[tuple[RenderedChat, tuple[Span, ...]]] = []
    n_cut = 0
    for row in rows:
        try:
            chat = read_trainer_row(row, folder.layout, entry)
            rendered = templates.render_chat(template, chat.messages, chat.tools)
        except DroppedRow as dropped:
            reasons[str(dropped)] += 1
            continue
        except TemplateRefusal as refusal:
            reasons[f"template {template}: {refusal}"] += 1
            continue
        is_long = len(rendered.text) > max_tokens * CHARACTERS_PER_TOKEN
        # Axolotl leaves long rows out; the others cut them.
        if is_long and trainer == "axolotl":
            reasons[f"longer than about {max_tokens:,} tokens"] += 1
            continue
        n_cut += is_long
        pairs = zip(rendered.spans, chat.is_trained, strict=True)
        kept.append((rendered, tuple(span for span, trained in pairs if trained)))
    return ExportCheck(
        n_rows=len(rows),
        n_kept=len(kept),
        reasons=dict(reasons.most_common()),
        n_answers=sum(len(spans) for _, spans in kept),
        n_characters=sum(len(rendered.text) for rendered, _ in kept),
        n_trained_characters=sum(
            end - start for _, spans in kept for start, end in spans
        ),
        n_cut=n_cut,
        shown=tuple(
            _mark_spans(rendered.text, spans) for rendered, spans in kept[:N_SHOWN]
        ),
    )


def _read_lines(text: str) -> list[dict[str, Any]]:
    """Rows of JSON lines; only a line feed ends a line."""
    return [json.loads(line) for line in text.split("\n") if line]


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
