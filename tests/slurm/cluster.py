"""A real Slurm on this machine alone, for tests: `python -m tests.slurm.cluster FOLDER` starts one to try by hand.

It needs the programs of Debian's packages munge, slurmctld, slurmd and slurm-client and the rights of root, but no
systemd, no cgroups, no network beside the loopback and no accounting. Keys, settings, logs and state lie in the folder.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sinfo": "slurm-client"}
PLACES = ("/usr/sbin", "/usr/local/sbin")  # of daemons, which the path of a shell may lack
PATIENCE = 60  # seconds; a cluster is up in two or three
LONGEST_SOCKET = 107  # characters in the name of a Unix socket
SETTINGS = """\
ClusterName=caplora
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
# By their parents, because a notebook's kernel leaves the process group of its job.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# What is written here counts, not what this machine has.
SlurmdParameters=config_overrides
# A node that comes back is used again, and one that is silent for ten seconds is down.
ReturnToService=2
SlurmdTimeout=10
KillWait=2
GresTypes=gpu
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
SRUN = """\
#!/bin/sh
PATH=${{PATH#{folder}/bin:}}
SLURM_CONF={folder}/slurm.conf exec srun "$@"
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={mb} Gres=gpu:{gpus}\n"
)
MEMORY = 64_000  # MB, of every node


class Cluster:
    """The daemons of a cluster and the environment in which commands find it."""

    def __init__(self, folder: Path, cpus: int, nodes: int, gpus: int) -> None:
        self.folder = folder
        self.nodes = [f"node{n}" for n in range(nodes)]
        self.conf = folder / "slurm.conf"
        # The Python of the tests comes before others, as it does in an activated environment.
        path = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), *PLACES]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
        self.env = kept | {"PATH": os.pathsep.join(path), "SLURM_CONF": str(self.conf)}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        _write_settings(folder, self.nodes, cpus, gpus)

    def run(self, *words: str) -> str:
        """What a command of Slurm prints; CalledProcessError where it fails."""
        return subprocess.run(words, env=self.env, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def start(self) -> None:
        """Start every daemon and wait until all nodes are idle."""
        socket_ = self.folder / "munge.socket"
        files = {"key-file": "munge.key", "socket": socket_.name, "pid-file": "munged.pid", "seed-file": "seed"}
        # `--force` because pytest's folders are closed to other users, which munged would warn of.
        options = [f"--{option}={self.folder / file}" for option, file in files.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        self._wait(socket_.exists, "munged has no socket")
        self._start("slurmctld", "slurmctld", "-D", "-i")
        for node in self.nodes:
            self.start_node(node)
        self._wait(lambda: self._states() == ["idle"] * len(self.nodes), "the nodes are not idle")

    def start_node(self, node: str = "node0") -> None:
        """Start a node's slurmd."""
        self._start(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str = "node0") -> None:
        """Kill a node's slurmd as a crash does; a job that runs there goes on."""
        self._daemons[node].kill()
        self._daemons[node].wait()

    def restart_node(self, node: str = "node0") -> None:
        """Kill a node's slurmd, start it again and wait until the controller hears of it."""
        before = self._began(node)
        self.kill_node(node)
        self.start_node(node)
        self._wait(lambda: self._began(node) not in ("", before), f"the controller does not hear of {node}")

    def stop(self) -> None:
        """End the daemons, the jobs and whatever else was started in this cluster's environment."""
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        psutil.wait_procs([psutil.Process(d.pid) for d in self._daemons.values() if d.poll() is None], timeout=5)
        while left := self.processes():  # a job's children may outlive it
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=5)
        for daemon in self._daemons.values():
            daemon.wait()

    def processes(self) -> list[psutil.Process]:
        """The processes of this cluster that live: its daemons, its jobs and what they started."""
        return [p for p in psutil.process_iter() if self._owns(p)]

    def _start(self, name: str, *words: str) -> None:
        """Start a daemon; what it says goes to NAME.log."""
        with open(self.folder / f"{name}.log", "ab") as out:
            self._daemons[name] = subprocess.Popen(words, env=self.env, stdout=out, stderr=out, cwd=self.folder)

    def _states(self) -> list[str]:
        """The state of every node in sinfo's words; none while the controller does not answer."""
        with suppress(subprocess.CalledProcessError):
            return self.run("sinfo", "--noheader", "--Node", "--format=%t").split()
        return []

    def _began(self, node: str) -> str:
        """When a node's slurmd began, to the second, as the controller knows it; empty while it does not answer."""
        with suppress(subprocess.CalledProcessError):
            return re.findall(r"SlurmdStartTime=(\S+)", self.run("scontrol", "show", "node", node))[0]
        return ""

    def _wait(self, done: Callable[[], bool], trouble: str) -> None:
        """Wait until something is done; RuntimeError with the daemons' last lines where that takes too long."""
        end = time.monotonic() + PATIENCE
        while not done():
            dead = [name for name, d in self._daemons.items() if d.poll() is not None]
            if dead or time.monotonic() > end:
                what = f"{' and '.join(dead)} ended" if dead else trouble
                raise RuntimeError(f"{what} ({self.folder})\n{_last_lines(self.folder)}")
            time.sleep(0.1)

    def _owns(self, process: psutil.Process) -> bool:
        """Whether a process was started in this cluster's environment, as daemons and jobs are, or is a job's step."""
        with suppress(psutil.Error):
            if process.name() == "slurmstepd":  # it overwrites its environment
                return Path(process.cwd()) == self.folder
            return process.pid != os.getpid() and process.environ().get("SLURM_CONF") == str(self.conf)
        return False


