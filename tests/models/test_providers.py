"""Tests execution providers for real: the CPU's on graphs made for it, and another where there is one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnxruntime
import pytest

import edgeqa
from edgeqa import state
from edgeqa.capabilities import MIB, Overrides
from edgeqa.capabilities.computing import SELF_TESTS
from edgeqa.capabilities.precision import CPU, short
from edgeqa.errors import (
    BundleGraphInvalid,
    ModelExists,
    ModelMade,
    NotEnoughMemory,
    OnnxruntimeUnusable,
    OptionError,
    ProviderFailed,
    ProviderUnknown,
)
from edgeqa.models import providers, shelf
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.preparing import prepare_model
from edgeqa.models.readers import open_reader
from edgeqa.models.session import SessionOptions, _one_line

if TYPE_CHECKING:
    from conftest import Run

TEXT = "The bridge was built in 1932 by Dorman Long. It was painted grey in 1988."
QUESTION = "Who built the bridge?"
OTHERS = [name for name in onnxruntime.get_available_providers() if name != CPU and name not in providers.REMOTE]
TRIED = "providers-tried"


def program(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, state.HOME_VARIABLE: str(home)}
    command = [sys.executable, "-m", "edgeqa", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home where graphs were made for the CPU, and what was said of it."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    done = program("models", "prepare", "--provider", "cpu", "--precision", "float32", "--json", home=home)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return home, facts


@pytest.fixture
def made(prepared: tuple[Path, dict[str, Any]], home: Path) -> Path:
    """The same home, of the test's own; returns where the made model is."""
    shutil.copytree(prepared[0], home, symlinks=True)
    return home / "models" / "edgeqa-mini.float32"


@pytest.fixture
def chosen(made: Path) -> Path:
    """The same, where the made graphs were the quicker ones: as they would be on a processor that is slow at int8."""
    facts = json.loads((state.home() / f"{TRIED}.json").read_text())
    for tried in (one for many in facts.values() for one in many):
        tried |= {"is_busy": False, "ms": 5.0 if tried["precision"] == "float32" else 50.0}
    (state.home() / f"{TRIED}.json").write_text(json.dumps(facts))
    device = edgeqa.probe(providers=False)
    bundle = Bundle.load(DEFAULT_BUNDLE)
    provider = providers.choose("int8", providers.remembered(bundle, device))
    assert provider.precision == "float32"
    providers.settle(bundle, device, provider)
    return made


def is_kept(path: str) -> bool:
    facts = json.loads((state.home() / f"{SELF_TESTS}.json").read_text())
    return any(fact is not None and fact["path"] == path for fact in facts.values())


def test_what_was_made_is_a_model_on_the_shelf(prepared: tuple[Path, dict[str, Any]]) -> None:
    home, facts = prepared
    assert (facts["name"], facts["made_of"], facts["precision"]) == ("edgeqa-mini.float32", "edgeqa-mini", "float32")
    assert Path(facts["path"]).parent == home / "models"
    tried = facts["provider"]["tried"]
    assert [(one["name"], one["precision"], one["ok"]) for one in tried[:2]] == [
        (CPU, "int8", True),
        (CPU, "float32", True),
    ]
    for one in tried[:2]:
        assert one["nodes_taken"] == one["nodes"] > 0
        assert min(one["ms"], one["load_ms"], one["mib"]) > 0
    assert facts["used"] is (facts["provider"]["reason"].startswith("quicker"))
    checked = json.loads(program("models", "check", "edgeqa-mini.float32", "--json", home=home).stdout)
    assert checked["models"][0]["passed"], checked
    assert "edgeqa-mini.float32" in program("models", "list", home=home).stdout


def test_the_report_has_what_was_tried_and_tries_it_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads(program("capabilities", "--json", home=state.home()).stdout)
    assert [one["name"] for one in first["provider"]["tried"]][:2] == [CPU, CPU]
    assert first["provider"]["name"] == first["plan"]["provider"]["value"]
    assert first["provider"]["reason"] == first["plan"]["provider"]["reason"]
    monkeypatch.setattr(providers, "_tried_apart", lambda *_: pytest.fail("it was tried before"))
    device = edgeqa.probe(providers=False)
    bundle = Bundle.load(DEFAULT_BUNDLE)
    if not any(one["is_busy"] for one in first["provider"]["tried"]):
        assert len(providers.try_providers(bundle, device, Overrides())) == len(first["provider"]["tried"])
    assert made.exists()


