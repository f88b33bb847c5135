"""What embedded models answer to a whole batch of questions at once, without a request for each.

The rows are those that requests would give; to build and read these takes a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import polars as pl

from tacos.config import JudgeSettings, TagSettings
from tacos.methods.samples.truncation import truncate_text
from tacos.pipeline.batch_work import cut_lists
from tacos.records import Model

if TYPE_CHECKING:
    # A worker imports the models of its own stage alone.
    from tacos.models.judge import Grades
    from tacos.models.tagger import TagColumns


@runtime_checkable
class ColumnTagger(Protocol):
    """A tagger that tags many instructions at once."""

    def tag_columns(self, instructions: Sequence[str]) -> TagColumns:
        """See `tacos.models.tagger.EmbeddedTagger.tag_columns`."""
        ...


@runtime_checkable
class ColumnJudge(Protocol):
    """A judge that grades many samples at once."""

    def grade_columns(
        self, instructions: Sequence[str], responses: Sequence[str]
    ) -> Grades:
        """See `tacos.models.judge.EmbeddedJudge.grade_columns`."""
        ...


def tag_rows(
    model: Model, questions: pl.DataFrame, config: TagSettings
) -> pl.DataFrame | None:
    """Rows of TAGS; None where the model, or a question that is answered, needs each to be read."""
    if not isinstance(model, ColumnTagger) or _is_any_known(questions):
        return None
    texts = _read_texts(questions["instruction"], config.max_chars)
    tags = model.tag_columns(texts)
    if not all(tag and tag == tag.strip() for tag in tags.names):
        return None
    counts = pl.Series(tags.counts)
    return questions.select(
        "id",
        "turn",
        cut_lists(pl.Series("tags", tags.names, dtype=pl.String), counts),
        cut_lists(pl.Series("explanations", tags.explanations), counts),
        cut_lists(pl.Series("confidences", tags.confidences), counts),
        reply=pl.lit(""),
        model=pl.lit(model.name),
    )


def grade_rows(
    model: Model, questions: pl.DataFrame, config: JudgeSettings
) -> pl.DataFrame | None:
    """Rows of GRADES; None where the model, or a question that is answered, needs each to be
    read.
    """
    if not isinstance(model, ColumnJudge) or _is_any_known(questions):
        return None
    max_chars = config.max_chars // 2
    grades = model.grade_columns(
        _read_texts(questions["instruction"], max_chars),
        _read_texts(questions["response"], max_chars),
    )
    return questions.select(
        "id",
        "judge",
        "repetition",
        grade=pl.lit(None),
        value=pl.Series(grades.value),
        correctness=pl.Series(grades.correctness),
        reason=pl.Series(grades.analyses, dtype=pl.String),
        reply=pl.lit(""),
    )


def _is_any_known(questions: pl.DataFrame) -> bool:
    """Whether the input or an earlier run answers any of the questions."""
    columns = questions.select(pl.col("^(given|given_score|known)$"))
    return any(column.null_count() < questions.height for column in columns)


def _read_texts(texts: pl.Series, max_chars: int) -> list[str]:
    return [truncate_text(text, max_chars) for text in texts.to_list()]
