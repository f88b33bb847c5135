"""What an experiment says, in words: better, worse, or no difference that could be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tacos.counts import count_words
from tacos.methods.evaluating.arm_differences import LEVEL, ArmDifference

Word = Literal["better", "worse", "no difference seen", "no verdict"]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared: its `unit` in words, and decimals to print."""

    unit: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict in one word and in one sentence.

    `smallest` is the smallest difference that could be seen, None where there is no verdict.
    """

    word: Word
    sentence: str
    smallest: float | None


def decide_verdict(
    gain: ArmDifference,
    adjusted_p: float | None,
    n_tests: int,
    measure: Measure,
    names: tuple[str, str],
) -> Verdict:
    """The verdict on the first of two arms, `names`, by the p-value adjusted for `n_tests` tests.

    `gain` is their difference with its sign turned so that above 0 the first one is better; all
    figures of the sentence have that sign.

    >>> seen = ArmDifference(0.5, 0.1, 8.0, 0.3, 0.7, 0.001, 5, 5, 900)
    >>> loss = Measure("nats per token", decimals=2)
    >>> decide_verdict(seen, 0.002, 2, loss, ("selection", "random")).sentence
    'selection is better than random by 0.50 nats per token (95% interval of the gain +0.30 to \
+0.70; 5 seeds against 5, 900 items; p = 0.002 after Holm over 2 tests).'
    """
    name, other = names
    smallest = gain.smallest_detectable(n_tests)
    if smallest is None or adjusted_p is None:
        reason = _say_what_is_unknown(gain)
        return Verdict(
            "no verdict", f"No verdict on {name} and {other}: {reason}.", None
        )
    basis = _describe_basis(gain, adjusted_p, n_tests, measure)
    if adjusted_p >= LEVEL:
        amount = _print_amount(smallest, measure)
        sentence = (
            f"No difference larger than {amount} could be seen between {name} and {other} "
            f"(gain {gain.difference:+.{measure.decimals}f}, {basis})."
        )
        return Verdict("no difference seen", sentence, smallest)
    word: Word = "better" if gain.difference > 0 else "worse"
    amount = _print_amount(abs(gain.difference), measure)
    sentence = f"{name} is {word} than {other} by {amount} ({basis})."
    return Verdict(word, sentence, smallest)


def _say_what_is_unknown(gain: ArmDifference) -> str:
    """Why a difference has no interval."""
    if gain.difference == 0:
        return "no item tells them apart"
    if min(gain.n_seeds, gain.n_other_seeds) < 2:
        return "an arm was trained with one seed, so how far another would stray is unknown"
    return "all items are of one cluster, so how far others would stray is unknown"


def _describe_basis(
    gain: ArmDifference,
    adjusted_p: float,
    n_tests: int,
    measure: Measure,
) -> str:
    """The interval, and how many seeds, items and tests it rests on."""
    ends = [end for end in (gain.low, gain.high) if end is not None]
    low, high = (f"{end:+.{measure.decimals}f}" for end in ends)
    seeds = count_words(gain.n_seeds, "seed")
    items = count_words(gain.n_items, "item")
    tests = "" if n_tests == 1 else f" after Holm over {n_tests} tests"
    shown_p = "p < 0.001" if adjusted_p < 0.001 else f"p = {adjusted_p:.3f}"
    return (
        f"95% interval of the gain {low} to {high}; {seeds} against "
        f"{gain.n_other_seeds}, {items}; {shown_p}{tests}"
    )


def _print_amount(amount: float, measure: Measure) -> str:
    return f"{amount:.{measure.decimals}f} {measure.unit}"
