"""What a run did, as plain figures: the same for the terminal, for JSON and for the HTML report.

Every figure says how many rows it rests on. A stage that the settings leave out is absent here,
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.config import Settings
from tacos.methods.clusters import kmeans_clusters
from tacos.methods.judging import judge_health
from tacos.methods.selecting import longest, random_rows
from tacos.methods.selecting.certainty import estimate_certainty
from tacos.pipeline.steps.pool import find_newest_scores
from tacos.store.artifacts import Artifact

N_DRAWS = 5
LEFT_OUT = "left out by rule "
UNTAGGED = "(no canonical tag)"


@dataclass(frozen=True)
class RunSummary:
    """The figures of one run; lengths are characters of the response."""

    preset: str
    seed: int
    n_read: int
    n_samples: int
    rejects: dict[str, dict[str, int]]
    """Stage -> reason -> rows."""
    models: dict[str, str]
    tagged_by: dict[str, int] = field(default_factory=dict)
    """Model -> instructions that have its tags; of a cascade alone."""
    distilled: dict[str, Any] = field(default_factory=dict)
    """How far the tagger of a cascade agrees with the language model; see
    `imitating.measure_tagger`.
    """
    normalisation: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What a person should know of overrides or a vocabulary: names that no tag has, an encoder
    that is another.
    """
    drift: dict[str, Any] = field(default_factory=dict)
    """Where tags are mapped onto a vocabulary: the figures of `publishing.Drift`."""
    n_raw_tags: int = 0
    n_canonical_tags: int = 0
    n_untagged: int = 0
    clusters: list[dict[str, Any]] = field(default_factory=list)
    n_shortlisted: int = 0
    shortlist: dict[str, dict[str, int]] = field(default_factory=dict)
    """"kept" and "left out": rule -> rows; a sample counts once in each cluster that it is compared
    in.
    """
    n_pairs: int = 0
    n_verdicts: int = 0
    diagnostics: dict[str, Any] = field(default_factory=dict)
    judges: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The same for each judge of a panel."""
    agreement: list[dict[str, Any]] = field(default_factory=list)
    """For each two judges of a panel: judges, value (share of pairs in which they prefer the same
    side), n.
    """
    certainty: dict[str, float | None] = field(default_factory=dict)
    """How sure the cut by score is: error, recall, n of `certainty.Certainty`; empty where no error
    can be told.
    """
    n_components: int = 0
    n_selected: int = 0
    n_missing: int = 0
    """Rows that were asked for, but that the pool does not have (select.fill)."""
    selection: dict[str, dict[str, float]] = field(default_factory=dict)
    """"pool", "selection", as many "random" rows (means of several draws), as many of the
    "longest": n, mean and median length, mean tags, share of the canonical tags covered.
    """
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise_run(artifacts: Mapping[str, Artifact], settings: Settings) -> RunSummary:
    """The summary of whatever stages have run."""
    samples = artifacts["samples"]
    figures: dict[str, Any] = {
        "preset": settings.preset,
        "seed": settings.seed,
        "n_read": samples.manifest["n_rows"] + samples.manifest["n_rejects"],
        "n_samples": samples.manifest["n_rows"],
        "rejects": {
            name: art.manifest["rejects"]
            for name, art in artifacts.items()
            if art.manifest["rejects"]
        },
        "models": _list_stage_models(artifacts),
        "seconds": _sum_stage_seconds(artifacts),
    }
    if "tagger" in artifacts and "tags" in artifacts:
        figures |= _summarise_cascade(artifacts)
    if "vocabulary" in artifacts:
        figures |= _summarise_tags(artifacts)
    if "memberships" in artifacts:
        figures |= {"clusters": _summarise_clusters(artifacts, settings)}
    if "shortlist" in artifacts:
        figures |= _summarise_shortlist(artifacts["shortlist"])
    if any(name.startswith("verdicts/") for name in artifacts):
        figures |= _summarise_judging(artifacts, settings)
    if "selection" in artifacts:
        figures |= _summarise_selection(artifacts, settings) | _summarise_certainty(artifacts)
    return RunSummary(**figures)


def _list_stage_models(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Stage -> model; not of a cascade's own stages, whose tool is the tagger that theirs is shaped
    after.
    """
    made = [art.manifest for name, art in artifacts.items() if name not in ("tagger", "guesses")]
    return {each["stage"]: each["model"] for each in made if each["model"]}


