"""From settings to what the loop is handed: models, encoders, engine. The only place that chooses
between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tacos.config import Settings
from tacos.errors import ConfigError, ModelError
from tacos.methods.tags import overrides, published_vocabulary
from tacos.models import encoder, judge, tagger, user_functions
from tacos.models.judge_panel import JudgePanel
from tacos.pipeline.run_loop import StageModels
from tacos.records import Encoder, Model

EMBEDDED = "embedded"
LLM = "llm"
"""As a stage's model: the model that the `llm` settings name."""

ENDPOINT = "endpoint:"
"""Before the name of a model of the embeddings endpoint, as an encoder."""


@dataclass(frozen=True)
class UserFunctions:
    """What a user brought along instead of the models of tacos: plain functions, see
    `tacos.models.user_functions`.
    """

    tagger: user_functions.Tagger | None = None
    judge: user_functions.Judge | None = None
    encoder: Any = None
    selector: user_functions.Selector | None = None


@dataclass(frozen=True)
class CachingEncoder:
    """An encoder that encodes each text once: normalising and clustering ask for much the same
    tags.
    """

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
def open_models(
    settings: Settings, own: UserFunctions, ledger: Path | None = None
) -> Iterator[StageModels]:
    """The models and tools of a run while the context lasts.

    Raises `ModelError` or `ConfigError` where one cannot be had.
    """
    with ExitStack() as stack:
        yield build_models(settings, own, EndpointClients(settings, ledger, stack))


def build_models(settings: Settings, own: UserFunctions, network: EndpointClients) -> StageModels:
    """The models and tools of a run, those of the endpoint by `network`."""
    _check_cascade(settings, own)
    tagging = _build_tagger(settings, own, network)
    prompt = {
        "tag-sample": tagging,
        "tag": tagging,
        "grade": _build_grader(settings, own, network),
        "judge": _build_judge(settings, own, network),
    }
    return StageModels(prompt, build_tools(settings, own, network))


@contextmanager
def open_judges(
    settings: Settings,
    ledger: Path | None = None,
    *,
    refine: bool = False,
) -> Iterator[StageModels]:
    """The models of the side pipelines: the judge that confirms or is calibrated, and with `refine`
    what rewrites.
    """
    with ExitStack() as stack:
        network = EndpointClients(settings, ledger, stack)
        judge = _build_judge(settings, UserFunctions(), network)
        if not refine:
            yield StageModels({"calibrate": judge}, {})
            return
        editor = network.client(resolve_editor_model(settings))
        yield StageModels({"rewrite": editor, "reword": editor, "confirm": judge}, {})


@contextmanager
def open_checker(settings: Settings, ledger: Path | None = None) -> Iterator[StageModels]:
    """The model that checks tags."""
    with ExitStack() as stack:
        model = EndpointClients(settings, ledger, stack).client(resolve_checker_model(settings))
        yield StageModels({"check-precision": model, "check-consistency": model}, {})


def resolve_checker_model(settings: Settings) -> str:
    """The model that checks tags; `ConfigError` for one that is no model of an endpoint."""
    name = settings.llm.model if settings.check.model == LLM else settings.check.model
    if not name or not _is_endpoint_model(name):
        raise ConfigError(
            "tags are checked by a language model (--model MODEL) or by people (--sheet FILE)"
        )
    return name


def resolve_editor_model(settings: Settings) -> str:
    """The model that rewrites; `ConfigError` for one that is no model of an endpoint."""
    name = settings.llm.model if settings.refine.model == LLM else settings.refine.model
    if not _is_endpoint_model(name):
        raise ConfigError(f"{name!r} cannot rewrite: refine.model must be a model of an endpoint")
    return name


