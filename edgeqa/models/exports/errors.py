"""The faults of an exported model, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.errors import EXIT_USAGE, ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    AnyPath = str | PathLike[str]

INSTALL_EXPORTER = 'pip install "optimum-onnx[onnxruntime]"'


def export_command(model: str, directory: str) -> str:
    """Returns the command that exports `model` into `directory`."""
    return f"optimum-cli export onnx --model {model} --task question-answering {directory}"


_EXPORT_AGAIN = f"export it with its head for answers: {export_command('MODEL', 'DIR')}"
_COPY_AGAIN = "copy or export it again, and compare sizes"


class ExportNotFound(ExportError, FileNotFoundError):
    """There is no such directory, or wheel; what was given may be a model's name on a hub."""

    exit_code = EXIT_USAGE

    def __init__(self, given: str) -> None:
        directory = given.rstrip("/").rpartition("/")[2] or "DIR"
        if given.lower().endswith(".whl"):
            hint = "check the path; `make wheel` in a checkout of edgeqa writes the wheel of edgeqa-base to dist/"
            super().__init__(f"no such wheel: {given}", hint)
            return
        if given.startswith((".", "/", "~")):  # no name of a hub begins so
            super().__init__(
                f"no such directory: {given}", "check the path: it is the directory that an exporter wrote"
            )
            return
        super().__init__(
            f"no such directory: {given}",
            "nothing is downloaded here; for a model of a hub two commands make the directory:\n"
            f"    {INSTALL_EXPORTER}\n    {export_command(given, directory)}",
        )


class ExportNotDirectory(ExportError, NotADirectoryError):
    """A file was given where a directory is needed."""

    exit_code = EXIT_USAGE

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"not a directory: {path}", "give the directory that the exporter wrote, not a file in it")


class ExportIsBundle(ExportError):
    """The directory is a bundle already, of which nothing can be chosen or made."""

    exit_code = EXIT_USAGE

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"is a bundle already: {path}", "add it as it is: without --graph and --quantize")


class WheelWithoutModel(ExportError):
    """A wheel that holds no bundle."""

    exit_code = EXIT_USAGE

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(
            f"no model can be taken from {path}: {reason}", "give a wheel that holds a bundle, as that of edgeqa-base"
        )


class ExportUnreadable(ExportError, OSError):
    """The operating system refused to read or copy a file."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"cannot read {path}: {reason}", "check its permissions and the disk")


class ExportGraphMissing(ExportError):
    """There is no ONNX graph."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(
            f"no graph in {path}: neither model.onnx nor onnx/model.onnx",
            f"an export has one; two commands make it:\n    {INSTALL_EXPORTER}\n    {export_command('MODEL', 'DIR')}",
        )


class ExportGraphAmbiguous(ExportError):
    """There are several graphs, and none has the usual name."""

    exit_code = EXIT_USAGE

    def __init__(self, path: AnyPath, found: Iterable[str]) -> None:
        names = sorted(found)
        super().__init__(f"{len(names)} graphs in {path}: {', '.join(names)}", f"choose one: --graph {names[0]}")


class ExportTokenizerMissing(ExportError):
    """There is no tokenizer at all."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(
            f"no tokenizer.json in {path}",
            "copy it there from the model that was exported; it lies beside that model's config.json",
        )


class ExportTokenizerSlow(ExportError):
    """There are only the files of a tokenizer that is written in Python."""

    def __init__(self, path: AnyPath, files: Iterable[str]) -> None:
        super().__init__(
            f"no tokenizer.json in {path}, only the files of a slow tokenizer ({', '.join(files)})",
            'transformers makes it from them: python -c "from transformers import AutoTokenizer as T; '
            f"T.from_pretrained('{path}', use_fast=True).save_pretrained('{path}')\"",
        )


class ExportFileInvalid(ExportError):
    """A file is not what its name says."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}", _COPY_AGAIN)


class ExportFileLater(ExportError):
    """A file is a note of git-lfs that stands for a large one."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(
            f"{path} is not the file itself but a note of git-lfs", "fetch the files themselves: git lfs pull"
        )


class ExportDamaged(ExportError):
    """A graph, or the file of its weights, ends too early or is no graph at all."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}", _COPY_AGAIN)


