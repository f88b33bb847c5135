"""What a row adds to a selection, in words."""

from __future__ import annotations

from tacos.methods.selecting.gain_turns import RowGain


def describe_gain(gain: RowGain, *, names_tags: bool = False) -> str:
    """Score and new tags, and their sum; the tags by name where asked for.

    >>> describe_gain(RowGain("a", 57.168, ("Poetry",), 2.41), names_tags=True)
    'score 57.17 + 2.41 for 1 new tag (Poetry) = 59.58'
    >>> describe_gain(RowGain("a", 57.168, (), 0.0))
    'score 57.17'
    >>> describe_gain(RowGain("a", 69.224, ("Poetry",), 4.194))
    'score 69.22 + 4.20 for 1 new tag = 73.42'
    """
    n_new_tags = len(gain.new_tags)
    tags = f"{n_new_tags} new tag{'' if n_new_tags == 1 else 's'}"
    if names_tags and gain.new_tags:
        tags += f" ({', '.join(gain.new_tags)})"
    if gain.worth is None:
        return f"{tags} (scores count for nothing here)"
    if not gain.worth:
        return f"score {gain.score:.2f}"
    return f"score {gain.score:.2f} + {_find_worth(gain):.2f} for {tags} = {gain.total:.2f}"


def describe_rival(gain: RowGain, what: str, place: str) -> str:
    """What another row added: the sum first, to compare with; then who it is, and of what the sum
    is made. `what` says why it is looked at, `place` its rank.

    >>> describe_rival(RowGain("a", 57.168, ("Poetry",), 2.41), "the last row taken", "rank 9 of 9")
    'the 59.58 of the last row taken (a, rank 9 of 9; score 57.17 + 2.41 for 1 new tag)'
    >>> describe_rival(RowGain("a", 57.168, (), 0.0), "the last row taken", "rank 9 of 9")
    'the 57.17 of the last row taken (a, rank 9 of 9)'
    """
    who = f"of {what} ({gain.id}, {place}"
    if gain.worth is None:
        return f"the {len(gain.new_tags)} {who})"
    if not gain.worth:
        return f"the {gain.score:.2f} {who})"
    parts = describe_gain(gain).rpartition(" = ")[0]
    return f"the {gain.total:.2f} {who}; {parts})"


def _find_worth(gain: RowGain) -> float:
    """The points for new tags: score and sum are compared with others, so what rounding leaves
    over is shown here.
    """
    return round(gain.total, 2) - round(gain.score, 2)
