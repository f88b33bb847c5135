"""Words tokenised once each give the tokens that the tokenizer gives for the whole text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tacos.models import chunk_numbers, static_encoder
from tacos.models.word_tokenizer import WordTokenizer

TEXTS = [
    "",
    "Name 3 C++ libraries, isn't it?  They're snake_case\tand UPPER.",
    "café “quoted” – 中文 ①",
    "a\x00b c\x1fd e\x7ff\x0bg",
    "[MASK] and [SEP] stand in [brackets]",
    "x" * 100 + " " + "x" * 101 + " " + "y" * 5000,
    "word " * 600,
    "...---...\r\n\n",
]


def load_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(static_encoder.DATA / static_encoder.TOKENIZER))
    tokenizer.enable_truncation(static_encoder.MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


TOKENIZER = load_tokenizer()
WORDS = WordTokenizer(TOKENIZER, static_encoder.MAX_TOKENS)


def split_tokens(tokenizer: WordTokenizer, texts: list[str]) -> list[list[int]]:
    ids, ends = tokenizer.tokenise(texts)
    starts = [0, *ends.tolist()]
    return [ids[a:b].tolist() for a, b in zip(starts, ends.tolist(), strict=False)]


def encode_whole(texts: list[str], tokenizer: Tokenizer = TOKENIZER) -> list[list[int]]:
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def test_tokens_are_those_of_whole_texts() -> None:
    expected = encode_whole(TEXTS)
    assert max(map(len, expected)) == static_encoder.MAX_TOKENS
    assert split_tokens(WORDS, TEXTS) == expected
    # Again, from memory, and in other company
    assert split_tokens(WORDS, TEXTS[::-1]) == expected[::-1]


@given(st.lists(st.text(max_size=60), max_size=6))
@example(["a [UNK]", "b\x1c[CLS]c", "É"])
def test_tokens_of_any_text_are_those_of_the_tokenizer(texts: list[str]) -> None:
    assert split_tokens(WORDS, texts) == encode_whole(texts)


@given(st.lists(st.text(st.characters(max_codepoint=127), max_size=60), max_size=6))
def test_tokens_of_any_ascii_text_are_those_of_the_tokenizer(texts: list[str]) -> None:
    assert split_tokens(WORDS, texts) == encode_whole(texts)


def test_forgetting_changes_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_numbers, "MAX_REMEMBERED", 3)
    tokenizer = WordTokenizer(TOKENIZER, static_encoder.MAX_TOKENS)
    for text, expected in zip(TEXTS, encode_whole(TEXTS), strict=True):
        assert split_tokens(tokenizer, [text]) == [expected]


def test_a_tokenizer_that_splits_otherwise_reads_whole_texts() -> None:
    content = TOKENIZER.to_str().replace('"lowercase":true', '"lowercase":false')
    cased = Tokenizer.from_str(content)
    expected = encode_whole(["HELLO World"], cased)
    assert expected != encode_whole(["HELLO World"])
    words = WordTokenizer(cased, static_encoder.MAX_TOKENS)
    assert split_tokens(words, ["HELLO World"]) == expected
