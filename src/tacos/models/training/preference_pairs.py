"""Reads pairs of responses of which people preferred one, from gzipped files.

- CoachLM: rows of Alpaca and their revision by language experts (Apache-2)
- PandaLM: votes of three people on answers of small models (Apache-2)
- CaR: expert-preferred against original, most of it CoachLM's texts word for word; for testing
  only, because no licence is stated

The README of the data names the files. A pair's `group` is its instruction: errors of pairs of one
group are not independent.
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
    """Read CoachLM: the expert's revision (a) against the raw response (b).

    Both are read with the revised instruction, so that edits of the instruction cannot tell them
    apart.
    """
    pairs: list[PreferencePair] = []
    for row in read_json(data / FOLDER / "coachlm_expert_revision.json.gz"):
        instruction = join_input(
            row["Revised Instruction"],
            row["Revised Input"],
        )
        better = str(row["Revised Response"]).strip()
        worse = str(row["Raw Response"]).strip()
        if not better or not worse or better == worse:
            continue
        # Revisions of one raw instruction are not independent.
        raw_instruction = join_input(
            row["Raw Instruction"],
            row["Raw Input"],
        )
        pairs.append(
            PreferencePair(
                (instruction, better),
                (instruction, worse),
                group=raw_instruction,
            )
        )
    return pairs


def read_votes(data: Path) -> list[PreferencePair]:
    """Read PandaLM: pairs on which at least two of three people prefer the same response (a).

    Ties are left out.
    """
    pairs: list[PreferencePair] = []
    for row in read_json(data / FOLDER / "pandalm_human_999.json.gz"):
        votes = Counter(row[f"annotator{number}"] for number in (1, 2, 3))
        ((choice, n_votes),) = votes.most_common(1)
        # Choice 0 is a tie.
        if n_votes < 2 or choice not in (1, 2):
            continue
        other = 3 - choice
        instruction = join_input(
            row["instruction"],
            row["input"],
        )
        better = str(row[f"response{choice}"]).strip()
        worse = str(row[f"response{other}"]).strip()
        pairs.append(
            PreferencePair(
                (instruction, better),
                (instruction, worse),
                group=instruction,
            )
        )
    return pairs


def read_expert_choices(
    data: Path,
    plain: bool = True,
) -> list[PreferencePair]:
    """Read CaR, both files: preferred (a) against original (b). For testing only.

    `plain` removes the JSON escapes that the files left in.
    """
    clean = _strip_json_escapes if plain else str.strip
    csv.field_size_limit(1 << 30)  # some responses exceed the default limit
    pairs: list[PreferencePair] = []
    for part in ("train", "valid"):
        path = data / FOLDER / f"car_pairs_{part}.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                prompt = clean(row["src"])
                instruction = _parse_car_prompt(prompt)
                better = clean(row["pos"].removeprefix("Response:"))
                worse = clean(row["neg"].removeprefix("Response:"))
                pairs.append(
                    PreferencePair(
                        (instruction, better),
                        (instruction, worse),
                        group=instruction,
                    )
                )
    return pairs


def _parse_car_prompt(source: str) -> str:
    """Return the instruction of a prompt "Instruction: ... Input: ...", with its input."""
    match = _CAR.fullmatch(source)
    if match is None:
        return source
    return join_input(match[1], match[2] or "")


def read_answers(data: Path) -> list[tuple[str, str]]:
    """Read LIMA: instructions with a carefully written answer, single turns only (Apache-2)."""
    answers: list[tuple[str, str]] = []
    for row in read_json(data / "corpora" / "lima_1029.json.gz"):
        answer = str(row["output"]).strip()
        is_dialogue = bool(row.get("history"))
        if is_dialogue or not answer:
            continue
        instruction = join_input(
            row["instruction"],
            row.get("input", ""),
        )
        answers.append((instruction, answer))
    return answers


def _strip_json_escapes(text: str) -> str:
    r"""Remove the JSON escapes that CaR's files left in.

    A third of the originals have them, hardly any of the revisions.

    >>> _strip_json_escapes(r'She said \"yes\".\nThen \u2019no.') == 'She said "yes".\nThen ’no.'
    True
    """
    unescaped = _ESCAPE.sub(_unescape, text)
    # Two escapes may make one character beyond the basic plane: join such surrogates.
    joined = unescaped.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined.strip()


def _unescape(escape: re.Match[str]) -> str:
    """Return the character that a JSON escape stands for."""
    code = escape[1]
    if code[0] == "u":
        return chr(int(code[1:], 16))
    blanks = {"n": "\n", "t": "\t", "r": ""}
    return blanks.get(code, code)


def join_input(instruction: Any, given: Any) -> str:
    """Join instruction and input to one text; an input that says there is none is left out.

    >>> join_input("Name a colour.", "<noinput>")
    'Name a colour.'
    """
    question = str(instruction).strip()
    extra = str(given).strip()
    if not extra or _NO_INPUT.fullmatch(extra):
        return question
    return f"{question}\n{extra}"


def read_json(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a gzipped JSON file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = json.load(file)
    return rows
