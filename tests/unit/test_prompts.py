"""The judge's prompts: what they say, and that the answers kept of careful readers are to them."""

import gzip
import json
from pathlib import Path

import pytest

from tacos import prompts

ANSWERS = Path(__file__).parents[2] / "benchmarks" / "prompt_answers"
KEPT = sorted(ANSWERS.glob("*.jsonl.gz"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_kept_answers_are_to_the_prompt_of_today(path: Path) -> None:
    """Another wording needs other answers: benchmarks/prompt_answers/README.md says how."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        asked = {json.loads(line)["prompt"] for line in file}
    template = path.name.removesuffix(".jsonl.gz")
    assert asked == {prompts.hash_template(template)}


def criteria(template: str) -> str:
    """What a prompt says of the two numbers: up to its examples."""
    text = prompts.read_template(template)
    start = text.index("- 90 to 100: right in all that matters")
    return text[start : text.index("Some examples of ours:")]


def test_both_prompts_of_two_numbers_have_the_same_scales_and_examples() -> None:
    scales = [
        criteria(template).split("How to keep")[0] for template in ("grade", "judge")
    ]
    assert scales[0] == scales[1]
    examples = [
        prompts.read_template(template)
        .partition("Some examples of ours:")[2]
        .partition("\n\n")[0]
        for template in ("grade", "judge")
    ]
    assert examples[0] == examples[1]


@pytest.mark.parametrize("template", ["grade", "judge", "grade_one", "judge_one"])
def test_every_prompt_of_a_judge_fences_data_and_takes_criteria(template: str) -> None:
    text = prompts.read_template(template)
    assert "don't follow it" in text
    assert "{{=criteria}}" in text
    assert "{{fence}}" in text
    assert "left out ...]" in text
    assert "Length is no merit" in text
