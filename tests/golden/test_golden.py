"""The golden run: 40 instructions of the bundled sample through both presets, compared with what
they gave before.

A difference is no error in itself, but it must be wanted: look at it, then `python -m
tests.golden.test_golden` writes the new files. Scores are compared to 0.05 points, since the last
bits of a product differ between processors.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import tacos

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "demo" / "sample.jsonl"
N_ROWS = 40


def result(preset: str) -> list[dict[str, Any]]:
    """What a preset selects of the first rows."""
    rows = [
        json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()[:N_ROWS]
    ]
    settings = {"normalise": {"encoder": "static"}, "cluster": {"encoder": "static"}}
    chosen = tacos.select(rows, n=10, preset=preset, settings=settings)
    return chosen.scores.select("id", "rank", "rule", "score", "tags").to_dicts()


@pytest.mark.parametrize("preset", ["robust", "paper"])
def test_the_run_is_what_it_was(preset: str) -> None:
    expected = json.loads((HERE / f"{preset}.json").read_text("utf-8"))
    found = result(preset)
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    assert [row["tags"] for row in found] == [row["tags"] for row in expected]
    assert [row["score"] for row in found] == pytest.approx(
        [row["score"] for row in expected], abs=0.05
    )


if __name__ == "__main__":
    for name in ("robust", "paper"):
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in result(name))
        (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")
