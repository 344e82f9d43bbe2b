"""`models prepare`: it makes graphs of a bundle that an accelerator knows, tries them, and keeps the best on the shelf.

In: a bundle and a provider. Out: a bundle of the same model in plain operators (`floating`), in float32 or float16. Of
the two, the quicker one that gives right answers is kept; it is there whole or not at all. Nothing is downloaded, and
the package `onnx` is not needed. `providers` decides, by the trials, whether the new bundle is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from edgeqa import files
from edgeqa.capabilities import MIB, Overrides
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.errors import (
    ExportUnwritable,
    ModelMade,
    NotEnoughMemory,
    OptionError,
    ProviderFailed,
)
from edgeqa.models import manifest, onnx_file, providers, shelf
from edgeqa.models.bundle import Bundle, describe_file
from edgeqa.models.floating import floating

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.footprint import Tried
    from edgeqa.capabilities.plan import Provider
    from edgeqa.timing import Progress

Precision = Literal["float32", "float16"]
FACTORS: dict[Precision, int] = {"float32": 4, "float16": 2}
"""How many bytes are made of one of int8."""
# What it takes to make them besides the new weights, which are all in memory at once: 56 and 38 MiB for edgeqa-mini's
# in float32 and float16, 103 and 82 for edgeqa-base's, measured.
PROCESS_BYTES = 110 * MIB


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that was prepared for a provider."""

    bundle: Bundle
    """The new graphs, on the shelf."""
    of: Bundle
    tried: Tried
    """The result of the provider's trial with them."""
    provider: Provider
    """The provider that computes from now on, unless another is asked for."""

    @property
    def is_used(self) -> bool:
        """Whether the new graphs are the ones that compute."""
        return (self.provider.value, self.provider.precision) == (self.tried.name, self.tried.precision)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models prepare --json`."""
        facts = {**self.bundle.to_json(), "name": self.bundle.path.name, "made_of": self.of.manifest.name}
        return {**facts, "used": self.is_used, "provider": self.provider.to_json()}


def prepare_model(
    name: str | Path | None = None,
    *,
    provider: str,
    precision: Precision | None = None,
    threads: int | None = None,
    budget_bytes: int | None = None,
    progress: Progress | None = None,
) -> PreparedModel:
    """Makes graphs of a model for an execution provider, tries them, and keeps the quicker ones that are right.

    Args:
        name: a model's name, or the directory of one; by default the model in use.
        provider: as onnxruntime calls it, or as people do: "openvino", "cuda". With "cpu", the graphs are made for it.
        precision: "float32" or "float16"; by default both are tried, and the better one is kept.
        threads: cores to use.
        budget_bytes: memory that may be used.
        progress: called as it goes on.

    Raises:
        BundleError: if there is no such model, it cannot be made so, or the shelf cannot be written to.
        ProviderUnknown: if onnxruntime has no such provider.
        ProviderFailed: if the provider gives wrong answers with all that was made, or takes none of it.
        NotEnoughMemory: if there is too little to make them.
    """
    bundle = Bundle.load(shelf.find_bundle(name))
    if bundle.manifest.made_of:
        raise ModelMade(bundle.path.name)
    device = probe(providers=False)
    overrides = Overrides(threads=threads, budget_bytes=budget_bytes, provider=provider)
    providers.offered(device, provider)  # this refuses before anything is made
    made: dict[str, Bundle] = {}
    try:
        for wanted in _wanted(bundle, precision):
            made[wanted] = _made(bundle, wanted, device, overrides, progress)
        tried = providers.try_providers(bundle, device, overrides, anew=(bundle, *made.values()), progress=progress)
    except BaseException:  # an interrupt, too: nothing is kept that was not tried
        for untried in made.values():
            shelf.remove_model(untried.path.name)
        raise
    found = [one for one in tried if one.precision in made and providers.is_called(one.name, provider)]
    best = providers.best_of([one for one in found if one.ok])
    for one in made.values():
        if best is None or one.manifest.precision != best.precision:
            shelf.remove_model(one.path.name)
    if best is None:
        raise ProviderFailed(provider, "; ".join(f"{one.precision}: {one.reason}" for one in found))
    left = [one for one in tried if one.precision not in made or one.precision == best.precision]
    chosen = providers.choose(bundle.manifest.precision, left)
    providers.settle(bundle, device, chosen)
    return PreparedModel(made[best.precision], bundle, best, chosen)


def _wanted(bundle: Bundle, precision: Precision | None) -> list[Precision]:
    """Returns the precisions to make."""
    own = bundle.manifest.precision
    if precision is not None and precision not in FACTORS:
        raise OptionError(name="precision", value=precision, expected=" or ".join(FACTORS))
    if precision == own:
        raise OptionError(name="precision", value=precision, expected=f"another than the model's own, which is {own}")
    return [one for one in FACTORS if one != own] if precision is None else [precision]


def _made(
    bundle: Bundle, precision: Precision, device: Capabilities, overrides: Overrides, progress: Progress | None
) -> Bundle:
    """Puts the model's graphs in another precision on the shelf, in the place of those that were made before."""
    needed_bytes = PROCESS_BYTES + bundle.needs().file_bytes * FACTORS[precision]
    available_bytes = make_plan(device, bundle.needs(), overrides.but(provider=None)).available_bytes.value
    if needed_bytes > available_bytes:
        raise NotEnoughMemory(
            what="memory",
            needed_bytes=needed_bytes,
            available_bytes=available_bytes,
            overrides={"precision": precision},
        )
    called = shelf.made_name(bundle, precision)
    shelf.remove_made(called)
    with shelf.new_model(called) as partial:
        try:
            _write(bundle, precision, partial, progress)
        except OSError as error:
            raise ExportUnwritable(partial, error.strerror or str(error)) from error
    return Bundle.load(shelf.models_home() / called)


def _write(bundle: Bundle, precision: Precision, directory: Path, progress: Progress | None) -> None:
    """Writes the bundle's files, the manifest last."""
    old = [fact.name for fact in bundle.manifest.files]
    graphs = [name for name in old if name.endswith(".onnx")]
    weights = {file for name in graphs for file in onnx_file.read(bundle.file(name)).files}
    for number, name in enumerate(graphs):
        if progress is not None:
            progress(f"making {precision}", number, len(graphs))
        made = floating(onnx_file.read(bundle.file(name)), precision)
        onnx_file.write(made, directory / name, directory / f"{name.removesuffix('.onnx')}.bin")
    for name in old:
        if name not in graphs and name not in weights:
            with files.create(directory / name) as stream:
                stream.write(files.read(bundle.file(name)))
    facts = json.loads(files.read(bundle.file(manifest.NAME)))
    if bundle.manifest.joint is not None:
        facts["joint"]["graph_files"] = [manifest.JOINT_GRAPH, f"{manifest.JOINT_GRAPH.removesuffix('.onnx')}.bin"]
    facts |= {"precision": precision, "made_of": bundle.digest, "made_by": f"edgeqa {version('edgeqa')}"}
    facts["files"] = {file.name: describe_file(file) for file in sorted(directory.iterdir())}
    with files.create(directory / manifest.NAME) as stream:
        stream.write(json.dumps(facts, indent=1).encode() + b"\n")
