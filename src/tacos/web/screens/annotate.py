"""Annotation: tasks one by one, for several people at once, and how far they agree."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_body, read_query
from tacos.workflows.annotate import Annotation
from tacos.workflows.annotation_tasks import N_PAIRS, TaskPlan
from tacos.workflows.ui import RunView

Person = Annotated[str, Field(max_length=100)]
Kind = Literal["pair", "precision", "consistency"]
MAX_PAIRS = 10_000


class Worker(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid")

    person: Person = ""


class TaskWanted(BaseModel):
    """Whose next task, and of which kind."""

    model_config = ConfigDict(extra="forbid")

    person: Person
    kind: Kind


class LabelGiven(BaseModel):
    """A person's answers to a task."""

    model_config = ConfigDict(extra="forbid")

    person: Person
    kind: Kind
    task: str = Field(max_length=64)
    answers: dict[str, str] = Field(max_length=8)
    comment: str = Field("", max_length=2_000)


class DrawWanted(BaseModel):
    """Which tasks are to be drawn."""

    model_config = ConfigDict(extra="forbid")

    n_pairs: int = Field(N_PAIRS, ge=0, le=MAX_PAIRS)
    origin: Literal["auto", "comparisons", "clusters", "random"] = "auto"
    n_shared: int | None = Field(None, ge=0)


def build_routes(view: RunView) -> list[Route]:
    """`/api/annotate` and the paths below it: what there is to do, the next task, a label, undo,
    drawing, agreement, export.
    """
    annotation = Annotation(view.selection)

    async def describe(request: Request) -> Response:
        query = read_query(request, Worker)
        return await answer(_describe_work, annotation, query.person)

    async def find_task(request: Request) -> Response:
        query = read_query(request, TaskWanted)
        return await answer(_find_task, annotation, query.person, query.kind)

    async def record_label(request: Request) -> Response:
        given = await read_body(request, LabelGiven)
        return await answer(_record_label, annotation, given)

    async def undo_label(request: Request) -> Response:
        given = await read_body(request, Worker)
        return await answer(_undo_label, annotation, given.person)

    async def draw_tasks(request: Request) -> Response:
        wanted = await read_body(request, DrawWanted)
        return await answer(_draw_tasks, annotation, wanted)

    async def summarise(request: Request) -> Response:
        return await answer(lambda: annotation.summarise().as_dict())

    async def export(request: Request) -> Response:
        await read_body(request, Worker)
        return await answer(_export, annotation)

    return [
        Route("/api/annotate", describe),
        Route("/api/annotate/task", find_task),
        Route("/api/annotate/label", record_label, methods=["POST"]),
        Route("/api/annotate/undo", undo_label, methods=["POST"]),
        Route("/api/annotate/draw", draw_tasks, methods=["POST"]),
        Route("/api/annotate/agreement", summarise),
        Route("/api/annotate/export", export, methods=["POST"]),
    ]


def _describe_work(annotation: Annotation, person: str) -> dict[str, Any]:
    """What there is to do, who has done what, and what is left for one person."""
    if not annotation.has_tasks():
        return {"n_tasks": {}, "people": [], "progress": [], "own": []}
    own = annotation.measure_progress(person) if person else []
    return {
        "n_tasks": annotation.count_tasks(),
        "people": annotation.list_people(),
        "progress": annotation.measure_progress(),
        "own": own,
    }


def _find_task(annotation: Annotation, person: str, kind: Kind) -> dict[str, Any]:
    """A person's next task of a kind, and how far they have come with it."""
    return {
        "shown": annotation.find_next(person, kind),
        "progress": _measure_kind(annotation, person, kind),
    }


def _record_label(annotation: Annotation, given: LabelGiven) -> dict[str, Any]:
    """Write a label, and find the next task."""
    annotation.record(given.person, given.task, given.answers, given.comment)
    return _find_task(annotation, given.person, given.kind)


def _undo_label(annotation: Annotation, person: str) -> dict[str, Any]:
    """Take back a person's last label, and show its task again."""
    shown = annotation.undo(person)
    if shown is None:
        return {"shown": None, "progress": None}
    return {
        "shown": shown,
        "progress": _measure_kind(annotation, person, shown["kind"]),
    }


def _measure_kind(annotation: Annotation, person: str, kind: Kind) -> Any:
    """How far a person has come with the tasks of a kind."""
    own = annotation.measure_progress(person)
    return next((each for each in own if each.kind == kind), None)


def _draw_tasks(annotation: Annotation, wanted: DrawWanted) -> dict[str, Any]:
    """Draw tasks, or more of them."""
    plan = TaskPlan(wanted.n_pairs, wanted.origin, wanted.n_shared)
    annotation.draw(plan)
    return _describe_work(annotation, "")


def _export(annotation: Annotation) -> dict[str, Any]:
    """Write the labels beside the run."""
    return annotation.export(annotation.find_export_folder()).as_dict()
