"""A data set of eight topics, small models for it, and the command line: what tests of whole runs
share.
"""

from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from tacos.cli import app
from tacos.errors import TacosError

WORDS = ("sum", "poem", "garden", "river", "engine", "bread", "music", "planet")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Response = Callable[[int], str]


def long_response(i: int) -> str:
    """1 to 97 letters."""
    return "x" * (i % 97 + 1)


def varied_response(i: int) -> str:
    """A topic and a number, repeated 1 to 17 times."""
    return f"{WORDS[i % 8]} {i} " * (i % 17 + 1)


def make_rows(
    n: int = 160, response: Response = varied_response
) -> list[dict[str, Any]]:
    """Rows on two of the eight topics each; every pair of topics comes up."""
    return [
        {
            "instruction": f"Tell me about {WORDS[i % 8]} and "
            f"{WORDS[(i * 5 + i // 8) % 8]}, number {i}.",
            "output": response(i),
        }
        for i in range(n)
    ]


def tag_by_words(instructions: list[str]) -> list[list[str]]:
    """The topics that an instruction names."""
    return [[word for word in WORDS if word in text] for text in instructions]


def judge_by_length(instructions: list[str], responses: list[str]) -> list[float]:
    """The longer, the better."""
    return [float(len(response)) for response in responses]


def judge_by_instruction(instructions: list[str], responses: list[str]) -> list[float]:
    """A score that looks like chance and does not depend on the response."""
    return [float(len(text) % 89 + 1) for text in instructions]


def encode_letters(texts: list[str]) -> list[list[float]]:
    """How often each letter occurs."""
    return [[float(text.count(letter)) + 0.01 for letter in LETTERS] for text in texts]


MODELS: dict[str, Any] = {
    "tagger": tag_by_words,
    "judge": judge_by_length,
    "encoder": encode_letters,
}


def run_command(*words: object) -> tuple[int, str]:
    """Exit code and output of a command line; errors give the code that `main` would end with."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, TacosError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output
