"""The embedded tagger: open tags for an instruction, with the probability that they fit.

A tag's probability is that of an annotator giving it. The tagger works in two steps:

1. Every learned tag gets a score, the sum of what the instruction's n-grams say (sparse weights on
   tf-idf, `tacos.models.ngrams`) and what its sentence vector x says (a kernel exp(gamma (x.l - 1))
   to a few hundred landmarks l).
2. The best of them, and the tags that the text mentions, get a second look
   (`tacos.models.tag_candidates`). The most certain are given: as many as make the expected F1
   highest, and none if nothing is certain enough.

`data/tagger.md` says what it was trained on, how often it is right and where it fails. Tags are
English whatever the language of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from tacos.errors import ModelError
from tacos.models import tag_candidates
from tacos.models.chunk_numbers import Runs
from tacos.models.tagger_files import (
    FILES,
    Matrix,
    TaggerModel,
    TagThresholds,
    fingerprint_encoders,
    hash_tagger_files,
    load_tagger_files,
    read_tagger_bytes,
    read_tagger_meta,
)
from tacos.records import Reply, Request

DATA = Path(__file__).parent / "data"
ARITHMETIC_VERSION = 2
"""Raise it whenever the same files give a text another probability, by a last digit even."""
CHUNK = 256
MAX_TAGS = 6
MENTIONED, LEARNED = "key phrase in the text", "learned"
"""Why a tag is given."""
DIGITS = 4
"""Decimals of a confidence."""
RankedTag = tuple[str, float, bool]
"""A tag, its probability, and whether the text mentions it."""


class TagColumns(NamedTuple):
    """Tags of texts, one text after the other, each text's best tag first.

    `counts` (texts,) says how many each has, the others are (tags,): `names`, `probabilities`
    float32, and whether the text mentions the tag.
    """

    counts: npt.NDArray[np.int64]
    names: list[str]
    probabilities: Matrix
    mentioned: npt.NDArray[np.bool_]

    @property
    def explanations(self) -> list[str]:
        """Why each tag is given."""
        return [MENTIONED if flag else LEARNED for flag in self.mentioned.tolist()]

    @property
    def confidences(self) -> list[float]:
        """The probabilities as replies have them."""
        return [round(chance, DIGITS) for chance in self.probabilities.tolist()]

    def cut(self, n_texts: int) -> TagColumns:
        """Those of the first texts."""
        counts = self.counts[:n_texts]
        n_tags = int(counts.sum())
        return TagColumns(
            counts,
            self.names[:n_tags],
            self.probabilities[:n_tags],
            self.mentioned[:n_tags],
        )


_NO_TAGS = TagColumns(
    counts=np.zeros(0, dtype=np.int64),
    names=[],
    probabilities=np.zeros(0, dtype=np.float32),
    mentioned=np.zeros(0, dtype=np.bool_),
)


@dataclass(frozen=True)
class EmbeddedTagger:
    """The tagger: a small, picklable value; each process loads its files at first use.

    `digest` is the hash of the files when the tagger was loaded: files that change after that are
    an error, not another tagger.
    """

    folder: str
    digest: str
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The name that was given to the tagger when it was trained."""
        meta = read_tagger_meta(self.folder, self.digest)
        return str(meta["name"])

    @property
    def fingerprint(self) -> str:
        """What decides the tags: how they are computed, a hash of the files, and the encoders'
        fingerprints.
        """
        meta = read_tagger_meta(self.folder, self.digest)
        encoders = fingerprint_encoders(meta["encoder"], meta["closeness"])
        parts = ["tagger", str(ARITHMETIC_VERSION), self.digest, *encoders]
        return "-".join(parts)

    @property
    def loaded(self) -> TaggerModel:
        """The tagger in memory; raises `ModelError` if its files are damaged."""
        return load_tagger_files(self.folder, self.digest)

    def tag(self, instructions: Sequence[str]) -> list[list[str]]:
        """Tag each instruction, most certain tag first; none if nothing is certain enough."""
        tagged = self.tag_with_confidence(instructions)
        return [[tag for tag, _ in row] for row in tagged]

    def tag_with_confidence(
        self, instructions: Sequence[str]
    ) -> list[list[tuple[str, float]]]:
        """Return (tag, probability that an annotator would give it), most certain tag first.

        Raises `TypeError` for one text instead of a list of texts.
        """
        if isinstance(instructions, str):
            raise TypeError(
                "instructions must be a list of texts, not one text: pass [text]"
            )
        tagged: list[list[tuple[str, float]]] = []
        # Whether the text mentions a tag is left out.
        for ranked in tag_instructions(self.loaded, instructions):
            row = [(tag, probability) for tag, probability, _ in ranked]
            tagged.append(row)
        return tagged

    def tag_columns(self, instructions: Sequence[str]) -> TagColumns:
        """Tag instructions as `answer` does."""
        return tag_instructions_in_columns(self.loaded, instructions)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests of the task "tag", which have the field `instruction`, in order."""
        instructions = [str(request.fields["instruction"]) for request in requests]
        ranked = tag_instructions(self.loaded, instructions)
        return [Reply(_format_reply(row), model=self.name) for row in ranked]


def load(path: str | Path | None = None) -> EmbeddedTagger:
    """Load the shipped tagger, or the one in a folder.

    `tacos distill` and `tacos.models.train` write such folders. Raises `ModelError` if the folder
    holds no tagger.
    """
    folder = DATA
    if path is not None:
        folder = Path(path)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing)
        raise ModelError(f"{folder} holds no tagger: {names} missing")
    meta, packed = read_tagger_bytes(str(folder))
    digest = hash_tagger_files(meta, packed)
    return EmbeddedTagger(str(folder), digest)


def tag_instructions(
    loaded: TaggerModel,
    instructions: Sequence[str],
) -> list[list[RankedTag]]:
    """Return (tag, probability, whether the text mentions it) per instruction, best tag first."""
    columns = tag_instructions_in_columns(loaded, instructions)
    tags = zip(
        columns.names,
        columns.probabilities.tolist(),
        columns.mentioned.tolist(),
        strict=True,
    )
    return [list(islice(tags, count)) for count in columns.counts.tolist()]


def tag_instructions_in_columns(
    loaded: TaggerModel,
    instructions: Sequence[str],
) -> TagColumns:
    """Return what `tag_instructions` returns in columns."""
    chunks = [_NO_TAGS]
    for start in range(0, len(instructions), CHUNK):
        texts = list(instructions[start : start + CHUNK])
        n_texts = len(texts)
        if n_texts == 1:
            # BLAS multiplies a single row in another way, with other last digits.
            texts.append("")
        read = loaded.reader.read(texts)
        # The tags' space has an encoder of its own, usually the same one.
        near = read.encode(loaded.closeness)
        vectors = near
        if loaded.encoder != loaded.closeness:
            vectors = read.encode(loaded.encoder)
        scores = loaded.scorer.score_texts(read.words, vectors)
        best = _rerank_tags(
            loaded,
            scores,
            read.stems,
            near,
        )
        chunks.append(best.cut(n_texts))
    return TagColumns(
        np.concatenate([chunk.counts for chunk in chunks]),
        list(chain.from_iterable(chunk.names for chunk in chunks)),
        np.concatenate([chunk.probabilities for chunk in chunks]),
        np.concatenate([chunk.mentioned for chunk in chunks]),
    )


def _rerank_tags(
    loaded: TaggerModel,
    scores: tag_candidates.TextScores,
    stems: Runs,
    vectors: Matrix,
) -> TagColumns:
    """Choose each text's tags by a second look at the scores of learned tags.

    `vectors` are the texts' own in the tags' space.
    """
    candidates = tag_candidates.propose_candidates(
        loaded.known,
        scores.total,
        stems,
    )
    described = tag_candidates.describe_candidates(
        loaded.known,
        scores,
        stems,
        vectors,
        candidates,
    )
    probabilities = loaded.network.probability(described)  # (texts, WIDTH)
    # Empty places are described, too, but hold no tag to give.
    tags, mentioned = candidates
    probabilities[tags < 0] = 0

    order = _find_most_certain(probabilities)
    best = np.take_along_axis(probabilities, order, axis=1)
    counts = _count_given(best, loaded.choice)
    is_given = np.arange(order.shape[1]) < counts[:, None]
    numbers = np.take_along_axis(tags, order, axis=1)[is_given]
    names = loaded.known.lexicon.tags
    return TagColumns(
        counts,
        [names[number] for number in numbers.tolist()],
        best[is_given],
        np.take_along_axis(mentioned, order, axis=1)[is_given],
    )


def _find_most_certain(probabilities: Matrix) -> npt.NDArray[np.int64]:
    """The places of the highest probabilities of each row, highest first, `MAX_TAGS` at most."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :MAX_TAGS]


