"""Every error that edgeqa raises on purpose: one tree, rooted in `EdgeQAError`.

A raise site passes facts; the class writes the one-line message and the `hint` (what to do next). Each family also
inherits the builtin that a caller would expect, and carries the exit code of the command line. No I/O happens here.

This is the tree, with the builtin that each class also inherits. A room has further leaves in its own `errors.py`:

    EdgeQAError
        QuestionError (ValueError)
            EmptyQuestion
            QuestionIsFile
            QuestionsMissing
            StandardInputTwice
            QuestionType (TypeError)
        ContextError (ValueError)
            ContextNotFound (FileNotFoundError)
            ContextIsDirectory (IsADirectoryError)
            ContextUnreadable (OSError)
            ContextBinary
            ContextUTF16
            ContextTooLong
            ContextUncopied (OSError)
            ContextEncoding
            ContextEmpty
            ContextChanged
            ContextMissing
            NothingToAdd
            ContextType (TypeError)
            FormatError
            EvaluationFileError
        ClusterError (ConnectionError)
        CollectionError
            CollectionAndTexts
        OptionError (ValueError)
        HomeUnsafe (RuntimeError)
        Closed (ValueError)
        FileRefused (OSError)
        OutputFailed (OSError)
        BundleError (ValueError)
            BundleNotFound (FileNotFoundError)
                ModelNotFound
                CarefulReaderMissing
            BundleManifestInvalid
            BundleFormatUnsupported
            BundlePathUnsafe
            BundleFileMissing (FileNotFoundError)
            BundleFileUnexpected
            BundleFileDamaged
            BundleGraphInvalid
            GraphNotPlain
            BundleSelfTestFailed
                BundleTokensWrong
            ExportError
                ModelNameInvalid
                ModelNameKept
                ModelExists (FileExistsError)
                ModelMade
                ModelBundled
                ModelInstalled
                ExportUnwritable (OSError)
        PipelineError (ValueError)
        CapabilityError (RuntimeError)
            DeviceUnknown (LookupError)
            OnnxruntimeUnusable (ImportError)
            ProviderUnknown (LookupError)
            ProviderFailed
            LibraryMissing (ImportError)
            ThreadsLimited (RuntimeError)
            FilesLimited (RuntimeError)
            AddressSpaceLimited (MemoryError)
            Subinterpreter
            NotEnoughMemory (MemoryError)
        CacheError
            CacheUnchanged
            CacheKeyInvalid (TypeError)
                FunctionUnknown
            CacheValueInvalid (TypeError)
            EventLoopBlocked (RuntimeError)
            ComputationFailed (RuntimeError)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from pathlib import Path

    AnyPath = str | PathLike[str]

EXIT_ANSWERED, EXIT_NO_ANSWER, EXIT_USAGE, EXIT_DEVICE, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class EdgeQAError(Exception):
    """The root of the tree: `str(error)` is one line of facts, `error.hint` the remedy, `exit_code` for the process."""

    exit_code = EXIT_DEVICE
    hint = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        if hint:
            self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns the way to copy it into another process: by its message, since __init__ takes facts."""
        return _again, (type(self), self.args), self.__dict__


def without_home(path: AnyPath) -> str:
    """Returns a remedy if a path lies in the home of a user without one; else "".

    That is `state.NOWHERE`, that of Debian's nobody, or, in a container with a user of no name, the root folder.
    """
    if not str(path).startswith(("/dev/null/", "/nonexistent/", "/.local/", "/.cache/")):
        return ""
    return "this user has no home directory: set EDGEQA_HOME to a directory that edgeqa may write to"


def _again(kind: type[EdgeQAError], arguments: tuple[Any, ...]) -> EdgeQAError:
    # Only the builtin whose memory layout the class has can make it, and that may not be the first among its bases.
    for base in kind.__mro__:
        if base.__module__ == "builtins":
            try:
                error: EdgeQAError = base.__new__(kind, *arguments)
            except TypeError:
                continue
            error.args = arguments
            return error
    raise AssertionError(kind)  # pragma: no cover - every exception has such a base


