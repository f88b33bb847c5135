"""Builds the graph of `tacos.models.whole_products` as ONNX: one product of bytes.

Needs the package `onnx` (dependency group `train`).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tacos.models.whole_products import GRAPH, ZERO

FUSED = "com.microsoft"


def build_graph() -> onnx.ModelProto:
    """Build the graph.

    Its inputs are `left` (n, columns), bytes of which `ZERO` is 0, `right` int8 (columns, m) and
    `factor`, float32; its output is `product`, float32 (n, m).
    """
    declare = helper.make_tensor_value_info
    constants = [
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [ZERO]),
    ]
    product = helper.make_node(
        "MatMulIntegerToFloat",
        ["left", "right", "factor", "one", "zero"],
        ["product"],
        domain=FUSED,
    )
    graph = helper.make_graph(
        [product],
        name="products",
        inputs=[
            declare("left", TensorProto.UINT8, ["n", "columns"]),
            declare("right", TensorProto.INT8, ["columns", "m"]),
            declare("factor", TensorProto.FLOAT, []),
        ],
        outputs=[declare("product", TensorProto.FLOAT, ["n", "m"])],
        initializer=constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid(FUSED, 1)],
        ir_version=9,
        producer_name="tacos",
    )


def write_graph(path: Path) -> None:
    """Write the graph; the same bytes every time."""
    path.write_bytes(build_graph().SerializeToString(deterministic=True))


if __name__ == "__main__":
    write_graph(GRAPH)
