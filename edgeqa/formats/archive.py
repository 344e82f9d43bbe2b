"""Archives: this module reads the parts of a zip archive, parts in XML, and files that gzip packed.

In: a file that can seek, or one that gzip made. Out: the bytes of a part in blocks; the elements and the text of XML,
passed on one by one, without a tree; the content of a packed file, to be read from beginning to end. Every fault is one
of our errors. Nothing is unpacked to disk, and at most MAX_UNPACKED_BYTES are unpacked, whatever the archive says about
itself. Entities are refused, and so are depths and lengths that no document has. If a part in XML has several forms
(`AlternateContent`), the first one is passed on.
"""

from __future__ import annotations

import contextlib
import errno
import io
import lzma
import posixpath
import re
import struct
import unicodedata
import zipfile
import zlib
from html.entities import html5
from typing import IO, TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import unquote
from xml.parsers import expat

from edgeqa.errors import FormatError
from edgeqa.formats import BLOCK_BYTES
from edgeqa.formats.blocks import FileDamaged, FileEncrypted, FileExcessive, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Buffer

MAX_UNPACKED_BYTES = 1 << 29  # one file unpacks to so much at most: the text of a thousand novels
MAX_DIRECTORY_BYTES = 1 << 24  # the list of parts takes ten times as much in memory
_OLE = b"\xd0\xcf\x11\xe0"
_END = b"PK\x05\x06"
_END_WITHIN_BYTES = 22 + 0xFFFF

_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    NotImplementedError,  # the way of packing is not known
    RuntimeError,  # the part has a password
    UnicodeDecodeError,
    ValueError,
    struct.error,
)


