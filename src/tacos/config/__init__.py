"""Settings: one frozen model per stage, two presets, and the only place that reads TOML.

A stage's settings are part of its stage key, so a changed setting re-runs that stage and what
depends on it.
"""

from tacos.config.endpoints import EmbedSettings, LLMSettings
from tacos.config.evaluation import (
    AlpacaEvalSettings,
    AnswerSettings,
    DuelSettings,
    MtBenchSettings,
)
from tacos.config.loading import (
    list_setting_names,
    load_settings,
    merge_layers,
    parse_set_option,
    read_run_settings,
)
from tacos.config.section import SettingsSection
from tacos.config.sections import (
    DEFAULT_TARGET,
    MIN_TAGGED,
    CanonicaliseSettings,
    CascadeSettings,
    CheckSettings,
    ClusterSettings,
    ExtendSettings,
    IngestSettings,
    JudgeSettings,
    NormaliseSettings,
    PairSettings,
    RateSettings,
    RefineSettings,
    SelectSettings,
    ShortlistSettings,
    TagSettings,
)
from tacos.config.settings import PRESETS, Settings

__all__ = [
    "DEFAULT_TARGET",
    "MIN_TAGGED",
    "PRESETS",
    "AlpacaEvalSettings",
    "AnswerSettings",
    "CanonicaliseSettings",
    "CascadeSettings",
    "CheckSettings",
    "ClusterSettings",
    "DuelSettings",
    "EmbedSettings",
    "ExtendSettings",
    "IngestSettings",
    "JudgeSettings",
    "LLMSettings",
    "MtBenchSettings",
    "NormaliseSettings",
    "PairSettings",
    "RateSettings",
    "RefineSettings",
    "SelectSettings",
    "Settings",
    "SettingsSection",
    "ShortlistSettings",
    "TagSettings",
    "list_setting_names",
    "load_settings",
    "merge_layers",
    "parse_set_option",
    "read_run_settings",
]