@contextmanager
def cluster(folder: Path, cpus: int = 2, nodes: int = 1, gpus: int = 0) -> Iterator[Cluster]:
    """A cluster of nodes with so many CPUs, and GPUs that Slurm only counts; all of it has ended afterwards."""
    if why := missing():
        raise RuntimeError(why)
    made = Cluster(folder.resolve(), cpus, nodes, gpus)
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.start()
        yield made


def started(folder: Path, cpus: int, gpus: int = 0) -> Iterator[Cluster]:
    """What a fixture yields: a cluster; tests are skipped, with the reason, where it does not come up or run a job."""
    made = Cluster(folder.resolve(), cpus, 1, gpus)
    try:
        try:
            made.start()
            made.run("srun", "true")
        except (RuntimeError, subprocess.SubprocessError) as trouble:
            pytest.skip(f"Slurm cannot start here: {trouble}")
        yield made
    finally:
        made.stop()


def missing() -> str:
    """Why Slurm cannot start here, in a sentence; empty where it can."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
    packages = [package for program, package in PACKAGES.items() if not shutil.which(program, path=path)]
    if packages:
        return f"Slurm is not installed here: apt-get install {' '.join(packages)}"
    if os.geteuid():
        return "Slurm starts jobs in the names of users, so the tests that start it need the rights of root"
    return ""


def _write_settings(folder: Path, nodes: list[str], cpus: int, gpus: int) -> None:
    """Write slurm.conf, gres.conf, cgroup.conf and the key of munge; ValueError where the folder's name is too long."""
    if len(str(folder / "munge.socket")) > LONGEST_SOCKET:
        raise ValueError(f"the name of a cluster's folder must be shorter, got {folder}")
    (folder / "state").mkdir(parents=True, exist_ok=True)
    host, (port, *others) = socket.gethostname(), _free_ports(1 + len(nodes))
    conf = SETTINGS.format(folder=folder, host=host, port=port)
    for node, own in zip(nodes, others, strict=True):
        (folder / f"spool_{node}").mkdir(exist_ok=True)
        conf += NODE.format(name=node, host=host, port=own, cpus=cpus, mb=MEMORY, gpus=gpus)
    (folder / "slurm.conf").write_text(conf, encoding="utf-8")
    for gpu in range(gpus):
        (folder / f"gpu{gpu}").symlink_to("/dev/null")  # a device, as /dev/nvidia0 is
    cards = f"Name=gpu File={folder}/gpu[0-{gpus - 1}]\n" if gpus else ""
    (folder / "gres.conf").write_text(cards, encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")
    # Snakemake's jobs call srun without any SLURM_CONF: most clusters have theirs in /etc/slurm.
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "srun").write_text(SRUN.format(folder=folder), encoding="utf-8")
    (folder / "bin" / "srun").chmod(0o755)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o600)


def _free_ports(count: int) -> list[int]:
    """As many ports of the loopback as asked for, free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _last_lines(folder: Path) -> str:
    """The last five lines of every log of a cluster."""
    logs = sorted(folder.glob("*.log"))
    return "\n".join(f"{p.stem}: {line}" for p in logs for line in p.read_text(errors="replace").splitlines()[-5:])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with cluster(Path(sys.argv[1])) as slurm, suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={slurm.conf} PATH={slurm.env['PATH']}\nCtrl-C ends it", flush=True)  # noqa: T201
        signal.pause()
