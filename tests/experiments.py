"""Made experiments: what tests of the plan, the table and the report of one share."""

from tacos.methods.evaluating.experiment_plan import (
    ARMS,
    UNSEEDED_ARMS,
    ArmName,
    ExperimentPlan,
    Instrument,
    PlannedArm,
)
from tacos.methods.evaluating.experiment_results import (
    ArmComparison,
    DuelCounts,
    ExperimentResults,
    SpeedClaim,
    TrainedArm,
)

STRATA = {"short": 40, "medium": 40, "long": 40}
SEEDS = (0, 1)


def make_plan(**changes: object) -> ExperimentPlan:
    """A plan of all arms with two seeds and three instruments."""
    arms = []
    for name in ARMS:
        seeds = (0,) if name in UNSEEDED_ARMS else SEEDS
        n_rows = {"full": 3000, "untrained": 0}.get(name, 100)
        arms.append(
            PlannedArm(
                name=name,
                seeds=seeds,
                n_rows=(n_rows,) * len(seeds),
                rows_hashes=("9" * 32,) * len(seeds),
            )
        )
    values: dict[str, object] = {
        "n_pool": 3000,
        "pool_hash": "a" * 32,
        "n_selected": 100,
        "selection_hash": "b" * 32,
        "removed": {"the same as a held-out question": 4},
        "recipe": "small",
        "recipe_hash": "c" * 32,
        "base_model": "gemma-3-270m",
        "base_model_hash": "d" * 32,
        "max_length": 256,
        "match": "rows",
        "arms": tuple(arms),
        "instruments": (
            make_instrument("answer-loss", STRATA),
            make_instrument("preference", {"short": 70, "long": 50}),
            make_instrument("preference-matched", {"short": 60}),
        ),
        "primary": "answer-loss",
        "n_draws": 10_000,
    }
    return ExperimentPlan.model_validate(values | changes)


def make_instrument(name: str, strata: dict[str, int]) -> Instrument:
    """An instrument with as many items as its strata have."""
    return Instrument.model_validate(
        {
            "name": name,
            "n_items": sum(strata.values()),
            "items_hash": "e" * 32,
            "sources": {"lima.json": sum(strata.values())},
            "strata": strata,
        }
    )


def make_training(arm: ArmName, seed: int, loss: float) -> TrainedArm:
    """A training whose figures follow from its loss."""
    is_trained = arm != "untrained"
    n_rows = {"full": 3000, "untrained": 0}.get(arm, 100)
    return TrainedArm(
        arm,
        seed,
        n_rows,
        n_trained_tokens=n_rows * 60 if is_trained else None,
        n_steps=n_rows // 8 if is_trained else None,
        seconds=n_rows * 0.5 if is_trained else None,
        means={
            "answer-loss": loss,
            "preference": 1 - loss / 5,
            "preference-matched": 0.5,
        },
        strata={"short": loss + 0.2, "medium": loss, "long": loss - 0.2},
    )


def make_comparison(**changes: object) -> ArmComparison:
    """The selection against random rows on the primary instrument."""
    values: dict[str, object] = {
        "instrument": "answer-loss",
        "arm": "selection",
        "other": "random",
        "gain": 0.021,
        "low": 0.004,
        "high": 0.038,
        "p": 0.03,
        "smallest": 0.02,
        "n_seeds": 2,
        "n_other_seeds": 2,
        "n_items": 120,
        "is_primary": True,
        "verdict": "selection is better than random by 0.021 nats per token.",
    }
    return ArmComparison(**(values | changes))  # type: ignore[arg-type]


def make_duel_counts(**changes: object) -> DuelCounts:
    """The duels of the selection's models against those of random rows."""
    values: dict[str, object] = {
        "other": "random",
        "n": 40,
        "outcomes": {"win": 20, "tie": 6, "flip": 4, "lose": 10},
        "score": 0.612,
        "adjusted": 0.58,
        "lengths": (812.0, 640.0),
        "judges": ("judge-1-2026",),
    }
    return DuelCounts(**(values | changes))  # type: ignore[arg-type]


def make_results(**changes: object) -> ExperimentResults:
    """A whole experiment in which the selection beats random rows, and not the longest."""
    plan = make_plan()
    trainings = [
        make_training(arm, seed, 2.5 + 0.01 * number + 0.003 * seed)
        for number, (arm, seed) in enumerate(plan.list_trainings())
    ]
    comparisons = [
        make_comparison(),
        make_comparison(
            other="longest",
            gain=-0.004,
            low=-0.03,
            high=0.022,
            p=0.7,
            verdict="No difference larger than 0.020 could be seen.",
        ),
        make_comparison(
            other="full", low=None, high=None, p=None, smallest=None, is_primary=False
        ),
        make_comparison(
            instrument="preference", gain=0.02, low=-0.01, high=0.05, is_primary=False
        ),
    ]
    values: dict[str, object] = {
        "plan": plan,
        "declared": "2026-11-27 04:00 UTC",
        "trainings": trainings,
        "comparisons": comparisons,
        "speed": SpeedClaim(3000, 100, 180_000, 6_000.0, 1500.0, 50.0),
        "environment": {"device": "CPU", "torch": "2.13"},
    }
    return ExperimentResults(**(values | changes))  # type: ignore[arg-type]
