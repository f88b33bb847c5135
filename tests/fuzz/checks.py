"""What the fuzzer (`tests.fuzz.files`) demands of what was read of a file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from tests.fuzz.cases import Case, ExpectedRow
from tests.fuzz.rows import LAYOUTS, Fields, Written, write_json

from tacos.config import Settings
from tacos.errors import OutputError, TacosError
from tacos.formats import sources, writing
from tacos.pipeline.steps import ingest

Kept = dict[str, Any]
"""A row of the table of samples."""

LETTERS = re.compile(r"\w")
RAW_LIMIT = 200_000
WRITTEN = (".jsonl", ".json.gz", ".csv", ".parquet", ".arrow", ".tsv")
"""Outputs that are read again."""
PLAIN_KINDS = ("text", "bytes", "packing", "nothing", "add")
"""What is done to a file whose rows keep their types."""
N_SCANNED = 300
"""Brackets from which JSON is read."""


def check_case(case: Case, folder: Path) -> list[str]:
    """What is wrong with how a file is read, one line each; exceptions other than `TacosError`
    pass through.
    """
    path = folder / case.name
    path.write_bytes(case.content)
    try:
        kept, rejects = read_file(path, case.settings)
    except TacosError as error:
        said = str(error)
        said.encode()  # fails where no terminal could show it
        found = [] if said.strip() and "\n" not in said else ["error of several lines"]
        if case.is_readable:
            found.append(f"refused: {said[:160]}")
        return found
    found = list(_check_rejects(rejects))
    if case.rows is not None:
        found += _check_known(case, case.rows, kept, rejects)
    elif case.text:
        found += _check_by_reference(case, kept, rejects)
    found += _check_written(case, kept, folder)
    return found


def read_file(
    path: Path, fields: dict[str, str]
) -> tuple[dict[int, Kept], dict[int, str]]:
    """Samples and the reasons of rejects by the row's number, as the stage `ingest` reads them."""
    settings = Settings(ingest=fields)  # type: ignore[arg-type]
    source = sources.open_source(path, path.parent)
    templates = ingest.find_file_templates({"input": source}, settings, None)  # type: ignore[dict-item]
    kept: dict[int, Kept] = {}
    rejects: dict[int, str] = {}
    for batch in source.batches():
        made = ingest.ingest_batch(batch, templates, settings)
        for row in made.table.iter_rows(named=True):
            kept[int(row["id"].rpartition(":")[2])] = row
        for row in made.rejects.iter_rows(named=True):
            rejects[int(row["id"].rpartition(":")[2])] = row["reason"]
    return kept, rejects


def _check_rejects(rejects: dict[int, str]) -> Iterator[str]:
    for reason in rejects.values():
        if not reason.strip() or len(reason.splitlines()) > 1:
            yield f"reason of several lines: {reason[:80]!r}"
        if len(reason) > 1_000:
            yield f"reason of {len(reason)} characters: {reason[:80]!r}"


def _check_known(
    case: Case,
    rows: tuple[ExpectedRow, ...],
    kept: dict[int, Kept],
    rejects: dict[int, str],
) -> Iterator[str]:
    """Rows whose text is known."""
    if sorted([*kept, *rejects]) != list(range(len(rows))):
        yield f"rows {sorted([*kept, *rejects])} of {len(rows)}"
        return
    is_json = case.container.startswith(("json", "indented", "objects"))
    for number, row in enumerate(rows):
        if number in rejects:
            if row.must_keep:
                yield f"row rejected: {rejects[number][:120]}"
            continue
        turns = [(turn["role"], turn["text"]) for turn in kept[number]["turns"]]
        if row.turns is not None:
            if turns != list(row.turns):
                yield f"turns differ: {_show_difference(turns, list(row.turns))}"
        else:
            yield from _check_texts(case, row, turns)
        if is_json:
            yield from _check_raw(kept[number]["raw"], row.written)


def _show_difference(found: list[Any], expected: list[Any]) -> str:
    pairs = zip(found, expected, strict=False)
    for one, other in pairs:
        if one != other:
            return f"{one!r:.150} for {other!r:.150}"
    return f"{len(found)} turns for {len(expected)}"


