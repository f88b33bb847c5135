"""Builds the computation graph of SmolLM2-135M as ONNX, without weights (a few ten KB).

The architecture is Llama's (Touvron et al., 2023, section 2.2) with grouped queries (Ainslie et
al., 2023): 576 dimensions, 9 heads for queries and 3 for keys and values, a gated network of 1,536.
Only the first `LAYERS` of its 30 layers are computed, because states of the middle serve best.

Matrix products run on 8-bit integers: one scale per column of the weights, and one per token for
what they are applied to (Yao et al., 2022, "ZeroQuant", section 4), so a row's states do not depend
on its batch. On a CPU with VNNI that is four times as fast as float32.

`tacos.models.smollm2.network` supplies the weights at load time, under the names of
`_list_initializers`. Needs the package `onnx` (dependency group `train`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tacos.models.smollm2.network import (
    GROUPS,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    MAX_TOKENS,
    OUTPUT_LAYERS,
    PARTS,
)

EPSILON = 1e-5
FUSED = "com.microsoft"
QKV = (HEADS + 2 * GROUPS) * HEAD_DIM
LARGEST_INT8 = 127
ZERO = 128
"""Zero among unsigned bytes."""
SMALLEST_SCALE = 1e-9
Nodes = list[onnx.NodeProto]


def build_graph() -> onnx.ModelProto:
    """Build the whole graph.

    Its inputs:

        embeddings   float32 (batch, tokens, 576), padded on the right
        last         int32 (batch,), the position of each row's last token
        n_tokens     int32 (1,), the padded length
        pooling      float32 (batch, 4, tokens), the weight of each token in the mean over each part

    Its outputs are float32 `layer_N` (batch, 4, 576), the means of the states after layer N.
    """
    nodes = _build_preparation()
    state = "embedded"
    update = ""
    for layer in range(LAYERS):
        nodes += _build_attention(layer, state, update)
        nodes += _build_gated_network(layer)
        state = f"{layer}.middle"
        update = f"{layer}.lowered"
    nodes.append(helper.make_node("Add", [state, update], [f"{LAYERS}.input"]))
    for layer in OUTPUT_LAYERS:
        nodes += _build_pooling(layer)

    row_shape: list[str | int | None] = ["batch", "tokens", HIDDEN]
    weight_shape: list[str | int | None] = ["batch", len(PARTS), "tokens"]
    mean_shape: list[str | int | None] = ["batch", len(PARTS), HIDDEN]
    declare = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name="SmolLM2-135M",
        inputs=[
            declare("embeddings", TensorProto.FLOAT, row_shape),
            declare("last", TensorProto.INT32, ["batch"]),
            declare("n_tokens", TensorProto.INT32, [1]),
            declare("pooling", TensorProto.FLOAT, weight_shape),
        ],
        outputs=[
            declare(f"layer_{layer}", TensorProto.FLOAT, mean_shape)
            for layer in OUTPUT_LAYERS
        ],
        initializer=[*_build_constants(), *_declare_weights()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid(FUSED, 1)],
        ir_version=9,
        producer_name="tacos",
    )


def write_graph(folder: Path) -> Path:
    """Write `smollm2.onnx` into `folder`; the same bytes every time."""
    path = folder / "smollm2.onnx"
    path.write_bytes(build_graph().SerializeToString(deterministic=True))
    return path


def _build_preparation() -> Nodes:
    """Build what all layers share.

    `embedded` holds the tokens of all rows below each other, because only attention needs to know
    the rows; `row_shape` brings them back.
    """
    node = helper.make_node
    return [
        node("Reshape", ["embeddings", "below_each_other"], ["embedded"]),
        node("Shape", ["embeddings"], ["batch_and_tokens"], end=2),
        node("Concat", ["batch_and_tokens", "rest"], ["row_shape"], axis=0),
        # One zero point per token, which quantisation by token asks for.
        node("Shape", ["embedded"], ["n_all"], end=1),
        node("Expand", ["zero", "n_all"], ["zeros"]),
    ]


def _build_attention(
    layer: int,
    state: str,
    update: str,
) -> Nodes:
    """Build self-attention on the normed state, from `state` and the last layer's `update`.

    Gives `N.input`, the state before this layer, and `N.attended`, what is to be added to it.
    """
    node = helper.make_node
    name = f"{layer}.".__add__
    if update:
        norm = node(
            "SkipSimplifiedLayerNormalization",
            [update, state, name("attention.gamma")],
            [name("normed"), "", "", name("input")],
            epsilon=EPSILON,
            domain=FUSED,
        )
    else:
        norm = node(
            "SimplifiedLayerNormalization",
            [state, name("attention.gamma")],
            [name("normed")],
            axis=-1,
            epsilon=EPSILON,
        )
    attention = node(
        "GroupQueryAttention",
        [name("rows"), "", "", "", "", "last", "n_tokens", "cosines", "sines"],
        [name("mixed_rows"), name("keys"), name("values")],
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        do_rotary=1,
        domain=FUSED,
    )
    return [
        norm,
        *_quantise(name("normed")),
        *_multiply(name("normed"), name("qkv")),
        node("Reshape", [name("qkv.product"), "row_shape"], [name("rows")]),
        attention,
        node("Reshape", [name("mixed_rows"), "below_each_other"], [name("mixed")]),
        *_quantise(name("mixed")),
        *_multiply(name("mixed"), name("out")),
    ]


def _build_gated_network(layer: int) -> Nodes:
    """Build the feed-forward network: silu(gate) x up, then down.

    Gives `N.middle`, the state after attention, and `N.lowered`, what is to be added to it.
    """
    node = helper.make_node
    name = f"{layer}.".__add__
    before = name("input") if layer else "embedded"
    return [
        node(
            "SkipSimplifiedLayerNormalization",
            [name("out.product"), before, name("network.gamma")],
            [name("normed2"), "", "", name("middle")],
            epsilon=EPSILON,
            domain=FUSED,
        ),
        *_quantise(name("normed2")),
        *_multiply(name("normed2"), name("gate")),
        *_multiply(name("normed2"), name("up")),
        # With alpha 1 this is silu, x sigmoid(x).
        node(
            "QuickGelu",
            [name("gate.product")],
            [name("gate.silu")],
            alpha=1.0,
            domain=FUSED,
        ),
        node("Mul", [name("gate.silu"), name("up.product")], [name("inner")]),
        *_quantise(name("inner")),
        *_multiply(name("inner"), name("down"), name("lowered")),
    ]


def _quantise(x: str) -> Nodes:
    """Build the nodes from float32 `x` (tokens, n) to bytes `x.bytes`, and `x.scale` (tokens, 1).

    The largest size of each token's values becomes 127 steps from zero.
    """
    node = helper.make_node
    return [
        # The scale of each token, never 0.
        node("Abs", [x], [f"{x}.size"]),
        node("ReduceMax", [f"{x}.size", "last_axis"], [f"{x}.largest"], keepdims=1),
        node("Mul", [f"{x}.largest", "step"], [f"{x}.step"]),
        node("Max", [f"{x}.step", "smallest"], [f"{x}.scale"]),
        # Axis 0 are the tokens.
        node("Reshape", [f"{x}.scale", "flat"], [f"{x}.scales"]),
        node("QuantizeLinear", [x, f"{x}.scales", "zeros"], [f"{x}.bytes"], axis=0),
    ]


def _multiply(x: str, weight: str, output: str = "") -> Nodes:
    """Build `weight.product` = x times weight, from the bytes of both and their scales."""
    node = helper.make_node
    return [
        node(
            "MatMulIntegerToFloat",
            [f"{x}.bytes", weight, "one", f"{weight}.scale", "zero"],
            [f"{weight}.steps"],
            domain=FUSED,
        ),
        node("Mul", [f"{weight}.steps", f"{x}.scale"], [output or f"{weight}.product"]),
    ]


def _build_pooling(layer: int) -> Nodes:
    """Build the means of the states after a layer, which are the next one's input."""
    node = helper.make_node
    return [
        node("Reshape", [f"{layer}.input", "row_shape"], [f"{layer}.states"]),
        node("MatMul", ["pooling", f"{layer}.states"], [f"layer_{layer}"]),
    ]


