"""Embedded models answer a whole batch at once: the rows are those that a request for each gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tacos.config import load_settings
from tacos.methods.judging import comparisons
from tacos.methods.tags import open_tags
from tacos.models import judge, tagger
from tacos.pipeline import whole_batches
from tacos.pipeline.batch_work import QuestionBatch, QuestionWork, asks_each
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.stages import find_stage
from tacos.records import GRADES, TAGS, Reply, Request

SETTINGS = load_settings()
TEXTS = [
    "Name a fish.",
    "",
    "Write a Python function that sorts a list of numbers.\n\ndef sort(xs):",
    "Translate to French: good morning",
    "用中文写一首关于春天的诗。",
    "a lone \ud800 surrogate",
    "word " * 5_000,  # longer than a tagger or a judge is shown
    "Name a fish.",
]


def build_samples(texts: Sequence[str]) -> pl.DataFrame:
    """SAMPLES that have what questions are made of; each text is a response, too."""
    # A Parquet file has no lone surrogate, so nor has a question.
    clean = [text.encode(errors="replace").decode() for text in texts]
    turns = [[{"role": "user", "text": text}] for text in clean]
    return pl.DataFrame(
        {
            "id": [str(number) for number in range(len(clean))],
            "turns": turns,
            "instruction": clean,
            "response": clean[::-1],
        },
        schema_overrides={"id": pl.String},
    ).with_columns(
        given_tags=pl.lit(None, pl.List(pl.String)),
        given_score=pl.lit(None, pl.Float64),
    )


def ask_tags(texts: Sequence[str], known: pl.DataFrame | None = None) -> pl.DataFrame:
    return open_tags.build_turn_questions(build_samples(texts), known)


def ask_grades(texts: Sequence[str], judges: tuple[str, ...] = ("",)) -> pl.DataFrame:
    samples = build_samples(texts)
    return comparisons.list_grade_questions(samples, judges, len(judges))


def build_work(name: str, model: Any) -> QuestionWork:
    stage = find_stage(name)
    assert isinstance(stage, PromptStage)
    return QuestionWork(
        given=stage.given,
        ask=stage.ask,
        parse=stage.parse,
        answer_at_once=stage.answer_at_once,
        template=stage.template,
        template_hash="0" * 32,
        config=getattr(SETTINGS, find_settings_section(stage)),
        schema=stage.schema,
        model=model,
    )


@pytest.mark.parametrize("n_texts", [1, 2, len(TEXTS)])
def test_a_batch_is_tagged_as_by_a_request_for_each(n_texts: int) -> None:
    batch = QuestionBatch(ask_tags(TEXTS[:n_texts]), {})
    work = build_work("tag", tagger.load())

    at_once = work(batch)
    one_by_one = replace(work, answer_at_once=asks_each)(batch)

    assert_frame_equal(at_once.output.table, one_by_one.output.table)
    assert at_once.output.table.height == n_texts
    assert at_once.output.table["tags"].list.len().sum() > 0
    assert at_once.output.notes == one_by_one.output.notes == {"n_asked": n_texts}
    assert at_once.paid == one_by_one.paid == ()


def test_a_batch_without_any_tag_has_empty_lists() -> None:
    batch = QuestionBatch(ask_tags(["", " "]), {})
    work = build_work("tag", tagger.load())

    at_once = work(batch).output.table

    assert at_once["tags"].to_list() == at_once["confidences"].to_list() == [[], []]
    one_by_one = replace(work, answer_at_once=asks_each)(batch).output.table
    assert_frame_equal(at_once, one_by_one)


@pytest.mark.parametrize("stage", ["grade", "reread"])
@pytest.mark.parametrize("judges", [("",), ("first", "second")], ids=["one", "two"])
def test_a_batch_is_graded_as_by_a_request_for_each(
    stage: str, judges: tuple[str, ...]
) -> None:
    """Samples that repeat, by several judges and repetitions, among them."""
    batch = QuestionBatch(ask_grades(TEXTS, judges), {})
    work = build_work(stage, judge.load())

    at_once = work(batch)
    one_by_one = replace(work, answer_at_once=asks_each)(batch)

    assert_frame_equal(at_once.output.table, one_by_one.output.table)
    assert at_once.output.table["value"].n_unique() > 1
    assert at_once.output.table["reason"].n_unique() > 1
    n_asked = len(TEXTS) * len(judges) ** 2
    assert at_once.output.notes == one_by_one.output.notes == {"n_asked": n_asked}


def test_no_questions_give_no_rows() -> None:
    for name, model, questions, schema in (
        ("tag", tagger.load(), ask_tags(TEXTS).clear(), TAGS),
        ("grade", judge.load(), ask_grades(TEXTS).clear(), GRADES),
    ):
        table = build_work(name, model)(QuestionBatch(questions, {})).output.table
        assert_frame_equal(table, pl.DataFrame(schema=schema))


def test_a_batch_with_known_answers_is_read_row_by_row() -> None:
    """Of tags and of grades, by an earlier run or by the input: they stay as they are."""
    model = tagger.load()
    known = build_work("tag", model)(QuestionBatch(ask_tags(TEXTS[:1]), {}))
    by_hand = known.output.table.with_columns(model=pl.lit("a person"))
    tags = ask_tags(TEXTS, by_hand)
    given = ask_tags(TEXTS).with_columns(given=pl.lit(["fish"]))
    scored = ask_grades(TEXTS).with_columns(given_score=pl.lit(80.0))

    for questions in (tags, given):
        assert whole_batches.tag_rows(model, questions, SETTINGS.tag) is None
    assert whole_batches.grade_rows(judge.load(), scored, SETTINGS.judge) is None
    tagged = build_work("tag", model)(QuestionBatch(tags, {})).output.table
    assert tagged["model"].to_list() == ["a person"] + [model.name] * (len(TEXTS) - 1)
    graded = build_work("grade", judge.load())(QuestionBatch(scored, {})).output.table
    assert graded["grade"].to_list() == [80.0] * len(TEXTS)


class OneByOne:
    """A model that only answers requests."""

    name = fingerprint = "one by one"
    where = "thread"
    pointwise = True

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(None, failure="asked") for _ in requests]


def test_models_that_need_requests_get_them() -> None:
    model: Any = OneByOne()
    assert whole_batches.tag_rows(model, ask_tags(TEXTS), SETTINGS.tag) is None
    assert whole_batches.grade_rows(model, ask_grades(TEXTS), SETTINGS.judge) is None


def test_tags_that_a_reader_would_change_are_read_row_by_row() -> None:
    """A reader of replies takes blanks off, and leaves out tags that are nothing else."""

    class OddTagger(tagger.EmbeddedTagger):
        def tag_columns(self, instructions: Sequence[str]) -> tagger.TagColumns:
            tagged = super().tag_columns(instructions)
            return tagged._replace(names=[f" {name}" for name in tagged.names])

    shipped = tagger.load()
    odd = OddTagger(shipped.folder, shipped.digest)
    assert whole_batches.tag_rows(odd, ask_tags(TEXTS), SETTINGS.tag) is None
