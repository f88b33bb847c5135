"""Resolves, before a run starts, how its judge works: in comparisons or grade by grade, in one tier
or in two.

The settings say `auto` (`judge.mode`, `judge.close`); the conditions of stages read settings alone,
and not which models are installed or which functions a caller passes. So a run resolves both words
once, and keeps what they came to with its settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tacos.config import Settings
from tacos.errors import ConfigError, ModelError
from tacos.models import close_judge

EMBEDDED = "embedded"
"""As a judge's or a tagger's name: the model that is shipped with tacos."""


def resolve_judging(settings: Settings, *, own_judge: bool = False) -> Settings:
    """The settings with `judge.mode` and `judge.close` resolved; `own_judge` says whether a
    function of the caller judges.

    Raises `ConfigError` if the slow tier is asked for where no embedded judge grades alone.
    """
    config = settings.judge
    mode = "singleton" if own_judge else resolve_mode(settings)
    if config.mode != "auto":
        mode = config.mode
    is_possible = (
        mode == "singleton"
        and settings.judges == (EMBEDDED,)
        and not own_judge
        and not settings.ingest.score
    )
    if config.close == "on" and not is_possible:
        raise ConfigError(
            "judge.close=on is the slow tier of the embedded judge, which grades each sample by "
            "itself: set judge.model=embedded and judge.mode=auto, or leave out judge.close"
        )
    close = config.close
    if close == "auto":
        # Whoever asks for single grades without a shortlist gets them.
        is_wanted = is_possible and config.mode == "auto" and close_judge.is_available()
        close = "on" if is_wanted else "off"
    judging = config.model_copy(update={"mode": mode, "close": close})
    return settings.model_copy(update={"judge": judging})


def resolve_mode(settings: Settings) -> Literal["comparative", "singleton"]:
    """`judge.mode`, where `auto` depends on whether any judge can see two samples at once."""
    mode = settings.judge.mode
    if mode != "auto":
        return mode
    if any(is_endpoint_model(name) for name in settings.judges):
        return "comparative"
    return "singleton"


def is_endpoint_model(model: str) -> bool:
    """Whether a model is one of the endpoint: neither the embedded one nor one in a folder.

    Raises `ModelError` for the name of a folder that does not exist: no endpoint should be asked
    instead.
    """
    if model == EMBEDDED:
        return False
    if model and Path(model).is_dir():
        return False
    if model.startswith(("./", "../", "~")) or model.endswith("/"):
        raise ModelError(
            f"no such folder: {model}; name one with --llm, or in tag.model and judge.model"
        )
    return True
