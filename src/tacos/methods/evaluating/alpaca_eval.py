"""AlpacaEval 2.0 (Dubois et al., arXiv 2404.04475, 2024): how often a model's output is preferred
to a baseline's, as it is and at equal length.

A win rate is that of all 805 instructions, or it says how many it rests on. The fit at equal length
needs to know how easy each instruction is; without that it is refused where it is known to be
worse than the raw rate (`length_control`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tacos.counts import count_words
from tacos.methods.evaluating.annotations import Annotation
from tacos.methods.evaluating.clustered_means import (
    CONFIDENCE_Z,
    POWER_Z,
    MeanEstimate,
    estimate_difference,
    estimate_mean,
)
from tacos.methods.evaluating.length_control import (
    HIGHEST_WITHOUT_EASES,
    LOWEST_WITHOUT_EASES,
    RateDraws,
    bootstrap_win_rate,
    estimate_eases,
    fit_win_rate,
    scale_length_differences,
)

Floats = npt.NDArray[np.float64]
Eases = Mapping[str, float]
"""Hash of an instruction -> how easily any model beats the baseline on it, in log-odds."""

N_INSTRUCTIONS = 805
"""Of AlpacaEval."""
PAIRED_DEVIATION = 0.22
"""The standard deviation of two weak models' difference in preference: measured on the published
annotations.
"""
FEWEST_INSTRUCTIONS = 10
"""Instructions that a rate at equal length is fitted to."""
FEWEST_MODELS = 5
"""Models that eases are estimated from: fewer say more about themselves than about instructions."""


@dataclass(frozen=True, slots=True)
class LengthControlledRate:
    """A win rate at equal length, from 0 to 1, with what resampling the instructions gives."""

    rate: float
    draws: RateDraws
    length_weight: float
    """In log-odds; negative, for a judge that likes length."""


@dataclass(frozen=True, slots=True)
class AlpacaScore:
    """The win rates of one model."""

    raw: MeanEstimate
    discrete: float
    """The share of instructions whose preference is above one half; ties count half."""
    controlled: LengthControlledRate | None
    reason: str
    """Why there is no rate at equal length; "" where there is one."""
    mean_length: float
    mean_baseline_length: float
    n_flips: int | None
    """Instructions on which the two orders chose different outputs; None for one order."""
    n_weighed: int | None
    """Preferences that are of log-probabilities; None where that is not known."""


def estimate_instruction_eases(annotations: Sequence[Annotation]) -> Eases:
    """The ease of every instruction, from the annotations of several models.

    Raises:
        ValueError: They are of fewer than `FEWEST_MODELS` models, or against several baselines.
    """
    known = [each for each in annotations if each.preference is not None]
    models = sorted({each.model for each in known})
    if len(models) < FEWEST_MODELS:
        raise ValueError(
            f"annotations of {count_words(len(models), 'model')}; at least {FEWEST_MODELS} are "
            "needed to tell how hard an instruction is"
        )
    baselines = sorted({each.baseline for each in known})
    if len(baselines) > 1:
        raise ValueError(f"the models met different baselines: {', '.join(baselines)}")
    hashes = sorted({each.instruction for each in known})
    model_numbers = {model: number for number, model in enumerate(models)}
    hash_numbers = {name: number for number, name in enumerate(hashes)}
    of_model = np.array([model_numbers[each.model] for each in known])
    lengths = np.zeros(len(known))
    baseline_lengths = np.array([each.baseline_length for each in known])
    own_lengths = np.array([each.length for each in known])
    # Lengths are scaled within each model, as when it is scored.
    for number in range(len(models)):
        rows = of_model == number
        lengths[rows] = scale_length_differences(
            baseline_lengths[rows], own_lengths[rows]
        )
    eases = estimate_eases(
        np.array([each.preference for each in known], dtype=np.float64),
        lengths,
        of_model,
        np.array([hash_numbers[each.instruction] for each in known]),
    )
    return dict(zip(hashes, eases.tolist(), strict=True))


def score_annotations(
    annotations: Sequence[Annotation], eases: Eases | None, seed: int
) -> AlpacaScore:
    """The win rates of one model, whose annotations all have a preference.

    Raises ValueError if one is missing, or an instruction has no ease.
    """
    ordered = sorted(annotations, key=lambda each: each.instruction)
    missing = [each for each in ordered if each.preference is None]
    if missing:
        raise ValueError(f"missing: {count_words(len(missing), 'preference')}")
    preferences = np.array([each.preference for each in ordered], dtype=np.float64)
    own_lengths = np.array([each.length for each in ordered])
    baseline_lengths = np.array([each.baseline_length for each in ordered])
    raw = estimate_mean(preferences, np.arange(len(ordered)), (0, 1))
    controlled = None
    reason = _explain_refusal(raw, eases)
    if not reason:
        lengths = scale_length_differences(baseline_lengths, own_lengths)
        controlled = _control_length(
            preferences, lengths, _align_eases(ordered, eases), seed
        )
    flips = [each.is_flip for each in ordered if each.is_flip is not None]
    weighed = [each.is_weighed for each in ordered if each.is_weighed is not None]
    wins = (preferences > 0.5).mean() + (preferences == 0.5).mean() / 2
    return AlpacaScore(
        raw=raw,
        discrete=float(wins),
        controlled=controlled,
        reason=reason,
        mean_length=float(own_lengths.mean()),
        mean_baseline_length=float(baseline_lengths.mean()),
        n_flips=sum(flips) if flips else None,
        n_weighed=sum(weighed) if weighed else None,
    )


def compare_annotations(
    annotations: Sequence[Annotation], others: Sequence[Annotation]
) -> MeanEstimate:
    """The difference of two models' raw win rates, by the instructions that both have.

    A missing preference is no 0: its instruction is left out. Raises ValueError if they have none
    in common.
    """
    own = _index_preferences(annotations)
    theirs = _index_preferences(others)
    common = sorted(own.keys() & theirs.keys())
    numbers = {name: number for number, name in enumerate(common)}
    return estimate_difference(
        {name: own[name] for name in common},
        {name: theirs[name] for name in common},
        numbers,
    )


def guess_detectable_difference(n_instructions: int) -> float:
    """The smallest difference of two win rates that so many instructions usually show.

    >>> round(guess_detectable_difference(805), 3)
    0.022
    """
    error = PAIRED_DEVIATION / float(np.sqrt(n_instructions))
    return (CONFIDENCE_Z + POWER_Z) * error


def _index_preferences(annotations: Sequence[Annotation]) -> dict[str, float]:
    """The preference of each instruction that has one."""
    return {
        each.instruction: each.preference
        for each in annotations
        if each.preference is not None
    }


def _explain_refusal(raw: MeanEstimate, eases: Eases | None) -> str:
    """Why there is no rate at equal length; "" where there may be one."""
    if raw.n < FEWEST_INSTRUCTIONS:
        return f"{raw.n} instructions are too few to fit a judge's liking for length"
    if eases is not None or LOWEST_WITHOUT_EASES <= raw.mean <= HIGHEST_WITHOUT_EASES:
        return ""
    return (
        f"the raw rate is {raw.mean:.1%}; outside {LOWEST_WITHOUT_EASES:.0%} to "
        f"{HIGHEST_WITHOUT_EASES:.0%} a fit that does not know how hard each instruction is lies "
        "further from the leaderboard than the raw rate (6.2 points against 4.8 on average): name "
        "annotations of many models (--difficulty)"
    )


def _align_eases(ordered: Sequence[Annotation], eases: Eases | None) -> Floats:
    """The ease of each annotation's instruction; 0 for all where none is known."""
    if eases is None:
        return np.zeros(len(ordered))
    unknown = [each.instruction for each in ordered if each.instruction not in eases]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(ordered)} instructions have no difficulty, among them "
            f"{unknown[0]}"
        )
    return np.array([eases[each.instruction] for each in ordered])


def _control_length(
    preferences: Floats, lengths: Floats, eases: Floats, seed: int
) -> LengthControlledRate:
    """The rate at equal length."""
    fit = fit_win_rate(preferences, lengths, eases)
    draws = bootstrap_win_rate(preferences, lengths, eases, seed)
    return LengthControlledRate(fit.win_rate, draws, fit.length_weight)
