"""Reads the samples of a request to a pointwise judge, and formats its scores as a reply's JSON.

A judge gives each sample one score, or two: `JudgeScores`. It may give both whatever the request
asks for, because the reader of the reply takes either form.

A request of the task "judge" compares two samples, on the sides "a" and "b"; one of the task
"grade" has a single sample, on the side "".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from tacos.records import Request

Sample = tuple[str, str]
"""An instruction and its response."""


class JudgeScores(NamedTuple):
    """The two numbers that a judge gives a sample, each on 1..100."""

    value: float
    correctness: float


def read_samples(request: Request) -> dict[str, Sample]:
    """Read a request's samples by side: "a" and "b" of a comparison, "" of a single sample."""
    if request.task == "judge":
        return {side: _read_sample(request, f"_{side}") for side in ("a", "b")}
    return {"": _read_sample(request, "")}


def _read_sample(request: Request, suffix: str) -> Sample:
    instruction = request.fields[f"instruction{suffix}"]
    response = request.fields[f"response{suffix}"]
    return str(instruction), str(response)


def name_scores(scores: Mapping[str, float | JudgeScores]) -> dict[str, float]:
    """Name scores by side as a reply does.

    >>> name_scores({"a": 70.0, "b": 30.0}), name_scores({"": 50.0})
    ({'score_a': 70.0, 'score_b': 30.0}, {'score': 50.0})
    >>> name_scores({"": JudgeScores(value=20.0, correctness=95.0)})
    {'correctness': 95.0, 'value': 20.0}
    """
    named: dict[str, float] = {}
    for side, score in scores.items():
        ending = f"_{side}" if side else ""
        if isinstance(score, JudgeScores):
            named[f"correctness{ending}"] = score.correctness
            named[f"value{ending}"] = score.value
        else:
            named[f"score{ending}"] = score
    return named


def format_scores(scores: Mapping[str, float | JudgeScores], analysis: str) -> str:
    """Format scores by side as the JSON of the judge's tasks."""
    content = {"analysis": analysis, **name_scores(scores)}
    return orjson.dumps(content).decode()
