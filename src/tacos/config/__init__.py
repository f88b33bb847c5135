"""Settings: one frozen model per stage, two presets, and the only place that reads TOML.

A stage's settings are part of its key, so a changed setting re-runs that stage and what depends on
it.
"""

from tacos.config.endpoints import LLM, Embed
from tacos.config.loading import known_keys, load, merge, parse_set
from tacos.config.section import Section
from tacos.config.sections import (
    MIN_TAGGED,
    Cascade,
    Check,
    Cluster,
    Ingest,
    Judge,
    Normalise,
    Pair,
    Rate,
    Refine,
    Select,
    Shortlist,
    Tag,
)
from tacos.config.settings import PRESETS, Settings

__all__ = [
    "LLM",
    "MIN_TAGGED",
    "PRESETS",
    "Cascade",
    "Check",
    "Cluster",
    "Embed",
    "Ingest",
    "Judge",
    "Normalise",
    "Pair",
    "Rate",
    "Refine",
    "Section",
    "Select",
    "Settings",
    "Shortlist",
    "Tag",
    "known_keys",
    "load",
    "merge",
    "parse_set",
]