# --- questions -------------------------------------------------------------------------------------------------------


class QuestionError(EdgeQAError, ValueError):
    """The question cannot be asked."""

    exit_code = EXIT_USAGE


class EmptyQuestion(QuestionError):
    """The question is empty, or only white space."""

    def __init__(self) -> None:
        super().__init__("the question is empty", 'ask something, for example: edgeqa ask "Who wrote it?" notes.txt')


class QuestionIsFile(QuestionError):
    """A file's name, or an address, stands where the question belongs."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is no question", f'ask something about it: edgeqa ask "Who wrote it?" {name}')


class QuestionsMissing(QuestionError):
    """A file of questions has no question in it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no question in {name}", "write one a line")


class StandardInputTwice(QuestionError):
    """Both the questions and a text were to come from standard input."""

    def __init__(self) -> None:
        super().__init__(
            "standard input cannot be both the questions and a text",
            "name a file for one of them: edgeqa ask --questions questions.txt -",
        )


class QuestionType(QuestionError, TypeError):
    """Something other than a string was given as question."""

    def __init__(self, value: object) -> None:
        super().__init__(f"a question is a str, not {type(value).__name__}", "pass the question as a string")


# --- contexts: the texts that answers are cut from -------------------------------------------------------------------


class ContextError(EdgeQAError, ValueError):
    """A text to answer from cannot be used."""

    exit_code = EXIT_USAGE