class Archive:
    """An open archive."""

    def __init__(self, stream: IO[bytes], name: str, format_name: str) -> None:
        """Reads the list of parts.

        Args:
            stream: the file.
            name: what to call it in an error.
            format_name: what it should be.

        Raises:
            FormatError: if it is no archive.
        """
        self.name = name
        self._format_name = format_name
        self._left_bytes = MAX_UNPACKED_BYTES
        if stream.read(len(_OLE)) == _OLE:
            raise FileEncrypted(name, "with a password, or in the format that Office had before 2007")
        self._check_directory(stream)
        with self._faults():
            self._zip = zipfile.ZipFile(stream)
        self._folded: dict[
            str, str
        ] = {}  # a part by its name in small letters; filled once a name was not found as it is written

    @property
    def parts(self) -> list[str]:
        """The names of its parts, in their order."""
        return list(self._zip.NameToInfo)

    def __contains__(self, part: str) -> bool:
        return self.named(part) is not None

    def named(self, part: str) -> str | None:
        """Returns the archive's own name of the part that is meant, despite other case or slashes; None for none."""
        if part in self._zip.NameToInfo:
            return part
        if not self._folded:
            self._folded = {folded(name): name for name in reversed(self.parts)}
        return self._folded.get(folded(part))

    def is_sound(self, part: str) -> bool:
        """Tells whether all of a part can be unpacked."""
        try:
            for _ in self.blocks(part):
                pass
        except FileDamaged:
            return False
        return True

    def blocks(self, part: str) -> Iterator[bytes]:
        """Yields the bytes of a part.

        Raises:
            FormatError: if it is missing, damaged, encrypted, or larger than is read.
        """
        with self._faults():
            if (found := self.named(part)) is None:
                raise FileDamaged(self.name, self._format_name, f"it has no part {part!r}")
            info = self._zip.getinfo(found)
            if info.flag_bits & 1:
                raise FileEncrypted(self.name, f"its part {part!r} has a password")
            with self._zip.open(info) as stream:
                while block := stream.read(BLOCK_BYTES):
                    self._left_bytes -= len(block)
                    if self._left_bytes < 0:
                        raise FileExcessive(self.name, f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
                    yield block

    def _check_directory(self, stream: IO[bytes]) -> None:
        size_bytes = stream.seek(0, 2)
        stream.seek(max(0, size_bytes - _END_WITHIN_BYTES))
        tail = stream.read(_END_WITHIN_BYTES)
        at = tail.rfind(_END)
        directory = tail[at + 12 : at + 16]
        if at >= 0 and len(directory) == 4 and int.from_bytes(directory, "little") > MAX_DIRECTORY_BYTES:
            raise FileExcessive(self.name, "its list of parts is too long")
        stream.seek(0)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (FileDamaged, FileEncrypted, FileExcessive):
            raise
        except OSError as error:
            if error.errno != errno.EINVAL:  # this error means a seek to before the beginning
                raise
            raise FileDamaged(self.name, self._format_name, "it points to outside of itself") from error
        except _FAULTS as error:
            raise FileDamaged(self.name, self._format_name, str(error) or type(error).__name__) from error


def folded(part: str) -> str:
    """Returns a part's name in a form that is the same for all ways of writing it."""
    return unicodedata.normalize("NFC", posixpath.normpath("/" + part.replace("\\", "/"))).casefold()


_MAGIC = b"\x1f\x8b"
_WITH_HEADER = 16 + zlib.MAX_WBITS
_READ_BYTES = 1 << 16


def unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    """Returns the content of a file that gzip made, to be read once; to close it closes the file.

    Raises:
        FormatError: from reading, if it is damaged, cut off, or larger than is read.
    """
    is_packed = stream.read(len(_MAGIC)) == _MAGIC
    stream.seek(0)
    return io.BufferedReader(_Unpacked(stream, name)) if is_packed else stream


class _Unpacked(io.RawIOBase):
    """The content of a packed file."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self.name = name
        self._left_bytes = MAX_UNPACKED_BYTES
        self._packed = b""
        self._member = zlib.decompressobj(_WITH_HEADER)
        self._is_begun = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            found = self._next(len(view))
        except zlib.error as error:
            raise FileDamaged(self.name, "gzip", str(error)) from error
        self._left_bytes -= len(found)
        if self._left_bytes < 0:
            raise FileExcessive(self.name, f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        view[: len(found)] = found
        return len(found)

    def _next(self, most_bytes: int) -> bytes:
        """Returns the next bytes, of one member after the other; none at the end."""
        while True:
            if self._member.eof:
                self._packed = self._member.unused_data
                self._member, self._is_begun = zlib.decompressobj(_WITH_HEADER), False
            if not self._packed:
                self._packed = self._stream.read(_READ_BYTES)
                if not self._packed:
                    if self._is_begun:
                        raise FileDamaged(self.name, "gzip", "it ends in the middle")
                    return b""
            if not self._is_begun and not self._packed.strip(b"\0"):  # tapes and disks are filled up with these
                self._packed = b""
                continue
            self._is_begun = True
            found = self._member.decompress(self._packed, most_bytes)
            self._packed = self._member.unconsumed_tail
            if found:
                return found


MAX_DEPTH = 1000
MAX_PENDING_BYTES = 1 << 23  # a tag that has not ended may have so many
MAX_NAMES = 1 << 12  # kept at hand
_STANDALONE = re.compile(rb"""(?<=\s)standalone\s*=\s*["']yes["'](?=\s*\?>)""")
_OFF = ("0", "false", "off", "none")
_IN_FORMS = frozenset(("AlternateContent", "Choice", "Fallback"))


class Handler:
    """A handler of XML, with names without their namespaces. This one ignores everything."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""

    def end(self, name: str) -> None:
        """Takes an end tag."""

    def text(self, text: str) -> None:
        """Takes text."""


H = TypeVar("H", bound=Handler)


class Package(Archive):
    """An archive whose parts are XML."""

    def damaged(self, reason: str = "it is another program's document") -> FileDamaged:
        """Returns the error for a part that is not what it should be."""
        return FileDamaged(self.name, self._format_name, reason)

    def take(self, part: str, handler: H) -> H:
        """Passes a part to `handler`, if there is one of that name; returns the handler."""
        if part in self:
            for _ in self.parse(part, handler):
                pass
        return handler

    def title(self, part: str) -> str:
        """Returns the title in a part of properties; "" if it cannot be read."""
        found = _Title()
        with contextlib.suppress(FileDamaged):
            self.take(part, found)
        return one_line(found.title)

    def parse(  # noqa: C901 - what is called for each tag is quicker within it
        self, part: str, handler: Handler, root: str = ""
    ) -> Iterator[None]:
        """Passes the content of a part to `handler`; yields after each block of it.

        Args:
            part: its name.
            handler: takes it.
            root: what its first element has to be, "" for any.

        Raises:
            FormatError: if it is not XML, or more than a document would be.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        local = _Local()
        depth = skipped_depth = 0
        choices: list[bool] = []  # for each alternative: whether a form of it was read

        def start(element: str, attributes: dict[str, str]) -> None:
            nonlocal depth, skipped_depth
            name = local[element]
            depth += 1
            if depth > MAX_DEPTH:
                raise FileExcessive(self.name, f"its elements are nested more than {MAX_DEPTH} deep")
            if depth == 1 and root not in ("", name):
                raise self.damaged()
            if skipped_depth or (name in _IN_FORMS and _is_passed_over(name, choices)):
                skipped_depth += 1
                return
            found = {local[key]: value for key, value in attributes.items()} if attributes else {}
            if len(found) < len(attributes):  # if two differ only in their namespace, the one with a namespace counts
                found |= {local[key]: value for key, value in attributes.items() if " " in key}
            handler.start(name, found)

        def end(element: str) -> None:
            nonlocal depth, skipped_depth
            depth -= 1
            if skipped_depth:
                skipped_depth -= 1
                return
            name = local[element]
            if name == "AlternateContent":
                choices.pop()
            handler.end(name)

        def text(text: str) -> None:
            if not skipped_depth:
                handler.text(text)

        def skipped(name: str, is_parameter: int) -> None:
            if not is_parameter:
                text(html5.get(f"{name};", f"&{name};"))

        def entity(*_: object) -> None:
            raise FileExcessive(self.name, "it defines entities")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler = text
        parser.EntityDeclHandler = entity
        # References that XML does not know are passed on without an error, as if a DTD elsewhere defined them.
        parser.UseForeignDTD(True)  # noqa: FBT003 - it has no name
        parser.SkippedEntityHandler = skipped
        fed_bytes = 0
        try:
            for number, whole in enumerate(self.blocks(part)):
                block = whole if number else _lenient(whole)
                parser.Parse(block, False)  # noqa: FBT003 - whether it is the last
                fed_bytes += len(block)
                if fed_bytes - parser.CurrentByteIndex > MAX_PENDING_BYTES:
                    raise FileExcessive(self.name, f"one of its tags is longer than {MAX_PENDING_BYTES} bytes")
                yield
            parser.Parse(b"", True)  # noqa: FBT003
        except FormatError:
            raise
        except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two mean an unknown encoding
            reason = f"not XML: {error}"
            raise self.damaged(reason) from error
        yield


def _lenient(begin: bytes) -> bytes:
    """Returns the beginning of a part in XML, without faults that only strict readers refuse."""
    if begin[:1].isspace() and begin.lstrip().startswith(b"<?xml"):
        begin = begin.lstrip()
    return _STANDALONE.sub(lambda found: b" " * len(found[0]), begin, 1)


def _is_passed_over(name: str, choices: list[bool]) -> bool:
    """Tells whether one of several forms is another form of what was read."""
    if name == "AlternateContent":
        choices.append(False)
        return False
    was_read = choices[-1] if choices else name == "Fallback"
    if choices:
        choices[-1] = True
    return was_read


class _Local(dict[str, str]):
    """Names without their namespaces: a document has few, each many times."""

    def __missing__(self, name: str) -> str:
        found = name.rpartition(" ")[2]
        if len(self) < MAX_NAMES:
            self[name] = found
        return found


class _Title(Handler):
    """Finds the title in the properties."""

    def __init__(self) -> None:
        self.title = ""
        self._within = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._within = name == "title"

    def end(self, _name: str) -> None:
        self._within = False

    def text(self, text: str) -> None:
        if self._within and len(self.title) < 1 << 12:
            self.title += text


class OfficePackage(Package):
    """An archive whose parts name each other by relations, as the files of Office do."""

    def __init__(self, stream: IO[bytes], name: str, format_name: str, main: str) -> None:
        """Finds the main part, which is called `main` if the package does not say."""
        super().__init__(stream, name, format_name)
        self._whole = Relations(self, "")
        self.main = self._whole.targets.get("officeDocument", [main])[0]
        self.relations = Relations(self, self.main)
        """The relations of the main part."""

    def stated_title(self) -> str:
        """Returns the title in the document's properties."""
        return self.title(self._whole.targets.get("core-properties", ["docProps/core.xml"])[0])


class Relations(Handler):
    """The relations of one part to others."""

    def __init__(self, package: Package, part: str) -> None:
        """Reads the relations of a part, "" for those of the whole package."""
        folder, _, last = part.rpartition("/")
        self._folder = folder
        self.targets: dict[str, list[str]] = {}
        """The parts, by the last word of the relation's type."""
        self.by_id: dict[str, str] = {}
        package.take(posixpath.join(folder, "_rels", f"{last}.rels"), self)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        target = attributes.get("Target", "")
        if name != "Relationship" or attributes.get("TargetMode") == "External" or not target:
            return
        path = unquote(target.partition("#")[0]).replace("\\", "/")
        path = path.lstrip("/") if path.startswith("/") else posixpath.join(self._folder, path)
        part = posixpath.normpath(path)
        self.targets.setdefault(attributes.get("Type", "").rpartition("/")[2], []).append(part)
        self.by_id.setdefault(attributes.get("Id", ""), part)


# The next functions read the values of attributes.


def is_on(attributes: dict[str, str], name: str = "val", default: str = "true") -> bool:
    """Tells whether a property holds: its element is there, and does not say that it is off."""
    return attributes.get(name, default).lower() not in _OFF


def number_in(attributes: dict[str, str], name: str = "val") -> int | None:
    """Returns an attribute as a number; None if it is none."""
    text = attributes.get(name, "").strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None


def word_in(attributes: dict[str, str]) -> str:
    """Returns the word that the attributes of an element say, such as yes or no."""
    return attributes.get("val", "")


def is_hex(text: str) -> bool:
    """Tells whether text is a short number in hexadecimal digits."""
    return bool(text) and len(text) <= 8 and all(c in "0123456789abcdefABCDEF" for c in text)


Properties: TypeAlias = "Mapping[str, tuple[str, Callable[[dict[str, str]], object]]]"
"""By an element's name: the attribute that it sets, and the function that reads the value from its own attributes."""


def note(noted: object, properties: Properties, name: str, attributes: dict[str, str]) -> None:
    """Notes a property.

    Args:
        noted: the object that gets it as an attribute.
        properties: the known properties.
        name: the element's name.
        attributes: the element's attributes.
    """
    if (found := properties.get(name)) is not None:
        setattr(noted, found[0], found[1](attributes))
