"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tacos.models import smollm2

settings.register_profile(  # the same examples each time, however slow the machine is
    "steady",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.register_profile(
    "explore", settings.get_profile("steady"), derandomize=False, max_examples=1000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the weights of SmolLM2 where they are not installed."""
    if smollm2.is_available():
        return
    skip = pytest.mark.skip(reason=f"needs the weights of SmolLM2: {smollm2.INSTALL}")
    for item in items:
        if item.get_closest_marker("close"):
            item.add_marker(skip)


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; a user's clone does not have it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not part of the project")
    return SHARED