def test_what_is_quicker_computes_and_its_answers_are_remembered_under_it(chosen: Path) -> None:
    with edgeqa.open(provider="cpu") as usual:
        before = usual.ask(QUESTION, TEXT)
        assert usual.capabilities()["plan"]["provider"] == {"value": CPU, "reason": "you asked for it"}
    with edgeqa.open() as qa:
        first = qa.ask(QUESTION, TEXT)
        assert (first.text, first.cached) == (before.text, False)
        assert first.score != before.score, "float32 is not int8"
        assert qa.plan.precision.value == f"float32@{CPU}"
        assert qa.fingerprint() != usual.fingerprint()
        told = qa.capabilities()["provider"]
        assert (told["name"], told["reason"][:7]) == (CPU, "quicker")
    with edgeqa.open() as qa:
        assert qa.ask(QUESTION, TEXT).cached
        assert not qa.counters().model_loaded
    with edgeqa.open(provider="cpu") as usual:
        assert usual.ask(QUESTION, TEXT).score == before.score
    assert chosen.exists()


def test_a_runtime_beside_another_computes_alike(chosen: Path) -> None:
    with edgeqa.open() as qa, qa.with_reader("fast") as beside:
        assert beside.ask(QUESTION, TEXT).score == qa.ask(QUESTION, TEXT).score
        assert beside.fingerprint() == qa.fingerprint()
        assert qa.plan.precision.value.startswith("float32")
    assert chosen.exists()


@pytest.mark.usefixtures("chosen")
def test_where_there_is_no_room_the_cpu_computes_and_says_so_in_the_key() -> None:
    device = edgeqa.probe(providers=False)
    tried = json.loads((state.home() / f"{TRIED}.json").read_text())
    for one in (one for many in tried.values() for one in many):
        one["mib"] = 3000.0 if one["precision"] == "float32" else 100.0
    (state.home() / f"{TRIED}.json").write_text(json.dumps(tried))
    with edgeqa.open(budget_bytes=1000 * MIB) as tight:
        answer = tight.ask(QUESTION, TEXT)
        assert tight.plan.precision.value.partition("-")[0] == "int8"
        assert "missing for CPU" in tight.plan.provider.reason
        fingerprint = tight.fingerprint()
    with edgeqa.open(provider="cpu") as usual:
        assert usual.fingerprint() == fingerprint
        assert usual.ask(QUESTION, TEXT).score == answer.score
        assert usual.ask(QUESTION, TEXT).cached
    assert providers.remembered(Bundle.load(DEFAULT_BUNDLE), device)
    assert is_kept(f"float32@{CPU}"), "it is still the one that was chosen"


def test_a_model_that_was_made_and_is_removed_is_not_missed(chosen: Path) -> None:
    with edgeqa.open() as qa:
        assert qa.plan.precision.value == f"float32@{CPU}"
    edgeqa.models.remove("edgeqa-mini.float32")
    assert not chosen.exists()
    with edgeqa.open() as qa:
        assert qa.ask(QUESTION, TEXT).text == "Dorman Long"
        assert qa.plan.precision.value.startswith("int8")
    assert not is_kept(f"float32@{CPU}")
    with edgeqa.open() as qa:
        assert qa.remembered(QUESTION, TEXT) is not None, "remembered under what computes now"


def test_a_provider_that_was_right_and_fails_now_gives_way_to_the_cpu(chosen: Path) -> None:
    graph = chosen / "read.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    with edgeqa.open() as qa:
        assert qa.ask(QUESTION, TEXT).text == "Dorman Long"
        assert qa.plan.precision.value.startswith("int8")
    assert not is_kept(f"float32@{CPU}")


