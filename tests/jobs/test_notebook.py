"""jobs/notebook.py: real notebooks, run as jobs. What they did is kept, and how they ended is told."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from caplora.jobs import notebook as jobs
from caplora.jobs.notebook import JobError, command, last_line, parameters_of, run_notebook
from caplora.jobs.records import read_record, record_path
from caplora.study.reading import PROJECT
from caplora.study.study import Study
from caplora.study.variants import Variant
from tests.watching.small import small_study

JOB = """
import sys
from pathlib import Path
from caplora.jobs import notebook
from caplora.study import read_study
notebook.PROJECT = Path(sys.argv[1])
notebook.run_notebook(read_study(Path(sys.argv[1]) / "small.yaml"), "work", {})
"""
KERNEL = """
import os, sys
from pathlib import Path
starts = Path(sys.argv[1])
starts.write_text(starts.read_text() + "." if starts.is_file() else ".")
if len(starts.read_text()) <= int(sys.argv[2]):
    sys.exit("no")
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", "-f", sys.argv[3]])
"""
PATIENCE = 60  # seconds


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of a project whose notebooks are still to be written."""
    monkeypatch.setattr(jobs, "PROJECT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return small_study(tmp_path)


def write(folder: Path, *cells: str, kernel: str = "python3") -> None:
    """A notebook `work` of these cells, the first of them with its parameters."""
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made[0].metadata["tags"] = ["parameters"]
    spec = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=spec), folder / "notebooks" / "work.ipynb")


