"""From settings to what the loop is handed: models, encoders, engine. The only place that chooses between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
LLM = "llm"
"""As a stage's model: the model that the `llm` settings name."""


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


@contextmanager
def models_for(settings: Settings, own: Own, ledger: Path | None = None) -> Iterator[Models]:
    """The models and tools of a run while the context lasts.

    Raises `ModelError` or `ConfigError` where one cannot be had.
    """
    with ExitStack() as stack:
        network = Network(settings, ledger, stack)
        yield Models(
            prompt={
                "tag": tagging_model(settings, own, network),
                "grade": grading_model(own),
                "judge": judging_model(settings, own, network),
            },
            tools=tools_for(settings, own),
        )


@dataclass(frozen=True)
class Network:
    """Clients of the endpoint, one per model, with one ledger between them; nothing is opened before it is needed."""

    settings: Settings
    ledger: Path | None
    stack: ExitStack
    clients: dict[str, Model] = field(default_factory=dict)

    def client(self, model: str) -> Model:
        """The client for a model."""
        if model not in self.clients:
            from tacos import llm
            from tacos.llm import ledger

            opened = self.stack.enter_context(ledger.open(self.ledger))
            self.clients[model] = self.stack.enter_context(llm.connect(self.settings.llm, model, opened))
        return self.clients[model]


def network_models(settings: Settings) -> dict[str, str]:
    """Stage -> model for the stages that ask an endpoint."""
    wanted = {"tag": settings.tag.model, "judge": settings.judge.model}
    named = {stage: settings.llm.model if model == LLM else model for stage, model in wanted.items()}
    return {stage: model for stage, model in named.items() if model != EMBEDDED and not Path(model).is_dir()}


def tagging_model(settings: Settings, own: Own, network: Network) -> Model:
    """The tagger: the user's function, a model of the endpoint, the embedded one, or one in a folder."""
    if own.tagger is not None:
        return functions.FunctionTagger(own.tagger)
    if "tag" in network_models(settings):
        return network.client(network_models(settings)["tag"])
    return tagger.load(None if settings.tag.model == EMBEDDED else Path(settings.tag.model))


def judging_model(settings: Settings, own: Own, network: Network) -> Model:
    """The judge: the user's function, a model of the endpoint, the embedded one, or one in a folder."""
    if own.judge is not None:
        return functions.FunctionJudge(own.judge)
    if "judge" in network_models(settings):
        return network.client(network_models(settings)["judge"])
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
