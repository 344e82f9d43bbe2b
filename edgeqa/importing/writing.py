"""Writes a bundle's files: what is known of an export in, a directory that a bundle can be loaded from out.

The manifest goes last: a directory without one is no bundle. What cannot be read or written is an error that names it.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgeqa.importing.errors import ExportUnreadable, ExportUnwritable
from edgeqa.models import manifest, selftest

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.importing.asking import Progress
    from edgeqa.importing.export import Export
    from edgeqa.importing.graph import GraphFacts
    from edgeqa.importing.template import TokenizerFacts
    from edgeqa.models.manifest import Joint

QUESTION_TOKENS = 62  # as many as the bundled model takes; the rest is for the context
TOKENIZER = "tokenizer.json"
BLOCK_BYTES = 1 << 20


def context_tokens(export: Export, tokens: TokenizerFacts) -> int:
    """Returns how many tokens a context may have, one of them special, as in every manifest."""
    return export.config.max_tokens - QUESTION_TOKENS - tokens.pair.special_tokens + 1


def copy_graph(graph: GraphFacts, directory: Path, joint: Joint, watch: Progress) -> None:
    """Copies the graph and the files of its weights into `directory`, under the names that `joint` gives them."""
    for file, name in zip(graph.files, joint.graph_files, strict=True):
        _copy(file, directory / name, watch)


def write_bundle(
    directory: Path,
    called: str,
    export: Export,
    tokens: TokenizerFacts,
    joint: Joint,
    precision: str,
    cases: list[dict[str, Any]],
    watch: Progress,
) -> None:
    """Writes all other files of the bundle into `directory`, where its graph is already.

    Raises:
        ExportUnreadable, ExportUnwritable: if the system refuses.
    """
    _copy(export.tokenizer, directory / TOKENIZER, watch)
    _write(directory / selftest.GOLDEN_FILE, json.dumps(cases, ensure_ascii=False, indent=1))
    facts = _manifest(called, export, tokens, joint, precision, directory)
    _write(directory / manifest.NAME, json.dumps(facts, indent=1) + "\n")


def _manifest(
    called: str, export: Export, tokens: TokenizerFacts, joint: Joint, precision: str, directory: Path
) -> dict[str, Any]:
    names = (*joint.graph_files, TOKENIZER, selftest.GOLDEN_FILE)
    return {
        "format": manifest.FORMAT,
        "name": called,
        "version": "1",
        "kind": "joint",
        "precision": precision,
        "model_type": export.config.model_type,
        "architecture": export.config.architecture,
        "made_by": f"edgeqa {version('edgeqa')}",
        "layers": export.config.layers,
        "width": export.config.width,
        "max_question_tokens": QUESTION_TOKENS + 2,
        "max_context_tokens": context_tokens(export, tokens),
        "lowercase": tokens.lowercase,
        "special_tokens": {"cls": tokens.pair.before[0], "sep": tokens.pair.after[0], "pad": export.config.pad_id},
        "pair": tokens.pair._asdict(),
        "joint": joint._asdict(),
        "files": {name: _described(directory / name) for name in names},
    }


def _described(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _copy(source: Path, to: Path, watch: Progress) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ExportUnreadable(source, error.strerror or str(error)) from error
    with stream:
        total, done = source.stat().st_size, 0
        try:
            with to.open("wb") as copy:
                while block := stream.read(BLOCK_BYTES):
                    copy.write(block)
                    done += len(block)
                    watch(f"copying {source.name}", done, total)
        except OSError as error:
            raise ExportUnwritable(to, error.strerror or str(error)) from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportUnwritable(file, error.strerror or str(error)) from error
