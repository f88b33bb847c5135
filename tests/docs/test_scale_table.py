"""The page about scale is computed from its rates, which it states."""

import dataclasses

import pytest
from scripts import scale_table
from scripts.scale_table import RATES, compute_dollars, compute_gigabytes


def test_the_page_has_the_table_of_the_rates() -> None:
    page = scale_table.PAGE.read_text("utf-8")
    (table,) = scale_table.BLOCK.findall(page)
    assert table == scale_table.build_table(), "run `python scripts/scale_table.py`"


def test_the_page_states_the_rates() -> None:
    page = scale_table.PAGE.read_text("utf-8")
    stated = page.partition("## What it rests on")[2].replace(",", "")
    for name, value in dataclasses.asdict(RATES).items():
        for number in value if isinstance(value, tuple) else (value,):
            scale = {"base_mb": 1000, "cascade_sample": 0.005}.get(name, 1)
            text = f"{number / scale:.3g}".removeprefix("0")
            texts = {text, f"{number:.0f}", f"{number:.2f}".removeprefix("0")}
            assert any(each in stated for each in texts), (name, number)


def test_other_rates_make_another_table() -> None:
    faster = dataclasses.replace(RATES, spread_ms=RATES.spread_ms / 10)
    assert scale_table.build_table(faster) != scale_table.build_table()
    # 16 machines share the work, but not the part on one core.
    one, many = (
        scale_table.compute_seconds("embedded", 10**8, n, RATES) for n in (1, 16)
    )
    assert one / 16 < many < one


def test_cost_and_memory_by_hand() -> None:
    # 1,000 tagging questions, and 24.3 comparisons of each of 10 selected rows
    tagging = 1_000 * (360 * 0.15 + 25 * 0.60)
    comparing = 243 * (1_530 * 0.15 + 60 * 0.60)
    dollars = compute_dollars("language", 1_000, RATES)
    assert dollars == pytest.approx((tagging + comparing) / 1e6)
    assert compute_dollars("embedded", 1_000, RATES) == 0
    assert compute_gigabytes(10_000_000, RATES) == pytest.approx(1.55)
