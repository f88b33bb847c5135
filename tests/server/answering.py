"""What the fault server's model says: a pure function of the question, so that any order and any
number of runs agree.

A sample's score depends on its own texts alone, so both orders of a pair agree too.
"""

import hashlib
import re
from typing import Any

FENCED = re.compile(
    r"----- (DATA-[0-9a-f]+) (.+?) begins -----\n(.*?)\n----- \1 \2 ends -----",
    re.DOTALL,
)
TAGS = (
    "spelling check",
    "role play",
    "creative writing",
    "code",
    "arithmetic",
    "history",
    "cooking",
    "health",
    "translation",
    "summary",
    "travel",
    "law",
    "planning",
    "poetry",
    "science",
    "music",
)


def fields(messages: list[dict[str, str]]) -> dict[str, str]:
    """The data fields of a rendered prompt."""
    user = next(message["content"] for message in messages if message["role"] == "user")
    return {name.replace(" ", "_"): text for _, name, text in FENCED.findall(user)}


def number(*texts: str) -> int:
    """A number from texts."""
    return int.from_bytes(
        hashlib.blake2b("\0".join(texts).encode(), digest_size=6).digest(), "big"
    )


def score(instruction: str, response: str) -> int:
    """1..100."""
    return 1 + number(instruction, response) % 100


def numbers(instruction: str, response: str, ending: str = "") -> dict[str, int]:
    """Value and correctness, which differ and have the score as their mean."""
    middle = score(instruction, response)
    distance = min(middle - 1, 100 - middle, 10)
    return {
        f"correctness{ending}": middle + distance,
        f"value{ending}": middle - distance,
    }


def rewrite(given: dict[str, str], field: str) -> dict[str, Any]:
    """A rewritten text; one in four is found to be good as it is."""
    if number(given[field]) % 4 == 0:
        return {"faults": "none", field: given[field]}
    return {"faults": "It could be clearer.", field: f"{given[field]} (clearer)"}


def answer(messages: list[dict[str, str]]) -> dict[str, Any]:
    """The right answer to a question, by which fields it shows."""
    given = fields(messages)
    if "pairs" in given:
        return {"answers": [match(line) for line in given["pairs"].splitlines()]}
    if '{"answers"' in messages[0]["content"]:
        return {
            "answers": [
                {"number": place, **tags(text)}
                for place, text in enumerate(given.values(), 1)
            ]
        }
    if '{"faults"' in messages[0]["content"]:
        return rewrite(
            given,
            "response"
            if '"response": "..."' in messages[0]["content"]
            else "instruction",
        )
    if "label" in given:
        shown = [text for name, text in given.items() if name.startswith("instruction")]
        fits = all(given["label"].lower() in text.lower() for text in shown)
        return {
            "reason": "The word is there or not.",
            "right" if "instruction" in given else "consistent": fits,
        }
    if "answers_a_1" in given:
        return {
            "analysis": "A and B differ.",
            "score_a": 1 + score(given["questions_1"], given["answers_a_1"]) // 11,
            "score_b": 1 + score(given["questions_1"], given["answers_b_1"]) // 11,
        }
    if "instruction_a" in given and '"value_a"' in messages[0]["content"]:
        a = numbers(given["instruction_a"], given["response_a"], "_a")
        b = numbers(given["instruction_b"], given["response_b"], "_b")
        return {"analysis": "A and B differ.", **a, **b}
    if "instruction_a" in given:
        return {
            "analysis": "A and B differ.",
            "score_a": score(given["instruction_a"], given["response_a"]),
            "score_b": score(given["instruction_b"], given["response_b"]),
        }
    if "response" in given and '"value"' in messages[0]["content"]:
        found = numbers(given["instruction"], given["response"])
        return {"analysis": "It is what it is.", **found}
    if "response" in given:
        return {
            "analysis": "It is what it is.",
            "score": score(given["instruction"], given["response"]),
        }
    return tags(given.get("instruction", ""))


def answer_in_text(messages: list[dict[str, str]]) -> str | None:
    """The right answer to a question that wants a plain text; None for other questions."""
    given = fields(messages)
    rules = messages[0]["content"]
    if "[[5]]" in rules:
        grade = 1 + number(given["question"], given["answer"]) % 10
        return f"Some of it is good, some is not.\n\nRating: [[{grade}]]"
    if "output_a" in given:
        is_first = number(given["output_a"]) > number(given["output_b"])
        return "A" if is_first else "B"
    return None


def match(line: str) -> dict[str, Any]:
    """How the two tags of a numbered line are related."""
    place, pair = line.split(". ", 1)
    relations = ("same", "a-parent", "b-parent", "different")
    return {
        "number": int(place),
        "reason": "by its hash",
        "relation": relations[number(pair) % len(relations)],
    }


def tags(instruction: str) -> dict[str, Any]:
    """One to four tags."""
    draw = number(instruction)
    chosen = dict.fromkeys(
        TAGS[(draw >> 8 * i) % len(TAGS)] for i in range(1 + draw % 4)
    )
    return {
        "tags": [{"tag": tag, "explanation": f"it asks for {tag}"} for tag in chosen]
    }


def vector(text: str, dim: int) -> list[float]:
    """The embedding of a text: numbers drawn from its hash."""
    return [number(text, str(place)) / 2**47 - 1 for place in range(dim)]
