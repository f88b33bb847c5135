"""Builds the computation graph of all-MiniLM-L6-v2 as ONNX, without weights (a few KB).

The architecture is BERT's (Devlin et al., 2019, section 3) with 6 layers, 384 dimensions and 12
heads, followed by mean pooling over the tokens and scaling to length 1 (Reimers and Gurevych, 2019,
section 3). onnxruntime's fused operators (domain `com.microsoft`) make it fast on a CPU.
`tacos.models.minilm_encoder` supplies the weights at load time, under the names of
`_list_initializers`.

Needs the package `onnx` (dependency group `train`).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

LAYERS = 6
HIDDEN = 384
HEADS = 12
INNER = 1536
VOCABULARY = 30_522
POSITIONS = 512
EPSILON = 1e-12
FUSED = "com.microsoft"


def _list_initializers() -> dict[str, tuple[int, ...]]:
    """List name and shape of every weight; all are float32, matrices are (inputs, outputs)."""
    shapes: dict[str, tuple[int, ...]] = {
        "words": (VOCABULARY, HIDDEN),
        "positions": (POSITIONS, HIDDEN),
        "embed.gamma": (HIDDEN,),
        "embed.beta": (HIDDEN,),
    }
    for n in range(LAYERS):
        shapes |= {
            f"{n}.qkv": (HIDDEN, 3 * HIDDEN),
            f"{n}.qkv.bias": (3 * HIDDEN,),
            f"{n}.out": (HIDDEN, HIDDEN),
            f"{n}.out.bias": (HIDDEN,),
            f"{n}.out.gamma": (HIDDEN,),
            f"{n}.out.beta": (HIDDEN,),
            f"{n}.up": (HIDDEN, INNER),
            f"{n}.up.bias": (INNER,),
            f"{n}.down": (INNER, HIDDEN),
            f"{n}.down.bias": (HIDDEN,),
            f"{n}.down.gamma": (HIDDEN,),
            f"{n}.down.beta": (HIDDEN,),
        }
    return shapes


def _build_layer(n: int, x: str) -> tuple[list[onnx.NodeProto], str]:
    """Build the nodes of encoder layer `n` on input `x`; return them and their output's name."""
    node = helper.make_node
    attended = f"{n}.attended"
    mixed = f"{n}.mixed"
    middle = f"{n}.middle"
    output = f"{n}.output"
    nodes = [
        # Self-attention, added to the layer's input.
        node(
            "Attention",
            [x, f"{n}.qkv", f"{n}.qkv.bias", "n_tokens"],
            [attended],
            num_heads=HEADS,
            domain=FUSED,
        ),
        node("MatMul", [attended, f"{n}.out"], [f"{n}.projected"]),
        node(
            "SkipLayerNormalization",
            [f"{n}.projected", x, f"{n}.out.gamma", f"{n}.out.beta", f"{n}.out.bias"],
            [mixed],
            epsilon=EPSILON,
            domain=FUSED,
        ),
        # The feed-forward network, added to its input.
        node("MatMul", [mixed, f"{n}.up"], [f"{n}.raised"]),
        node("BiasGelu", [f"{n}.raised", f"{n}.up.bias"], [middle], domain=FUSED),
        node("MatMul", [middle, f"{n}.down"], [f"{n}.lowered"]),
        node(
            "SkipLayerNormalization",
            [
                f"{n}.lowered",
                mixed,
                f"{n}.down.gamma",
                f"{n}.down.beta",
                f"{n}.down.bias",
            ],
            [output],
            epsilon=EPSILON,
            domain=FUSED,
        ),
    ]
    return nodes, output


def _build_pooling(x: str) -> list[onnx.NodeProto]:
    """Build the nodes from token vectors `x` (batch, tokens, 384) to `vectors` (batch, 384).

    Each row of `vectors` has length 1.
    """
    node = helper.make_node
    return [
        node("Cast", ["mask"], ["weight"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["weight", "axis1"], ["row"]),
        node("MatMul", ["row", x], ["sum3"]),
        node("Squeeze", ["sum3", "axis1"], ["sum"]),
        # Scaling to length 1 undoes the mean's division by the number of tokens: it is left out.
        node("LpNormalization", ["sum"], ["vectors"], axis=-1, p=2),
    ]


def build_graph() -> onnx.ModelProto:
    """Build the whole graph.

    It maps int32 `tokens` and `mask` (batch, tokens) to float32 `vectors` (batch, 384).
    """
    embedding = helper.make_node(
        "EmbedLayerNormalization",
        ["tokens", "", "words", "positions", "", "embed.gamma", "embed.beta", "mask"],
        ["embedded", "n_tokens"],
        domain=FUSED,
        epsilon=EPSILON,
    )
    nodes = [embedding]
    x = "embedded"
    for n in range(LAYERS):
        layer_nodes, x = _build_layer(n, x)
        nodes += layer_nodes
    nodes += _build_pooling(x)

    id_shape: list[str | int | None] = ["batch", "tokens_"]
    vector_shape: list[str | int | None] = ["batch", HIDDEN]
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT32, id_shape)
    mask = helper.make_tensor_value_info("mask", TensorProto.INT32, id_shape)
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, vector_shape)
    weights = [
        _declare_weight(name, shape) for name, shape in _list_initializers().items()
    ]
    weights.append(helper.make_tensor("axis1", TensorProto.INT64, [1], [1]))
    graph = helper.make_graph(
        nodes,
        name="all-MiniLM-L6-v2",
        inputs=[tokens, mask],
        outputs=[vectors],
        initializer=weights,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)],
        ir_version=8,
        producer_name="tacos",
    )


def _declare_weight(
    name: str,
    shape: tuple[int, ...],
) -> onnx.TensorProto:
    """Declare a weight without storing it: the session must be given its values."""
    tensor = onnx.TensorProto(
        name=name,
        dims=shape,
        data_type=TensorProto.FLOAT,
    )
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


def write_graph(folder: Path) -> Path:
    """Write `minilm.onnx` into `folder`; the same bytes every time."""
    path = folder / "minilm.onnx"
    path.write_bytes(build_graph().SerializeToString(deterministic=True))
    return path


if __name__ == "__main__":
    print(write_graph(Path(__file__).parents[1] / "data"))
