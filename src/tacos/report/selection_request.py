"""What a selection was asked for: strategy, scores, quotas and limits, as its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tacos.amounts import QuotaAmount
from tacos.config import Settings
from tacos.methods.selecting.limits import Limits
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.reliability import Reliability
from tacos.store.artifacts import Artifact

RESELECT = "reselect"
"""The stage in the manifest of a selection that `tacos reselect` has made."""


@dataclass(frozen=True)
class MadeRequest:
    """The request that a selection answers."""

    is_reselected: bool
    strategy: str
    by: str
    """ "score" or "grade"."""
    quota: str
    """Of clusters; "none" for strategies that know no such quota."""
    limits: Limits
    selector: str = ""
    """The name of the user's own selector, if it chose."""
    reliability: float | None = None
    """What the selection took for the reliability of the scores (an upper bound counts less than it
    says); None where it does not say."""
    tag_price: float | None = None
    """What a new tag was to be worth, if not what the settings of the run say."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; limits as users write them."""
        limits = self.limits
        return {
            "is_reselected": self.is_reselected,
            "strategy": self.strategy,
            "by": self.by,
            "selector": self.selector,
            "quota": self.quota,
            "per_source": _format_quotas(limits.per_source),
            "per_tag": _format_quotas(limits.per_tag),
            "match_length": limits.match_length,
            "limit": limits.cosine,
            "min_correctness": limits.min_correctness,
            "tag_price": self.tag_price,
        }


def read_request(
    artifacts: Mapping[str, Artifact],
    settings: Settings,
) -> MadeRequest:
    """The request that the artifact `selection` answers."""
    selection = artifacts["selection"]
    manifest = selection.manifest
    noted = manifest["notes"].get("reliability")
    reliability = None
    if noted is not None:
        reliability = Reliability(noted["value"], noted["basis"]).weight
    if manifest["stage"] != RESELECT:
        return MadeRequest(
            is_reselected=False,
            strategy="tacos",
            by="score",
            quota=settings.select.quota,
            limits=pool_steps.build_limits(settings.select),
            selector=_find_selector(selection),
            reliability=reliability,
        )
    asked = manifest["settings"]
    strategy = asked["strategy"]
    return MadeRequest(
        is_reselected=True,
        strategy=strategy,
        by=asked["by"],
        quota=settings.select.quota if strategy == "tacos" else "none",
        limits=_read_limits(asked["limits"]),
        reliability=reliability,
        # Selections of versions before 0.3 had no price of their own.
        tag_price=asked.get("tag_price"),
    )


def _format_quotas(quotas: Mapping[str, QuotaAmount]) -> dict[str, str]:
    """Quotas as users write them."""
    return {name: str(quota) for name, quota in quotas.items()}


def _find_selector(selection: Artifact) -> str:
    """The name of the user's selector: the rule of all its rows; "" where tacos selected."""
    rules = selection.scan().select(pl.col("rule").unique()).collect()
    names = rules["rule"].to_list()
    is_own = names == [selection.model]
    return names[0] if is_own else ""


def _read_limits(asked: Mapping[str, Any]) -> Limits:
    """Limits from a manifest, which is JSON: its quotas are plain objects."""
    limits = dict(asked)
    for name in ("per_source", "per_tag"):
        quotas = {}
        for key, quota in limits[name].items():
            quotas[key] = QuotaAmount(**quota)
        limits[name] = quotas
    return Limits(**limits)


def describe_request(request: Mapping[str, Any]) -> str:
    """A request (`MadeRequest.as_dict`) in words; "" for a run's own without anything special.

    >>> plain = MadeRequest(False, "tacos", "score", "none", Limits()).as_dict()
    >>> describe_request(plain)
    ''
    >>> describe_request(plain | {"is_reselected": True, "strategy": "mig", "limit": 0.9})
    'strategy mig, by score; no near-duplicates above a cosine of 0.9'
    """
    parts = []
    if request["is_reselected"]:
        parts.append(f"strategy {request['strategy']}, by {request['by']}")
    if request["selector"]:
        parts.append(f"your selector {request['selector']}")
    if request["quota"] != "none":
        parts.append(f"clusters by quota: {request['quota']}")
    for name, quota in request["per_source"].items():
        parts.append(f"source {name}: {quota}")
    for name, quota in request["per_tag"].items():
        parts.append(f"tag {name}: {quota}")
    if request["match_length"]:
        parts.append("lengths as in the pool")
    if request["limit"] < 1:
        parts.append(f"no near-duplicates above a cosine of {request['limit']:g}")
    if request["tag_price"] is not None:
        parts.append(f"a new tag is worth {request['tag_price']:g} points")
    if request["min_correctness"]:
        parts.append(f"correctness at least {request['min_correctness']:g}")
    return "; ".join(parts)