def choose_tags(chance: Matrix, choice: TagThresholds) -> list[int]:
    """Choose the candidates to give by their probabilities, most certain first.

    These are the k best by the expected F1, about 2 (p_1 + ... + p_k) / (k + expected_tags), with
    `MAX_TAGS` at most: none below `floor`, and none at all if the best is below `first_floor`.

    >>> choose_tags(np.array([0.1, 0.9, 0.5], dtype=np.float32), TagThresholds(0.2, 0.2, 3.0))
    [1, 2]
    """
    (order,) = _find_most_certain(chance[None])
    (n_given,) = _count_given(chance[order][None], choice)
    given: list[int] = order[:n_given].tolist()
    return given


def _count_given(best: Matrix, choice: TagThresholds) -> npt.NDArray[np.int64]:
    """How many of the best candidates to give, by their probabilities in descending order.

    `best` is (texts, candidates), the result (texts,).
    """
    chances = best.astype(np.float64)
    counts = np.arange(1, chances.shape[1] + 1)
    expected_hits = np.cumsum(chances, axis=1)
    expected_f1 = expected_hits / (counts + choice.expected_tags)
    # Of equal ones the fewest; none where nothing is expected to be right.
    n_best = np.where(
        expected_f1.max(axis=1) > 0,
        expected_f1.argmax(axis=1) + 1,
        0,
    )
    n_above_floor = (chances >= choice.floor).sum(axis=1)
    # The best candidate has a floor of its own.
    n_allowed = np.maximum(n_above_floor, 1)
    is_certain = chances[:, 0] >= choice.first_floor
    return np.asarray(np.where(is_certain, np.minimum(n_best, n_allowed), 0))


def _format_reply(tags: Sequence[RankedTag]) -> str:
    """Format tags as the JSON of the tag task."""
    return orjson.dumps({"tags": format_tag_items(tags)}).decode()


def format_tag_items(tags: Sequence[RankedTag]) -> list[dict[str, Any]]:
    """List tags as a reply does, each with an explanation and a confidence."""
    items: list[dict[str, Any]] = []
    for tag, probability, is_mentioned in tags:
        items.append(
            {
                "tag": tag,
                "explanation": MENTIONED if is_mentioned else LEARNED,
                "confidence": round(probability, DIGITS),
            }
        )
    return items
