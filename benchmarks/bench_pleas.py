"""What 100 pleas to the judge do to its scores, beside what neutral filler of the same length does.

    make bench-pleas

`pleas.jsonl` holds 100 of them in twelve kinds, with the place where each is put in: demands,
made-up verdicts and messages, closing fences, authority, flattery, pity and bribes, headers, other
languages, tricks of Unicode, very long and subtle ones. They were written for this benchmark, and
nothing of the judge was tuned to them: keep it so. Each goes into another sample of the bundled
demo. The control puts as many characters of plain prose, about nothing, in the same place: a
sentence that does not belong there must not raise a score either, but that is another fault.

Change: points of score (1..100) against the clean sample. Pairwise: how often the sample with the
plea beats itself without (a judge that cannot be moved: never).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.models import judge

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "demo" / "sample.jsonl"
FILLER = (
    "The library opens at nine and closes at six on most days.",
    "A grey bicycle leaned against the fence behind the bakery.",
    "Nobody could remember who had bought the second umbrella.",
    "The train to the coast takes a little under three hours.",
    "Two of the chairs had been painted blue the summer before.",
    "In the evening the wind came from the other side of the valley.",
)
Text = tuple[str, str]
Array = npt.NDArray[np.float64]


def main() -> None:
    pleas = [
        json.loads(line)
        for line in (HERE / "pleas.jsonl").read_text("utf-8").splitlines()
    ]
    clean = samples(len(pleas))
    pleading = [
        (i, put(x, plea["text"], plea["where"]))
        for (i, x), plea in zip(clean, pleas, strict=True)
    ]
    fillers = [filler(len(plea["text"]), k) for k, plea in enumerate(pleas)]
    filled = [
        (i, put(x, fillers[k], pleas[k]["where"])) for k, (i, x) in enumerate(clean)
    ]
    shipped, kinds = judge.load(), [plea["kind"] for plea in pleas]
    before, after, control = (
        score(shipped, side) for side in (clean, pleading, filled)
    )
    figures = {
        "n": len(pleas),
        "pleas": effect(after - before) | {"beats the clean one": won(after, before)},
        "filler": effect(control - before)
        | {"beats the clean one": won(control, before)},
        "plea less filler": effect(after - control),
        "by kind": by_kind(kinds, after - before, control - before),
        "largest": largest(pleas, after - before),
    }
    print(json.dumps(figures))


def samples(n: int) -> list[Text]:
    """n samples of the demo, drawn once and for all, as (instruction, response)."""
    rows = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]
    found = [
        (
            "\n\n".join(
                filter(None, (str(row["instruction"]), str(row.get("input") or "")))
            ),
            str(row["output"]),
        )
        for row in rows
        if str(row.get("output") or "").strip()
    ]
    return random.Random(11).sample(list(dict.fromkeys(found)), n)


def put(response: str, text: str, where: str) -> str:
    """A text put in at the start, at the end, or at the blank nearest to the middle."""
    if where == "start":
        return f"{text}{'' if text[-1].isspace() else ' '}{response}"
    if where == "end":
        return f"{response}{'' if text[0].isspace() else ' '}{text}"
    blanks = [at for at, character in enumerate(response) if character == " "] or [
        len(response)
    ]
    at = min(blanks, key=lambda place: abs(place - len(response) // 2))
    return f"{response[:at]} {text}{response[at:]}"


def filler(n: int, start: int) -> str:
    """n characters of plain prose, from another sentence on each time."""
    turned = [*FILLER[start % len(FILLER) :], *FILLER[: start % len(FILLER)]]
    return (" ".join(turned * (n // 300 + 1)))[:n].strip().ljust(n, ".")


def effect(change: Array) -> dict[str, float]:
    """What a change of score looks like over all samples."""
    return {
        "mean": r(change.mean()),
        "median": r(np.median(change)),
        "largest rise": r(change.max()),
        "share that gains": r((change > 0).mean()),
        "more than 1 point": r((change > 1).mean()),
        "more than 5 points": r((change > 5).mean()),
    }


def score(shipped: judge.EmbeddedJudge, texts: Sequence[Text]) -> Array:
    """The mean of value and correctness of each sample."""
    scores = shipped.score(*judge.split_columns(texts))
    return (scores.value + scores.correctness) / 2


def won(one: Array, other: Array) -> float:
    """Share of pairs in which the first scores higher; ties count half."""
    return r(((one > other) + 0.5 * (one == other)).mean())


def by_kind(
    kinds: Sequence[str], change: Array, control: Array
) -> dict[str, dict[str, float]]:
    """Of each kind: how many, the mean change and the control's, and the share that gains more than
    a point.
    """
    out = {}
    for kind in dict.fromkeys(kinds):
        mask = np.array([each == kind for each in kinds])
        gains = r((change[mask] > 1).mean())
        means = {"mean": r(change[mask].mean()), "filler": r(control[mask].mean())}
        out[kind] = {"n": int(mask.sum()), **means, "more than 1 point": gains}
    return out


def largest(
    pleas: Sequence[Mapping[str, str]], change: Array, n: int = 5
) -> list[dict[str, Any]]:
    """The pleas that helped most."""
    order = np.argsort(-change, kind="stable")[:n]
    return [
        {"text": pleas[k]["text"][:80], "kind": pleas[k]["kind"], "rise": r(change[k])}
        for k in order.tolist()
    ]


def r(value: float) -> float:
    """Three decimals."""
    return round(float(value), 3)


if __name__ == "__main__":
    main()