def test_a_provider_that_is_not_there_is_refused_with_those_that_are(home: Path) -> None:
    with (
        edgeqa.open(provider="nonesuch") as qa,
        pytest.raises(ProviderUnknown, match=r"'nonesuch': it has .*CPU") as caught,
    ):
        qa.ask(QUESTION, TEXT)
    assert caught.value.exit_code == 3
    with pytest.raises(OptionError):
        edgeqa.open(provider="no such name")
    empty = home / "empty"
    empty.mkdir()
    for arguments in (
        ["ask", QUESTION, "--text", TEXT],
        ["capabilities"],
        ["models", "prepare"],
        ["bench", "--quick"],
        ["add", str(empty)],
        ["serve", "--port", "0"],
    ):
        done = program(*arguments, "--provider", "nonesuch", home=home)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False)
        assert "edgeqa: this onnxruntime has no provider 'nonesuch'" in done.stderr


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")  # onnxruntime's own, of the same
def test_one_that_onnxruntime_leaves_out_without_its_libraries_is_not_taken_for_the_cpu(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CUDA's is left out where onnxruntime-gpu is installed, and CUDA is not."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    with pytest.raises(BundleGraphInvalid, match="onnxruntime cannot start CUDA: its libraries"):
        open_reader(bundle, SessionOptions(provider="CUDAExecutionProvider"))


def test_the_library_that_a_provider_lacks_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = "libcublasLt.so.13: cannot open shared object file"
    said = f"[E:onnxruntime:Default] : 1 : FAIL : Failed to load library /a/b.so with error: {lacks}\nmore\n"
    tried = {"name": "CUDAExecutionProvider", "precision": "int8", "ok": False, "reason": "it cannot be started"}
    code = f"import sys; sys.stderr.write({said!r}); print({json.dumps(tried)!r})"
    monkeypatch.setattr(providers, "_START", code)
    found = providers._tried_apart(bundle, bundle, SessionOptions())
    assert found.reason == f"it cannot be started ({lacks})"


def test_of_what_onnxruntime_says_the_reason_is_shown_and_not_its_source() -> None:
    said = (
        "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:729 void onnxruntime::python::"
        "RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::ProviderOptions&) Please install "
        "TensorRT libraries as mentioned in the GPU requirements page, and make sure that they are in the PATH."
    )
    assert _one_line(RuntimeError(said), Path("a.onnx")).startswith("Please install TensorRT libraries")


def test_an_onnxruntime_that_does_not_say_what_it_offers_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeqa.capabilities.device._ASK_PROVIDERS", "import threading; threading.Event().wait()")
    monkeypatch.setattr("edgeqa.capabilities.device._ASK_LIMIT_S", 0.5)
    with pytest.raises(OnnxruntimeUnusable, match="asked what it offers: no answer within") as caught:
        prepare_model(provider="cpu")
    assert caught.value.hint == "try again when the device has less to do"


@pytest.mark.parametrize(
    ("does", "limit_s", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 60.0, "was ended by signal 11"),
        ("print('no JSON')", 60.0, "ended with 0 (nothing was said)"),
        ("raise SystemExit('the driver is too old')", 60.0, "ended with 1 (the driver is too old)"),
        ("import time; time.sleep(60)", 1.0, "more than 1 s"),
    ],
)
def test_one_that_dies_or_hangs_takes_nobody_with_it(
    does: str, limit_s: float, says: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "_START", does)
    monkeypatch.setattr(providers, "LIMIT_S", limit_s)
    tried = providers._tried_apart(bundle, bundle, SessionOptions())
    assert not tried.ok
    assert says in tried.reason


def test_one_that_gives_wrong_answers_is_seen(tmp_path: Path) -> None:
    copied = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    cases = json.loads((copied / "golden.json").read_text(encoding="utf-8"))
    cases[1]["start_logits"] = [logit + 12 for logit in cases[1]["start_logits"]]
    golden = json.dumps(cases).encode()
    (copied / "golden.json").write_bytes(golden)
    facts = json.loads((copied / "manifest.json").read_text())
    facts["files"]["golden.json"] = {"bytes": len(golden), "sha256": hashlib.sha256(golden).hexdigest()}
    (copied / "manifest.json").write_text(json.dumps(facts))
    wrong = Bundle.load(copied)
    tried = providers._tried_apart(wrong, wrong, SessionOptions())
    assert (tried.ok, tried.precision) == (False, "int8")
    assert "case 2: logits differ by" in tried.reason
    with pytest.raises(ProviderFailed, match="case 2"):
        prepare_model(copied, provider="cpu", precision="float16")
    assert shelf.model_names()[-1] != "edgeqa-mini.float16", "nothing wrong is kept"


