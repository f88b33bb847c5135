"""MiniLM in onnxruntime, against the same network written out in numpy."""

import numpy as np
import pytest
from scipy.special import erf

from tacos.models import minilm_encoder, question_vectors, weights

TEXTS = [
    "Hello world",
    "Explain photosynthesis to a five-year-old.",
    "naïve café ☕ 你好",
    "",
    "word " * 400,
]


@pytest.fixture(scope="module")
def model() -> minilm_encoder.MiniLM:
    return minilm_encoder.MiniLM(threads=1)


def norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    return (
        centred
        / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-12)
        * gamma
        + beta
    )


def reference(model: minilm_encoder.MiniLM, text: str) -> np.ndarray:
    """BERT with mean pooling, one text at a time, in float64."""
    from safetensors.numpy import load_file

    w = {
        k: v.astype(np.float64)
        for k, v in load_file(weights.find_weights()).items()
        if v.dtype.kind == "f"
    }
    ids = minilm_encoder.load_tokenizer(model.max_tokens).encode(text).ids
    at = "embeddings."
    x = (
        w[at + "word_embeddings.weight"][ids]
        + w[at + "position_embeddings.weight"][: len(ids)]
    )
    x = norm(
        x + w[at + "token_type_embeddings.weight"][0],
        w[at + "LayerNorm.weight"],
        w[at + "LayerNorm.bias"],
    )
    for n in range(6):

        def dense(name, v, at=f"encoder.layer.{n}."):
            return v @ w[f"{at}{name}.weight"].T + w[f"{at}{name}.bias"]

        q, k, v = (
            dense(f"attention.self.{p}", x).reshape(len(ids), 12, 32)
            for p in ("query", "key", "value")
        )
        weight = np.exp(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(32))
        mixed = np.einsum(
            "hij,jhd->ihd", weight / weight.sum(axis=2, keepdims=True), v
        ).reshape(len(ids), 384)
        for name, update in (("attention.output", mixed), ("output", None)):
            if update is None:
                up = dense("intermediate.dense", x)
                update = up * (1 + erf(up / np.sqrt(2))) / 2
            layer = f"encoder.layer.{n}.{name}.LayerNorm."
            x = norm(
                x + dense(f"{name}.dense", update),
                w[layer + "weight"],
                w[layer + "bias"],
            )
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_equals_the_network_in_numpy(model) -> None:
    expected = np.array([reference(model, text) for text in TEXTS])
    assert np.abs(model.encode(TEXTS) - expected).max() < 2e-6


def test_neighbours_in_a_batch_change_nothing_but_rounding(model) -> None:
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    assert np.abs(model.encode(TEXTS[::-1])[::-1] - alone).max() < 2e-6


def test_lone_surrogates_do_no_harm(model) -> None:
    assert np.allclose(model.encode(["a\ud800b"]), model.encode(["a?b"]))


def test_the_shipped_graph_is_what_its_script_builds() -> None:
    graph = pytest.importorskip(
        "tacos.models.training.minilm_graph", reason="needs the package onnx"
    )
    assert (
        graph.build_graph().SerializeToString(deterministic=True)
        == minilm_encoder.GRAPH.read_bytes()
    )


def test_weights_are_freed_and_loaded_again(model: minilm_encoder.MiniLM) -> None:
    vectors = model.encode(TEXTS)
    model.free_weights()
    assert not minilm_encoder.load_session.cache_info().currsize
    assert (model.encode(TEXTS) == vectors).all()


def test_the_encoder_of_questions_frees_them_too() -> None:
    """After a selection, and before the report reads the pool."""
    questions = question_vectors.load()
    vectors = questions.encode(TEXTS, TEXTS, [True] * len(TEXTS))
    assert minilm_encoder.load_session.cache_info().currsize
    questions.free_weights()
    assert not minilm_encoder.load_session.cache_info().currsize
    again = questions.encode(TEXTS, TEXTS, [True] * len(TEXTS))
    assert (again == vectors).all()
