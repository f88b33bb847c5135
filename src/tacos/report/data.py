"""What a run did, as plain figures: the same for the terminal, for JSON and for the HTML report.

Every figure says how many rows it rests on. A stage that the settings leave out is absent here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.methods import clustering, diagnosing
from tacos.storage.artifacts import Artifact

UNTAGGED = "(no canonical tag)"


@dataclass(frozen=True)
class Summary:
    """The figures of one run; lengths are characters of the response."""

    preset: str
    seed: int
    n_read: int
    n_samples: int
    rejects: dict[str, dict[str, int]]
    """Stage -> reason -> rows."""
    models: dict[str, str]
    normalisation: list[dict[str, Any]] = field(default_factory=list)
    n_raw_tags: int = 0
    n_canonical_tags: int = 0
    n_untagged: int = 0
    clusters: list[dict[str, Any]] = field(default_factory=list)
    n_shortlisted: int = 0
    n_pairs: int = 0
    n_verdicts: int = 0
    diagnostics: dict[str, Any] = field(default_factory=dict)
    judges: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The same for each judge of a panel."""
    n_components: int = 0
    n_selected: int = 0
    selection: dict[str, dict[str, float]] = field(default_factory=dict)
    """"pool" and "selection": n, mean and median length, mean tags, share of the canonical tags covered."""
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise(artifacts: Mapping[str, Artifact], settings: Settings) -> Summary:
    """The summary of whatever stages have run."""
    samples = artifacts["samples"]
    figures: dict[str, Any] = {
        "preset": settings.preset,
        "seed": settings.seed,
        "n_read": samples.manifest["n_rows"] + samples.manifest["n_rejects"],
        "n_samples": samples.manifest["n_rows"],
        "rejects": {name: art.manifest["rejects"] for name, art in artifacts.items() if art.manifest["rejects"]},
        "models": {art.manifest["stage"]: art.manifest["model"] for art in artifacts.values() if art.manifest["model"]},
        "seconds": seconds(artifacts),
    }
    if "vocabulary" in artifacts:
        figures |= tag_figures(artifacts)
    if "memberships" in artifacts:
        figures |= {"clusters": cluster_figures(artifacts, settings)}
    if "shortlist" in artifacts:
        figures["n_shortlisted"] = artifacts["shortlist"].manifest["n_rows"]
    if any(name.startswith("verdicts/") for name in artifacts):
        figures |= judging_figures(artifacts)
    if "selection" in artifacts:
        figures |= selection_figures(artifacts)
    return Summary(**figures)


def seconds(artifacts: Mapping[str, Artifact]) -> dict[str, float]:
    """Seconds per stage, rounds added up."""
    total: dict[str, float] = {}
    for artifact in artifacts.values():
        stage = artifact.manifest["stage"]
        total[stage] = round(total.get(stage, 0.0) + artifact.manifest["duration_s"], 2)
    return total


def tag_figures(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Tags before and after normalisation."""
    vocabulary = artifacts["vocabulary"].scan()
    counts = vocabulary.select(
        pl.len().alias("n_raw_tags"), pl.col("canonical").drop_nulls().n_unique().alias("n_canonical_tags")
    )
    figures = counts.collect().row(0, named=True)
    if "canonical_tags" in artifacts:
        tagged = artifacts["canonical_tags"].scan()
        figures["n_untagged"] = int(tagged.filter(pl.col("tags").list.len() == 0).select(pl.len()).collect().item())
    return {**figures, "normalisation": artifacts["vocabulary"].manifest["notes"].get("steps", [])}


def cluster_figures(artifacts: Mapping[str, Artifact], settings: Settings) -> list[dict[str, Any]]:
    """Per cluster: number, name, members, shortlisted, selected; the largest first."""
    names = artifacts["clusters"].scan().select("cluster", "name").unique().collect()
    memberships = artifacts["memberships"].scan().collect()
    homes = settings.cluster.membership == "home"
    untagged = int(names["cluster"].len()) if homes else None
    table = clustering.members(memberships, homes=homes, untagged=untagged).group_by("cluster").len("n_members")
    for artifact, column in (("shortlist", "n_shortlisted"), ("selection", "n_selected")):
        if artifact in artifacts:
            found = artifacts[artifact].scan().group_by("cluster").len(column).collect()
            table = table.join(found, on="cluster", how="left")
    table = table.join(names, on="cluster", how="left").with_columns(pl.col("name").fill_null(UNTAGGED))
    return table.fill_null(0).sort("n_members", "cluster", descending=[True, False]).to_dicts()


def judging_figures(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """What the judge did, over all rounds."""
    verdicts = pl.concat([art.scan() for name, art in artifacts.items() if name.startswith("verdicts/")]).collect()
    n_pairs = sum(art.manifest["n_rows"] for name, art in artifacts.items() if name.startswith("pairs/"))
    lengths = artifacts["samples"].scan().select("id", "length").collect()
    pointwise = pointwise_judges(artifacts, verdicts["judge"].unique().sort().to_list())
    found = diagnosing.diagnose(verdicts, lengths, pointwise=all(pointwise.values()))
    figures = {"n_pairs": n_pairs, "n_verdicts": verdicts.height, "diagnostics": asdict(found)}
    if len(pointwise) > 1:
        figures["judges"] = {
            name: asdict(diagnosing.diagnose(verdicts.filter(pl.col("judge") == name), lengths, pointwise=alone))
            for name, alone in pointwise.items()
        }
    return figures


def pointwise_judges(artifacts: Mapping[str, Artifact], judges: list[str]) -> dict[str, bool]:
    """Judge -> whether it cannot see the order of a pair."""
    notes = [art.manifest["notes"].get("pointwise") for name, art in artifacts.items() if name.startswith("verdicts/")]
    return {judge: any(judge in note if isinstance(note, list) else bool(note) for note in notes) for judge in judges}


def selection_figures(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Pool and selection side by side."""
    chosen = artifacts["selection"].scan().select("id")
    samples = artifacts["samples"].scan().select("id", "length")
    tags = artifacts["canonical_tags"].scan()
    n_tags = int(tags.select(pl.col("tags").explode().drop_nulls().n_unique()).collect().item())
    figures = {
        name: describe(rows.select("id", "length").collect(), tagged.collect(), n_tags)
        for name, rows, tagged in (
            ("pool", samples, tags),
            ("selection", samples.join(chosen, on="id", how="semi"), tags.join(chosen, on="id", how="semi")),
        )
    }
    return {"n_selected": int(figures["selection"]["n"]), "selection": figures}


def describe(samples: pl.DataFrame, tags: pl.DataFrame, n_tags: int) -> dict[str, float]:
    """Length, complexity (mean tags) and coverage (share of the canonical tags; InsTag, section 3.3) of some rows."""
    if samples.is_empty():
        return {"n": 0}
    covered = int(tags.select(pl.col("tags").explode().drop_nulls().n_unique()).item())
    return {
        "n": samples.height,
        "mean_length": round(float(samples["length"].mean() or 0), 1),  # type: ignore[arg-type]
        "median_length": float(samples["length"].median() or 0),  # type: ignore[arg-type]
        "mean_tags": round(float(tags["tags"].list.len().mean() or 0), 3),  # type: ignore[arg-type]
        "coverage": round(covered / n_tags, 4) if n_tags else 0.0,
    }