@dataclass(frozen=True)
class EndpointClients:
    """Clients of the endpoint, one per model, with one ledger between them; nothing is opened
    before it is needed.
    """

    settings: Settings
    ledger: Path | None
    stack: ExitStack
    clients: dict[str, Model] = field(default_factory=dict)
    ledgers: list[Any] = field(default_factory=list)
    """The one ledger, once it is open: all clients share its budget."""
    encoders: dict[str, Encoder] = field(default_factory=dict)

    def book(self) -> Any:
        """The ledger, opened now if it is not open yet."""
        from tacos.llm.ledger import ledger as store

        if not self.ledgers:
            self.ledgers.append(self.stack.enter_context(store.open_ledger(self.ledger)))
        return self.ledgers[0]

    def client(self, model: str) -> Model:
        """The client for a model."""
        if model not in self.clients:
            from tacos import llm

            self.clients[model] = self.stack.enter_context(
                llm.connect(self.settings.llm, model, self.book())
            )
        return self.clients[model]

    def encoder(self, model: str) -> Encoder:
        """The encoder that a model of the embeddings endpoint is."""
        if model not in self.encoders:
            from tacos.llm.embedding.encoder import EndpointEncoder

            embed = self.settings.embed
            made = EndpointEncoder(
                embed.endpoint(self.settings.llm),
                embed,
                model,
                self.book(),
            )
            self.encoders[model] = self.stack.enter_context(made)
        return self.encoders[model]

    def grouped(self, model: str, template: str, per_request: int) -> Model:
        """The client for a model, asked so many questions of a template in one request."""
        client = self.client(model)
        if per_request == 1:
            return client
        from tacos.llm import Client
        from tacos.llm.chat.grouped_model import GroupedModel

        if not isinstance(client, Client):
            raise ConfigError(
                "batch and exchange files hold one instruction per request: leave out tag.per_request"
            )
        return GroupedModel(client, template, per_request)


def list_endpoint_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Stage -> models of the endpoint that it asks, for the stages that ask one."""
    tagger_name = settings.llm.model if settings.tag.model == LLM else settings.tag.model
    sampling = {"tag-sample": (tagger_name,)} if settings.cascade.sample else {}
    wanted = {**sampling, "tag": (tagger_name,), _find_judging_stage(settings): settings.judges}
    found = {stage: tuple(filter(_is_endpoint_model, names)) for stage, names in wanted.items()}
    return {stage: names for stage, names in found.items() if names}


def list_embedding_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Stage -> model of the embeddings endpoint that it asks for vectors, for the stages that ask
    one.
    """
    wanted = {"normalise": settings.normalise.encoder, "cluster": settings.cluster.encoder}
    return {
        stage: (model,) for stage, name in wanted.items() if (model := _parse_embedding_model(name))
    }


def _parse_embedding_model(encoder: str) -> str:
    """The model that an encoder's name means at an embeddings endpoint, "" for an encoder that is
    none.

    >>> _parse_embedding_model("endpoint:text-embedding-3-small"), _parse_embedding_model("minilm")
    ('text-embedding-3-small', '')
    """
    return encoder.removeprefix(ENDPOINT) if encoder.startswith(ENDPOINT) else ""


def _find_judging_stage(settings: Settings) -> str:
    """The stage that asks the judge."""
    return "grade" if settings.judge.mode == "singleton" else "judge"


def _is_endpoint_model(model: str) -> bool:
    """Whether a model is one of the endpoint: neither the embedded one nor one in a folder.

    Raises `ModelError` for what can only be a folder and is none: no endpoint should be asked in
    its place.
    """
    if model == EMBEDDED or (model and Path(model).is_dir()):
        return False
    if model.startswith(("./", "../", "~")) or model.endswith("/"):
        raise ModelError(
            f"there is no folder {model}: name one with --llm, or in tag.model and judge.model"
        )
    return True


def _build_tagger(settings: Settings, own: UserFunctions, network: EndpointClients) -> Model:
    """The tagger: the user's function, a model of the endpoint, the embedded one, or one in a
    folder.
    """
    in_network = own.tagger is None and "tag" in list_endpoint_models(settings)
    if in_network:
        return network.grouped(
            list_endpoint_models(settings)["tag"][0], "tag", settings.tag.per_request
        )
    if settings.tag.per_request > 1:
        raise ConfigError(
            "only a language model is asked several instructions at once: leave out tag.per_request"
        )
    if own.tagger is not None:
        return user_functions.FunctionTagger(own.tagger)
    name = settings.tag.model
    try:
        return tagger.load(None if name == EMBEDDED else Path(name))
    except ModelError as error:
        raise ModelError(
            f"{error}; name another one with --set tag.model=... (embedded: the shipped one)"
        ) from None


