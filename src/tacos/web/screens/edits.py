"""Edits by hand: rows to keep or to drop, and tags, in a file that `--edits` takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tacos.web.answers import answer, read_body, read_query
from tacos.workflows.edit_file import EditFile
from tacos.workflows.ui import RunView

Hash = Annotated[str, Field(min_length=1, max_length=100)]


class EditName(BaseModel):
    """Which row is meant."""

    model_config = ConfigDict(extra="forbid")

    content_hash: Hash


class EditChange(BaseModel):
    """What is to be said of a row; None: nothing."""

    model_config = ConfigDict(extra="forbid")

    content_hash: Hash
    decision: Literal["keep", "drop", "none"] | None = None
    tags: list[str] | None = None
    note: str = Field("", max_length=2_000)


def build_routes(view: RunView) -> list[Route]:
    """`/api/edits`: all of them. `/api/edit`: that of a row, read or changed."""
    edits = EditFile(view.selection)

    async def list_edits(request: Request) -> Response:
        return await answer(edits.list_edits)

    async def describe_edit(request: Request) -> Response:
        query = read_query(request, EditName)
        return await answer(edits.describe_row, query.content_hash)

    async def change_edit(request: Request) -> Response:
        wanted = await read_body(request, EditChange)
        return await answer(
            edits.change,
            wanted.content_hash,
            wanted.decision,
            wanted.tags,
            wanted.note,
        )

    return [
        Route("/api/edits", list_edits),
        Route("/api/edit", describe_edit),
        Route("/api/edit/change", change_edit, methods=["POST"]),
    ]
