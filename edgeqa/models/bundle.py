"""A bundle on disk: a directory in, a `Bundle` out whose every byte is what its manifest says.

Size and SHA-256 of each file are checked once per file state: (size, mtime, inode) of a sound file is remembered, so
that a start does not hash 24 MB again. The places of a graph's weights are checked as well, since onnxruntime before
1.25 reads weights from anywhere on the disk. Nothing is loaded into onnxruntime here (`session` does that).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa import files, state
from edgeqa.digests import blake2b
from edgeqa.errors import (
    BundleError,
    BundleFileDamaged,
    BundleFileMissing,
    BundleFileUnexpected,
    BundleGraphInvalid,
    BundleManifestInvalid,
    BundleNotFound,
    BundlePathUnsafe,
)
from edgeqa.files import NotPlain
from edgeqa.models import manifest as manifests

if TYPE_CHECKING:
    from edgeqa.capabilities.footprint import ModelNeeds
    from edgeqa.models.manifest import FileFact, Manifest

BUNDLED = "edgeqa-mini"
DEFAULT_BUNDLE = Path(__file__).parent / BUNDLED
BASE = "edgeqa-base"
"""The careful reader: a bundle of a distribution of its own, `edgeqa-base`; `shelf.base_bundle` says where it is."""
_REMEMBERED = "verified-bundles"

FileState = list[int]  # size in bytes, mtime in ns, inode: as JSON gives it back


class Bundle(NamedTuple):
    """A verified bundle."""

    path: Path
    manifest: Manifest
    digest: str
    """BLAKE2b-256 of the manifest, in hex; as the manifest holds every file's digest, it stands for all of them."""

    @classmethod
    def load(cls, path: Path = DEFAULT_BUNDLE, *, anew: bool = False) -> Bundle:
        """Returns the bundle in the directory `path`, verified.

        Args:
            path: the directory.
            anew: read every byte, even of files that were right and have not changed since.

        Raises:
            BundleError: naming the file that is missing, damaged, unsafe or too many.
        """
        where = path / manifests.NAME
        try:
            raw = files.read(where)
            text = raw.decode("utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BundleNotFound(path) from error
        except (OSError, UnicodeDecodeError) as error:
            raise BundleManifestInvalid(where, str(error)) from error
        bundle = cls(path.resolve(), manifests.parse(text, str(where)), blake2b(raw, digest_size=32).hexdigest())
        _verify(bundle, anew=anew)
        return bundle

    def needs(self) -> ModelNeeds:
        """Returns the facts of the bundle that a plan has to know."""
        from edgeqa.capabilities.footprint import ModelNeeds

        m = self.manifest
        graphs = m.joint.graph_files if m.joint else ("encode.onnx", "encode.bin", "read.onnx", "read.bin")
        return ModelNeeds(
            file_bytes=sum(f.size_bytes for f in m.files if f.name in graphs),
            tokenizer_bytes=m.file("tokenizer.json").size_bytes,
            width=m.width,
            max_context_tokens=m.max_context_tokens,
            precision=m.precision,
            kind=m.kind,
            heads=m.joint.heads if m.joint else 0,
            question_tokens=m.joint.max_tokens - (m.max_context_tokens - 1) if m.joint else 0,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the facts of the model that `edgeqa models` shows to a user."""
        m = self.manifest
        facts = {
            "name": m.name,
            "kind": m.kind,
            "precision": m.precision,
            "layers": m.layers,
            "width": m.width,
            "context_tokens": m.max_context_tokens - 1,
            "lowercase": m.lowercase,
            "size_bytes": sum(file.size_bytes for file in m.files),
            "digest": self.digest,
            "path": str(self.path),
        }
        if m.joint is not None:
            pair = {name: list(part) if isinstance(part, tuple) else part for name, part in m.pair._asdict().items()}
            facts |= {"max_tokens": m.joint.max_tokens, "pair": pair, "outputs": list(m.joint.outputs)}
        return facts

    def file(self, name: str) -> Path:
        """Returns the path of the bundle's file `name`."""
        return self.path / name


def _verify(bundle: Bundle, *, anew: bool) -> None:
    expected = {f.name for f in bundle.manifest.files} | {manifests.NAME}
    try:
        there = sorted(bundle.path.iterdir())
    except OSError as error:
        raise BundleFileDamaged(bundle.path, "listing", "possible", error.strerror) from error
    for present in there:
        if present.name not in expected:
            raise BundleFileUnexpected(present)
    states = {f.name: _state(bundle.file(f.name)) for f in bundle.manifest.files}
    # The digest is in the key: a changed manifest asks for new checks though the files stayed.
    key = f"{bundle.path}:{bundle.digest}"
    if not anew and state.recall(_REMEMBERED, key) == states:
        return
    for fact in bundle.manifest.files:
        _check(bundle.file(fact.name), fact)
    for graph in (fact.name for fact in bundle.manifest.files if fact.name.endswith(".onnx")):
        _check_weights(bundle.file(graph), expected)
    state.remember(_REMEMBERED, key, states)


def _check_weights(graph: Path, files: set[str]) -> None:
    """Sees that the graph's weights are files of the bundle.

    Raises:
        BundlePathUnsafe: if they are said to be elsewhere.
        BundleGraphInvalid: if it is no graph.
    """
    from edgeqa.models.exports.errors import ExportPathUnsafe
    from edgeqa.models.exports.graph import graph_facts

    try:
        weights = graph_facts(graph).weights
    except ExportPathUnsafe as error:
        raise BundlePathUnsafe(graph, error.location) from error
    except BundleError as error:
        raise BundleGraphInvalid(graph, str(error).removeprefix(f"{graph} is damaged: ")) from error
    for file in weights:
        if file.name not in files:
            raise BundlePathUnsafe(graph, file.name)


def _state(file: Path) -> FileState:
    try:
        files.check_plain(file)
        found = file.stat()
    except NotPlain as error:
        raise BundleFileDamaged(file, "kind", "a plain file", error.strerror) from error
    except OSError as error:
        raise BundleFileMissing(file) from error
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def describe_file(file: Path) -> dict[str, Any]:
    """Returns the facts of a file that a manifest has: its size, and a digest of its content."""
    import hashlib  # imported here: a start that finds all files unchanged does not need it

    digest = hashlib.sha256()
    with files.reading(file) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _check(file: Path, fact: FileFact) -> None:
    size_bytes = file.stat().st_size
    if size_bytes != fact.size_bytes:
        raise BundleFileDamaged(file, "size in bytes", fact.size_bytes, size_bytes)
    try:
        digest = describe_file(file)["sha256"]
    except OSError as error:
        raise BundleFileDamaged(file, "reading", "possible", error.strerror) from error
    if digest != fact.sha256:
        raise BundleFileDamaged(file, "SHA-256", fact.sha256, digest)