def test_both_precisions_are_tried_and_the_better_one_is_kept() -> None:
    found = prepare_model(provider="cpu")
    tried = {one.precision: one for one in found.provider.tried if one.name == CPU}
    assert set(tried) == {"int8", found.tried.precision}
    assert [name for name in shelf.model_names() if name.startswith("edgeqa-mini.")] == [found.bundle.path.name]
    assert found.bundle.manifest.made_of == Bundle.load(DEFAULT_BUNDLE).digest


@pytest.mark.parametrize("at", ["making float16", "trying CPU in float16"])
def test_interrupted_it_keeps_nothing_that_was_not_tried(at: str) -> None:
    def interrupt(what: str, _done: int, _total: int) -> None:
        if what == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_model(provider="cpu", progress=interrupt)
    assert [name for name in shelf.model_names() if name.startswith("edgeqa-mini.")] == []


def test_what_cannot_be_made_is_refused(made: Path) -> None:
    with pytest.raises(ModelMade, match=r"edgeqa-mini\.float32 was made of another"):
        prepare_model("edgeqa-mini.float32", provider="cpu")
    for precision in ("int8", "float64"):
        with pytest.raises(OptionError, match="precision"):
            prepare_model(provider="cpu", precision=cast("Any", precision))
    with pytest.raises(NotEnoughMemory, match="precision=float32"):
        prepare_model(provider="cpu", precision="float32", budget_bytes=150 * MIB)
    assert made.exists(), "what was there stays"


def test_a_model_of_the_users_own_is_not_replaced(home: Path) -> None:
    shutil.copytree(DEFAULT_BUNDLE, home / "models" / "edgeqa-mini.float32")
    with pytest.raises(ModelExists):
        prepare_model(provider="cpu", precision="float32")


def test_made_anew_it_takes_the_place_of_what_was_made_before(made: Path) -> None:
    before = (made / "manifest.json").stat().st_ino
    prepare_model(provider="cpu", precision="float32")
    assert (made / "manifest.json").stat().st_ino != before
    assert [path.name for path in made.parent.iterdir()] == [made.name]


@pytest.mark.skipif(not OTHERS, reason="this onnxruntime has no provider but the CPU's")
@pytest.mark.parametrize("name", OTHERS)
def test_another_provider_takes_the_graphs_that_are_made_for_it(name: str, home: Path) -> None:
    found = prepare_model(provider=short(name).lower())
    tried = {(one.name, one.precision): one for one in found.provider.tried}
    best = tried[name, found.tried.precision]
    assert best.ok
    assert best.nodes_taken == best.nodes, "all of it"
    own = tried[name, "int8"]
    assert own.nodes_taken is not None
    assert own.nodes is not None
    assert own.nodes_taken < own.nodes, "int8 is made of the CPU's operators"
    report = json.loads(program("capabilities", "--json", home=home).stdout)
    assert {(one["name"], one["precision"]) for one in report["provider"]["tried"]} >= {(name, "int8"), (CPU, "int8")}
    with edgeqa.open(provider="cpu") as usual, edgeqa.open(provider=short(name)) as qa:
        answer = qa.ask(QUESTION, TEXT)
        assert answer.text == usual.ask(QUESTION, TEXT).text == "Dorman Long"
        assert qa.capabilities()["provider"]["name"] == name
        assert qa.fingerprint() != usual.fingerprint()
    with edgeqa.open(provider=name) as qa:
        assert qa.remembered(QUESTION, TEXT) is not None


@pytest.mark.skipif(not OTHERS, reason="this onnxruntime has no provider but the CPU's")
def test_another_provider_answers_in_threads_and_after_a_fork(run: Run) -> None:
    code = f"""
import os, sys, threading, edgeqa
qa = edgeqa.open(provider={short(OTHERS[0])!r}, persist="off")
found = {{}}
def ask(number):
    text = f"Bridge {{number}} was built in {{1900 + number}}."
    found[number] = qa.ask(f"When was bridge {{number}} built?", text).text
threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
[one.start() for one in threads]; [one.join() for one in threads]
assert found == {{number: str(1900 + number) for number in range(6)}}, found
child = os.fork()
if not child:
    os._exit(0 if qa.ask("Who built it?", "It was built by Dorman Long.").text == "Dorman Long" else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    done = run(code)
    said = done.communicate(timeout=120)
    assert done.returncode == 0, said
