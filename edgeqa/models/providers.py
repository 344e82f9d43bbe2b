"""Execution providers of onnxruntime: each is tried with a bundle, and by the results one is chosen, with the reason.

Each provider is tried in a process of its own, where it may hang or die: on the bundle's graphs, and on those that were
made of them (`preparing`). It must give the golden cases' answers. Then its time and memory are measured, and the
operators that it computed itself are counted. The results are remembered.

Every trial is compared with the CPU on the graphs that the model comes with. Another provider, or graphs that were made
for it, must give right answers, compute a part of the graphs itself, and be clearly quicker, the time to load it
included. Of several that are about as quick, the one that takes least memory is chosen. A start where the CPU computes,
and no provider was asked for, does not import this module.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa import state
from edgeqa.capabilities import MIB
from edgeqa.capabilities.computing import onnxruntime_build
from edgeqa.capabilities.device import Device
from edgeqa.capabilities.footprint import TIMED_TOKENS, Tried
from edgeqa.capabilities.plan import Provider, make_plan, precision_on
from edgeqa.capabilities.precision import AT, CPU, short
from edgeqa.capabilities.probe import assure_onnxruntime, remembered_providers
from edgeqa.errors import EdgeQAError, OnnxruntimeUnusable, ProviderFailed, ProviderUnknown
from edgeqa.models import onnx_file, selftest
from edgeqa.models.bundle import Bundle
from edgeqa.models.readers import open_reader
from edgeqa.models.selftest import Verdict
from edgeqa.models.session import SessionOptions
from edgeqa.models.shelf import graphs_made_of
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.capabilities import Overrides
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.models.readers import Reader
    from edgeqa.timing import Progress

REMOTE = {"AzureExecutionProvider"}
"""Providers that compute on somebody else's machine; they are never used."""
LIMIT_S = 180.0  # some providers compile programs for the accelerator first
READINGS = 15  # the quickest of so many counts, since other programs can only add time
CONFIRMATIONS = 2  # a provider that beats the CPU is tried so often again, beside it
BUSY_PERCENT = 25  # part of the time of a reading
QUESTION_TOKENS = 12
CLEARLY_PERCENT = 90  # trials of the same differ by less than the rest
NO_OPERATORS = {"Constant"}
_REMEMBERED = "providers-tried"
_START = "import sys; sys.path[:] = sys.argv[2:]; from edgeqa.models.providers import serve; serve(sys.argv[1])"
_LIBRARY_FAULT = re.compile(r"Failed to load library .* with error: (.+)")  # onnxruntime's words for a provider's own
_ASKED = "you asked for it"


def remembered(bundle: Bundle, device: Capabilities) -> tuple[Tried, ...]:
    """Returns the trials of providers with a bundle whose graphs are still there; it is empty where none was tried.

    Trials on another processor, or with another onnxruntime, do not count.
    """
    if device.processor_digest.value is None:  # a processor that hides: the next one may be another
        return ()
    try:
        found = tuple(Tried(**facts) for facts in state.recall(_REMEMBERED, _tried_as(bundle, device)) or ())
    except TypeError:  # the record is damaged, or of another version
        return ()
    there = {bundle.manifest.precision, *(made.manifest.precision for made in graphs_made_of(bundle))}
    return tuple(one for one in found if one.precision in there)


def provider_for(bundle: Bundle, device: Capabilities, overrides: Overrides, path: str) -> Provider | None:
    """Returns the provider for a model that is about to be loaded; None where that is the CPU, as everywhere.

    Args:
        bundle: the model.
        device: what the device has.
        overrides: what the user wants; what was asked for is tried now, if it was not before.
        path: the precision path that the model was tested on here; "" where it was not.

    Raises:
        ProviderUnknown: if there is no provider of the name that was asked for.
        ProviderFailed: if that one cannot be used.
    """
    wanted = overrides.provider
    if wanted is None and AT not in path:
        return None
    tried = remembered(bundle, device)
    if wanted is not None and not is_called(CPU, wanted) and not any(is_called(one.name, wanted) for one in tried):
        tried = try_providers(bundle, device, overrides)
    return choose(bundle.manifest.precision, tried, wanted)


