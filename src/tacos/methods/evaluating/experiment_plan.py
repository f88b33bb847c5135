"""The plan of an experiment: what is compared with what, and by which instrument the question is
decided. It is written down, with a hash, before anything is trained.

An instrument that is chosen after the results are known finds something: with twenty figures, one
in twenty is "significant" by chance. So one instrument and two comparisons are primary, and all
others are shown beside them without a verdict of their own (Miller 2024, arXiv 2411.00640).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import orjson
from pydantic import Field, model_validator

from tacos.config.section import SettingsSection

ArmName = Literal[
    "selection",
    "random",
    "longest",
    "length-matched",
    "full",
    "untrained",
]
InstrumentName = Literal[
    "answer-loss",
    "preference",
    "preference-matched",
    "duels",
]
Match = Literal["rows", "tokens"]

ARMS: dict[ArmName, str] = {
    "selection": "the rows that tacos selected",
    "random": "random rows, a new draw per seed",
    "longest": "the rows with the longest answers",
    "length-matched": "random rows whose answers are as long as those of the selection",
    "full": "all rows of the pool, once",
    "untrained": "the base model as it was",
}
"""Arm -> what it is trained on."""
INSTRUMENTS: dict[InstrumentName, str] = {
    "answer-loss": "loss on answers that people wrote, in nats per token",
    "preference": "share of pairs in which the model finds the better answer more likely per token",
    "preference-matched": "the same, on pairs of answers of about the same length",
    "duels": "win score against another arm by a judge, both orders, a flip half",
}
"""Instrument -> what it measures."""
LOWER_IS_BETTER: frozenset[InstrumentName] = frozenset({"answer-loss"})
PRIMARY_COMPARISONS: tuple[tuple[ArmName, ArmName], ...] = (
    ("selection", "random"),
    ("selection", "longest"),
)
"""What is decided, with Holm's correction over the two."""
UNSEEDED_ARMS: frozenset[ArmName] = frozenset({"full", "untrained"})
"""Arms that are trained once, or never: for the speed claim, and as an anchor."""
LAST_ARMS: tuple[ArmName, ...] = ("untrained", "full")
"""Those arms in the order in which they are scored: the full pool takes the longest."""
FEW_SEEDS = 5
"""With fewer seeds, the spread between trainings is hardly known."""


class Instrument(SettingsSection):
    """One way to measure a model, on fixed items."""

    name: InstrumentName
    n_items: int = Field(ge=1)
    items_hash: str
    """What the items are: a hash of their texts."""
    sources: dict[str, int]
    """File -> items that are from it."""
    strata: dict[str, int]
    """Stratum of length -> items."""


class PlannedArm(SettingsSection):
    """One arm, and the trainings that it takes."""

    name: ArmName
    seeds: tuple[int, ...]
    """A training each; of the untrained base none takes place."""
    n_rows: tuple[int, ...]
    """Rows that each training reads; 0 of the untrained base."""
    rows_hashes: tuple[str, ...]
    """Which rows they are: a hash of their contents for each training."""


INSTRUCT_START = " (instruct start)"
"""What follows the name of a base model that had been tuned to follow instructions before."""


