"""Cuts machines of a cluster off from the others in the middle of adding and asking, with a seed; a line a round.

    python stress/cluster_cut.py -n 10 --seed 1 --delay-ms 5

Three network namespaces, each with a master, the replica of another and a worker; every packet between them goes
through a switch of ours, which may hold it for a while, and drops those of a machine that is cut off: root's rights,
`ip` and /dev/net/tun. What is cut off runs on, and takes itself for well. What is a fault is said in `cluster_kill`,
whose rounds these are; a document that was acknowledged is not to be lost by a master that comes back, either.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import multiprocessing
import os
import random
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from cluster_kill import SAMPLE, Faults, Round, Told, add, lost, right, role, settled
from local_cluster import Host, LocalCluster, LocalWorker, until

from edgeqa import runtime
from edgeqa.cluster.runtime import ClusterQA

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = "10.97.31"
MACHINES = 3
_TUNSETIFF, _TAP, _BARE = 0x400454CA, 0x0002, 0x1000
_FRAME_BYTES = 1 << 16


def ip(*words: str) -> None:
    """Has the system's `ip` do something."""
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S607 - wherever the system has it


def tap(name: str) -> int:
    """Returns the descriptor of a new network device, which is gone when it is closed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TAP | _BARE))
    return descriptor


def switch(taps: list[int], delay_s: float, cut: Any) -> None:  # noqa: ANN401 - an array that processes share
    """Carries frames from each device to the others, each after a while, but for those that are cut off."""
    waiting: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for ready in select.select(taps, [], [], wait_s)[0]:
            with contextlib.suppress(BlockingIOError):
                waiting.append((time.monotonic() + delay_s, ready, os.read(ready, _FRAME_BYTES)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, source, frame = waiting.popleft()
            for number, other in enumerate(taps):
                if other != source and not cut[number] and not cut[taps.index(source)]:
                    with contextlib.suppress(OSError):  # as a busy switch loses one
                        os.write(other, frame)


class Machines:
    """Namespaces behind a switch, and this machine as the last of those that it joins."""

    def __init__(self, delay_s: float) -> None:
        """Names them."""
        self._mark, self._delay_s = f"eq{os.getpid() % 100_000}", delay_s
        self._cut = multiprocessing.get_context("fork").Array("b", MACHINES + 1, lock=False)
        names = [f"{self._mark}n{number}" for number in range(MACHINES)]
        self.hosts = [
            Host(f"{NETWORK}.{number + 2}", ("ip", "netns", "exec", name)) for number, name in enumerate(names)
        ]

    @contextlib.contextmanager
    def joined(self) -> Iterator[Machines]:
        """Makes them; they are gone afterwards.

        Raises:
            OSError, subprocess.CalledProcessError: if the system does not let us.
        """
        with contextlib.ExitStack() as stack:
            taps = []
            for number, host in enumerate([*self.hosts, Host(f"{NETWORK}.1")]):
                device = f"{self._mark}t{number}"
                taps.append(tap(device))
                stack.callback(os.close, taps[-1])
                within: tuple[str, ...] = ()
                if host.prefix:
                    ip("netns", "add", name := host.prefix[-1])
                    stack.callback(ip, "netns", "del", name)
                    ip("link", "set", device, "netns", name)
                    within = ("-n", name)
                    ip(*within, "link", "set", "lo", "up")
                ip(*within, "addr", "add", f"{host.address}/24", "dev", device)
                ip(*within, "link", "set", device, "up")
            made = multiprocessing.get_context("fork").Process(target=switch, args=(taps, self._delay_s, self._cut))
            made.start()
            stack.callback(made.join)
            stack.callback(made.kill)
            yield self

    def cut(self, number: int) -> None:
        """Cuts one off."""
        self._cut[number] = 1

    def join(self, number: int) -> None:
        """Joins it again."""
        self._cut[number] = 0


def spread(cluster: LocalCluster) -> None:
    """Has each machine have one master again: of three, two that are cut off are a majority, and nobody goes on."""
    for node in cluster.nodes[:MACHINES]:
        if role(node) != "master":
            until(cluster.is_settled, "all servers are well", 60)
            with node.client() as client:
                client.execute_command("CLUSTER", "FAILOVER")
            until(lambda: role(node) == "master", "it is the master again", 60)  # noqa: B023 - called at once
    until(cluster.is_settled, "all servers are well", 60)


def one_round(
    qa: ClusterQA,
    cluster: LocalCluster,
    machines: Machines,
    told: Told,
    rng: random.Random,
    folder: Path,
    within_s: float,
) -> str:
    """Cuts one off, and joins it again; returns what happened."""
    number = rng.randrange(MACHINES)
    spread(cluster)
    made = Round(qa, told, rng, folder)
    try:
        said = made.run(partial(machines.cut, number), within_s)
        time.sleep(rng.uniform(0, 5))
    finally:
        machines.join(number)
    joined = time.monotonic()
    until(lambda: settled(qa), "all workers are well again", 60)
    settled_s = time.monotonic() - joined
    lost(qa, told)
    for question, expected in [asked for _, asked in rng.sample(sorted(told.documents.items()), SAMPLE)]:
        until(partial(right, qa, question, expected), f"{question} is answered", 60)
    counts = " ".join(f"{key}={value}" for key, value in said.items())
    return f"machine={number} {counts} settled_s={settled_s:.1f} documents={len(told.documents)}"


def main() -> int:
    """Runs the rounds; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10, help="rounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=20.0, metavar="S", help="answered again")
    parser.add_argument("--delay-ms", type=float, default=0.0, metavar="MS", help="of each packet between machines")
    given = parser.parse_args()
    rng, told = random.Random(given.seed), Told(given.seed)
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeqa-stress-"))
        folder = Path(name)
        os.environ["EDGEQA_HOME"] = str(folder / "home")
        machines = stack.enter_context(Machines(given.delay_ms / 1e3).joined())
        open_to_all = ("--protected-mode", "no")
        cluster = stack.enter_context(LocalCluster(folder, hosts=machines.hosts, extra=open_to_all))
        workers = []
        for number, node in enumerate(cluster.nodes[:MACHINES]):
            workers.append(LocalWorker(folder / f"worker{number}", cluster.url, node, "--no-auth"))
            stack.callback(workers[-1].kill)
            workers[-1].start()
        qa = stack.enter_context(runtime.open(cluster=cluster.url, persist="off"))
        assert isinstance(qa, ClusterQA)  # noqa: S101 - for mypy
        while len(told.documents) < 2 * SAMPLE:
            add(qa, told, folder)
        until(lambda: settled(qa), "three workers are there", 120)
        for question, expected in list(told.documents.values()):
            until(partial(right, qa, question, expected), f"{question} is answered", 60)
        try:
            for number in range(given.n):
                print(number + 1, one_round(qa, cluster, machines, told, rng, folder, given.within), flush=True)
        except (Faults, RuntimeError) as fault:
            print(f"FAULT {fault}", flush=True)
            for worker in workers:
                print(worker.log.read_text(encoding="utf-8")[-2000:], file=sys.stderr)
            return 1
    print(f"{given.n} rounds, seed {given.seed}: no fault", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
