"""Errors of a cluster: each names the server, its words, and the remedy. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.errors import EXIT_USAGE, ClusterError, EdgeQAError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable


class ClusterAddressInvalid(ClusterError):
    """The address of a cluster is invalid."""

    exit_code = EXIT_USAGE

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(
            f"{shown!r} is no address of a cluster: {reason}",
            "write valkey://HOST:PORT[,HOST:PORT...], or valkeys:// for TLS; a user and password stand before HOST "
            "as USER:PASSWORD@, best in EDGEQA_CLUSTER",
        )


class ClusterExtraMissing(ClusterError):
    """The library that speaks to a cluster is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(f"a cluster needs {module}, which is not installed", "pip install 'edgeqa[cluster]'")


class ClusterUnreachable(ClusterError):
    """No server of a cluster answers."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"no server of the cluster answers at {servers}: {reason}",
            "look whether Valkey runs there (valkey-cli -c -h HOST -p PORT ping), and whether it wants TLS (valkeys://)",
        )


class NotACluster(ClusterError):
    """A server is there, but is not part of a cluster."""

    def __init__(self, servers: str) -> None:
        super().__init__(
            f"the server at {servers} is not part of a cluster",
            "start it with cluster-enabled yes, and join servers by valkey-cli --cluster create",
        )


class ClusterTooOld(ClusterError):
    """The version of a server lacks a needed command."""

    def __init__(self, servers: str, version: str) -> None:
        super().__init__(
            f"the server at {servers} is of version {version}", "it has to be Valkey, or Redis 7.0 or newer"
        )


class ClusterRefused(ClusterError):
    """A server does not take the user or the password."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"the cluster at {servers} refuses the user or the password: {reason}",
            "give them in the address: valkey://USER:PASSWORD@HOST:PORT, best in EDGEQA_CLUSTER",
        )


class ClusterForbidden(ClusterError):
    """The user may not run a needed command."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the user of the cluster may not do this: {reason}",
            "SECURITY.md has the rights that edgeqa needs, for ACL SETUSER",
        )


class ClusterFull(ClusterError):
    """A server has no memory left; its documents can still be asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the cluster is full: {reason}",
            "give its servers more memory (CONFIG SET maxmemory), add servers, or remove documents; "
            "adding the same again goes on from here, and what is there can be asked meanwhile",
        )


class ClusterDown(ClusterError):
    """The cluster does not serve a slot: its master is gone, and no replica has taken its place."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the cluster does not serve this now: {reason}",
            "wait until the slot has moved, or a replica has taken the place of its master, or start that again; "
            "with cluster-require-full-coverage no, all other slots go on meanwhile",
        )


class ClusterSaid(ClusterError):
    """A server refused for a reason that is not known here."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the cluster refused: {reason}", "look into the log of the server")


class NotReplicated(ClusterError):
    """What was written of a document, or that it was removed, has reached no replica within the time."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(
            f"what was changed of {name} is on no replica after {seconds:g} s, and would be lost with its master",
            "look at the replica (INFO replication); the same command again goes on from here",
        )


class ClusterOtherModel(ClusterError):
    """The documents in the cluster were made with another model."""

    def __init__(self, there: str, here: str) -> None:
        super().__init__(
            f"what is in the cluster was made with {there}, not with {here}",
            "use that model (--bundle), or remove all documents and add them again",
        )


class ClusterFormatUnsupported(ClusterError):
    """The documents in the cluster were written by a later version of edgeqa."""

    def __init__(self, found: str, known: int) -> None:
        super().__init__(
            f"what is in the cluster is of format {found}; this is edgeqa for format {known}", "update edgeqa"
        )


class ClusterEmpty(ClusterError, LookupError):
    """Nothing was added to a cluster yet."""

    def __init__(self, servers: str) -> None:
        super().__init__(
            f"nothing was added to the cluster at {servers} yet", "add to it: edgeqa add --cluster URL PATH"
        )


class NameOfSeveral(OptionError):
    """A name was given for a folder, or for several files."""

    def __init__(self, name: str) -> None:
        EdgeQAError.__init__(
            self,
            f"not all of this can be called {name!r}: in a cluster, a name is for one file, or one text from a pipe",
            "name one file, or -, beside --name; what is in a folder is called by its path",
        )


class NotIndexedYet(ClusterError):
    """Something was added to a cluster, and no worker has indexed it so far."""

    def __init__(self, servers: str) -> None:
        super().__init__(
            f"what was added to the cluster at {servers} is not indexed yet",
            "ask again in some seconds: its workers are indexing it",
        )


class AllGoneFromCluster(ClusterError):
    """All files that were added from a path are gone: their documents are removed only if the user asks for it."""

    def __init__(self, path: str, files: int) -> None:
        super().__init__(
            f"all that was added from {path} is gone: {files} file{'' if files == 1 else 's'}; nothing is removed",
            "if it is on a disk or a share, see that this is mounted, and run this again; --drop-all removes it",
        )


class NoWorker(ClusterError):
    """There is no worker that could read."""

    def __init__(self, servers: str, silent: Iterable[ClusterError] = ()) -> None:
        """Says why, if workers are known that were asked in vain."""
        said = list(silent)
        super().__init__(
            f"no worker of the cluster at {servers} answers{''.join(f'; {one}' for one in said)}",
            said[0].hint if said else "start one beside each of its servers: edgeqa worker --cluster URL",
        )


class PassageChanged(ClusterError):
    """A passage was gone or changed before it could be read."""

    def __init__(self, address: object) -> None:
        super().__init__(f"{address} has changed while it was asked", "ask again")


class NotInCluster(ClusterError):
    """A cluster cannot do this, which works only on a collection of this device."""

    exit_code = EXIT_USAGE

    def __init__(self, what: str) -> None:
        super().__init__(f"a cluster has no {what}", "leave it out, or leave out --cluster and EDGEQA_CLUSTER")
