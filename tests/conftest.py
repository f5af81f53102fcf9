"""What every test starts from: no window for figures, no network, and markers that are off until asked for.

The longest files come first, so that two workers end together: the last one to be begun decides when a run ends.
"""

import os
from pathlib import Path

import hypothesis
import matplotlib
import pytest

HERE = Path(__file__).parent
MARKERS = {
    "gpu": "needs a CUDA device",
    "network": "downloads models",
    "loaders": "reads our files in InvokeAI and LyCORIS",
    "slurm": "starts a Slurm on this machine",
    "long": "takes a minute",
    "slow": "takes many minutes and gigabytes",
}
LONGEST = (
    "notebooks/test_notebooks.py", "kills/test_kills.py", "training/test_loop.py", "training/test_grid.py",
    "test_benchmarks.py", "mini/test_training.py", "notebooks/test_samples.py", "review/test_jupyterlab.py",
    "commands/test_original.py", "rating/test_jupyterlab.py", "playground/test_jupyterlab.py", "planning/test_plan.py",
    "training/test_kept_steps.py", "statistics/test_variance.py", "statistics/test_simulation.py",
    "rating/test_answers.py", "models/test_family.py", "sampling/test_solvers.py", "lora/test_adapter_files.py",
)  # fmt: skip

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
    items.sort(key=lambda item: _turn(item.path))
    off = [marker for marker in MARKERS if not config.getoption(f"--{marker}")]
    for item in items:
        for marker in off:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{MARKERS[marker]}: turn on with pytest --{marker}"))


def _turn(path: Path) -> int:
    """When a file's turn comes: the longest in their order, then all others as they lie."""
    name = path.relative_to(HERE).as_posix()
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