def _build_constants() -> list[onnx.TensorProto]:
    # Shapes and axes, then the numbers of quantisation.
    constants: dict[str, npt.NDArray[np.generic]] = {
        "below_each_other": np.array([-1, HIDDEN], dtype=np.int64),
        "rest": np.array([-1], dtype=np.int64),
        "flat": np.array([-1], dtype=np.int64),
        "last_axis": np.array([-1], dtype=np.int64),
        "zero": np.array(ZERO, dtype=np.uint8),
        "one": np.array(1, dtype=np.float32),
        "step": np.array(1 / LARGEST_INT8, dtype=np.float32),
        "smallest": np.array(SMALLEST_SCALE, dtype=np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in constants.items()]


def _declare_weights() -> list[onnx.TensorProto]:
    """Declare name, shape and type of every weight; matrices are int8 (inputs, outputs)."""
    matrices = {
        "qkv": (HIDDEN, QKV),
        "out": (HIDDEN, HIDDEN),
        "gate": (HIDDEN, INNER),
        "up": (HIDDEN, INNER),
        "down": (INNER, HIDDEN),
    }
    tables = (MAX_TOKENS, HEAD_DIM // 2)
    declared = [
        _declare_weight("cosines", tables),
        _declare_weight("sines", tables),
    ]
    for layer in range(LAYERS):
        for name, shape in matrices.items():
            matrix = _declare_weight(f"{layer}.{name}", shape, TensorProto.INT8)
            scale = _declare_weight(f"{layer}.{name}.scale", shape[1:])
            declared += [matrix, scale]
        for name in ("attention.gamma", "network.gamma"):
            gamma = _declare_weight(f"{layer}.{name}", (HIDDEN,))
            declared.append(gamma)
    return declared


def _declare_weight(
    name: str,
    shape: tuple[int, ...],
    kind: int = TensorProto.FLOAT,
) -> onnx.TensorProto:
    """Declare a weight without storing it: the session must be given its values."""
    tensor = onnx.TensorProto(
        name=name,
        dims=shape,
        data_type=kind,
    )
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


if __name__ == "__main__":
    print(write_graph(Path(__file__).parents[1] / "data"))
