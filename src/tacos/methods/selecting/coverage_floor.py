"""Raise the price of a tag where a selection would cover fewer tags than random rows do.

The best rows by score are much alike, so they cover fewer tags than as many random rows, and how
many fewer depends on their share of the pool: a fixed price that is enough for a fifth of 2,000
rows is not for a fiftieth of 52,000. The demand is on the tags covered,

    maximise   sum of expected quality   subject to   tags covered >= tags of as many random rows

and the price of a tag is its multiplier. `select.tag_price` is the least that a tag counts; the
price rises in steps up to `MOST` times as much, to the first step that meets the demand. It is
still weighed by 1 - reliability: a judge that says everything ranks.

What it does not know: whether the tags are right, or which of them matter.
"""

from __future__ import annotations

from collections.abc import Callable

MOST = 4.0
"""The largest price, as a multiple of the one that is set."""
N_STEPS = 8


def scale_price(step: int) -> float:
    """The multiple of the price at a step, 0 to `N_STEPS`.

    >>> scale_price(0), scale_price(N_STEPS)
    (1.0, 4.0)
    """
    return float(MOST ** (step / N_STEPS))


def find_step(
    count_tags: Callable[[int], int],
    goal: float,
) -> int:
    """The first step at which a selection covers at least `goal` tags; the last one if none does.

    `count_tags` selects at the price of a step and counts tags, which takes a while; the steps
    between are halved, since a higher price covers more.

    >>> find_step(lambda step: 10 + step, goal=12.5)
    3
    """
    if count_tags(0) >= goal:
        return 0
    # The first step that is enough lies above `short` and is at most `enough`.
    short, enough = 0, N_STEPS
    while enough - short > 1:
        middle = (short + enough) // 2
        if count_tags(middle) >= goal:
            enough = middle
        else:
            short = middle
    return enough
