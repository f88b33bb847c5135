"""What a worker process imports for a stage: that is most of what it takes to start one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tacos.config import load_settings
from tacos.models import judge, tagger
from tacos.pipeline.batch_work import BatchWork, QuestionWork
from tacos.pipeline.stage_shapes import BatchStage, PromptStage
from tacos.pipeline.stages import find_stage

EVERY_STAGE = "tacos.pipeline.stages"
PRINT_IMPORTS = "import pickle, sys; pickle.load(sys.stdin.buffer); print(*sys.modules)"


def build_ingest_work() -> BatchWork:
    stage = find_stage("ingest")
    assert isinstance(stage, BatchStage)
    return BatchWork(stage.work, {}, load_settings(), stage.schema)


def build_tag_work() -> QuestionWork:
    return _build_question_work("tag", tagger.load())


def build_grade_work() -> QuestionWork:
    return _build_question_work("grade", judge.load())


def _build_question_work(name: str, model: Any) -> QuestionWork:
    stage = find_stage(name)
    assert isinstance(stage, PromptStage)
    return QuestionWork(
        given=stage.given,
        ask=stage.ask,
        parse=stage.parse,
        template=stage.template,
        template_hash="0" * 32,
        config=load_settings(),
        schema=stage.schema,
        model=model,
    )


def list_imports_of_worker(work: Any) -> set[str]:
    """The modules of a new process that has unpickled the work."""
    worker = subprocess.run(
        [sys.executable, "-c", PRINT_IMPORTS],
        input=pickle.dumps(work),
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
            {EVERY_STAGE, "tacos.models", "tacos.llm", "scipy", "onnxruntime"},
        ),
        (
            build_tag_work,
            "tacos.models.tagger",
            {EVERY_STAGE, "tacos.models.judge", "tacos.formats", "tacos.llm"},
        ),
        (
            build_grade_work,
            "tacos.models.judge",
            {EVERY_STAGE, "tacos.models.tagger", "tacos.formats", "tacos.llm"},
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