def try_providers(
    bundle: Bundle,
    device: Capabilities,
    overrides: Overrides,
    *,
    anew: Sequence[Bundle] = (),
    progress: Progress | None = None,
) -> tuple[Tried, ...]:
    """Tries what onnxruntime offers besides the CPU, and was not tried before; returns how all did, the CPU first.

    Args:
        bundle: the model.
        device: what the device has.
        overrides: what the user wants; a provider that is asked for is the only one that is tried.
        anew: graphs that are tried whether or not they were before.
        progress: called as it goes on.

    Raises:
        OnnxruntimeUnusable: if onnxruntime cannot be imported.
        ProviderUnknown: if there is no provider of the name that was asked for.
    """
    names = offered(device, overrides.provider)
    made = graphs_made_of(bundle)
    if not names and not made:
        return ()
    plan = make_plan(device, bundle.needs(), overrides.but(provider=None))
    options = SessionOptions.of(plan)
    known = {(one.name, one.precision): one for one in remembered(bundle, device)}
    graphs = {one.manifest.precision: one for one in (bundle, *made, *anew)}
    pairs = [(name, precision) for name in (CPU, *names) for precision in graphs]
    again, own = {one.manifest.precision for one in anew}, bundle.manifest.precision

    def measure(name: str, precision: str, done: int) -> Tried:
        if progress is not None:
            progress(f"trying {short(name)} in {precision}", done, len(pairs))
        return _tried_apart(bundle, graphs[precision], replace(options, provider=name))

    pairs = [pair for pair in pairs if pair not in known or pair[1] in again or known[pair].is_busy]
    for number, pair in enumerate(pairs):
        known[pair] = measure(*pair, number)
    for _ in range(CONFIRMATIONS if pairs else 0):
        best = choose(own, list(known.values()))
        if (chosen := (best.value, best.precision)) == (CPU, own) or chosen[1] not in graphs:
            break
        for pair in ((CPU, own), chosen):
            known[pair] = known[pair].or_quicker(measure(*pair, len(pairs)))
    found = tuple(sorted(known.values(), key=lambda one: (one.name != CPU, one.precision != own)))
    if device.processor_digest.value is not None:
        state.remember(_REMEMBERED, _tried_as(bundle, device), [asdict(one) for one in found])
    return found


def offered(device: Capabilities, wanted: str | None = None) -> list[str]:
    """Returns the providers that onnxruntime offers besides the CPU, or of them the one that is wanted.

    Raises:
        OnnxruntimeUnusable: if it cannot be imported, or was not in a minute.
        ProviderUnknown: if there is none of that name.
    """
    try:
        found = remembered_providers(Device(), device.kernels)
    except OSError as error:  # no process could be started, or it has not ended
        reason = f"onnxruntime was asked what it offers: {error.strerror or error}"
        raise OnnxruntimeUnusable(reason, "try again when the device has less to do") from error
    if found.value is None:
        raise OnnxruntimeUnusable(found.reason)
    local = [name for name in found.value if name not in REMOTE]
    if wanted is None:
        return [name for name in local if name != CPU]
    if meant := [name for name in local if is_called(name, wanted)]:
        return [name for name in meant if name != CPU]
    raise ProviderUnknown(wanted, map(short, local))


def settle(bundle: Bundle, device: Capabilities, provider: Provider) -> None:
    """Makes the provider, which the trial has chosen, compute the model from now on, unless another is asked for."""
    if device.processor_digest.value is None:
        return
    own = bundle.manifest.precision
    usual = precision_on(replace(provider, value=CPU, precision=own), device, own).value
    path = precision_on(provider, device, own).value
    known = selftest.recall(bundle, device.kernels, usual)
    if path == usual and (known is None or AT not in known.path):
        return  # as it was
    tried = next(one for one in provider.tried if (one.name, one.precision) == (provider.value, provider.precision))
    verdict = Verdict(tried.largest_error, tried.reason, tried.fingerprint, path)
    selftest.remember(bundle, device.kernels, usual, verdict)


def is_called(name: str, wanted: str) -> bool:
    """Tells whether a provider is the one that is meant: its name, or what people say, in any case of letters."""
    return wanted.lower() in (name.lower(), short(name).lower())


def choose(own: str, tried: Sequence[Tried] = (), wanted: str | None = None) -> Provider:
    """Returns the provider that computes.

    Args:
        own: the precision of the model's own graphs.
        tried: how those that were tried did, the CPU on the model's own graphs first.
        wanted: the one that was asked for.

    Raises:
        ProviderFailed: if that one gives wrong answers, or cannot be used.
    """
    if wanted is not None and is_called(CPU, wanted):
        return Provider(CPU, _ASKED, own, tuple(tried), asked_for=wanted)
    usual = next((one for one in tried if one.name == CPU and one.precision == own), None)
    if wanted is not None:
        meant = [one for one in tried if is_called(one.name, wanted)]
        if (best := best_of(meant)) is None:
            said = "; ".join(f"{one.precision}: {one.reason}" for one in meant)
            raise ProviderFailed(wanted, said or "it was not tried")
        return _chosen(best, usual, tried, wanted)
    if usual is None:
        return Provider(CPU, "no other was tried here: edgeqa capabilities does", own, tuple(tried))
    best = best_of(tried)
    is_quicker = not usual.ok or (best is not None and best.cost_ms * 100 < usual.cost_ms * CLEARLY_PERCENT)
    why = _why_cpu(usual, [one for one in tried if one is not usual])
    if best is not None and best is not usual and is_quicker:
        if not usual.ok or not (usual.is_busy or best.is_busy):
            return _chosen(best, usual, tried)
        why = f"others kept the processor busy when it was tried, and edgeqa capabilities tries it again: {why}"
    return Provider(CPU, why, own, tuple(tried))


