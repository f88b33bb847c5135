"""From settings to the models and tools of the loop: the only place that chooses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tacos.config import Settings
from tacos.errors import ConfigError, ModelError
from tacos.methods.tags import overrides, published_vocabulary
from tacos.models import (
    close_judge,
    encoder,
    judge,
    question_vectors,
    tagger,
    user_functions,
)
from tacos.models.judge_panel import JudgePanel
from tacos.pipeline.conditions import uses_close_judge, uses_tag_matching
from tacos.pipeline.judging_mode import (
    EMBEDDED,
    is_endpoint_model,
    resolve_mode,
)
from tacos.pipeline.run_loop import StageModels
from tacos.records import Encoder, Model, PaidReply

if TYPE_CHECKING:
    from tacos.llm.ledger.location import LedgerLocation

LLM = "llm"
"""As a stage's model: the model that the `llm` settings name."""

ENDPOINT = "endpoint:"
"""The prefix of an encoder's name that is a model of the embeddings endpoint."""


@dataclass(frozen=True)
class UserFunctions:
    """Plain functions of the user in place of the models of tacos: see
    `tacos.models.user_functions`.
    """

    tagger: user_functions.Tagger | None = None
    judge: user_functions.Judge | None = None
    encoder: Any = None
    selector: user_functions.Selector | None = None

    def list_names(self) -> dict[str, str]:
        """Argument -> name of its function, of those that are given."""
        return {
            argument: getattr(function, "__qualname__", type(function).__name__)
            for argument, function in vars(self).items()
            if function is not None
        }


# The models of a run and of the side pipelines


@contextmanager
def open_models(
    settings: Settings,
    own: UserFunctions,
    ledger: LedgerLocation | None = None,
    n_shares: int = 0,
) -> Iterator[StageModels]:
    """The models and tools of a run, while the context lasts; with `n_shares`, so many processes
    ask those of an endpoint (`tacos.llm.shared_client`).

    Raises `ModelError` or `ConfigError` if one is not available.
    """
    # The stack closes clients and ledger, which are opened when they are first needed.
    with ExitStack() as stack:
        network = EndpointClients(settings, ledger, stack, n_shares)
        yield build_models(settings, own, network)


