"""CSV and TSV, with a header; cells are texts.

Read: a row whose number of fields is not the header's is malformed. A first line `sep=;`, as Excel
writes it, names the delimiter. Where a quotation mark follows a blank, as in `"a", "b"`, blanks
after delimiters are none of the cells'. Written (RFC 4180): texts as
they are, nothing for null, JSON for everything else.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, Literal

from tacos.counts import count_words
from tacos.errors import InputError
from tacos.formats.json_rows import decode_rows, encode_json_value
from tacos.formats.rows import Item, MalformedRow, RawRow, list_columns

MAX_FIELD = 1 << 24
"""Characters of one field at most."""
BYTE_ORDER_MARK = "\ufeff"
DELIMITERS = ",;\t|"
NAMED_DELIMITER = re.compile(r"""["']?sep=([^\r\n"'])["']?\s*""")
QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_delimited(
    chunks: Iterable[bytes],
    name: str,
    container: Literal["csv", "tsv"],
) -> Iterator[Item]:
    """Rows of a delimited file. A CSV may use any of `DELIMITERS`: the header's most frequent.

    Raises `InputError` for a quotation mark that is never closed (it would swallow every row after
    it), and for a header that is malformed or has a column twice.
    """
    csv.field_size_limit(MAX_FIELD)  # the module's own limit is 128 KiB
    reader = _open_reader(_drop_marks(_decode_lines(chunks)), container)
    header_values = _read_next_values(reader, name)
    header = _check_header(header_values, name)
    while True:
        line = reader.line_num + 1
        values = _read_next_values(reader, name)
        if values is None:
            return
        if isinstance(values, str):
            yield MalformedRow(line, f"malformed CSV: {values}", "")
        elif values == header:
            yield _reject_values(line, "the header again", values)
        elif values:
            yield _build_row(header, values, line)


def _open_reader(lines: Iterator[str], container: Literal["csv", "tsv"]) -> Any:
    """A reader of `csv` in the dialect that the first lines show; its next row is the header."""
    first_line = next(lines, "")
    named = NAMED_DELIMITER.fullmatch(first_line) if container == "csv" else None
    header = next(lines, "") if named else first_line
    head = [header, next(lines, "")]
    delimiter = "\t"
    if named:
        delimiter = named[1]
    elif container == "csv":
        delimiter = max(DELIMITERS, key=header.count)
    # A blank line in place of the one that names the delimiter keeps the numbers of lines.
    skipped = ["\n"] if named else []
    reader = csv.reader(
        chain(skipped, head, lines),
        delimiter=delimiter,
        skipinitialspace=any(_has_blank_before_quote(line, delimiter) for line in head),
        strict=True,
    )
    if named:
        next(reader)
    return reader


def _has_blank_before_quote(line: str, delimiter: str) -> bool:
    """Whether a blank stands between a delimiter and the quotation mark of the next field.

    >>> _has_blank_before_quote('"a, ""b"" c", "d"', ",")
    True
    >>> _has_blank_before_quote('"a, ""b"" c",d', ",")
    False
    """
    outside = QUOTED.sub('""', line)
    return f'{delimiter} "' in outside


def encode_delimited(
    rows: Iterable[RawRow],
    delimiter: str,
) -> Iterator[bytes]:
    """A header with every field of any row, in order of first appearance, and a line per row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    for cells in _list_cells(rows):
        writer.writerow(cells)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _list_cells(rows: Iterable[RawRow]) -> Iterator[list[str]]:
    """The cells of the header, then of each row."""
    records = decode_rows(rows)
    columns = list_columns(records)
    yield columns
    for record in records:
        yield [_encode_cell(record.get(column)) for column in columns]


def _encode_cell(value: Any) -> str:
    """A value as a cell.

    >>> _encode_cell("a"), _encode_cell(None), _encode_cell(True), _encode_cell(["a"])
    ('a', '', 'true', '["a"]')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return encode_json_value(value).decode()


def _decode_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends; bytes that are not UTF-8 become lone surrogates."""
    # Not str.splitlines(), which also splits at form feeds and Unicode separators inside cells.
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest = ""
    for chunk in chunks:
        *complete_lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in complete_lines:
            yield line + "\n"
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _drop_marks(lines: Iterable[str]) -> Iterator[str]:
    """Lines without the byte order marks of joined files (`cat a.csv b.csv`).

    Such a mark stands before the first line, or before the same line again: the header. Anywhere
    else it is a character of a cell.

    >>> list(_drop_marks(["\ufeffa,b\\n", "\ufeffx,y\\n", "\ufeffa,b\\n"]))
    ['a,b\\n', '\ufeffx,y\\n', 'a,b\\n']
    """
    header = None
    for line in lines:
        unmarked = line.removeprefix(BYTE_ORDER_MARK)
        if header is None:
            header = unmarked
        yield unmarked if unmarked == header else line


def _read_next_values(
    reader: Iterator[list[str]],
    name: str,
) -> list[str] | str | None:
    """The next row's values, what is wrong with it, or None at the end."""
    line = reader.line_num + 1  # type: ignore[attr-defined]
    try:
        return next(reader, None)
    except csv.Error as error:
        problem = str(error)
    if "field larger" in problem:
        raise InputError(
            f"{name}: the row at line {line} has a field of more than {MAX_FIELD:,} characters: "
            "close its quotation mark if that is missing, or shorten it"
        )
    if "unexpected end" in problem:
        raise InputError(
            f"{name}: a quotation mark in the row at line {line} is never closed; close it"
        )
    if "new-line character" in problem:
        raise InputError(
            f"{name}: line {line} has a carriage return without a line feed: "
            "convert the line ends first"
        )
    return problem


def _check_header(header: list[str] | str | None, name: str) -> list[str]:
    """The header. Raises `InputError` where it cannot name columns."""
    if not isinstance(header, list):
        raise InputError(
            f"{name}: the header is malformed ({header}); fix the first line"
        )
    if not _is_text(header):
        raise InputError(f"{name}: the header is not UTF-8: convert the file to it")
    uses = Counter(header)
    repeated_columns = [column for column in header if uses[column] > 1]
    if repeated_columns:
        # The same one each time, whatever the order of the columns.
        repeated = min(repeated_columns)
        raise InputError(
            f"{name}: the header has the column {repeated!r} twice; rename one"
        )
    return header


def _build_row(
    header: list[str],
    values: list[str],
    line: int,
) -> Item:
    """One row, or what is wrong with it."""
    n_fields = len(values)
    n_columns = len(header)
    if n_fields != n_columns:
        fields = count_words(n_fields, "field")
        problem = f"{fields} where the header has {n_columns}"
        return _reject_values(line, problem, values)
    if not _is_text(values):
        return _reject_values(line, "not UTF-8", values)
    return dict(zip(header, values, strict=True))


def _is_text(values: list[str]) -> bool:
    """Whether all values were UTF-8: other bytes are lone surrogates by now (`_decode_lines`)."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject_values(
    line: int,
    problem: str,
    values: list[str],
) -> MalformedRow:
    """A malformed row with its text, in which bytes that are not UTF-8 become question marks."""
    text = ",".join(values).encode("utf-8", "replace").decode()
    return MalformedRow(line, problem, text)
