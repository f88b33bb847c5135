"""Questions for the tests of the client."""

from tacos.methods.judging import comparisons
from tacos.methods.tags import open_tags
from tacos.records import Request

KEY = "sk-test-0123456789-secret"
SAMPLING = {"temperature": 0.6, "max_tokens": 200}


def tag_requests(n: int, start: int = 0) -> list[Request]:
    """n different questions of tagging."""
    return [
        Request(
            "tag",
            {"instruction": f"Write poem {row}."},
            "tag",
            "",
            open_tags.SCHEMA,
            SAMPLING,
        )
        for row in range(start, start + n)
    ]


def judge_requests(n: int) -> list[Request]:
    """n different questions of judging."""
    fields = [
        {
            "instruction_a": f"Say {row}.",
            "response_a": f"{row}",
            "instruction_b": "Say b.",
            "response_b": "b",
        }
        for row in range(n)
    ]
    return [
        Request("judge", each, "judge", "", comparisons.SCHEMA, SAMPLING)
        for each in fields
    ]
