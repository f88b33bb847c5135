"""The static encoder: small, fast, and the same bits for any batch."""

import pickle
import time

import numpy as np
import pytest

from tacos.errors import ModelError
from tacos.models import encoder, int8_tensors, static_encoder

TEXTS = [
    "Sort a list in Python.",
    "",
    "机器学习",
    "Write a poem about the sea",
    "a\ud800b",
    "x" * 100_000,
    "sea poem",
]


def test_rows_have_length_one_or_zero() -> None:
    lengths = np.linalg.norm(static_encoder.StaticEncoder().encode(TEXTS), axis=1)
    assert lengths[1] == 0
    assert np.allclose(np.delete(lengths, 1), 1, atol=1e-5)


def test_any_batch_gives_the_same_bits() -> None:
    model = static_encoder.StaticEncoder()
    whole = model.encode(TEXTS * 700)
    for number in (0, 2, 3, 4899):
        assert np.array_equal(whole[number], model.encode([(TEXTS * 700)[number]])[0])


def test_near_in_meaning_is_near_in_vectors() -> None:
    a, b, c = static_encoder.StaticEncoder().encode(
        ["climate change", "global warming", "tax return"]
    )
    assert a @ b > a @ c + 0.2


def test_no_text_gives_no_row() -> None:
    assert static_encoder.StaticEncoder().encode([]).shape == (
        0,
        static_encoder.StaticEncoder().dim,
    )


def test_it_is_a_light_value() -> None:
    assert len(pickle.dumps(static_encoder.StaticEncoder())) < 500
    assert (
        pickle.loads(pickle.dumps(static_encoder.StaticEncoder()))
        == static_encoder.StaticEncoder()
    )


def test_the_files_are_small_and_load_fast() -> None:
    files = [
        static_encoder.DATA / static_encoder.TABLE,
        static_encoder.DATA / static_encoder.TOKENIZER,
    ]
    assert sum(file.stat().st_size for file in files) < 16_000_000
    static_encoder.load_token_table.cache_clear()
    start = time.process_time()
    static_encoder.load_token_table(str(static_encoder.DATA), 512)
    assert time.process_time() - start < 2


def test_another_table_has_another_fingerprint(tmp_path) -> None:
    (tmp_path / static_encoder.TOKENIZER).write_bytes(
        (static_encoder.DATA / static_encoder.TOKENIZER).read_bytes()
    )
    int8_tensors.save_tensors(
        tmp_path / static_encoder.TABLE,
        int8_tensors.pack_matrix("table", np.eye(30522, 4, dtype=np.float32)),
    )
    other = encoder.load(str(tmp_path))
    assert other.dim == 4
    assert other.fingerprint != encoder.load("static").fingerprint


def test_a_damaged_folder_says_what_is_wrong(tmp_path) -> None:
    (tmp_path / static_encoder.TABLE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="holds no static encoder"):
        encoder.load(str(tmp_path))
    (tmp_path / static_encoder.TOKENIZER).write_bytes(
        (static_encoder.DATA / static_encoder.TOKENIZER).read_bytes()
    )
    with pytest.raises(ModelError, match="not a safetensors file"):
        encoder.load(str(tmp_path)).encode(["a"])
