"""Computes the tables of docs/scale.md from rates that were measured, and writes them there.

    python scripts/scale_table.py

A test compares the page with the rates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
BLOCK = re.compile(r"(?<=<!-- scale -->\n).*?(?=<!-- end of scale -->)", re.DOTALL)
SIZES = (1_000_000, 100_000_000, 1_000_000_000)
MACHINES = (1, 16, 256)
N_CORES = 2
"""Of a machine, as in the measurements."""
SELECTED = 0.01
"""Of the rows."""
MEASURED_ROWS = 100_000
"""What is computed for more rows is marked by a star: of these, only a million and 10 million by
the embedded models on one machine were run.
"""


@dataclass(frozen=True)
class Rates:
    """What was measured; `benchmarks/RESULTS.md` says how."""

    spread_ms: float = 0.44
    """CPU of all row-wise stages per row: 2,205 s on two cores for 10 million rows (Scale)."""
    serial_ms: float = 0.040
    """All other stages, start and report per row, on one core (Scale)."""
    base_mb: float = 800.0
    """Main process without rows: models, figures of the report (Scale)."""
    bytes_per_row: float = 75.0
    """Main process while it selects and reports (Scale)."""
    disk_per_row: float = 540.0
    """Bytes of a run directory (Scale)."""
    questions_per_selected: float = 24.3
    """To a judge that compares, in its first round, at most (`--dry-run`, 10,000 rows)."""
    tag_tokens: tuple[float, float] = (360.0, 25.0)
    """Prompt of a tagging question (template and generated row, four characters a token), and what
    is assumed of an answer.
    """
    judge_tokens: tuple[float, float] = (1_530.0, 60.0)
    """Of a comparison."""
    dollars_per_million: tuple[float, float] = (0.15, 0.60)
    """Prices of prompt and answer that the table assumes; put in your own."""
    requests_per_second: float = 50.0
    """What the table assumes that an endpoint allows; machines share one such limit."""
    cascade_sample: float = 0.01
    """Rows that the language model tags in a cascade, and about as many again for certainty."""


RATES = Rates()


def count_questions(tagger: str, n_rows: int, rates: Rates) -> tuple[float, float]:
    """Tagging questions and comparisons that a language model is asked."""
    if tagger == "embedded":
        return 0.0, 0.0
    share = 2 * rates.cascade_sample if tagger == "cascade" else 1.0
    return share * n_rows, rates.questions_per_selected * SELECTED * n_rows


def compute_seconds(tagger: str, n_rows: int, n_machines: int, rates: Rates) -> float:
    """Row-wise work spread over all cores, the rest on one, and questions at the limit."""
    spread = n_rows * rates.spread_ms / 1e3 / (N_CORES * n_machines)
    serial = n_rows * rates.serial_ms / 1e3
    asked = sum(count_questions(tagger, n_rows, rates)) / rates.requests_per_second
    return spread + serial + asked


def compute_dollars(tagger: str, n_rows: int, rates: Rates) -> float:
    """What the questions cost."""
    n_tagging, n_comparing = count_questions(tagger, n_rows, rates)
    total = 0.0
    for way in (0, 1):
        n_tokens = n_tagging * rates.tag_tokens[way]
        n_tokens += n_comparing * rates.judge_tokens[way]
        total += n_tokens / 1e6 * rates.dollars_per_million[way]
    return total


def compute_gigabytes(n_rows: int, rates: Rates) -> float:
    """Memory of the machine that selects."""
    return (rates.base_mb * 1e6 + n_rows * rates.bytes_per_row) / 1e9


def format_seconds(seconds: float) -> str:
    """Minutes, hours or days.

    >>> format_seconds(90), format_seconds(9_000), format_seconds(900_000)
    ('2 min', '2.5 h', '10 days')
    """
    if seconds < 5_400:
        return f"{seconds / 60:,.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:,.1f} h"
    return f"{seconds / 86_400:,.0f} days"


def list_rows(rates: Rates) -> list[list[str]]:
    """The cells of the table."""
    rows = []
    for n_rows in SIZES:
        star = "" if n_rows <= MEASURED_ROWS else "\\*"
        for tagger in ("embedded", "cascade", "language model"):
            name = tagger.split(" ")[0]
            cells = [f"{n_rows:,}", tagger]
            for n_machines in MACHINES:
                seconds = compute_seconds(name, n_rows, n_machines, rates)
                is_measured = n_machines == 1 and name == "embedded" and not star
                mark = "" if is_measured else "\\*"
                cells.append(f"{format_seconds(seconds)}{mark}")
            dollars = compute_dollars(name, n_rows, rates)
            cells.append(f"${dollars:,.0f}" if dollars else "nothing")
            cells.append(f"{compute_gigabytes(n_rows, rates):,.1f} GB{star}")
            cells.append(f"{n_rows * rates.disk_per_row / 1e9:,.1f} GB{star}")
            rows.append(cells)
    return rows


def build_table(rates: Rates = RATES) -> str:
    """The table as Markdown."""
    machines = [f"{n} machine{'s' if n > 1 else ''}" for n in MACHINES]
    head = ["rows", "tags and comparisons by", *machines, "questions", "memory", "disk"]
    lines = [head, ["---"] * len(head), *list_rows(rates)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write_page() -> None:
    """Put the table into the page."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda _: build_table(), page), "utf-8")


if __name__ == "__main__":
    write_page()
