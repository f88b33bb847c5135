"""Turns samples into the tokens of a dialogue, as SmolLM2-Instruct was trained on.

    <|im_start|>user\\n INSTRUCTION <|im_end|>\\n<|im_start|>assistant\\n RESPONSE <|im_end|>\\n
    <|im_start|>user\\n QUESTION <|im_end|>\\n<|im_start|>assistant\\n

The question asks whether the response is correct. What matters is not an answer, which the model
is too small to know, but that its tokens read instruction and response once more, in its light.

The tokenizer is byte-level BPE, built from the metadata of the GGUF file. Digits are tokens of
their own, as in the published tokenizer; llama.cpp calls that kind "smollm".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers

from tacos.errors import ModelError
from tacos.models.word_tokenizer import replace_surrogates

START = "<|im_start|>"
END = "<|im_end|>"
INSTRUCTION_HEAD = 128
INSTRUCTION_TAIL = 64
MAX_INSTRUCTION = INSTRUCTION_HEAD + INSTRUCTION_TAIL
MAX_RESPONSE = 320
QUESTION = (
    "Is every statement in this answer correct, and does the answer do all that was asked? "
    "Answer yes or no."
)


@dataclass(frozen=True)
class SampleTokens:
    """The token ids of one sample, in three parts.

    `instruction` is the dialogue up to the response, `response` ends with the end token, `question`
    is the rest.
    """

    instruction: list[int]
    response: list[int]
    question: list[int]

    @property
    def ids(self) -> list[int]:
        """All tokens, in order."""
        return self.instruction + self.response + self.question


def build_tokenizer(metadata: Mapping[str, Any]) -> Tokenizer:
    """Build the tokenizer from a GGUF file's metadata.

    It knows no special tokens: where a text contains "<|im_end|>", it is read as these characters,
    so no text can end its own turn.
    """
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = metadata["tokenizer.ggml.merges"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    # A merge is two tokens with a space between.
    pairs = [tuple(merge.split(" ")) for merge in merges]
    model = models.BPE(
        vocab=vocabulary,
        merges=pairs,
    )
    tokenizer = Tokenizer(model)
    # Digits first, then words and the spaces before them.
    steps = [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


def tokenise_samples(
    tokenizer: Tokenizer,
    instructions: Sequence[str],
    responses: Sequence[str],
) -> list[SampleTokens]:
    """Tokenise samples.

    A long instruction keeps its first 128 and its last 64 tokens, a long response its first 320.
    """
    start = _find_token(tokenizer, START)
    end = _find_token(tokenizer, END)
    words = ["user\n", "assistant\n", "\n", QUESTION]
    user, assistant, newline, question = _encode_texts(tokenizer, words)
    before = [start, *user]
    between = [end, *newline, start, *assistant]
    after = [*newline, start, *user, *question, *between]

    samples: list[SampleTokens] = []
    rows = zip(
        _encode_texts(tokenizer, instructions),
        _encode_texts(tokenizer, responses),
        strict=True,
    )
    for instruction, response in rows:
        sample = SampleTokens(
            [*before, *_cut_middle(instruction), *between],
            [*response[:MAX_RESPONSE], end],
            after,
        )
        samples.append(sample)
    return samples


def _find_token(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ModelError(
            f"the vocabulary of SmolLM2 has no {token}: take the published file"
        )
    return number


def _encode_texts(
    tokenizer: Tokenizer,
    texts: Sequence[str],
) -> list[list[int]]:
    readable = [replace_surrogates(text) for text in texts]
    encodings = tokenizer.encode_batch_fast(readable, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def _cut_middle(ids: list[int]) -> list[int]:
    """Keep head and tail of an instruction, where the task and its last demand usually stand."""
    if len(ids) <= MAX_INSTRUCTION:
        return ids
    return ids[:INSTRUCTION_HEAD] + ids[-INSTRUCTION_TAIL:]
