"""A row's outputs are those of the formula, and depend on that row alone."""

import numpy as np
import pytest

from tacos.models import kernel_machine
from tacos.models.kernel_machine import Block, KernelMachine


def blocks() -> tuple[Block, ...]:
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(12, 4)))[0].T
    return (
        Block(
            "plain", "plain", rng.normal(size=7), np.zeros((0, 7)), np.full(7, 1.3), 2.0
        ),
        Block(
            "projected", "projected", rng.normal(size=12), axes, np.full(4, 0.8), 0.5
        ),
    )


def columns(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"plain": rng.normal(size=(n, 7)), "projected": rng.normal(size=(n, 12))}


def machine() -> KernelMachine:
    supports = kernel_machine.quantise_columns(blocks(), columns(300, seed=2))
    rng = np.random.default_rng(3)
    return KernelMachine(
        blocks(),
        gamma=0.5,
        supports=supports,
        coefficients=rng.normal(size=(300, 3)),
        intercept=np.array([1.0, 2.0, 3.0]),
    )


def test_outputs_are_bit_for_bit_those_of_any_batch_and_order() -> None:
    rows = columns(200)
    whole = machine().predict(rows)
    order = np.random.default_rng(4).permutation(200)
    shuffled = machine().predict({name: each[order] for name, each in rows.items()})
    assert (shuffled == whole[order]).all()
    for row in range(0, 200, 23):
        one = {name: each[row : row + 1] for name, each in rows.items()}
        assert (machine().predict(one)[0] == whole[row]).all()


def test_outputs_are_those_of_the_formula_up_to_rounding() -> None:
    fitted = machine()
    unit = kernel_machine.unit_length(fitted.blocks)
    rows = kernel_machine.quantise_columns(fitted.blocks, columns(20)) / unit
    supports = fitted.supports / unit
    squares = ((rows[:, None] - supports) ** 2).sum(axis=2)
    expected = fitted.intercept + np.exp(-0.5 * squares) @ fitted.coefficients
    assert fitted.predict(columns(20)) == pytest.approx(expected, abs=1e-3)


def test_whole_numbers_fit_into_a_byte_however_far_out_a_column_is() -> None:
    far = {name: each * 1e9 for name, each in columns(5).items()}
    rows = kernel_machine.quantise_columns(blocks(), far)
    assert rows.dtype == np.int8
    assert abs(rows.astype(int)).max() == 127


def test_a_packed_machine_is_the_machine_and_a_damaged_one_an_error() -> None:
    fitted = machine()
    tensors = kernel_machine.pack_machine(fitted)
    names = ["plain", "projected"]
    again = kernel_machine.unpack_machine(tensors, names, names)
    assert again.predict(columns(9)) == pytest.approx(
        fitted.predict(columns(9)), abs=1e-4
    )
    tensors["supports"] = fitted.supports[:, :5]
    with pytest.raises(ValueError, match="supports has shape"):
        kernel_machine.unpack_machine(tensors, names, names)