def said(copy: Path) -> str:
    """All that the cells of an executed notebook printed, and their errors."""
    outputs = [output for cell in nbformat.read(copy, 4).cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") or "\n".join(output.get("traceback", [])) for output in outputs)


def until(there: Path) -> None:
    """Wait for a file that is not empty."""
    end = time.monotonic() + PATIENCE
    while not there.is_file() or not there.read_text():
        assert time.monotonic() < end, f"{there} did not come"
        time.sleep(0.05)


def begin(folder: Path) -> subprocess.Popen[str]:
    """A process that runs the notebook `work` as a job."""
    words = [sys.executable, "-c", JOB, str(folder)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_notebook_is_executed_with_its_parameters_and_the_job_says_that_it_is_done(
    study: Study, tmp_path: Path
) -> None:
    write(tmp_path, "count = 1", "print('the count is', count)")
    record = run_notebook(study, "work", {"count": 7}, "p1", [Variant(rank=1, alpha=2)], run=3)
    assert "the count is 7" in said(study.run / "work_p1.ipynb")
    assert read_record(record_path(study, "work_p1")) == record
    assert (record.job, record.state, record.why, record.run) == ("work_p1", "done", "", 3)
    assert record.variants == ("r1_a2",) and record.notebook == str(study.run / "work_p1.ipynb")
    assert record.pid == os.getpid() and record.began <= record.ended


def test_a_notebook_that_fails_is_kept_and_its_record_has_the_last_line(study: Study, tmp_path: Path) -> None:
    write(tmp_path, "x = 1", "print('so far')", "raise ValueError('no\\n   such thing')", "print('never')")
    with pytest.raises(JobError, match=r"work failed: ValueError: no such thing \(what it has said: .*work\.ipynb\)"):
        run_notebook(study, "work", {})
    record = read_record(record_path(study, "work"))
    assert record and (record.state, record.why) == ("failed", "ValueError: no such thing") and record.ended
    assert "so far" in said(study.run / "work.ipynb") and "ValueError" in said(study.run / "work.ipynb")
    assert "never" not in said(study.run / "work.ipynb")


def flaky(folder: Path, failures: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel `flaky` that does not start so many times; the file with a dot for each start."""
    program, starts, spec = folder / "kernel.py", folder / "starts", folder / "jupyter/kernels/flaky"
    program.write_text(KERNEL)
    spec.mkdir(parents=True)
    argv = [sys.executable, str(program), str(starts), str(failures), "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "flaky", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    return starts


def test_a_kernel_that_does_not_start_is_started_again(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = flaky(tmp_path, 1, monkeypatch)
    write(tmp_path, "x = 1", "print('here')", kernel="flaky")
    assert run_notebook(study, "work", {}).state == "done"
    assert starts.read_text() == ".." and "here" in said(study.run / "work.ipynb")


def test_a_kernel_that_never_starts_fails_the_job_after_three_times(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = flaky(tmp_path, 9, monkeypatch)
    write(tmp_path, "x = 1", kernel="flaky")
    with pytest.raises(JobError, match="Kernel died"):
        run_notebook(study, "work", {})
    assert starts.read_text() == "..."


@pytest.mark.parametrize("cell", ["raise RuntimeError('CUDA out of memory')", "import os; os._exit(1)"])
def test_a_notebook_that_has_begun_is_not_tried_again(cell: str, study: Study, tmp_path: Path) -> None:
    counted = f"open({str(tmp_path / 'starts')!r}, 'a').write('.')"
    write(tmp_path, "x = 1", counted, cell)
    with pytest.raises(JobError):
        run_notebook(study, "work", {})
    assert (tmp_path / "starts").read_text() == "."


def test_a_part_that_fails_is_done_variant_by_variant_and_names_those_that_fail(study: Study, tmp_path: Path) -> None:
    write(
        tmp_path,
        "variants = ''",
        "if not isinstance(variants, list): raise MemoryError('all at once')",
        "[variant] = variants",
        "if variant['rank'] == 2: raise ValueError('two is too much')",
        f"open({str(tmp_path / 'done')!r}, 'a').write(str(variant['rank']))",
    )
    three = [Variant(rank=rank, alpha=1) for rank in (1, 2, 3)]
    with pytest.raises(JobError, match=r"work_p1 failed: .*r2_a1: ValueError: two is too much") as failed:
        run_notebook(study, "work", {"variants": "file.yaml"}, "p1", three)
    assert (tmp_path / "done").read_text() == "13" and "r1_a1:" not in str(failed.value)
    copies = {path.name for path in study.run.glob("*.ipynb")}
    assert copies == {"work_p1.ipynb", *(f"work_p1_{v.name}.ipynb" for v in three)}
    record = read_record(record_path(study, "work_p1"))
    assert record and record.state == "failed" and record.variants == ("r1_a1", "r2_a1", "r3_a1")


def test_variants_that_all_go_alone_are_a_part_that_is_done(study: Study, tmp_path: Path) -> None:
    write(tmp_path, "variants = ''", "if not isinstance(variants, list): raise MemoryError('all at once')")
    record = run_notebook(study, "work", {"variants": "x"}, "p1", [Variant(rank=r, alpha=1) for r in (1, 2)])
    assert (record.state, record.why) == ("done", "")


def test_a_whole_study_that_fails_is_not_done_variant_by_variant(study: Study, tmp_path: Path) -> None:
    write(tmp_path, "variants = ''", "raise ValueError('all')")
    with pytest.raises(JobError, match="ValueError: all"):
        run_notebook(study, "work", {"variants": "x"}, "", [Variant(rank=r, alpha=1) for r in (1, 2)])
    assert [path.name for path in study.run.glob("*.ipynb")] == ["work.ipynb"]


def test_a_job_that_is_stopped_says_so_and_takes_its_kernel_with_it(study: Study, tmp_path: Path) -> None:
    pid = tmp_path / "kernel"
    write(tmp_path, "x = 1", f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    process = begin(tmp_path)
    until(pid)
    began = read_record(record_path(study, "work"))
    assert began and (began.state, began.pid) == ("running", process.pid)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode
    record = read_record(record_path(study, "work"))
    assert record and record.state == "failed" and "stopped by signal 15" in record.why and record.ended
    end = time.monotonic() + PATIENCE
    while psutil.pid_exists(int(pid.read_text())):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_job_that_still_runs_is_waited_for(study: Study, tmp_path: Path) -> None:
    order = tmp_path / "order"
    line = f"open({str(order)!r}, 'a').write"
    until_told = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)"
    write(tmp_path, "x = 1", f"import os, time; {line}('begin ')", until_told, f"{line}('end ')")
    first = begin(tmp_path)
    until(order)
    second = begin(tmp_path)
    assert second.stderr and "the same job still runs" in second.stderr.readline()
    assert order.read_text() == "begin "
    (tmp_path / "go").touch()
    for process in (first, second):
        process.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (0, 0) and order.read_text() == "begin end begin end "


def test_a_command_that_fails_says_the_last_line_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "run" / "a.log"
    command([sys.executable, "-c", "print('fine')"], log)
    assert log.read_text() == "fine\n"
    with pytest.raises(RuntimeError, match=r"^the reason$"):
        command([sys.executable, "-c", "print('much', flush=True); import sys; sys.exit('the reason')"], log)
    with pytest.raises(RuntimeError, match=r"^exit status 3$"):
        command([sys.executable, "-c", "import sys; sys.exit(3)"], log)


def test_a_reason_is_one_line_and_not_a_long_one() -> None:
    assert last_line(ValueError("a\n  b")) == "ValueError: a b"
    assert len(last_line(ValueError("x" * 5000))) < 310


def test_a_notebook_is_given_the_parameters_that_it_has_and_no_others() -> None:
    for path in sorted((PROJECT / "notebooks").glob("0[1-5]_*.ipynb")):
        cells = nbformat.read(path, 4).cells
        cell = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
        names = {line.split(":")[0] for line in cell.splitlines()}
        assert set(parameters_of(path.stem, "s", "grid", "d", True, True)) <= names
