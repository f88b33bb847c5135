"""Reads pairs of responses of which people preferred one, from the gzipped files that the README of
the data names.

CoachLM: rows of Alpaca and their revision by language experts (Apache-2). PandaLM: votes of three
people on answers of small models (Apache-2). CaR: expert-preferred against original, for testing
only (no licence stated), most of it CoachLM's texts word for word. A pair's `group` is its
instruction: errors of pairs of one group go together.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "quality_pairs"
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|["ntr])')
_NO_INPUT = re.compile(r"\W*(?:no ?input|none|n/?a)\W*", re.IGNORECASE)
_CAR = re.compile(r"Instruction: ?(.*?)(?:\s*\bInput: ?(.*))?", re.DOTALL)


@dataclass(frozen=True)
class PreferencePair:
    """Two samples, each (instruction, response), and the probability that the first is better."""

    a: tuple[str, str]
    b: tuple[str, str]
    preference: float = 1.0
    group: str = ""
    weight: float = 1.0


def read_revisions(data: Path) -> list[PreferencePair]:
    """CoachLM: the expert's revision (a) against the raw response (b).

    Both are read with the revised instruction, so that edits of the instruction cannot tell them
    apart.
    """
    out = []
    for row in read_json(data / FOLDER / "coachlm_expert_revision.json.gz"):
        asked = join_input(row["Revised Instruction"], row["Revised Input"])
        better, worse = str(row["Revised Response"]).strip(), str(row["Raw Response"]).strip()
        if better and worse and better != worse:
            out.append(
                PreferencePair(
                    (asked, better),
                    (asked, worse),
                    group=join_input(row["Raw Instruction"], row["Raw Input"]),
                )
            )
    return out


def read_votes(data: Path) -> list[PreferencePair]:
    """PandaLM: pairs on which at least two of three people prefer the same response (a); ties are
    left out.
    """
    out = []
    for row in read_json(data / FOLDER / "pandalm_human_999.json.gz"):
        choice, n = Counter(row[f"annotator{k}"] for k in (1, 2, 3)).most_common(1)[0]
        if n >= 2 and choice in (1, 2):
            asked = join_input(row["instruction"], row["input"])
            texts = [(asked, str(row[f"response{k}"]).strip()) for k in (choice, 3 - choice)]
            out.append(PreferencePair(texts[0], texts[1], group=asked))
    return out


def read_expert_choices(data: Path, plain: bool = True) -> list[PreferencePair]:
    """CaR, both files: preferred (a) against original (b). For testing only; `plain` takes the JSON
    escapes out.
    """
    csv.field_size_limit(1 << 30)
    out = []
    for part in ("train", "valid"):
        with gzip.open(
            data / FOLDER / f"car_pairs_{part}.csv.gz", "rt", encoding="utf-8", newline=""
        ) as file:
            for row in csv.DictReader(file):
                clean = _strip_json_escapes if plain else str.strip
                source = clean(row["src"])
                found = _CAR.fullmatch(source)
                asked = join_input(found[1], found[2] or "") if found else source
                texts = [
                    (asked, clean(row[side].removeprefix("Response:"))) for side in ("pos", "neg")
                ]
                out.append(PreferencePair(texts[0], texts[1], group=asked))
    return out


def read_answers(data: Path) -> list[tuple[str, str]]:
    """LIMA: instructions with a carefully written answer, single turns only (repository under
    Apache-2).
    """
    rows = read_json(data / "corpora" / "lima_1029.json.gz")
    texts = [
        (join_input(r["instruction"], r.get("input", "")), str(r["output"]).strip())
        for r in rows
        if not r.get("history")
    ]
    return [text for text in texts if text[1]]


def _strip_json_escapes(text: str) -> str:
    r"""A text without the JSON escapes that CaR's files left in (in a third of the originals,
    hardly a revision).

    >>> _strip_json_escapes(r'She said \"yes\".\nThen \u2019no.') == 'She said "yes".\nThen ’no.'
    True
    """

    def plain(found: re.Match[str]) -> str:
        code = found[1]
        return (
            chr(int(code[1:], 16))
            if code[0] == "u"
            else {"n": "\n", "t": "\t", "r": ""}.get(code, code)
        )

    whole = _ESCAPE.sub(plain, text)
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def join_input(instruction: Any, given: Any) -> str:
    """Instruction and input as one text; an input that says there is none is left out.

    >>> join_input("Name a colour.", "<noinput>")
    'Name a colour.'
    """
    asked, more = str(instruction).strip(), str(given).strip()
    return f"{asked}\n{more}" if more and not _NO_INPUT.fullmatch(more) else asked


def read_json(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzipped JSON file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    return rows
