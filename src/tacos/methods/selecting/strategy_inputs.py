"""What strategies read beside the pool, and the limits of one selection, with nothing taken yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.errors import InputError
from tacos.methods.selecting import quotas
from tacos.methods.selecting.gain_picks import RowId
from tacos.methods.selecting.limits import GroupBound, build_rooms
from tacos.methods.selecting.near_duplicates import NearDuplicates
from tacos.methods.selecting.preference_walk import Admission
from tacos.methods.selecting.repeated_tasks import RepeatedTasks
from tacos.methods.selecting.row_tags import RowTags

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class QuestionVectors:
    """By what two rows ask the same and are answered alike: rows for which `hash_task` has a key in
    common ask the same; `encode` gives the unit vectors of ids, shape (rows, dim), and a cosine
    above `limit` is alike. `foresee` is told which ids will probably be asked about.
    """

    hash_task: Callable[[RowId], Sequence[bytes]]
    encode: Callable[[Sequence[RowId]], Vectors]
    limit: float
    foresee: Callable[[Sequence[RowId]], None] = lambda ids: None


@dataclass(frozen=True)
class StrategyInputs:
    """What some strategies need beside the pool, all by the pool's `id`.

    `vectors` are unit vectors of samples, shape (rows, dim), in the order of `ids`; `questions` are
    those of what samples ask (`Limits.questions`). `spread` is MIG's P over the sorted tag names
    `tag_names` (None: no similar tags). `grades` has `id` and `grade`. For quotas, `scores` is a
    table SCORES and `sizes` the size of each cluster (None and empty: the pool's own); `tag_price`
    is what one more tag is worth, and `reliability` how much the scores say (`objective`). `fill`
    are unjudged rows that may come after all that the strategy `tacos` takes. With `partial`, too
    few rows are an error only if they leave an exact quota or a band of lengths short. `name_id`
    says what a row is called in a reason, where ids are numbers. `tags` are those of the pool's
    rows, sorted by id, where the pool has no column of them.
    """

    ids: Sequence[RowId] = ()
    vectors: Vectors | None = None
    tag_names: Sequence[str] = ()
    spread: Any = None
    grades: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None
    sizes: Mapping[int, int] = field(default_factory=dict)
    quota: quotas.Quota = "none"
    fill: Sequence[RowId] = ()
    partial: bool = False
    tag_price: float = 0.0
    reliability: float = 1.0
    questions: QuestionVectors | None = None
    name_id: Callable[[RowId], str] = str
    tags: RowTags | None = None


@dataclass(frozen=True)
class LimitSet:
    """The limits of one selection: `bounds` of groups, and near-duplicates by `cosine` (1: none) of
    whole samples or by what rows ask.
    """

    table: pl.DataFrame
    extras: StrategyInputs
    bounds: Sequence[GroupBound]
    cosine: float = 1.0
    questions: bool = False

    def __bool__(self) -> bool:
        return bool(self.bounds) or self.cosine < 1 or self.questions

    @property
    def gives_way(self) -> bool:
        """Whether some of the limits are dropped where too few rows are left."""
        has_soft_bound = any(bound.gives_way for bound in self.bounds)
        return has_soft_bound or self.questions

    def build_admission(self) -> Admission:
        """All limits, with nothing taken yet."""
        duplicates: NearDuplicates | RepeatedTasks | None = None
        if self.questions:
            duplicates = self._compare_questions()
        elif self.cosine < 1:
            duplicates = self._compare_samples()
        return Admission(build_rooms(self.bounds), duplicates)

    def build_spare(self) -> Admission | None:
        """The limits without those that give way; None if no limit does."""
        if not self.gives_way:
            return None
        firm = [bound for bound in self.bounds if not bound.gives_way]
        duplicates = self._compare_samples() if self.cosine < 1 else None
        return Admission(build_rooms(firm), duplicates)

    def _compare_samples(self) -> NearDuplicates:
        """Near-duplicates by the vectors of whole samples."""
        vectors = align_vectors(self.table, self.extras)
        return NearDuplicates(lambda rows: vectors[list(rows)], self.cosine)

    def _compare_questions(self) -> RepeatedTasks:
        """Near-duplicates by what samples ask."""
        questions = self.extras.questions
        if questions is None:
            raise InputError("this limit needs embeddings of the questions")
        ids = self.table["id"]

        def encode(rows: Sequence[int]) -> Vectors:
            return questions.encode(ids[list(rows)].to_list())

        def foresee(rows: Sequence[int]) -> None:
            questions.foresee(ids[list(rows)].to_list())

        return RepeatedTasks(
            lambda row: questions.hash_task(ids[row]),
            encode,
            questions.limit,
            foresee_rows=foresee,
        )


def align_vectors(
    table: pl.DataFrame,
    extras: StrategyInputs,
) -> Vectors:
    """The vectors of the pool's rows, in their order, shape (rows, dim)."""
    if extras.vectors is None:
        raise InputError(
            "this strategy, or the near-duplicate limit, needs embeddings of the samples"
        )
    ids = table["id"].to_list()
    # The usual case, without a copy of the vectors.
    if list(extras.ids) == ids:
        return extras.vectors
    place_of = {id_: place for place, id_ in enumerate(extras.ids)}
    try:
        places = [place_of[id_] for id_ in ids]
    except KeyError as error:
        raise InputError(
            f"row {error.args[0]!r} of the pool has no embedding"
        ) from None
    return np.asarray(extras.vectors[places], np.float32)
