"""Nothing that we load reports home: onnxruntime does by default, and keeps a device id in the home
directory.
"""

import os
import subprocess
import sys
from pathlib import Path


def test_encoding_leaves_nothing_in_the_home_directory(tmp_path: Path) -> None:
    code = "from tacos.models import encoder; encoder.load('minilm').encode(['tag'])"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "ORT_DISABLE_TELEMETRY"
    }
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**environment, "HOME": str(tmp_path)},
    )
    assert list(tmp_path.rglob("*")) == []
