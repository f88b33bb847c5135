"""All settings of a run, and the two presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from tacos.config.endpoints import EmbedSettings, LLMSettings
from tacos.config.evaluation import (
    AlpacaEvalSettings,
    AnswerSettings,
    DuelSettings,
    MtBenchSettings,
)
from tacos.config.section import SettingsSection
from tacos.config.sections import (
    CanonicaliseSettings,
    CascadeSettings,
    CheckSettings,
    CleanSettings,
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
from tacos.errors import ConfigError

MAX_SEED = 2**32 - 1
"""The largest seed that numpy, scikit-learn and polars all take."""


class Settings(SettingsSection):
    """All settings of a run."""

    preset: str = "robust"
    """The preset that the settings start from."""
    seed: int = Field(1, ge=0, le=MAX_SEED)
    """The random seed: the same input, settings and seed give the same bytes."""
    ingest: IngestSettings = IngestSettings()
    clean: CleanSettings = CleanSettings()
    extend: ExtendSettings = ExtendSettings()
    tag: TagSettings = TagSettings()
    cascade: CascadeSettings = CascadeSettings()
    normalise: NormaliseSettings = NormaliseSettings()
    canonicalise: CanonicaliseSettings = CanonicaliseSettings()
    cluster: ClusterSettings = ClusterSettings()
    shortlist: ShortlistSettings = ShortlistSettings()
    pair: PairSettings = PairSettings()
    judge: JudgeSettings = JudgeSettings()
    rate: RateSettings = RateSettings()
    select: SelectSettings = SelectSettings()
    refine: RefineSettings = RefineSettings()
    check: CheckSettings = CheckSettings()
    answer: AnswerSettings = AnswerSettings()
    mt_bench: MtBenchSettings = MtBenchSettings()
    alpaca_eval: AlpacaEvalSettings = AlpacaEvalSettings()
    duel: DuelSettings = DuelSettings()
    llm: LLMSettings = LLMSettings()
    embed: EmbedSettings = EmbedSettings()

    @model_validator(mode="after")
    def _check_combination(self) -> Settings:
        if (
            self.cluster.by == "embedding"
            and self.shortlist.rule == "longest-per-tag-set"
        ):
            raise ConfigError(
                "shortlist.rule=longest-per-tag-set needs clusters of tags; "
                "of clusters by embedding it would keep one row each. "
                "Set cluster.by=tags, or another shortlist.rule such as embedded-judge"
            )
        return self

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges' names, with the endpoint's model in place of "llm"."""
        return tuple(
            self.llm.model if name == "llm" else name for name in self.judge.panel
        )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "robust": {},
    "paper": {
        "normalise": {
            "signs": False,
            "guard": 0.0,
            "semantic": "off",
            "association": "off",
            "auto_samples": 52_002,
        },
        "cluster": {
            "by": "tags",
            "k": 50,
            "membership": "every",
            "smallest": 0,
            "largest": 1.0,
        },
        "shortlist": {"rule": "longest-per-tag-set"},
        "pair": {"method": "neighbour", "rounds": 1, "bridges": 0},
        "judge": {"mode": "comparative", "scores": "one"},
        "rate": {"method": "mean", "scope": "cluster"},
        "select": {
            "quota": "ascending-size",
            "tag_price": 0.0,
            "limit": 1.0,
            "conversations": False,
        },
    },
}