def _check_raw(raw: str, written: str) -> Iterator[str]:
    """The row that is passed on means what was written."""
    if len(written) > RAW_LIMIT:
        return
    try:
        one, other = parse_exactly(raw), parse_exactly(written)
    except (RecursionError, ValueError) as error:
        yield f"raw is no JSON: {error}"
        return
    if isinstance(other, list) and not isinstance(other, Pairs):
        other = Pairs([("messages", other)])
    if not _is_equal(one, other):
        yield f"raw differs: {raw[:150]} for {written[:150]}"


class Pairs(list[Any]):
    """An object by its pairs; no list is equal to it."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and list.__eq__(self, other)


def parse_exactly(text: str) -> Any:
    """JSON with every digit and every key; NaN and Infinity are null, as documented."""
    return json.loads(
        text,
        parse_int=_parse_number,
        parse_float=_parse_number,
        parse_constant=lambda constant: None,
        object_pairs_hook=Pairs,
    )


def _is_equal(one: Any, other: Any) -> bool:
    """Whether two values are; those nested too deeply to be compared count as equal."""
    try:
        return bool(one == other)
    except RecursionError:
        return True


def _parse_number(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _check_texts(
    case: Case,
    row: ExpectedRow,
    turns: list[tuple[str, str]],
) -> Iterator[str]:
    """Every text that is read stands in the row, and nobody says what another one does."""
    if not LAYOUTS[case.layout].is_exact:
        return
    found = set(list_texts(row.value))
    if "csv" in case.container or "tsv" in case.container:
        # A cell holds what is nested as JSON, which is a text like any other.
        found |= {write_json(value) for value in row.value.values()}
    # The longest first: 1 may be a text and stand within another one.
    leaves = sorted(found, key=len, reverse=True)
    for role, text in turns:
        rest = _remove_texts(text, leaves)
        if LETTERS.search(rest):
            yield f"a {role} text that is not in the row: {rest[:150]!r}"
    said = _join_texts(turns, "assistant")
    is_swapped = "swap" in case.kind or case.layout == "nested"
    if row.talk.rejected in said and not is_swapped:
        yield "a rejected answer is read as chosen"
    if not row.keeps_roles:
        return
    asked = _join_texts(turns, "user")
    if any(question in said for question in row.talk.questions):
        yield f"a question is read as an answer: {said[:80]!r}"
    if any(answer in asked for answer in row.talk.answers):
        yield f"an answer is read as a question: {asked[:80]!r}"


def _remove_texts(text: str, leaves: list[str]) -> str:
    """What a text says beside the texts of a row, and the words with which tools are shown."""
    for leaf in leaves:
        if leaf.strip():
            text = text.replace(leaf, " ")
    return text.replace("Tool:", "").replace("Tool calls:", "")


def _join_texts(turns: list[tuple[str, str]], role: str) -> str:
    return "\n".join(text for speaker, text in turns if speaker == role)


def list_texts(value: Any) -> Iterator[str]:
    """Every text and key in a value, and numbers as they are written."""
    if isinstance(value, Written):
        yield value.text
        with suppress(ValueError, RecursionError):
            yield from list_texts(json.loads(value.text, parse_int=str))
        with suppress(ValueError, RecursionError):
            yield from list_texts(json.loads(value.text, parse_float=_spell_number))
        return
    if isinstance(value, str):
        yield value
        if value.lstrip()[:1] in ("{", "[", '"'):
            with suppress(ValueError, RecursionError):
                yield from list_texts(json.loads(value))
        return
    pairs = value.pairs if isinstance(value, Fields) else ()
    if isinstance(value, dict):
        pairs = tuple(value.items())
    for key, inner in pairs:
        yield key
        yield from list_texts(inner)
    if isinstance(value, list):
        for inner in value:
            yield from list_texts(inner)
    elif not pairs and value is not None:
        yield str(value)


def _spell_number(text: str) -> str:
    """A number as a double is spelled, if it is the same, or as a decimal."""
    number = _parse_number(text)
    is_same = isinstance(number, Decimal) and number == Decimal(repr(float(text)))
    return str(float(text)) if is_same else str(number)


def _check_by_reference(
    case: Case,
    kept: dict[int, Kept],
    rejects: dict[int, str],
) -> Iterator[str]:
    """Rows of a text whose bytes were changed: what `json` reads of it is what they hold."""
    container = case.container.partition(".")[0]
    if container == "jsonl":
        yield from _check_lines(case.text, kept, rejects)
        return
    try:
        decoded = case.text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    if container in ("csv", "tsv"):
        yield from _check_cells(decoded, kept)
        return
    if len(re.findall(r"[{\[]", decoded)) > N_SCANNED:
        return
    values = list(_scan_objects(decoded))
    for row in kept.values():
        if parse_exactly(row["raw"]) not in values:
            yield f"a row that is not in the file: {row['raw'][:150]}"


def _check_cells(text: str, kept: dict[int, Kept]) -> Iterator[str]:
    for row in kept.values():
        for cell in json.loads(row["raw"]).values():
            if cell not in text and cell.replace('"', '""') not in text:
                yield f"a cell that is not in the file: {cell[:100]!r}"


def _check_lines(
    text: bytes,
    kept: dict[int, Kept],
    rejects: dict[int, str],
) -> Iterator[str]:
    lines = [line for line in text.split(b"\n") if line.strip()]
    # Otherwise it was read as a list, or as objects over several lines.
    if len(kept) + len(rejects) != len(lines) or len(lines) < 2:
        return
    for number, row in kept.items():
        value = _parse_line(lines[number])
        if value is None:
            yield f"a line is read that is no JSON: {lines[number][:100]!r}"
        elif not _is_equal(parse_exactly(row["raw"]), value):
            yield f"raw differs: {row['raw'][:150]} for {lines[number][:150]!r}"
    for number, reason in rejects.items():
        is_malformed = reason.startswith("malformed JSON")
        if is_malformed and _parse_line(lines[number]) is not None:
            yield f"{reason[:80]}, though it is JSON: {lines[number][:100]!r}"


def _parse_line(line: bytes) -> Any:
    """What `json` reads of a line, or None."""
    try:
        value = parse_exactly(line.decode().strip().removeprefix("\ufeff"))
        # Fails for lone surrogates, which are no text.
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(value, list) and not isinstance(value, Pairs)
    return Pairs([("messages", value)]) if is_list else value


def _scan_objects(text: str) -> Iterator[Any]:
    """Every JSON object or list that begins anywhere in a text."""
    decoder = json.JSONDecoder(
        parse_int=_parse_number,
        parse_float=_parse_number,
        parse_constant=lambda constant: None,
        object_pairs_hook=Pairs,
    )
    for match in re.finditer(r"[{\[]", text):
        with suppress(ValueError, RecursionError):
            value, _ = decoder.raw_decode(text, match.start())
            yield value
            if not isinstance(value, Pairs):
                yield Pairs([("messages", value)])


def _check_written(case: Case, kept: dict[int, Kept], folder: Path) -> Iterator[str]:
    """Rows that are kept can be written and read again, and say the same."""
    if not kept or case.number % 3:
        return
    suffix = WRITTEN[case.number // 3 % len(WRITTEN)]
    # In a cell, what is nested is JSON, which is a text like any other.
    may_differ = suffix in (".csv", ".tsv") and not case.kind.startswith(PLAIN_KINDS)
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        path = Path(inner) / f"y{suffix}"
        try:
            writing.write_rows([row["raw"] for row in kept.values()], path)
        except OutputError as error:
            if "\n" in str(error):
                yield "output error of several lines"
            return
        try:
            again, rejects = read_file(path, case.settings)
        except TacosError as error:
            if not may_differ:
                yield f"{suffix} written, then refused: {str(error)[:150]}"
            return
    before = [row["turns"] for row in kept.values()]
    after = [again[number]["turns"] for number in sorted(again)]
    if may_differ:
        return
    if rejects:
        yield f"{suffix} written, then rejected: {next(iter(rejects.values()))[:120]}"
    elif before != after:
        one = [(turn["role"], turn["text"]) for turns in before for turn in turns]
        other = [(turn["role"], turn["text"]) for turns in after for turn in turns]
        yield f"{suffix} written, then read otherwise: {_show_difference(other, one)}"