def best_of(tried: Sequence[Tried]) -> Tried | None:
    """Returns the quickest that is right, and of those that are about as quick, the smallest; None of none."""
    right = [one for one in tried if one.ok]
    least_ms = min((one.cost_ms for one in right), default=0.0)
    about = [one for one in right if one.cost_ms * CLEARLY_PERCENT <= least_ms * 100]
    return min(about, key=lambda one: one.mib, default=None)


def _chosen(best: Tried, usual: Tried | None, tried: Sequence[Tried], wanted: str | None = None) -> Provider:
    facts = f"{'quicker' if wanted is None else _ASKED}: {best.ms:.1f} ms for a passage and {best.mib:.0f} MiB"
    more_mib = 0.0
    if usual is not None and usual.ok:
        facts += f", where the CPU takes {usual.ms:.1f} ms and {usual.mib:.0f} MiB"
        more_mib = max(0.0, best.mib - usual.mib)
    facts += f"; it takes {best.nodes_taken} of {best.nodes} nodes"
    return Provider(best.name, facts, best.precision, tuple(tried), int(more_mib * MIB), wanted)


def _why_cpu(usual: Tried, others: Sequence[Tried]) -> str:
    """Returns why it is the CPU: what each other provider came to."""
    if not others:
        return "onnxruntime offers no other"
    said = [f"{usual.ms:.1f} ms for a passage and {usual.mib:.0f} MiB" if usual.ok else usual.reason]
    for name in dict.fromkeys(one.name for one in others):
        graphs = [one for one in others if one.name == name]
        if (best := best_of(graphs)) is None:
            said.append(f"{short(name)}: {'; '.join(f'in {one.precision}, {one.reason}' for one in graphs)}")
            continue
        loaded = f", {best.load_ms:.0f} ms to load instead of {usual.load_ms:.0f}" if best.ms < usual.ms else ""
        said.append(f"{short(name)}: {best.ms:.1f} ms and {best.mib:.0f} MiB in {best.precision}{loaded}")
    return "; ".join(said)


def _tried_as(bundle: Bundle, device: Capabilities) -> str:
    return f"{bundle.digest}|{device.kernels}|{onnxruntime_build()}"


def _tried_apart(bundle: Bundle, graphs: Bundle, options: SessionOptions) -> Tried:
    """Returns the result of a provider's trial with the graphs, in a process of its own."""
    request = {"bundle": str(bundle.path), "graphs": str(graphs.path), "options": asdict(options)}
    command = [sys.executable, "-c", _START, json.dumps(request), *sys.path]

    def failed(reason: str) -> Tried:
        return Tried(options.provider, graphs.manifest.precision, ok=False, reason=reason)

    try:
        done = subprocess.run(  # noqa: S603 - this Python, with a constant program
            command,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # or numpy takes memory for every core
        )
    except subprocess.TimeoutExpired:
        return failed(f"it took more than {LIMIT_S:.0f} s")
    except OSError as error:
        return failed(f"no process can be started ({error.strerror})")
    if done.returncode < 0:
        return failed(f"the process that tried it was ended by signal {-done.returncode}")
    said = done.stderr.decode("utf-8", "replace")
    try:
        found = Tried(**json.loads(done.stdout))
    except (ValueError, TypeError):
        last = (said.strip().splitlines() or ["nothing was said"])[-1]
        return failed(f"the process that tried it ended with {done.returncode} ({last[:200]})")
    if not found.ok and (lacks := _LIBRARY_FAULT.search(said)) is not None:
        return replace(found, reason=f"{found.reason} ({lacks[1].strip()[:200]})")
    return found


# --- in the process that tries ----------------------------------------------------------------------------------------