def build_models(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> StageModels:
    """The models and tools of a run, those of the endpoint by `network`."""
    _check_cascade(settings, own)
    tagging_model = _build_tagger(settings, own, network)
    models = {
        "tag-sample": tagging_model,
        "tag": tagging_model,
        "grade": _build_grader(settings, own, network),
        "judge": _build_judge(settings, own, network),
    }
    if uses_tag_matching(settings):
        models["match"] = network.client(_resolve_matcher_model(settings))
    if uses_close_judge(settings):
        models["reread"] = close_judge.load()
    return StageModels(models, build_tools(settings, own, network))


@contextmanager
def open_judges(
    settings: Settings,
    ledger: LedgerLocation | None = None,
    *,
    refine: bool = False,
) -> Iterator[StageModels]:
    """The judge of `tacos calibrate`; with `refine`, the judge and the editor of `tacos refine`."""
    with ExitStack() as stack:
        network = EndpointClients(settings, ledger, stack)
        judging_model = _build_judge(settings, UserFunctions(), network)
        if not refine:
            yield StageModels({"calibrate": judging_model}, {})
            return
        editor = network.client(resolve_editor_model(settings))
        models = {
            "rewrite": editor,
            "reword": editor,
            "confirm": judging_model,
        }
        yield StageModels(models, {})


@contextmanager
def open_checker(
    settings: Settings, ledger: LedgerLocation | None = None
) -> Iterator[StageModels]:
    """The model that checks tags."""
    with ExitStack() as stack:
        network = EndpointClients(settings, ledger, stack)
        model = network.client(resolve_checker_model(settings))
        yield StageModels({"check-precision": model, "check-consistency": model}, {})


@contextmanager
def open_evaluation_judge(
    settings: Settings,
    stage: str,
    judge_name: str,
    ledger: LedgerLocation | None = None,
) -> Iterator[StageModels]:
    """The judge of an evaluation, whose only stage that asks is `stage`."""
    with ExitStack() as stack:
        network = EndpointClients(settings, ledger, stack)
        model = network.client(resolve_evaluation_judge(settings, judge_name))
        yield StageModels({stage: model}, {})


# Which models of an endpoint the stages ask


def resolve_evaluation_judge(settings: Settings, name: str) -> str:
    """The name of the model that judges answers; `ConfigError` if it is not one of an endpoint."""
    return _resolve_endpoint_model(
        settings,
        name,
        "no judge given: name a language model with --judge (llm.model), "
        "and its server with --llm",
    )


def resolve_checker_model(settings: Settings) -> str:
    """The name of the model that checks tags; `ConfigError` if it is not one of an endpoint."""
    return _resolve_endpoint_model(
        settings,
        settings.check.model,
        "tags are checked by a language model: name one in llm.model (--model), "
        "or have people fill in a sheet (--sheet, or tacos.write_tag_sheet)",
    )


def resolve_editor_model(settings: Settings) -> str:
    """The name of the model that rewrites; `ConfigError` if it is not one of an endpoint."""
    name = _resolve_name(settings, settings.refine.model)
    if not name:
        raise ConfigError(
            "no model given: name one in llm.model (--model) or refine.model"
        )
    if not is_endpoint_model(name):
        raise ConfigError(
            f"{name!r} cannot rewrite: refine.model must be a model of an endpoint"
        )
    return name


def _resolve_matcher_model(settings: Settings) -> str:
    """The name of the model that matches tags; `ConfigError` if it is not one of an endpoint."""
    return _resolve_endpoint_model(
        settings,
        settings.normalise.model,
        "normalise.model needs a language model: name one with --model (llm.model), or leave "
        "normalise.model empty",
    )


def _resolve_endpoint_model(settings: Settings, name: str, problem: str) -> str:
    """The name of a model of an endpoint; `ConfigError` with the `problem` if it is none."""
    resolved = _resolve_name(settings, name)
    if not resolved or not is_endpoint_model(resolved):
        raise ConfigError(problem)
    return resolved


def list_endpoint_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Stage -> the models of the endpoint that it asks, for the stages that ask one."""
    tagging_model = _resolve_name(settings, settings.tag.model)
    judging_stage = "grade" if resolve_mode(settings) == "singleton" else "judge"
    names_by_stage: dict[str, tuple[str, ...]] = {}
    if settings.cascade.sample:
        names_by_stage["tag-sample"] = (tagging_model,)
    names_by_stage["tag"] = (tagging_model,)
    if uses_tag_matching(settings):
        names_by_stage["match"] = (_resolve_matcher_model(settings),)
    names_by_stage[judging_stage] = settings.judges

    models = {}
    for stage, names in names_by_stage.items():
        endpoint_names = tuple(name for name in names if is_endpoint_model(name))
        if endpoint_names:
            models[stage] = endpoint_names
    return models


def list_embedding_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Stage -> the model of the embeddings endpoint that it asks, for the stages that ask one."""
    encoders = {"normalise": settings.normalise.encoder}
    if settings.cluster.by == "tags":
        encoders["cluster"] = settings.cluster.encoder
    models: dict[str, tuple[str, ...]] = {}
    for stage, name in encoders.items():
        model = _parse_embedding_model(name)
        if model:
            models[stage] = (model,)
    return models


def _resolve_name(settings: Settings, name: str) -> str:
    """The name of a model, with that of the `llm` settings in place of "llm"."""
    return settings.llm.model if name == LLM else name


def _parse_embedding_model(name: str) -> str:
    """The model of an embeddings endpoint that an encoder's name means; "" for other encoders.

    >>> _parse_embedding_model("endpoint:text-embedding-3-small")
    'text-embedding-3-small'
    >>> _parse_embedding_model("minilm")
    ''
    """
    if not name.startswith(ENDPOINT):
        return ""
    return name.removeprefix(ENDPOINT)


@dataclass(frozen=True)
class EndpointClients:
    """One client per model of the endpoint, all with the same ledger; each is opened when it is
    first needed.
    """

    settings: Settings
    ledger: LedgerLocation | None
    stack: ExitStack
    n_shares: int = 0
    """Other processes that ask; 0: this one asks."""
    clients: dict[str, Model] = field(default_factory=dict)
    ledgers: list[Any] = field(default_factory=list)
    """The one ledger, once it is open: all clients share its budget."""
    encoders: dict[str, Encoder] = field(default_factory=dict)

    # `tacos.llm` is imported when it is needed: runs without a network start faster.

    def book(self) -> Any:
        """The ledger, opened now if it is not open yet."""
        from tacos.llm.ledger.ledger import open_ledger

        if not self.ledgers:
            opened = self.stack.enter_context(open_ledger(self.ledger))
            self.ledgers.append(opened)
        return self.ledgers[0]

    def client(self, model: str) -> Model:
        """The client for a model."""
        if model not in self.clients:
            self.clients[model] = self._connect(model)
        return self.clients[model]

    def _connect(self, model: str) -> Model:
        from tacos import llm

        if self.n_shares:
            from tacos.llm.shared_client import SharedClient

            return SharedClient(
                self.settings.llm,
                model,
                self.ledger,
                self.n_shares,
            )
        client = llm.connect(self.settings.llm, model, self.book())
        return self.stack.enter_context(client)

    def encoder(self, model: str) -> Encoder:
        """The encoder for a model of the embeddings endpoint."""
        if model not in self.encoders:
            from tacos.llm.embedding.encoder import EndpointEncoder

            config = self.settings.embed
            endpoint = config.endpoint(self.settings.llm)
            opened = EndpointEncoder(
                endpoint,
                config,
                model,
                self.book(),
            )
            self.encoders[model] = self.stack.enter_context(opened)
        return self.encoders[model]

    def grouped(self, model: str, template: str, per_request: int) -> Model:
        """The client for a model that gets `per_request` questions of a template in one request."""
        client = self.client(model)
        if per_request == 1:
            return client
        from tacos.llm import Client
        from tacos.llm.chat.grouped_model import GroupedModel

        if self.n_shares:
            raise ConfigError(
                "on Ray, each instruction is a request of its own: leave out tag.per_request"
            )
        if not isinstance(client, Client):
            raise ConfigError(
                "batch and exchange files hold one instruction per request: "
                "leave out tag.per_request"
            )
        return GroupedModel(client, template, per_request)


# The models of single stages


def _build_tagger(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> Model:
    """The tagger: the user's function, a model of the endpoint, the embedded one, or one in a
    folder.
    """
    endpoint_models = list_endpoint_models(settings)
    per_request = settings.tag.per_request
    if own.tagger is None and "tag" in endpoint_models:
        name = endpoint_models["tag"][0]
        return network.grouped(name, "tag", per_request)
    if per_request > 1:
        raise ConfigError(
            "only a language model takes several instructions at once: leave out tag.per_request"
        )
    if own.tagger is not None:
        return user_functions.FunctionTagger(own.tagger)
    return _load_local_model(tagger.load, settings.tag.model, "tag.model")


def _check_cascade(settings: Settings, own: UserFunctions) -> None:
    """Raise `ConfigError` for a cascade that saves nothing."""
    if not settings.cascade.sample:
        return
    if own.tagger is None and "tag" not in list_endpoint_models(settings):
        raise ConfigError(
            "a cascade saves work of a language model: "
            "name one in tag.model (--model), or leave out cascade.sample"
        )


def _build_judge(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> Model:
    """The judge, or a panel: the user's function, models of the endpoint, the embedded one, or
    those in folders.
    """
    _check_judge(settings, own)
    if own.judge is not None:
        return user_functions.FunctionJudge(own.judge)
    members: dict[str, Model] = {}
    for name in settings.judges:
        if is_endpoint_model(name):
            members[name] = network.client(name)
        else:
            members[name] = _load_local_model(judge.load, name, "judge.model")
    if len(members) > 1:
        return JudgePanel(members)
    return next(iter(members.values()))


def _check_judge(settings: Settings, own: UserFunctions) -> None:
    """Raise `ConfigError` for settings that the judge would silently ignore."""
    config = settings.judge
    if own.judge is not None and config.models:
        raise ConfigError("your own judge judges alone: leave out judge.models")
    # The rest of the settings is for language models alone.
    if own.judge is None and all(map(is_endpoint_model, settings.judges)):
        return
    if config.criteria:
        raise ConfigError(
            "only a language model reads criteria: name one in judge.model (--model)"
        )
    if config.repetitions > 1:
        raise ConfigError(
            "only a language model answers the same question differently: "
            "leave out judge.repetitions"
        )


def _build_grader(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> Model:
    """What grades each sample by itself: the judge in singleton mode, else a cheap model, for the
    shortlist.
    """
    if resolve_mode(settings) == "singleton":
        return _build_judge(settings, own, network)
    if own.judge is not None:
        return user_functions.FunctionJudge(own.judge)
    return judge.load()


def _load_local_model(
    load: Callable[[Path | None], Model], name: str, setting: str
) -> Model:
    """The embedded model, or one in a folder."""
    try:
        return load(None if name == EMBEDDED else Path(name))
    except ModelError as error:
        raise ModelError(
            f"{error}; name another one with --set {setting}=... (embedded: the shipped one)"
        ) from None


# Tools


@dataclass(frozen=True)
class CachingEncoder:
    """Encodes each text only once: normalise and cluster ask for mostly the same tags."""

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

    @property
    def paid(self) -> Mapping[str, PaidReply]:
        """Ledger key -> what its vector cost, if the encoder pays for vectors."""
        paid: Mapping[str, PaidReply] = getattr(self.inner, "paid", {})
        return paid

    @property
    def other_endpoints(self) -> Mapping[str, int]:
        """URL -> vectors of other endpoints, if the encoder knows endpoints."""
        others: Mapping[str, int] = getattr(self.inner, "other_endpoints", {})
        return others

    def free_weights(self) -> None:
        """Free the encoder's weights, if it can load them again; its vectors stay."""
        encoder.free_weights(self.inner)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors, shape (texts, dim)."""
        distinct = dict.fromkeys(texts)
        new = [text for text in distinct if text not in self.vectors]
        if new:
            vectors = self.inner.encode(new)
            self.vectors.update(zip(new, vectors, strict=True))
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([self.vectors[text] for text in texts])


def build_tools(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> dict[str, Any]:
    """The encoders of normalise and cluster (one object if it is the same model), and the tools of
    the other stages that need one.
    """
    _check_normalisation(settings)
    tools = _build_encoders(settings, own, network)
    tools["propose"] = tools["normalise"]
    if settings.cluster.by == "embedding":
        tools["assign"] = tools["cluster"]
    if settings.cascade.sample:
        tools["distill"] = tagger.load()
        tools["guess"] = tagger.load()
    if own.selector is not None:
        tools["select"] = user_functions.FunctionSelector(own.selector)
    elif settings.select.limit == "auto":
        tools["select"] = question_vectors.load()
    elif settings.select.limit < 1:
        tools["select"] = encoder.load("static")
    return tools


def _build_encoders(
    settings: Settings,
    own: UserFunctions,
    network: EndpointClients,
) -> dict[str, Any]:
    """The encoders of normalise and cluster.

    Encoders of tags keep their vectors; those of samples would need too much memory for that.
    """
    by_embedding = settings.cluster.by == "embedding"
    if own.encoder is not None:
        plain = user_functions.FunctionEncoder(own.encoder)
        caching = CachingEncoder(plain)
        return {"normalise": caching, "cluster": plain if by_embedding else caching}

    opened: dict[str, Encoder] = {}

    def open_tag_encoder(name: str) -> Encoder:
        if name not in opened:
            model = _parse_embedding_model(name)
            inner = network.encoder(model) if model else encoder.load(name)
            opened[name] = CachingEncoder(inner)
        return opened[name]

    if by_embedding:
        cluster_encoder = encoder.load_topic_encoder(settings.cluster.sample_encoder)
    else:
        cluster_encoder = open_tag_encoder(settings.cluster.encoder)
    return {
        "normalise": open_tag_encoder(settings.normalise.encoder),
        "cluster": cluster_encoder,
    }


def _check_normalisation(settings: Settings) -> None:
    """Raise `InputError` for overrides or a vocabulary that cannot be read, before anything is paid
    for.
    """
    config = settings.normalise
    overrides.parse_overrides(config.overrides, config.signs)
    if config.vocabulary:
        published_vocabulary.vocabulary_from_json(config.vocabulary)
