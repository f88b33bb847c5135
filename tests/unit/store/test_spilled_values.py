"""Values that may be too many for memory."""

import pytest

from tacos.store import spilled_values
from tacos.store.spilled_values import BATCH, SpilledValues


def test_values_come_back_in_their_order() -> None:
    values: SpilledValues[dict[str, int]] = SpilledValues()
    for number in range(2 * BATCH + 3):
        values.append({"number": number})

    assert len(values) == 2 * BATCH + 3
    assert [value["number"] for value in values] == list(range(2 * BATCH + 3))


def test_no_value_is_no_truth() -> None:
    values: SpilledValues[int] = SpilledValues()
    assert not values
    assert list(values) == []


def test_readers_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # So small that a file is made.
    monkeypatch.setattr(spilled_values, "IN_MEMORY", 100)
    values: SpilledValues[int] = SpilledValues()
    for number in range(3 * BATCH):
        values.append(number)

    pairs = zip(values, values, strict=True)
    assert all(one == other for one, other in pairs)