class ExperimentPlan(SettingsSection):
    """All that decides what an experiment finds, fixed before it begins."""

    version: Literal[1] = 1
    n_pool: int = Field(ge=1)
    """Rows of the pool, after the removal of what the instruments ask, too."""
    pool_hash: str
    n_selected: int = Field(ge=1)
    selection_hash: str
    removed: dict[str, int]
    """Why rows of the pool were taken out of all arms -> rows."""
    recipe: str
    recipe_hash: str
    base_model: str
    """Its name, which ends in `INSTRUCT_START` where it had been tuned before."""
    base_model_hash: str
    max_length: int = Field(ge=1)
    """Tokens at which rows and items are cut."""
    match: Match
    """What all arms have alike: rows, or tokens of answers."""
    arms: tuple[PlannedArm, ...]
    instruments: tuple[Instrument, ...]
    primary: InstrumentName
    """The instrument that decides."""
    comparisons: tuple[tuple[ArmName, ArmName], ...] = PRIMARY_COMPARISONS
    """The pairs of arms that it decides about."""
    judge: str = ""
    """The judge of duels; empty where there are none."""
    is_circular: bool = False
    """Whether the judge of duels also selected: then it rewards its own taste."""
    n_draws: int = Field(ge=1)
    """Draws of the hierarchical bootstrap, of seeds and of items."""
    seed: int = 0
    """Of the items, the draws of rows and the bootstrap."""

    @model_validator(mode="after")
    def _check_names(self) -> ExperimentPlan:
        """A primary instrument and the arms of its comparisons must be in the plan."""
        names = [instrument.name for instrument in self.instruments]
        if self.primary not in names:
            raise ValueError(
                f"the primary instrument {self.primary} is not measured; "
                f"measured: {', '.join(names)}"
            )
        arms = {arm.name for arm in self.arms}
        for pair in self.comparisons:
            for name in pair:
                if name not in arms:
                    raise ValueError(f"the arm {name} is compared, but not in the plan")
        return self

    def hash(self) -> str:
        """32 hex digits that change with anything in the plan."""
        content = orjson.dumps(
            self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS
        )
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    @property
    def is_instruct_start(self) -> bool:
        """Whether the base model had been tuned to follow instructions before."""
        return self.base_model.endswith(INSTRUCT_START)

    def find_arm(self, name: ArmName) -> PlannedArm | None:
        """An arm by its name; None where the plan has none of it."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def list_trainings(self) -> list[tuple[ArmName, int]]:
        """Arm and seed of every model to be scored, those that decide first.

        The full pool is last: it takes the longest, and no verdict needs it.
        """
        seeded = [arm for arm in self.arms if arm.name not in UNSEEDED_ARMS]
        seeds = sorted({seed for arm in seeded for seed in arm.seeds})
        trainings: list[tuple[ArmName, int]] = []
        # Seed by seed, so that an experiment cut short has whole rounds.
        for seed in seeds:
            trainings += [(arm.name, seed) for arm in seeded if seed in arm.seeds]
        for name in LAST_ARMS:
            arm = self.find_arm(name)
            if arm is not None:
                trainings += [(arm.name, seed) for seed in arm.seeds]
        return trainings


def compare_plans(old: ExperimentPlan, new: ExperimentPlan) -> list[str]:
    """What differs between two plans, a phrase each: `seeds: 2, not 3`."""
    names = {
        "n_pool": "rows of the pool",
        "n_selected": "selected rows",
        "recipe": "recipe",
        "base_model": "base model",
        "max_length": "max_length",
        "match": "match",
        "primary": "primary",
        "judge": "judge",
        "seed": "seed",
    }
    phrases = [
        f"{words}: {getattr(old, name)}, not {getattr(new, name)}"
        for name, words in names.items()
        if getattr(old, name) != getattr(new, name)
    ]
    phrases += _compare_arms(old, new) + _compare_instruments(old, new)
    others = {
        "pool_hash": "other rows in the pool",
        "selection_hash": "other selected rows",
        "recipe_hash": "other values in the recipe",
        "base_model_hash": "other files of the base model",
        "removed": "other rows taken out of the pool",
        "comparisons": "other comparisons",
    }
    if not phrases:
        phrases = [
            words
            for name, words in others.items()
            if getattr(old, name) != getattr(new, name)
        ]
    if not phrases and old != new:
        phrases = ["other rows in the arms, or rules of another version of tacos"]
    return phrases


def _compare_arms(old: ExperimentPlan, new: ExperimentPlan) -> list[str]:
    """How the arms and their seeds differ."""
    before, after = ({arm.name: arm for arm in plan.arms} for plan in (old, new))
    if [*before] != [*after]:
        return [f"arms: {', '.join(before)}, not {', '.join(after)}"]
    pairs = [(arm, after[name]) for name, arm in before.items()]
    for arm, other in pairs:
        if arm.seeds != other.seeds:
            return [f"seeds: {len(arm.seeds)}, not {len(other.seeds)}"]
    return []


def _compare_instruments(old: ExperimentPlan, new: ExperimentPlan) -> list[str]:
    """How the instruments and their items differ."""
    before, after = ({one.name: one for one in plan.instruments} for plan in (old, new))
    if [*before] != [*after]:
        return [f"instruments: {', '.join(before)}, not {', '.join(after)}"]
    phrases = []
    for name, one in before.items():
        other = after[name]
        if one.n_items != other.n_items:
            phrases.append(f"items of {name}: {one.n_items}, not {other.n_items}")
        elif one.items_hash != other.items_hash:
            phrases.append(f"items of {name}: other ones")
    return phrases
