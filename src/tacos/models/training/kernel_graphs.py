"""Builds the graphs of `tacos.models.kernel_sums` as ONNX, without the supports.

Needs the package `onnx` (dependency group `train`).
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tacos.models.kernel_sums import GRAPH_OF_BYTES, GRAPH_OF_FLOATS, ZERO

FUSED = "com.microsoft"


def build_graph(in_bytes: bool) -> onnx.ModelProto:
    """Build a graph for rows of unsigned bytes, of which `ZERO` is 0, or of float32.

    Its inputs are `rows` (n, columns) and `squares` (n, 1), what their squared lengths add to the
    exponents; its output is `sums`, float32 (n, outputs). What it lacks are `supports` (columns,
    m), int8 or float32, and in float32 `factor` (), `bias` (m,), `coefficients` (m, outputs).
    """
    declare = helper.make_tensor_value_info
    constants: list[onnx.TensorProto] = []
    if in_bytes:
        constants = [
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("zero", TensorProto.UINT8, [], [ZERO]),
        ]
        left = ["rows", "supports", "factor", "one", "zero", "", "bias"]
        product = [
            helper.make_node("MatMulIntegerToFloat", left, ["near"], domain=FUSED)
        ]
    else:
        product = [
            helper.make_node("MatMul", ["rows", "supports"], ["product"]),
            helper.make_node("Mul", ["product", "factor"], ["scaled"]),
            helper.make_node("Add", ["scaled", "bias"], ["near"]),
        ]
    graph = helper.make_graph(
        [
            *product,
            helper.make_node("Add", ["near", "squares"], ["exponents"]),
            helper.make_node("Exp", ["exponents"], ["kernel"]),
            helper.make_node("MatMul", ["kernel", "coefficients"], ["sums"]),
        ],
        name="kernel_sums",
        inputs=[
            declare(
                "rows",
                TensorProto.UINT8 if in_bytes else TensorProto.FLOAT,
                ["n", "columns"],
            ),
            declare("squares", TensorProto.FLOAT, ["n", 1]),
        ],
        outputs=[declare("sums", TensorProto.FLOAT, ["n", "outputs"])],
        initializer=constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid(FUSED, 1)],
        ir_version=9,
        producer_name="tacos",
    )


def write_graphs() -> None:
    """Write both graphs; the same bytes every time."""
    for path, in_bytes in ((GRAPH_OF_BYTES, True), (GRAPH_OF_FLOATS, False)):
        path.write_bytes(build_graph(in_bytes).SerializeToString(deterministic=True))


if __name__ == "__main__":
    write_graphs()
