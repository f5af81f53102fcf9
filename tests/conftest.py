"""What every test starts from: no window for figures, no network, and markers that are off until asked for."""

import os

import hypothesis
import matplotlib
import pytest

MARKERS = {
    "gpu": "needs a CUDA device",
    "network": "downloads models",
    "loaders": "reads our files in InvokeAI and LyCORIS",
    "slow": "takes many minutes and gigabytes",
}

matplotlib.use("agg")
hypothesis.settings.register_profile(
    "caplora", deadline=None
)  # the first call of a checked function compiles its check
hypothesis.settings.load_profile("caplora")


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, why in MARKERS.items():
        parser.addoption(f"--{marker}", action="store_true", help=f"also run the tests marked {marker}: {why}")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--network"):
        os.environ["HF_HUB_OFFLINE"] = "1"  # before any test imports huggingface_hub


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    off = [marker for marker in MARKERS if not config.getoption(f"--{marker}")]
    for item in items:
        for marker in off:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{MARKERS[marker]}: turn on with pytest --{marker}"))
