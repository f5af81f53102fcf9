"""The notebooks run on Stable Diffusion 1.5, 2.1 and XL in full shape, and leave what the published shapes ask for.

The weights are random: what is tried is loading, names, counts, precision and saving at real size. Each model takes
minutes, up to 9 GB of disk and up to 16 GB of memory.
"""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import read_variants
from tests.models.test_family import SHAPES

ARCHITECTURES = {
    "sd15": "stable-diffusion-v1",
    "sd21": "stable-diffusion-v2-768-v",
    "sdxl": "stable-diffusion-xl-v1-base",
}
sys.path.append(str(PROJECT / "benchmarks"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_notebooks_run_on_a_model_of_full_shape(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    import full_shapes

    path = full_shapes.write_study(name, tmp_path_factory.mktemp("shapes"), 64)
    rows = list(full_shapes.run(path))
    assert [row["notebook"] for row in rows] == list(full_shapes.NOTEBOOKS)
    study = read_study(path)
    modules, per_rank, _ = SHAPES[name]
    for variant in read_variants(full_shapes.VARIANTS):
        said = json.loads((study.adapter(variant) / "settings.json").read_text(encoding="utf-8"))
        assert (said["layers"], said["trained_parameters"]) == (modules, per_rank * variant.rank)
        assert said["largest_error"] < 1e-6
        [kohya] = study.adapter(variant).glob("full_*.safetensors")
        keys = load_file(kohya)
        assert len(keys) == 3 * modules and all(key.startswith("lora_unet_") for key in keys)
        assert metadata_of(kohya)["modelspec.architecture"] == f"{ARCHITECTURES[name]}/lora"
    assert study.scores.is_file() and study.report.is_file()


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself."""
    written = path.read_bytes()
    return json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])["__metadata__"]