def _check_cascade(settings: Settings, own: UserFunctions) -> None:
    """Raise `ConfigError` for a cascade that saves nothing."""
    if (
        settings.cascade.sample
        and own.tagger is None
        and "tag" not in list_endpoint_models(settings)
    ):
        raise ConfigError(
            "a cascade saves a language model's work: name one with --model, or leave out cascade.sample"
        )


def _build_judge(settings: Settings, own: UserFunctions, network: EndpointClients) -> Model:
    """The judge, or a panel: the user's function, models of the endpoint, the embedded one, ones in
    folders.
    """
    _check_judge(settings, own)
    if own.judge is not None:
        return user_functions.FunctionJudge(own.judge)
    members = {
        name: network.client(name) if _is_endpoint_model(name) else _load_local_judge(name)
        for name in settings.judges
    }
    return JudgePanel(members) if len(members) > 1 else next(iter(members.values()))


def _load_local_judge(name: str) -> Model:
    """The embedded judge, or one in a folder."""
    try:
        return judge.load(None if name == EMBEDDED else Path(name))
    except ModelError as error:
        raise ModelError(
            f"{error}; name another one with --set judge.model=... (embedded: the shipped one)"
        ) from None


def _check_judge(settings: Settings, own: UserFunctions) -> None:
    """Raise `ConfigError` for what a judge would leave unread without a word."""
    if own.judge is not None and settings.judge.models:
        raise ConfigError("a judge of your own judges alone: leave out judge.models")
    if own.judge is None and all(map(_is_endpoint_model, settings.judges)):
        return
    if settings.judge.criteria:
        raise ConfigError(
            "only a language model reads criteria: name one with --model, or in judge.model"
        )
    if settings.judge.repetitions > 1:
        raise ConfigError(
            "a judge without a language model says the same each time: leave out judge.repetitions"
        )


def _build_grader(settings: Settings, own: UserFunctions, network: EndpointClients) -> Model:
    """What grades every single sample: the judge in singleton mode, else a cheap model, for the
    shortlist.
    """
    if settings.judge.mode == "singleton":
        return _build_judge(settings, own, network)
    return user_functions.FunctionJudge(own.judge) if own.judge is not None else judge.load()


def _check_normalisation(settings: Settings) -> None:
    """Raise `InputError` for overrides or a vocabulary that cannot be read, before anything is paid
    for.
    """
    overrides.parse_overrides(settings.normalise.overrides, settings.normalise.signs)
    if settings.normalise.vocabulary:
        published_vocabulary.vocabulary_from_json(settings.normalise.vocabulary)


def build_tools(settings: Settings, own: UserFunctions, network: EndpointClients) -> dict[str, Any]:
    """Encoders of normalise and cluster (one object where it is the same model), and what select is
    given.
    """
    _check_normalisation(settings)
    loaded: dict[str, Encoder] = {}

    def encoder_of(name: str) -> Encoder:
        if name not in loaded:
            model = _parse_embedding_model(name)
            loaded[name] = CachingEncoder(network.encoder(model) if model else encoder.load(name))
        return loaded[name]

    by_embedding = settings.cluster.by == "embedding"
    if own.encoder is not None:
        plain = user_functions.FunctionEncoder(own.encoder)
        mine = CachingEncoder(plain)
        tools: dict[str, Any] = {"normalise": mine, "cluster": plain if by_embedding else mine}
    else:
        clusters = (
            encoder.load(settings.cluster.sample_encoder)
            if by_embedding
            else encoder_of(settings.cluster.encoder)
        )
        tools = {"normalise": encoder_of(settings.normalise.encoder), "cluster": clusters}
    if by_embedding:
        tools["assign"] = tools["cluster"]
    if settings.cascade.sample:
        tools |= {"distill": tagger.load(), "guess": tagger.load()}
    if own.selector is not None:
        tools["select"] = user_functions.FunctionSelector(own.selector)
    elif settings.select.limit < 1:
        tools["select"] = encoder.load("static")
    return tools
