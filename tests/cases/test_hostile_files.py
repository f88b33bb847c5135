"""Sixty hostile samples in the files that tacos writes: tables for people hold no formula, tables of
data hold what was read, and the card of a data set holds no link, image or HTML of the data.
"""

import csv
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.hostile import HOSTILE
from tests.small_world import (
    judge_by_instruction,
    judge_by_length,
    make_rows,
    run_command,
)

import tacos
from tacos.report.dataset_card import CardFacts, Origin, build_card

# A row of data that a spreadsheet would obey, but for the rows that begin with a quote or a letter
FORMULAS = tuple("=+-@\t\r\n＝＋－＠")


def tag_hostile(instructions: list[str]) -> list[list[str]]:
    """Two hostile tags for each instruction."""
    texts = list(HOSTILE.values())
    return [
        [texts[number % len(texts)], texts[(7 * number + 1) % len(texts)]]
        for number, _ in enumerate(instructions)
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    folder = tmp_path_factory.mktemp("tagged")
    return tacos.select(
        make_rows(120, lambda i: "x" * (i % 97 + 1)),
        20,
        run=folder / "run",
        tagger=tag_hostile,
        judge=judge_by_length,
        settings={"normalise": {"alpha": 1}},
    )


def read_cells(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [cell for line in csv.reader(file) for cell in line]


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_no_cell_of_a_table_for_people_is_a_formula(
    done: tacos.Selection, tmp_path: Path
) -> None:
    folder = tmp_path / "analysis"
    assert run_command("analyse", done.run, "-o", folder)[0] == 0
    sheet = tmp_path / "ann.csv"
    assert run_command("check-tags", done.run, "--sheet", sheet)[0] == 0
    cells = [
        cell for path in [sheet, *folder.glob("*.csv")] for cell in read_cells(path)
    ]
    escaped = [cell for cell in cells if cell.startswith("'") and cell[1:2] in FORMULAS]
    assert escaped
    formulas = [
        cell for cell in cells if cell.startswith(FORMULAS) and not is_number(cell)
    ]
    assert formulas == []


def test_a_table_of_data_holds_what_was_read(tmp_path: Path) -> None:
    rows = [
        {"instruction": text, "input": "", "output": f"{text} {number} " * 3}
        for number, text in enumerate(HOSTILE.values())
    ]
    output = tmp_path / "selected.csv"
    tacos.select(
        rows, 30, output=output, tagger=tag_hostile, judge=judge_by_instruction
    )
    with output.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 30
    assert all(row in rows for row in written)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_card_has_no_markup_of_the_data(name: str) -> None:
    text = HOSTILE[name]
    facts = CardFacts(
        name=text,
        n_rows=1,
        columns=["messages", text, f"`{text}``"],
        version="0",
        origin=Origin(source=text, licence=text),
        left_out={text: 2},
    )
    card = build_card(facts)
    body = card.split("\n---\n", 1)[1]
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    kinds = {token.type for token in tokens}
    kinds |= {child.type for token in tokens for child in token.children or []}
    assert not kinds & {
        "html_block",
        "html_inline",
        "link_open",
        "image",
        "hr",
        "fence",
    }
    # The columns of the tables: rows have no more cells than their heads.
    headings = [token for token in tokens if token.type == "heading_open"]
    assert [token.tag for token in headings] == ["h1", "h2"]
    assert sum(token.type == "table_open" for token in tokens) == 2
