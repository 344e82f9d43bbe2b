"""Keys: the names of keys in Valkey, their slots, and the tags of folders. Pure.

All keys of a document have its tag, `{TAG}`, so that they lie in one slot and change in one transaction. Documents of a
folder share a tag up to 4,000 passages. The tags of a folder follow from its name, so that no process has to ask for
one. Because the placement follows folders, and so topics, a question needs to ask few nodes only. Keys without a tag
(the lists of tags and of workers) are kept three times, in three thirds of the slots, so that they outlive a master.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache

from edgeqa.digests import blake2b

SLOTS = 16384
FORMAT = 1
"""The version of the format in Valkey; a later version is refused."""
PASSAGES_A_TAG = 4000
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none of these is easily taken for another
HOMES = ("edgeqa2", "edgeqa12", "edgeqa")
"""The hash tags of keys that are kept three times; their slots lie in three thirds of the space."""


def slot_of(key: str | bytes) -> int:
    """Returns the hash slot of a key, as the servers compute it: CRC16 of its hash tag, if it has one."""
    raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    begin = raw.find(b"{")
    if begin >= 0:
        end = raw.find(b"}", begin + 1)
        if end > begin + 1:
            raw = raw[begin + 1 : end]
    return crc_hqx(raw, 0) % SLOTS


@lru_cache(1 << 16)
def slot_of_tag(tag: str) -> int:
    """Returns the slot of all keys of a tag."""
    return slot_of(f"{{{tag}}}")


def folder_of(name: str) -> str:
    """Returns the folder in the name of a file; "" if it has none."""
    return name.rpartition("/")[0]


def folder_digest(folder: str) -> str:
    """Returns the name of a folder in keys."""
    return blake2b(folder.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def tag_of(folder: str, number: int) -> str:
    """Returns a folder's tag: its first for 0, and further ones as it grows."""
    digest = blake2b(f"{number}\0{folder}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    value = int.from_bytes(digest, "little")
    return "".join(_LETTERS[value >> (5 * place) & 31] for place in range(4))


def of_tag(tag: str, what: str, name: str = "") -> str:
    """Returns a key of a tag.

    Args:
        tag: the tag.
        what: `documents`: a hash of all documents, by name. `passages`: a hash of a document's passages, by number.
            `version`: of a document, which a transaction watches. `number`: the last number given to a passage.
            `contexts`: how many passages there are. `changes`: rises with each change. `change`: what
            the last change alone is called. `arrivals`: the stream.
            `names`: a set of the plain keys of a document's answers. `of_folder` has what a folder has.
        name: of the document, or the digest of the folder, where it is of one.
    """
    return f"edgeqa:{{{tag}}}:{what}:{name}" if name else f"edgeqa:{{{tag}}}:{what}"


def of_folder(name: str, what: str) -> str:
    """Returns a key of the folder of a file or document: `places`, `open` or `sources`; its first tag has it."""
    folder = folder_of(name)
    return of_tag(tag_of(folder, 0), what, folder_digest(folder))


def of_home(home: str, what: str) -> str:
    """Returns a key of what is kept three times: `tags`, `workers`, `fingerprints`, `collection`, `secret`."""
    return f"edgeqa:{{{home}}}:{what}"


def of_answer(digest: str) -> str:
    """Returns the key of a remembered answer."""
    return f"edgeqa:{{{digest}}}:answer:{digest}"


def of_lease(digest: str) -> str:
    """Returns the key of the lease of whoever reads an answer."""
    return f"edgeqa:{{{digest}}}:lease"


def of_worker(worker: str) -> str:
    """Returns the key of a worker."""
    return f"edgeqa:worker:{{{worker}}}"


def of_terms(worker: str) -> str:
    """Returns the key of a worker's statistics of terms."""
    return f"edgeqa:worker:{{{worker}}}:terms"


def ranges_of(slots: set[int] | frozenset[int]) -> list[tuple[int, int]]:
    """Returns slots as ranges, from first to last, rising."""
    found: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if found and found[-1][1] == slot - 1:
            found[-1] = found[-1][0], slot
        else:
            found.append((slot, slot))
    return found