def _sum_stage_seconds(artifacts: Mapping[str, Artifact]) -> dict[str, float]:
    """Seconds per stage, rounds added up."""
    total: dict[str, float] = {}
    for artifact in artifacts.values():
        stage = artifact.manifest["stage"]
        total[stage] = round(total.get(stage, 0.0) + artifact.manifest["duration_s"], 2)
    return total


def _summarise_cascade(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Which model gave how many tags, and what the distilled one is worth."""
    counts = (
        artifacts["tags"]
        .scan()
        .group_by("model")
        .len()
        .sort("len", "model", descending=[True, False])
        .collect()
    )
    return {
        "tagged_by": dict(counts.iter_rows()),
        "distilled": artifacts["tagger"].manifest["notes"]["agreement"],
    }


def _summarise_tags(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Tags before and after normalisation."""
    vocabulary = artifacts["vocabulary"].scan()
    counts = vocabulary.select(
        pl.len().alias("n_raw_tags"),
        pl.col("canonical").drop_nulls().n_unique().alias("n_canonical_tags"),
    )
    figures = counts.collect().row(0, named=True)
    if "canonical_tags" in artifacts:
        tagged = artifacts["canonical_tags"].scan()
        figures["n_untagged"] = int(
            tagged.filter(pl.col("tags").list.len() == 0).select(pl.len()).collect().item()
        )
    notes = artifacts["vocabulary"].manifest["notes"]
    said = {"remarks": notes.get("remarks", []), "drift": notes.get("drift", {})}
    return {**figures, **said, "normalisation": notes.get("steps", [])}


def _summarise_clusters(
    artifacts: Mapping[str, Artifact], settings: Settings
) -> list[dict[str, Any]]:
    """Per cluster: number, name, members, shortlisted, selected; the largest first."""
    names = artifacts["clusters"].scan().select("cluster", "name").unique().collect()
    memberships = artifacts["memberships"].scan().collect()
    homes = settings.cluster.membership == "home"
    untagged = int(names["cluster"].len()) if homes else None
    table = (
        kmeans_clusters.list_cluster_members(memberships, homes=homes, untagged=untagged)
        .group_by("cluster")
        .len("n_members")
    )
    for artifact, column in (("shortlist", "n_shortlisted"), ("selection", "n_selected")):
        if artifact in artifacts:
            found = artifacts[artifact].scan().group_by("cluster").len(column).collect()
            table = table.join(found, on="cluster", how="left")
    table = table.join(names, on="cluster", how="left").with_columns(
        pl.col("name").fill_null(UNTAGGED)
    )
    return table.fill_null(0).sort("n_members", "cluster", descending=[True, False]).to_dicts()


def _summarise_shortlist(shortlist: Artifact) -> dict[str, Any]:
    """Rows that entered comparison, and rows that did not, by the rule that decided."""
    kept = shortlist.scan().group_by("rule").len().sort("rule").collect()
    left_out = {
        reason.removeprefix(LEFT_OUT): n for reason, n in shortlist.manifest["rejects"].items()
    }
    found = {"kept": dict(kept.iter_rows()), "left out": left_out}
    return {"n_shortlisted": shortlist.manifest["n_rows"], "shortlist": found}


def _summarise_judging(artifacts: Mapping[str, Artifact], settings: Settings) -> dict[str, Any]:
    """What the judges did, over all rounds; one that gave no usable verdict is there, too."""
    verdicts = pl.concat(
        [art.scan() for name, art in artifacts.items() if _is_verdicts(name)]
    ).collect()
    pairs = pl.concat(
        [art.scan().select("pair") for name, art in artifacts.items() if name.startswith("pairs/")]
    )
    n_pairs = int(
        pairs.select(pl.col("pair").n_unique()).collect().item()
    )  # a second order has its pair's number
    lengths = artifacts["samples"].scan().select("id", "length").collect()
    judges = sorted({*verdicts["judge"], *(settings.judges if len(settings.judges) > 1 else ())})
    pointwise = _find_pointwise_judges(artifacts, judges)
    n_rejected = sum(
        sum(art.manifest["rejects"].values())
        for name, art in artifacts.items()
        if _is_verdicts(name)
    )
    n_asked = verdicts.height + n_rejected

    def diagnosed(table: pl.DataFrame, n_asked: int, *, pointwise: bool) -> dict[str, Any]:
        found = judge_health.diagnose_judge(table, lengths, pointwise)
        return asdict(replace(found, n_missing=n_asked - found.n_verdicts))

    found = diagnosed(verdicts, n_asked, pointwise=all(pointwise.values()))
    figures = {"n_pairs": n_pairs, "n_verdicts": verdicts.height, "diagnostics": found}
    if len(pointwise) > 1:  # judges of a panel are asked alike
        figures["judges"] = {
            name: diagnosed(
                verdicts.filter(pl.col("judge") == name), n_asked // len(pointwise), pointwise=alone
            )
            for name, alone in pointwise.items()
        }
        found_same = judge_health.measure_judge_agreement(verdicts)
        figures["agreement"] = [
            {"judges": [one, other], **asdict(same)} for one, other, same in found_same
        ]
    return figures


def _is_verdicts(artifact: str) -> bool:
    """Whether an artifact of this name holds a round's verdicts."""
    return artifact.startswith("verdicts/")


def _find_pointwise_judges(artifacts: Mapping[str, Artifact], judges: list[str]) -> dict[str, bool]:
    """Judge -> whether it cannot see the order of a pair."""
    notes = [
        art.manifest["notes"].get("pointwise")
        for name, art in artifacts.items()
        if _is_verdicts(name)
    ]
    return {
        judge: any(judge in note if isinstance(note, list) else bool(note) for note in notes)
        for judge in judges
    }


def _summarise_selection(artifacts: Mapping[str, Artifact], settings: Settings) -> dict[str, Any]:
    """Pool and selection side by side, and beside them as many rows by chance and as many of the
    longest.

    The figures of "random" are means over draws with the seeds `seed`, `seed + 1`, ...
    """
    tags = artifacts["canonical_tags"].scan().select("id", pl.col("tags").list.unique())
    samples = artifacts["samples"].scan().select("id", "length")
    pool = _encode_pool_tags(samples.join(tags, on="id", how="left").collect().sort("id"))
    chosen = artifacts["selection"].scan().select("id").collect()["id"]
    picked = np.flatnonzero(pool["id"].is_in(chosen.implode()).to_numpy())
    lengths, seed = pool["length"].to_numpy(), settings.seed
    by_chance = [
        random_rows.shuffle_rows(pool.height, seed + i)[: len(picked)] for i in range(N_DRAWS)
    ]
    drawn = [_describe_rows(pool, rows) for rows in by_chance]
    figures = {
        "pool": _describe_rows(pool, np.arange(pool.height)),
        "selection": _describe_rows(pool, picked),
        "random": {name: round(fmean(each[name] for each in drawn), 4) for name in drawn[0]}
        | {"n": len(picked)},
        "longest": _describe_rows(pool, longest.rank_by_value(lengths, seed)[: len(picked)]),
    }
    n_missing = artifacts["selection"].manifest["notes"].get("n_missing", 0)
    return {
        "n_selected": int(figures["selection"]["n"]),
        "n_missing": n_missing,
        "selection": figures,
    }


def _summarise_certainty(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """How far the run's own selection would be another one with other verdicts of the same judges."""
    newest = find_newest_scores(artifacts)
    if newest is None or artifacts["selection"].manifest["stage"] != "select":
        return {}
    chosen = (
        artifacts["selection"]
        .scan()
        .drop_nulls(["cluster", "score"])
        .group_by("cluster")
        .len()
        .collect()
    )
    found = estimate_certainty(artifacts[newest].scan().collect(), dict(chosen.iter_rows()))
    return {} if found is None else {"certainty": found._asdict()}


def _encode_pool_tags(pool: pl.DataFrame) -> pl.DataFrame:
    """The pool with a number for each tag: `codes` instead of `tags`."""
    names = pool["tags"].explode().drop_nulls().unique().sort()
    codes = pl.col("tags").list.eval(pl.element().cast(pl.Enum(names)).to_physical())
    return pool.select("id", "length", codes.alias("codes"))


def _describe_rows(pool: pl.DataFrame, rows: npt.NDArray[np.int64]) -> dict[str, float]:
    """Length, complexity (mean tags) and coverage (share of the canonical tags; InsTag, section
    3.3) of some rows.
    """
    part = pool[rows]
    if part.is_empty():
        return {"n": 0}
    n_tags, covered = (each["codes"].explode().drop_nulls().n_unique() for each in (pool, part))
    return {
        "n": part.height,
        "mean_length": round(float(part["length"].mean() or 0), 1),  # type: ignore[arg-type]
        "median_length": float(part["length"].median() or 0),  # type: ignore[arg-type]
        "mean_tags": round(float(part["codes"].list.len().mean() or 0), 3),  # type: ignore[arg-type]
        "coverage": round(covered / n_tags, 4) if n_tags else 0.0,
    }