class ContextNotFound(ContextError, FileNotFoundError):
    """There is no such file."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"no such file: {path}", "check the path, or give the text itself with --text")


class ContextIsDirectory(ContextError, IsADirectoryError):
    """A directory was given where a file is needed."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"is a directory, not a text file: {path}", f"name the files in it, for example {path}/*.txt")


class ContextUnreadable(ContextError, OSError):
    """The operating system refused to read the file."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        full = reason == "Too many open files"
        hint = "raise the limit on open files: ulimit -n 256" if full else "check the file's permissions and the disk"
        super().__init__(f"cannot read {path}: {reason}", hint)


class ContextBinary(ContextError):
    """The file holds a NUL byte, which no text does."""

    def __init__(self, path: AnyPath, offset_bytes: int) -> None:
        super().__init__(
            f"not a text file: {path} has a NUL byte at offset {offset_bytes}",
            "convert it to plain text, or give a document that is known by its ending: .pdf, .docx, .epub, .html, .md",
        )


class ContextUTF16(ContextError):
    """The file begins with the byte order mark of UTF-16."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"not UTF-8: {path} is UTF-16", f"convert it: iconv -f UTF-16 -t UTF-8 {path}")


class ContextTooLong(ContextError):
    """A stream holds more than edgeqa copies; it can be read again only from a copy."""

    def __init__(self, name: AnyPath, most_bytes: int) -> None:
        super().__init__(
            f"{name} is longer than {most_bytes} bytes",
            "write it to a file and name that: a file is read in place, however long",
        )


class ContextUncopied(ContextError, OSError):
    """There is no room for the copy of a stream."""

    exit_code = EXIT_DEVICE

    def __init__(self, name: AnyPath, directory: AnyPath, reason: str) -> None:
        super().__init__(
            f"cannot copy {name} to {directory}: {reason}",
            f"free some space in {directory}, or set TMPDIR to a directory that has more",
        )


class ContextEncoding(ContextError):
    """The file is not UTF-8."""

    def __init__(self, path: AnyPath, offset_bytes: int, byte: int) -> None:
        super().__init__(
            f"not UTF-8: {path} has the byte 0x{byte:02x} at offset {offset_bytes}",
            f"convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}",
        )


class ContextEmpty(ContextError):
    """There is no text but white space."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no text in {name}", "give a file with text in it, --text, or text on standard input")


class ContextChanged(ContextError):
    """A file was written to while it was read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"changed while it was read: {name}", "ask again when nothing writes to it")


class ContextMissing(ContextError):
    """No text was given at all."""

    def __init__(self) -> None:
        super().__init__(
            "no text to answer from",
            'add texts once (edgeqa add PATH...), or name a file, give --text "...", or pipe text in',
        )


class NothingToAdd(ContextError):
    """No file or folder was named."""

    def __init__(self) -> None:
        super().__init__("nothing to add", "name files or folders, or - for standard input: edgeqa add manuals/")


class ContextType(ContextError, TypeError):
    """Something other than strings and paths was given as context."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"a context is a str, a Path, or several of them, not {type(value).__name__}",
            "pass text as str and files as pathlib.Path",
        )


class FormatError(ContextError):
    """A file cannot be read in its format; the errors are in `edgeqa/formats/blocks.py`."""


class EvaluationFileError(ContextError):
    """A file to evaluate on is not in SQuAD format."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(
            f"not a SQuAD file: {path}: {reason}",
            'expected JSON: {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}; '
            "questions on documents need --documents FOLDER",
        )


class ClusterError(EdgeQAError, ConnectionError):
    """A cluster cannot be used."""


class CollectionError(EdgeQAError):
    """A collection cannot be used; the leaves are in `edgeqa.collection.errors`."""

    exit_code = EXIT_DEVICE


class CollectionAndTexts(CollectionError):
    """Both a collection, or a cluster, and texts were named to answer from."""

    exit_code = EXIT_USAGE

    def __init__(self, named: str, option: str) -> None:
        super().__init__(f"both {named} and texts are named", f"leave out {option}, or the files and --text")


# --- options ---------------------------------------------------------------------------------------------------------


class OptionError(EdgeQAError, ValueError):
    """The value of an option is impossible."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} cannot be {value!r}", f"{name} is {expected}")


class HomeUnsafe(EdgeQAError, RuntimeError):
    """Other users may write to edgeqa's home: they could change its content, or lead its files elsewhere."""

    def __init__(self, home: Path, problem: str) -> None:
        super().__init__(
            f"{home}: {problem}, so that edgeqa does not use it",
            f"have EDGEQA_HOME name a folder of your own, or, if it is yours: chmod go-w {home}",
        )


class HomeShared(UserWarning):
    """Other users may perhaps write to edgeqa's home: on this file system, or in this container, edgeqa cannot know."""

    def __init__(self, home: Path, problem: str) -> None:
        super().__init__(home, problem)

    def __str__(self) -> str:
        home, problem = self.args
        return f"{home}: {problem}; whoever can write there decides what edgeqa answers"


class Closed(EdgeQAError, ValueError):
    """The runtime was asked after `close()`."""

    exit_code = EXIT_USAGE

    def __init__(self) -> None:
        super().__init__("this EdgeQA is closed", "open another with edgeqa.open()")


class FileRefused(EdgeQAError, OSError):
    """The system refused the use of a file; no more is known."""

    def __init__(self, file: AnyPath, reason: str) -> None:
        super().__init__(f"cannot use {file}: {reason}", "see to its permissions, and to the disk that it is on")


class OutputFailed(EdgeQAError, OSError):
    """The output could not be printed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cannot write to standard output: {reason}", "make room where the output goes")


# --- bundles ---------------------------------------------------------------------------------------------------------

_REINSTALL = "put the bundle back as it was made; for the bundled model: pip install --force-reinstall edgeqa"


class BundleError(EdgeQAError, ValueError):
    """A model's directory is not what its manifest says, or cannot be used on this device."""


class BundleNotFound(BundleError, FileNotFoundError):
    """There is no bundle at this place."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"no bundle at {path}: it has no manifest.json", "give a directory that holds a manifest.json")


class BundleManifestInvalid(BundleError):
    """The manifest, or another JSON file of the bundle, cannot be understood."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}", _REINSTALL)


class BundleFormatUnsupported(BundleError):
    """The manifest is of a format that this version does not know."""

    def __init__(self, path: AnyPath, found: object, known: int) -> None:
        super().__init__(
            f"{path}: format {found!r}, this edgeqa reads format {known}",
            f"use a bundle of format {known}, or the edgeqa that this one was made for",
        )


class BundlePathUnsafe(BundleError):
    """The manifest, or a graph, names a file outside the bundle."""

    def __init__(self, path: AnyPath, name: str) -> None:
        super().__init__(
            f"{path}: file name {name!r} leads out of the bundle", "do not use this bundle: get it again from its maker"
        )


class BundleFileMissing(BundleError, FileNotFoundError):
    """A file that the manifest names is not there."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"bundle file missing: {path}", _REINSTALL)


class BundleFileUnexpected(BundleError):
    """The directory holds something that the manifest does not name."""

    def __init__(self, path: AnyPath) -> None:
        super().__init__(f"not in the bundle's manifest: {path}", "move this file out of the bundle")


class BundleFileDamaged(BundleError):
    """A file's size or digest is not the manifest's."""

    def __init__(self, path: AnyPath, what: str, expected: object, found: object) -> None:
        super().__init__(f"bundle file damaged: {path}: {what} is {found}, not {expected}", _REINSTALL)


class BundleGraphInvalid(BundleError):
    """A graph cannot be loaded, or does not have the inputs and outputs of its kind."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(f"{path}: {reason}", _REINSTALL)


class GraphNotPlain(BundleError):
    """A graph cannot be made of the operators that accelerators know."""

    hint = "a provider may take the model as it is: edgeqa capabilities --provider NAME"

    def __init__(self, operator: str, reason: str) -> None:
        super().__init__(f"{operator} cannot be made of plain operators: {reason}")


class BundleSelfTestFailed(BundleError):
    """The results of the bundle's golden cases are wrong on this device."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the self-test of {name} failed on this device: {reason}",
            "answers would be wrong: use a float32 bundle here, and report `edgeqa capabilities --json`",
        )


class BundleTokensWrong(BundleSelfTestFailed):
    """The bundle's tokenizer does not give the token ids that the model was made with."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.hint = f"its tokenizer.json or golden.json is another model's: {_REINSTALL}"


class ModelNotFound(BundleNotFound):
    """No model of this name was added, and it is no directory either."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        BundleError.__init__(
            self,
            f"no model called {name}, and no directory of a model either",
            f"there are: {', '.join(known)}; add one: edgeqa models add DIR",
        )


class CarefulReaderMissing(BundleNotFound):
    """The careful reader was asked for, and its model is not installed."""

    def __init__(self, name: str, remedy: str) -> None:
        BundleError.__init__(self, f"the careful reader needs the model {name}, which is not installed", remedy)


class ExportError(BundleError):
    """An exported model cannot become a bundle; the leaves are in `edgeqa.models.exports.errors`."""


class ModelNameInvalid(ExportError):
    """A name that no model can have."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a model cannot be called {name!r}",
            "choose with --name: letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        )


class ModelNameKept(ExportError):
    """A name that edgeqa keeps for a model of its own."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str) -> None:
        super().__init__(f"no other model can be called {name}: edgeqa asks that one by its name", "choose a --name")


class ModelExists(ExportError, FileExistsError):
    """There is a model of this name already."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is a model called {name} already", f"choose another --name, or first: edgeqa models remove {name}"
        )


class ModelMade(ExportError):
    """A model that was made for a provider cannot be made into yet another."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was made of another model for a provider", "name that model: edgeqa models list")


class ModelBundled(ExportError):
    """The bundled model cannot be removed or replaced."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} comes with edgeqa and stays", "choose another name")


class ModelInstalled(ExportError):
    """edgeqa cannot remove a model that was installed as a package."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str, path: AnyPath) -> None:
        super().__init__(f"{name} was not added, but installed: {path}", f"remove it as it came: pip uninstall {name}")


class ExportUnwritable(ExportError, OSError):
    """There is no room for the bundle, or no right to write it."""

    def __init__(self, path: AnyPath, reason: str) -> None:
        super().__init__(
            f"cannot write {path}: {reason}",
            without_home(path) or "make room there, or set EDGEQA_HOME to a directory that has some",
        )


# --- the drop-in for old pipelines (its leaves are in edgeqa/compat/calls.py) ----------------------------------------


class PipelineError(EdgeQAError, ValueError):
    """A pipeline was opened or called in an impossible way."""

    exit_code = EXIT_USAGE


# --- the device ------------------------------------------------------------------------------------------------------


class CapabilityError(EdgeQAError, RuntimeError):
    """The device cannot do the work."""


class DeviceUnknown(CapabilityError, LookupError):
    """No recorded device has this name."""

    exit_code = EXIT_USAGE

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown device: {name}", f"known devices: {', '.join(sorted(known))}")


class OnnxruntimeUnusable(CapabilityError, ImportError):
    """onnxruntime, which computes answers, cannot be imported on this device."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(
            f"no answer can be computed on this device: {reason}",
            hint or "install an onnxruntime that is built for this processor; edgeqa capabilities shows what was found",
        )


class ProviderUnknown(CapabilityError, LookupError):
    """onnxruntime has no execution provider of this name."""

    def __init__(self, name: str, offered: Iterable[str]) -> None:
        super().__init__(
            f"this onnxruntime has no provider {name!r}: it has {', '.join(offered)}",
            "install the onnxruntime that is made for the accelerator, or leave --provider out",
        )


class ProviderFailed(CapabilityError):
    """An execution provider cannot be used with a model: it gives wrong answers, takes nothing, or breaks."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the provider {name} cannot be used: {reason}", "without --provider, the CPU computes")


class LibraryMissing(CapabilityError, ImportError):
    """A library that a part of edgeqa needs is not installed, or cannot be imported."""

    def __init__(self, library: str, what: str = "this command", reason: str = "which is not installed") -> None:
        super().__init__(f"{what} needs {library}, {reason}", f"pip install {library}")


class ThreadsLimited(CapabilityError, RuntimeError):
    """The system lets this process start no more threads."""

    def __init__(self) -> None:
        super().__init__(
            "no thread can be started: a limit on processes or threads is reached",
            "raise it: `ulimit -u` in a shell, `--pids-limit` of a container, TasksMax= of a service",
        )


class FilesLimited(CapabilityError, RuntimeError):
    """The system lets this process open no more files. It is no `OSError`, since nothing is wrong with the file."""

    def __init__(self) -> None:
        super().__init__(
            "no file can be opened: a limit on open files is reached",
            "close some, or raise it: `ulimit -n 256` in a shell, LimitNOFILE= of a service",
        )


_MORE_ADDRESS_SPACE = (
    "raise the limit on address space (ulimit -v), or have the answer cache, which may be larger, made anew within it: "
    "edgeqa cache clear --yes"
)


class AddressSpaceLimited(CapabilityError, MemoryError):
    """The process may take no more address space: a library, a thread or memory was refused."""

    def __init__(self) -> None:
        super().__init__("no more address space can be had: the limit on it is reached", _MORE_ADDRESS_SPACE)


class Subinterpreter(CapabilityError):
    """The model cannot be loaded in a subinterpreter, because the import of onnxruntime never ends there."""

    def __init__(self) -> None:
        super().__init__(
            "onnxruntime cannot be loaded in a subinterpreter of Python",
            "use edgeqa in the main interpreter, or in a process of its own",
        )


class NotEnoughMemory(CapabilityError, MemoryError):
    """The smallest plan does not fit, perhaps because of overrides; `missing_bytes` more would be enough."""

    def __init__(self, what: str, needed_bytes: int, available_bytes: int, overrides: Mapping[str, object]) -> None:
        self.needed_bytes, self.available_bytes = needed_bytes, available_bytes
        self.missing_bytes = needed_bytes - available_bytes
        wanted = ", ".join(f"{name}={value}" for name, value in overrides.items())
        if what == "memory":
            remedy = "free some memory, raise the limit of the container, or allow more with --budget"
        else:
            remedy = _MORE_ADDRESS_SPACE
        super().__init__(
            f"not enough {what}{f' with {wanted}' if wanted else ''}: {needed_bytes} bytes needed, "
            f"{available_bytes} available, {self.missing_bytes} bytes missing",
            remedy,
        )


# --- the cache: only wrong use raises; every fault of the cache itself is a counted miss ------------------------------


class CacheError(EdgeQAError):
    """The cache was used in a wrong way, or a computation that it waited for failed."""

    exit_code = EXIT_USAGE


class CacheUnchanged(CacheError):
    """Nothing was deleted from the cache: another process keeps it, or its files cannot be written."""

    exit_code = EXIT_DEVICE

    def __init__(self, directory: object, done: str, reason: str) -> None:
        """Writes the message.

        Args:
            directory: the cache's directory.
            done: what failed: "cleared" or "forgotten".
            reason: the reason, which begins with a kind of fault (`cache.ledger.FAULTS`) and a colon.
        """
        kind, _, why = reason.partition(": ")
        hints = {
            "read_only": "get the right to write there, or name another place with EDGEQA_HOME",
            "disk_full": "make room on the disk, and try again",
            "unavailable": "let that process go on, or end it (a stopped one: fg, or kill -CONT), and try again",
        }
        super().__init__(
            f"{directory}: nothing was {done}: {why or kind}", hints.get(kind, "run `edgeqa cache verify`")
        )


class CacheKeyInvalid(CacheError, TypeError):
    """An argument has no canonical form, so that no key can be made of it."""

    def __init__(self, value: object, reason: str = "") -> None:
        super().__init__(
            f"no key can be made of {type(value).__name__}" + (f": {reason}" if reason else ""),
            "use str, bytes, numbers, bool, None, and lists, tuples, dicts and dataclasses of these",
        )


class CacheValueInvalid(CacheError, TypeError):
    """A value of this type cannot be kept."""

    def __init__(self, value: object, reason: str = "") -> None:
        super().__init__(
            f"the cache cannot keep {type(value).__name__}" + (f": {reason}" if reason else ""),
            "store str, bytes, numbers, bool, None, and lists, dicts and dataclasses of these",
        )


class FunctionUnknown(CacheKeyInvalid):
    """A function cannot be remembered, because it holds something that no key can be made of."""

    def __init__(self, function: str, reason: str) -> None:
        CacheError.__init__(
            self,
            f"{function} cannot be told from others of its name: {reason}",
            "say what tells it from others: memoize(..., key=...)",
        )


class EventLoopBlocked(CacheError, RuntimeError):
    """`compute` would wait for a task of the event loop that it blocks itself."""

    def __init__(self) -> None:
        super().__init__(
            "a task of this event loop computes the value, and cannot go on while the loop's thread waits for it",
            "await compute_async in the event loop, or call compute in another thread (asyncio.to_thread)",
        )


class ComputationFailed(CacheError, RuntimeError):
    """Another process computed the value that this one waited for, and its function raised."""

    exit_code = EXIT_DEVICE

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(
            f"the process that computed it failed: {type_name}: {message}", "call again to compute it in this process"
        )


_UNDECODED = "[\udc80-\udcff]+"


def printed(name: str) -> str:
    """Returns a file's name as it is kept and shown: decoded as UTF-8, with the bytes escaped that are none."""
    if name.isascii():
        return name
    return re.sub(
        _UNDECODED, lambda found: found[0].encode("ascii", "surrogateescape").decode("utf-8", "backslashreplace"), name
    )