def serve(request: str) -> None:
    """Tries what is asked for, once, and prints it as JSON; the process's whole life."""
    answers = os.dup(1)
    os.dup2(2, 1)  # the output of a provider must not mix with our reply
    asked = json.loads(request)
    bundle, graphs = (Bundle.load(Path(asked[name])) for name in ("bundle", "graphs"))
    options = SessionOptions(**asked["options"])
    try:
        found = _tried(bundle, graphs, options)
    except EdgeQAError as error:
        reason = str(error).replace(f"{graphs.path}{os.sep}", "")  # the model is known
        found = Tried(options.provider, graphs.manifest.precision, ok=False, reason=reason)
    os.write(answers, json.dumps(asdict(found)).encode())
    os._exit(0)  # a provider's own work at the end is skipped


def _tried(bundle: Bundle, graphs: Bundle, options: SessionOptions) -> Tried:
    assure_onnxruntime("")
    import onnxruntime  # noqa: F401 - not counted as loading

    precision = graphs.manifest.precision
    tokenizer = Tokenizer(bundle.file("tokenizer.json"))
    began_s = time.perf_counter()
    reader = open_reader(graphs, options)
    load_ms = 1e3 * (time.perf_counter() - began_s)
    path = f"{precision}{AT}{options.provider}"
    verdict = selftest.run(bundle, tokenizer, reader, path)
    (ms, is_busy), mib = _passage_ms(bundle, reader), _peak_mib()
    del reader
    taken, nodes = _taken(bundle, graphs, tokenizer, options)
    facts: dict[str, Any] = {"ms": round(ms, 2), "load_ms": round(load_ms, 1), "mib": round(mib, 1)}
    facts |= {"nodes_taken": taken, "nodes": nodes, "is_busy": is_busy}
    facts |= {"fingerprint": verdict.fingerprint, "largest_error": verdict.largest_error}
    reason = verdict.detail if taken else f"it takes none of {nodes} nodes: the CPU computes them"
    return Tried(options.provider, precision, ok=taken > 0, reason=reason, **facts)


def _passage_ms(bundle: Bundle, reader: Reader) -> tuple[float, bool]:
    """Measures the milliseconds that a question of 12 tokens on a context of TIMED_TOKENS takes, at its quickest.

    And whether threads of this process waited for a processor even then.
    """
    words = selftest.golden_cases(bundle)[0].context_ids[:-1]
    ids = np.resize(words, min(TIMED_TOKENS, bundle.manifest.max_context_tokens - 1)).astype(np.int64)
    times_ms = []
    for _ in range(READINGS):
        waited_ms, began_s = _waited_ms(), time.perf_counter()
        reader.read(reader.encode_question(ids[:QUESTION_TOKENS]), reader.encode_context(ids))
        times_ms.append((1e3 * (time.perf_counter() - began_s), _waited_ms() - waited_ms))
    ms, waited_ms = min(times_ms)
    return ms, waited_ms > ms * BUSY_PERCENT / 100


def _waited_ms() -> float:
    """Returns for how long the threads of this process have waited for a processor; 0 where the system does not say."""
    device, waited_ns = Device(), 0
    for path in device.glob("/proc/self/task/*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            waited_ns += int(device.read(path).split()[1])
    return waited_ns / 1e6


def _peak_mib() -> float:
    """Returns the memory of this process at its peak; where the system does not say that, perhaps its parent's."""
    with suppress(OSError, StopIteration):
        lines = Device().read("/proc/self/status").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1024)


def _taken(bundle: Bundle, graphs: Bundle, tokenizer: Tokenizer, options: SessionOptions) -> tuple[int, int]:
    """Returns the number of operators of the graphs that the provider computes, and the number of all.

    The graphs are loaded once more, as they are: onnxruntime would otherwise join operators, and they would be counted
    as one. It lists the operators of the CPU one by one, and those of a provider often in one piece.
    """
    names = [fact.name for fact in graphs.manifest.files if fact.name.endswith(".onnx")]
    nodes = sum(node.kind not in NO_OPERATORS for name in names for node in onnx_file.read(graphs.file(name)).nodes)
    if options.provider == CPU:
        return nodes, nodes
    with tempfile.TemporaryDirectory(prefix="edgeqa-try-") as scratch:
        reader = open_reader(graphs, replace(options, profile=str(Path(scratch, "run"))))
        selftest.run(bundle, tokenizer, reader, f"{graphs.manifest.precision}{AT}{options.provider}")
        del reader  # its end writes the profile
        events = [(file.name, event) for file in Path(scratch).iterdir() for event in json.loads(file.read_text())]
    ran = {
        (file, event["args"].get("node_index"), event["args"].get("provider"))
        for file, event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    }
    if not any(provider == options.provider for *_, provider in ran):
        return 0, nodes
    return max(0, nodes - sum(provider == CPU for *_, provider in ran)), nodes
