"""Select with a judge of your own: a function from instructions and responses to scores.

This one rewards responses that reuse words of their instruction, and penalises refusals. A judge
can just as well call a model that you trained.
"""

from collections.abc import Sequence
from pathlib import Path

import tacos

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "sample.jsonl"
REFUSALS = ("i'm sorry", "i cannot", "i can't", "as an ai")


def judge_relevance(
    instructions: Sequence[str], responses: Sequence[str]
) -> list[float]:
    """Scores from 1 to 100, higher is better."""
    return [score_response(*pair) for pair in zip(instructions, responses, strict=True)]


def score_response(instruction: str, response: str) -> float:
    """The share of the instruction's long words that the response takes up."""
    if response.lower().startswith(REFUSALS):
        return 1.0
    words = {word for word in instruction.lower().split() if len(word) > 4}
    shared = words & set(response.lower().split())
    return 1.0 + 99.0 * len(shared) / max(len(words), 1)


def main() -> None:
    """Select, and print the best rows."""
    selection = tacos.select(SAMPLE, n=10, judge=judge_relevance)
    best = selection.scores.sort("score", descending=True, nulls_last=True).head(3)
    for row in best.iter_rows(named=True):
        print(f"{row['score']:5.1f}  {row['id']}")


if __name__ == "__main__":
    main()