class ExportPathUnsafe(ExportError):
    """The graph's weights are said to lie where they must not."""

    def __init__(self, path: AnyPath, location: str, reason: str) -> None:
        self.location = location
        super().__init__(
            f"{path}: its weights are said to be in {location!r}, {reason}",
            "weights have to lie beside the graph, as plain files; of a directory of symbolic links make a copy: "
            "cp -rL DIR COPY",
        )


class ExportOpsetTooNew(ExportError):
    """The graph is written for a newer onnxruntime."""

    def __init__(self, path: AnyPath, opset: int, runtime_version: str) -> None:
        super().__init__(
            f"{path}: its opset is {opset}, too new for onnxruntime {runtime_version}",
            "export it with an older one (optimum-cli export onnx --opset 17 ...), or update onnxruntime",
        )


class ExportOperatorMissing(ExportError):
    """onnxruntime's CPU provider lacks an operator of the graph, in the graph's precision."""

    def __init__(self, path: AnyPath, precision: str, reason: str) -> None:
        super().__init__(
            f"{path}: a {precision} graph that onnxruntime cannot run on this processor ({reason})",
            f"export it in float32: {export_command('MODEL', 'DIR')}, without --dtype and --optimize",
        )


class ExportGraphRefused(ExportError):
    """onnxruntime cannot load or run the graph, for another reason."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}", _EXPORT_AGAIN)


class ExportInputsUnknown(ExportError):
    """The graph takes something that no BERT reader takes, or not what each takes."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}", _EXPORT_AGAIN)


class ExportShapeFixed(ExportError):
    """The graph takes texts of one length only."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(
            f"{path}: it takes inputs of one fixed length only",
            f"export it with dynamic axes, which is the default of: {export_command('MODEL', 'DIR')}",
        )


class ExportHeadWrong(ExportError):
    """The graph does not give start and end logits."""

    def __init__(self, path: AnyPath, found: str) -> None:
        super().__init__(f"{path}: no head for answers: {found}", _EXPORT_AGAIN)


class ExportPairUnknown(ExportError):
    """The tokenizer lays a question and a context out in a way that is not known here."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}", "known are models that take: special tokens, question, separators, context, separators"
        )


class ExportVocabularyWrong(ExportError):
    """Tokenizer and graph are of different models."""

    def __init__(self, path: AnyPath, tokens: int, rows: int) -> None:
        super().__init__(
            f"{path}: the tokenizer has {tokens} tokens, the graph has embeddings for {rows}",
            "tokenizer.json and graph are of different models: take both from the same export",
        )


class ExportTooShort(ExportError):
    """The model takes so few tokens that question and context do not fit."""

    def __init__(self, path: AnyPath, found: int, least: int) -> None:
        super().__init__(f"{path}: the model takes {found} tokens, fewer than {least}", "use a model that takes more")


class ExportQuantizerMissing(ExportError):
    """The library that makes int8 graphs is not installed."""

    exit_code = EXIT_USAGE

    def __init__(self) -> None:
        super().__init__("--quantize needs the package onnx", 'install it: pip install "edgeqa[convert]"')


class ExportQuantizedAlready(ExportError):
    """The graph to be made int8 is not of float32."""

    exit_code = EXIT_USAGE

    def __init__(self, path: AnyPath, precision: str) -> None:
        super().__init__(
            f"{path} is {precision}, and int8 is made of float32", "leave --quantize out, or choose another --graph"
        )


class ExportQuantizedBadly(ExportError):
    """The model's answers change too much in int8."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"in int8 it would answer otherwise: {reason}", "add it without --quantize")


class ExportRanAway(ExportError):
    """Trying it out took too long or too much memory, or ended the process that tried it."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(
            f"{path} cannot be tried out: {reason}",
            "no reader behaves so: see whom it comes from, or make it anew from the model: "
            f"{export_command('MODEL', 'DIR')}",
        )
