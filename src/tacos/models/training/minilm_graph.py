"""Builds the computation graph of all-MiniLM-L6-v2 as ONNX, without weights (a few KB), from its
published shape.

The architecture is BERT's (Devlin et al., 2019, section 3) with 6 layers, 384 dimensions and 12
heads, followed by mean pooling over the tokens and scaling to length 1 (Reimers and Gurevych, 2019,
section 3). onnxruntime's fused operators (domain `com.microsoft`) make it fast on a CPU.
`tacos.models.minilm_encoder` gives the weights at load time; their names are those of
`_list_initializers`. It does not know where weights come from.

Needs the `onnx` package (dependency group `train`).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

LAYERS, HIDDEN, HEADS, INNER, VOCABULARY, POSITIONS = 6, 384, 12, 1536, 30522, 512
EPSILON = 1e-12
FUSED = "com.microsoft"


def _list_initializers() -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight that the graph asks for; all are float32, matrices are
    (inputs, outputs).
    """
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
    """The nodes of encoder layer `n` on input `x`, and the name of their output."""
    node = helper.make_node
    fused = {"domain": FUSED}
    attended, mixed, middle = f"{n}.attended", f"{n}.mixed", f"{n}.middle"
    nodes = [
        node(
            "Attention",
            [x, f"{n}.qkv", f"{n}.qkv.bias", "n_tokens"],
            [attended],
            num_heads=HEADS,
            **fused,
        ),
        node("MatMul", [attended, f"{n}.out"], [f"{n}.projected"]),
        node(
            "SkipLayerNormalization",
            [f"{n}.projected", x, f"{n}.out.gamma", f"{n}.out.beta", f"{n}.out.bias"],
            [mixed],
            epsilon=EPSILON,
            **fused,
        ),
        node("MatMul", [mixed, f"{n}.up"], [f"{n}.raised"]),
        node("BiasGelu", [f"{n}.raised", f"{n}.up.bias"], [middle], **fused),
        node("MatMul", [middle, f"{n}.down"], [f"{n}.lowered"]),
        node(
            "SkipLayerNormalization",
            [f"{n}.lowered", mixed, f"{n}.down.gamma", f"{n}.down.beta", f"{n}.down.bias"],
            [f"{n}.output"],
            epsilon=EPSILON,
            **fused,
        ),
    ]
    return nodes, f"{n}.output"


def _build_pooling(x: str) -> list[onnx.NodeProto]:
    """Nodes from token vectors `x` (batch, tokens, 384) to `vectors` (batch, 384), each row of
    length 1.
    """
    node = helper.make_node
    return [
        node("Cast", ["mask"], ["weight"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["weight", "axis1"], ["row"]),
        node("MatMul", ["row", x], ["sum3"]),
        node("Squeeze", ["sum3", "axis1"], ["sum"]),
        node("LpNormalization", ["sum"], ["vectors"], axis=-1, p=2),
    ]


def build_graph() -> onnx.ModelProto:
    """The whole graph: int32 `tokens` and `mask` (batch, tokens) to float32 `vectors` (batch, 384).

    The mean's division by the number of tokens is left out: scaling to length 1 undoes it.
    """
    ids = ["batch", "tokens_"]
    embed = ["tokens", "", "words", "positions", "", "embed.gamma", "embed.beta", "mask"]
    nodes = [
        helper.make_node(
            "EmbedLayerNormalization",
            embed,
            ["embedded", "n_tokens"],
            domain=FUSED,
            epsilon=EPSILON,
        )
    ]
    x = "embedded"
    for n in range(LAYERS):
        more, x = _build_layer(n, x)
        nodes += more
    graph = helper.make_graph(
        nodes + _build_pooling(x),
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT32, ids)
            for name in ("tokens", "mask")
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])],
        [_declare_weight(name, shape) for name, shape in _list_initializers().items()]
        + [helper.make_tensor("axis1", TensorProto.INT64, [1], [1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tacos")


def _declare_weight(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    """A weight that is declared but not stored: the session must be given its values."""
    tensor = onnx.TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
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
