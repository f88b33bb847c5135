"""What a worker process imports for a stage, which is most of what it takes to start one; how it
works on a batch; and how rows become a table.
"""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from tacos.config import load_settings
from tacos.formats.rows import RowBatch
from tacos.models import judge, tagger
from tacos.pipeline.batch_work import (
    BatchWork,
    QuestionBatch,
    QuestionWork,
    build_table,
)
from tacos.pipeline.failure_gate import find_settings_section
from tacos.pipeline.stage_shapes import BatchStage, PromptStage
from tacos.pipeline.stages import find_stage, iterate_stages
from tacos.records import Reply, Request

EVERY_STAGE = "tacos.pipeline.stages"
ANSWERS = [stage.schema for stage in iterate_stages() if isinstance(stage, PromptStage)]
RUN_AND_PRINT_IMPORTS = """
import pickle, sys
work, batch = pickle.load(sys.stdin.buffer)
work(batch)
print(*sys.modules)
"""


def build_ingest_work() -> tuple[Any, Any]:
    stage = find_stage("ingest")
    assert isinstance(stage, BatchStage)
    work = BatchWork(stage.work, {}, load_settings(), stage.schema)
    row = {"instruction": "Name a fish.", "output": "Herring"}
    return work, RowBatch("data.jsonl", 0, [(0, row)], [])


def build_tag_work() -> tuple[Any, Any]:
    row = {
        "id": "0",
        "turn": 0,
        "instruction": "Name a fish.",
        "given": None,
        "known": None,
    }
    return _build_question_work("tag", tagger.load(), row)


def build_grade_work() -> tuple[Any, Any]:
    row = {
        "id": "0",
        "judge": "",
        "repetition": 0,
        "instruction": "Name a fish.",
        "response": "Herring",
    }
    return _build_question_work("grade", judge.load(), row)


def _build_question_work(name: str, model: Any, row: dict[str, Any]) -> tuple[Any, Any]:
    stage = find_stage(name)
    assert isinstance(stage, PromptStage)
    settings = load_settings()
    work = QuestionWork(
        given=stage.given,
        ask=stage.ask,
        parse=stage.parse,
        answer_at_once=stage.answer_at_once,
        template=stage.template,
        template_hash="0" * 32,
        config=getattr(settings, find_settings_section(stage)),
        schema=stage.schema,
        model=model,
    )
    return work, QuestionBatch(pl.DataFrame([row]), {})


def list_imports_of_worker(work_and_batch: Any) -> set[str]:
    """The modules of a new process that has done the work on the batch."""
    worker = subprocess.run(
        [sys.executable, "-c", RUN_AND_PRINT_IMPORTS],
        input=pickle.dumps(work_and_batch),
        capture_output=True,
        check=True,
    )
    return set(worker.stdout.decode().split())


@pytest.mark.parametrize(
    ("build", "needed", "unneeded"),
    [
        (
            build_ingest_work,
            "tacos.methods.samples.sample_parsing",
            {EVERY_STAGE, "tacos.formats.reading", "tacos.models", "scipy"},
        ),
        (
            build_tag_work,
            "tacos.models.tagger",
            {EVERY_STAGE, "tacos.models.judge", "tacos.llm", "pyarrow", "pandas"},
        ),
        (
            build_grade_work,
            "tacos.models.judge",
            {EVERY_STAGE, "tacos.models.tagger", "tacos.llm", "pyarrow", "pandas"},
        ),
    ],
    ids=["ingest", "tag", "grade"],
)
def test_worker_imports_what_its_stage_needs_and_no_more(
    build: Callable[[], Any], needed: str, unneeded: set[str]
) -> None:
    imports = list_imports_of_worker(build())

    assert needed in imports
    assert not imports & unneeded


@dataclass
class CollectorReader:
    """A judge that notes whether Python's garbage collector is on while it answers."""

    where: Any
    name: str = "reader"
    fingerprint: str = "reader"
    pointwise: bool = True
    was_on: list[bool] = field(default_factory=list)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.was_on.append(gc.isenabled())
        return [Reply('{"analysis": "", "value": 50, "correctness": 50}')]


@pytest.mark.parametrize(
    ("where", "is_on"), [("process", False), ("thread", True), ("here", True)]
)
def test_garbage_is_looked_for_only_where_a_batch_may_take_long(
    where: str, is_on: bool
) -> None:
    """To look for it during a computed batch takes up to a tenth of the time."""
    model = CollectorReader(where)
    row = {"id": "0", "judge": "", "repetition": 0, "instruction": "?", "response": "!"}
    work, batch = _build_question_work("grade", model, row)

    assert work(batch).output.table["grade"].len() == 1

    assert model.was_on == [is_on]
    assert gc.isenabled()


@given(data=st.data())
def test_rows_of_any_question_become_a_table_of_its_schema(data: st.DataObject) -> None:
    """Also where a column has no value at all, or nothing but empty lists."""
    schema = data.draw(st.sampled_from(ANSWERS))
    columns = [column(name, dtype=dtype) for name, dtype in schema.items()]
    rows = data.draw(dataframes(columns, max_size=4, allow_null=True))
    nothing = pl.DataFrame(dict.fromkeys(schema, [None] * 3), schema=schema)
    for table in (rows, nothing):
        assert_frame_equal(build_table(table.to_dicts(), schema), table)
