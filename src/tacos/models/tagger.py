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
from pathlib import Path
from typing import Any, Literal

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
RankedTag = tuple[str, float, bool]
"""A tag, its probability, and whether the text mentions it."""


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
    ranked: list[list[RankedTag]] = []
    for start in range(0, len(instructions), CHUNK):
        texts = list(instructions[start : start + CHUNK])
        if len(texts) == 1:
            # BLAS multiplies a single row in another way, with other last digits.
            ranked += tag_instructions(loaded, [*texts, ""])[:1]
            continue
        read = loaded.reader.read(texts)
        # The tags' space has an encoder of its own, usually the same one.
        near = read.encode(loaded.closeness)
        vectors = near
        if loaded.encoder != loaded.closeness:
            vectors = read.encode(loaded.encoder)
        scores = loaded.scorer.score_texts(read.words, vectors)
        ranked += _rerank_tags(
            loaded,
            scores,
            read.stems,
            near,
        )
    return ranked


def _rerank_tags(
    loaded: TaggerModel,
    scores: tag_candidates.TextScores,
    stems: Runs,
    vectors: Matrix,
) -> list[list[RankedTag]]:
    """Rank each text's tags by a second look at the scores of learned tags.

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

    names = loaded.known.lexicon.tags
    order = _find_most_certain(probabilities)
    best = np.take_along_axis(probabilities, order, axis=1)
    columns = (
        _count_given(best, loaded.choice).tolist(),
        np.take_along_axis(tags, order, axis=1).tolist(),
        best.tolist(),
        np.take_along_axis(mentioned, order, axis=1).tolist(),
    )
    ranked: list[list[RankedTag]] = []
    for n_given, row_tags, chances, is_mentioned in zip(*columns, strict=True):
        given = [names[tag] for tag in row_tags[:n_given]]
        row = zip(
            given,
            chances,
            is_mentioned,
            strict=False,
        )
        ranked.append(list(row))
    return ranked


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
        explanation = "key phrase in the text" if is_mentioned else "learned"
        items.append(
            {
                "tag": tag,
                "explanation": explanation,
                "confidence": round(probability, 4),
            }
        )
    return items
