"""The closing words of the gate follow the most frequent reason."""

import pytest

from tacos.pipeline.failure_gate import suggest_remedy
from tacos.pipeline.stages import find_stage


@pytest.mark.parametrize(
    "stage, reasons, remedy",
    [
        ("ingest", ["no instruction"], "Fix the input"),
        ("tag", ["it is not JSON", "refused: no"], "answers in the form"),
        ("tag", ["refused: content filter"], "what the model refuses"),
        (
            "judge",
            ["HTTP 400: too long", "it is empty"],
            "what the server complains of",
        ),
        (
            "judge",
            ["it is empty", "it was cut off at the limit of tokens"],
            "judge.max_tokens",
        ),
        ("tag", ["no answer was given"], "Use another model"),
    ],
)
def test_the_remedy_is_for_the_reason(
    stage: str, reasons: list[str], remedy: str
) -> None:
    assert remedy in suggest_remedy(find_stage(stage), reasons)
