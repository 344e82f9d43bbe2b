"""What the keys in Valkey are called, which slot each is in, and which tags the documents of a folder get. Pure.

All that is written for a document has its tag, `{TAG}`, so that it lies in one slot and is changed in one transaction.
Documents of a folder share a tag up to 4,000 passages; which tags a folder gets follows from its name, so that nobody
has to be asked for one. That placement follows folders, and so topics, is what makes it possible to ask few nodes.
What is of no tag (which tags and workers there are) is kept three times, in three thirds of the slots, so that it
outlives a master.
"""

from __future__ import annotations

from binascii import crc_hqx

from edgeqa.digests import blake2b

SLOTS = 16384
FORMAT = 1
"""Of what is written here; a later one is refused."""
PASSAGES_A_TAG = 4000
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is taken for another
HOMES = ("edgeqa2", "edgeqa12", "edgeqa")
"""Hash tags of what is kept three times; their slots lie in three thirds."""


def slot_of(key: str | bytes) -> int:
    """Returns the hash slot of a key, as the servers compute it: CRC16 of its hash tag, if it has one."""
    raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    begin = raw.find(b"{")
    if begin >= 0:
        end = raw.find(b"}", begin + 1)
        if end > begin + 1:
            raw = raw[begin + 1 : end]
    return crc_hqx(raw, 0) % SLOTS


def slot_of_tag(tag: str) -> int:
    """Returns the slot of all keys of a tag."""
    return slot_of(f"{{{tag}}}")


def folder_of(name: str) -> str:
    """Returns the folder that a file is in, by its name: "" where it names none."""
    return name.rpartition("/")[0]


def folder_digest(folder: str) -> str:
    """Returns what a folder is called in keys."""
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
            `contexts`: how many passages there are. `changes`: rises with each change. `arrivals`: the stream.
            `names`: a set of the plain keys of a document's answers. `places`, `open`, `sources`: of a folder.
        name: of the document, or the digest of the folder, where it is of one.
    """
    return f"edgeqa:{{{tag}}}:{what}:{name}" if name else f"edgeqa:{{{tag}}}:{what}"


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
