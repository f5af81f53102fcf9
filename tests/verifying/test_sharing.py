"""sharing.py: whoever downloads a published adapter can check every file of it, by caplora or by sha256sum."""

import shutil
import subprocess
from pathlib import Path

import pytest

from caplora.commands.app import main
from caplora.publishing.folder import SUMS, sums_of
from caplora.verifying.sharing import shared_differences

FILES = {"README.md": b"card", "small_r4_a8.safetensors": b"weights", "images/first one.png": b"picture"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / SUMS).write_text(sums_of(tmp_path))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/lock").touch()  # what a client of the hub leaves
    return tmp_path


def test_a_download_that_is_whole_is_said_to_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(shared_differences(folder)) == [] and main(["verify", str(folder)]) == 0
    assert "every file is as it was sent" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_sha256sum_alone_checks_it_too(folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / "README.md").write_bytes(b"Card")
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_file_that_differs_is_named(name: str, gone: bool, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).unlink() if gone else (folder / name).write_bytes(b"another")
    [found] = shared_differences(folder)
    assert found.what == name and bool(found.found) != gone and bool(found.depends) == name.endswith("safetensors")
    assert main(["verify", str(folder)]) == 1
    assert f"{name} {'is gone' if gone else 'has the hash'}" in capsys.readouterr().out


def test_a_file_that_was_not_sent_is_named(folder: Path) -> None:
    (folder / "pytorch_model.bin").touch()
    [found] = shared_differences(folder)
    assert (found.what, found.found) == ("pytorch_model.bin", "is new")


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 64}  ../secret", f"{'0' * 64}  /etc/passwd", f"{'0' * 64}  "])
def test_a_list_that_is_none_or_leads_out_is_refused(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / SUMS).write_text(f"{line}\n")
    assert main(["verify", str(folder)]) == 2
    assert f"{SUMS}, line 1" in capsys.readouterr().err
