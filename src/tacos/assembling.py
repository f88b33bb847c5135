"""From settings to what the loop is handed: models, encoders, engine. The only place that chooses between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.config import Settings
from tacos.models import encoder, functions, judge, tagger
from tacos.records import Encoder, Model
from tacos.run import Models

EMBEDDED = "embedded"


@dataclass(frozen=True)
class Own:
    """What a user brought along instead of the models of tacos: plain functions, see `tacos.models.functions`."""

    tagger: functions.Tagger | None = None
    judge: functions.Judge | None = None
    encoder: Any = None
    selector: functions.Selector | None = None


@dataclass(frozen=True)
class Remembering:
    """An encoder that encodes each text once: normalising and clustering ask for much the same tags."""

    inner: Encoder
    vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def dim(self) -> int:
        return self.inner.dim

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            self.vectors.update(zip(new, self.inner.encode(new), strict=True))
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([self.vectors[text] for text in texts])


def models_for(settings: Settings, own: Own) -> Models:
    """The models and tools of a run. Raises `ModelError` where one cannot be had."""
    judging = judging_model(settings, own)
    return Models(
        prompt={"tag": tagging_model(settings, own), "grade": grading_model(own), "judge": judging},
        tools=tools_for(settings, own),
    )


def tagging_model(settings: Settings, own: Own) -> Model:
    """The tagger: the user's function, the embedded one, or one in a folder."""
    if own.tagger is not None:
        return functions.FunctionTagger(own.tagger)
    return tagger.load(None if settings.tag.model == EMBEDDED else Path(settings.tag.model))


def judging_model(settings: Settings, own: Own) -> Model:
    """The judge: the user's function, the embedded one, or one in a folder."""
    if own.judge is not None:
        return functions.FunctionJudge(own.judge)
    return judge.load(None if settings.judge.model == EMBEDDED else Path(settings.judge.model))


def grading_model(own: Own) -> Model:
    """What grades every single sample for the shortlist: always a cheap model."""
    return functions.FunctionJudge(own.judge) if own.judge is not None else judge.load()


def tools_for(settings: Settings, own: Own) -> dict[str, Any]:
    """Encoders of normalise and cluster (one object where it is the same model), and the selector."""
    loaded: dict[str, Encoder] = {}

    def encoder_of(name: str) -> Encoder:
        if name not in loaded:
            loaded[name] = Remembering(encoder.load(name))
        return loaded[name]

    if own.encoder is not None:
        mine = Remembering(functions.FunctionEncoder(own.encoder))
        tools: dict[str, Any] = {"normalise": mine, "cluster": mine}
    else:
        tools = {"normalise": encoder_of(settings.normalise.encoder), "cluster": encoder_of(settings.cluster.encoder)}
    if own.selector is not None:
        tools["select"] = functions.FunctionSelector(own.selector)
    return tools
