"""Inputs in buckets of S3, over s3fs and a real server of moto; run by `make test-s3`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.small_world import make_rows, run_command

from tacos.errors import InputError
from tacos.formats import reading, writing
from tacos.formats.remote_files import find_file

pytestmark = pytest.mark.s3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket, as boto3 sees it."""
    s3fs = pytest.importorskip("s3fs")
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "5ecre7")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    made = boto3.resource("s3", endpoint_url=address).create_bucket(Bucket="corpora")
    made.objects.all().delete()  # what other tests have left
    yield made
    server.stop()


def read(source: str) -> list[Any]:
    return [row for batch in reading.read_rows(source) for _, row in batch.rows]


@pytest.mark.parametrize("name", ("a.jsonl.zst", "a.parquet", "a.arrow", "a.csv"))
def test_files_folders_and_patterns(bucket: Any, tmp_path: Path, name: str) -> None:
    rows = make_rows(200)
    content = writing.write_rows(rows, tmp_path / name).read_bytes()
    bucket.put_object(Key=f"pool/{name}", Body=content)
    bucket.put_object(Key="pool/README.md", Body=b"#")
    assert read(f"s3://corpora/pool/{name}") == rows
    assert read("s3://corpora/pool") == rows
    code, output = run_command("inspect", "--glob", "s3://corpora/**/a.*")
    assert code == 0, output


def test_a_selection_on_ray_reads_a_bucket(bucket: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    content = writing.write_rows(make_rows(320), tmp_path / "a.jsonl").read_bytes()
    bucket.put_object(Key="ray/a.jsonl", Body=content)
    outputs = []
    for engine in ("local", "ray"):
        output = tmp_path / f"{engine}.jsonl"
        options = ("-n", 20, "-o", output, "--engine", engine, "--workers", 2)
        code, said = run_command("select", "s3://corpora/ray", *options)
        assert code == 0, said
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


def test_what_cannot_be_read_is_one_line(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError) as failure:
        read("s3://corpora/none.jsonl")
    assert str(failure.value) == (
        "s3://corpora/none.jsonl: no such file; check the address"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"access is refused; set AWS_ACCESS_KEY_ID"):
        read("s3://corpora/none.jsonl")


def test_a_changed_object_is_another_version(bucket: Any) -> None:
    versions = []
    for text in (b'{"a": 1}', b'{"a": 2}'):
        bucket.put_object(Key="a.jsonl", Body=text)
        versions.append(find_file("s3://corpora/a.jsonl").version)
    assert versions[0] != versions[1]
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in "".join(versions)
