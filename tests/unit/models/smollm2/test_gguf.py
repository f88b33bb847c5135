"""GGUF files, written here byte by byte after ggml's specification."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tacos.errors import ModelError
from tacos.models.smollm2 import gguf


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def write_file(
    path: Path,
    metadata: list[bytes],
    tensors: list[tuple[str, tuple[int, ...], int, bytes]],
) -> Path:
    """Write a file; `tensors` are (name, shape, kind, values), each padded to 32 bytes."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    header += b"".join(metadata)
    values = b""
    for name, shape, kind, raw in tensors:
        header += text(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        header += struct.pack("<IQ", kind, len(values))
        values += raw + b"\0" * (-len(raw) % 32)
    path.write_bytes(header + b"\0" * (-len(header) % 32) + values)
    return path


def q4_1_block(scale: float, minimum: float, numbers: list[int]) -> bytes:
    pairs = [
        low | high << 4 for low, high in zip(numbers[:16], numbers[16:], strict=True)
    ]
    return struct.pack("<ee", scale, minimum) + bytes(pairs)


def q8_0_block(scale: float, numbers: list[int]) -> bytes:
    return struct.pack("<e32b", scale, *numbers)


def test_every_kind_of_metadata_is_read(tmp_path: Path) -> None:
    metadata = [
        text("count") + struct.pack("<IQ", 10, 2**40),
        text("small") + struct.pack("<Ib", 1, -3),
        text("base") + struct.pack("<If", 6, 0.5),
        text("flag") + struct.pack("<IB", 7, 1),
        text("name") + struct.pack("<I", 8) + text("naïve"),
        text("kinds") + struct.pack("<IIQ3i", 9, 5, 3, 1, -1, 7),
        text("words") + struct.pack("<IIQ", 9, 8, 2) + text("Ġa") + text(""),
    ]
    file = gguf.read_gguf(write_file(tmp_path / "a.gguf", metadata, []))
    assert file.metadata == {
        "count": 2**40,
        "small": -3,
        "base": 0.5,
        "flag": 1,
        "name": "naïve",
        "kinds": [1, -1, 7],
        "words": ["Ġa", ""],
    }


def test_tensors_are_dequantised_block_by_block(tmp_path: Path) -> None:
    fours = [n % 16 for n in range(32)]
    eights = list(range(-16, 16))
    norm = np.array([1.5, -2.0, 0.25], dtype="<f4")
    tensors = [
        ("norm", (3,), 0, norm.tobytes()),
        (
            "q4",
            (2, 32),
            3,
            q4_1_block(0.5, -1.0, fours) + q4_1_block(2.0, 8.0, fours[::-1]),
        ),
        ("q8", (2, 32), 8, q8_0_block(0.25, eights) + q8_0_block(4.0, eights[::-1])),
    ]
    file = gguf.read_gguf(write_file(tmp_path / "a.gguf", [], tensors))
    assert file.load_tensor("norm").tolist() == norm.tolist()
    numbers = np.array(fours)
    expected = [numbers * 0.5 - 1, numbers[::-1] * 2 + 8]
    assert file.load_tensor("q4").tolist() == np.array(expected).tolist()
    signed = np.array(eights)
    expected = np.array([signed * 0.25, signed[::-1] * 4.0])
    assert file.load_tensor("q8").tolist() == expected.tolist()
    assert file.load_rows("q8", [1, 0, 1]).tolist() == expected[[1, 0, 1]].tolist()


@pytest.mark.parametrize("size", [0, 3, 20, 40])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    whole = write_file(
        tmp_path / "a.gguf", [text("name") + struct.pack("<I", 8) + text("x")], []
    )
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(ModelError, match="not a GGUF file"):
        gguf.read_gguf(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"PK\3\4" + b"\0" * 100)
    with pytest.raises(ModelError, match="not a GGUF file"):
        gguf.read_gguf(path)


def test_tensors_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = gguf.read_gguf(
        write_file(tmp_path / "a.gguf", [], [("half", (32,), 1, b"\0" * 64)])
    )
    with pytest.raises(ModelError, match="no tensor 'norm'"):
        file.load_tensor("norm")
    with pytest.raises(ModelError, match="'half' is of kind 1"):
        file.load_tensor("half")
