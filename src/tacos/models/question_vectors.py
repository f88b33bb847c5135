"""Vectors by which two samples that ask the same are answered alike.

Which ones ask the same, their words say (`methods.samples.task_words`): MiniLM takes the two
directions of a conversion, a task and its opposite, or two tasks on one long text for the same.

A sample's vector has two parts. The question's, at a weight of `QUESTION`, is by all-MiniLM-L6-v2
where its weights are installed, else by the static encoder; that of the whole sample, at 1 -
`QUESTION`, is by the static encoder. The cosine of two vectors is the weighted mean of the two
cosines: questions decide, but where the answers have nothing in common, as under one template for
many tasks, they are no near-duplicates. `docs/log.md` says how the limits were found.

MiniLM reads English, and the beginning of a text. Questions in other scripts, and transcripts of
several turns, are therefore alike only if they are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tacos.errors import ModelError
from tacos.models import encoder
from tacos.models.minilm_encoder import MiniLM
from tacos.records import Encoder, canonical_hash

Vectors = npt.NDArray[np.float32]
QUESTION = 0.7
"""The weight of the question's cosine; the rest is that of the whole sample's."""
QUESTION_TOKENS = 128
"""What MiniLM reads of a question."""
LIMIT = 0.75
"""The largest cosine of samples that ask the same and are no near-duplicates."""
FIRST_OTHER = 0x250
"""The first character after Latin letters."""
MOST_OTHER = 0.3
"""The largest share of other letters in a text that MiniLM reads."""


@dataclass(frozen=True)
class QuestionEncoder:
    """Encodes samples by their questions first; small and picklable."""

    questions: Encoder
    samples: Encoder

    @property
    def name(self) -> str:
        """The name of the encoder of questions."""
        return self.questions.name

    @property
    def limit(self) -> float:
        """The cosine above which two samples are near-duplicates."""
        return LIMIT

    @property
    def fingerprint(self) -> str:
        """What decides the vectors and the limit."""
        return canonical_hash(
            [
                self.questions.fingerprint,
                self.samples.fingerprint,
                QUESTION,
                self.limit,
            ]
        )

    def free_weights(self) -> None:
        """Free the weights that can be loaded again: see `tacos.models.encoder.free_weights`."""
        encoder.free_weights(self.questions)

    def encode(
        self,
        questions: Sequence[str],
        responses: Sequence[str],
        is_single: Sequence[bool],
    ) -> Vectors:
        """Unit vectors, shape (rows, dim); `is_single` are rows of a single question."""
        texts = [
            f"{question}\n{response}"
            for question, response in zip(questions, responses, strict=True)
        ]
        whole = self.samples.encode(texts)
        parts = np.stack(
            [_draw_direction(question, self.questions.dim) for question in questions]
        )
        readable = [
            place
            for place, question in enumerate(questions)
            if is_single[place] and _is_latin(question)
        ]
        if readable:
            parts[readable] = self.questions.encode(
                [questions[place] for place in readable]
            )
        weighted = [
            np.float32(np.sqrt(QUESTION)) * parts,
            np.float32(np.sqrt(1 - QUESTION)) * whole,
        ]
        return np.hstack(weighted).astype(np.float32)


def load() -> QuestionEncoder:
    """The encoder of questions, by MiniLM if its weights are installed."""
    samples = encoder.load("static")
    try:
        encoder.load("minilm")
    except ModelError:
        return QuestionEncoder(samples, samples)
    return QuestionEncoder(MiniLM(max_tokens=QUESTION_TOKENS), samples)


def _draw_direction(
    text: str,
    dim: int,
) -> Vectors:
    """A unit vector that is the same for the same text, and nearly at right angles to all others,
    shape (dim,).
    """
    content = text.strip().encode(errors="surrogatepass")
    digest = hashlib.blake2b(content, digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "little"))
    vector = rng.standard_normal(dim)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _is_latin(text: str) -> bool:
    """Whether nearly all letters of a text are Latin ones."""
    letters = [char for char in text if char.isalpha()]
    n_other = sum(ord(char) >= FIRST_OTHER for char in letters)
    return n_other <= MOST_OTHER * len(letters)
