"""The command line, `edgeqa COMMAND`: it finds the command's module, runs it, and reports an error in one line.

Answers go to standard output, everything else goes to standard error. A command's module is imported when the command
is used, so that `--help` and `--version` start fast. No command imports onnxruntime before it must read a text.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from edgeqa import files, streams
from edgeqa.errors import (
    EXIT_ANSWERED,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    AddressSpaceLimited,
    EdgeQAError,
    FileRefused,
    FilesLimited,
    LibraryMissing,
    OutputFailed,
    ThreadsLimited,
)

# By command: its module in `edgeqa.commands`, and the name of the click command there.
COMMANDS = {
    "add": "adding.add",
    "ask": "ask.command",
    "bench": "device.bench",
    "cache": "cache.command",
    "capabilities": "device.capabilities",
    "chat": "chat.command",
    "closest": "passages.closest",
    "collections": "collections.collections",
    "eval": "evaluate.command",
    "get": "passages.get",
    "list": "collections.list_documents",
    "mcp": "serve.mcp",
    "models": "models.command",
    "remove": "collections.remove",
    "serve": "serve.command",
    "show": "passages.show",
    "sync": "adding.sync",
    "verify": "collections.verify",
    "worker": "serve.worker",
}

_NO_THREAD = "can't start new thread"  # Python's own words
_ASKING = ("ask", "closest")
_NOT_MAPPED = "failed to map segment"  # of the dynamic linker, on a library
DEBUG_VARIABLE = "EDGEQA_DEBUG"


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            meant = _command_meant(name)
            message = f"No such command {name!r}.{f' {meant}' if meant else ''}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(".")
        command: click.Command = getattr(importlib.import_module(f"edgeqa.commands.{module}"), name)
        command.context_settings.setdefault("max_content_width", 100)
        return command


def _command_meant(name: str) -> str | None:
    """Returns a line that names the command a word may stand for; None if no command is near."""
    from difflib import get_close_matches  # imported here, because only a wrong line needs them

    from edgeqa.screen import in_quotes

    if " " in name or name.endswith("?"):
        return f"To ask a question: edgeqa ask {in_quotes(name)}"
    if name in ("help", "version"):
        return f"Did you mean edgeqa --{name}?"
    near = get_close_matches(name.lower(), [*COMMANDS], 2, 0.6)
    return f"Did you mean {' or '.join(f'edgeqa {command}' for command in near)}?" if near else None


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked:
        from importlib.metadata import version

        click.echo(f"edgeqa {version('edgeqa')}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="Start with:  edgeqa ask --help",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Short answers cut from your text, on this device, without a network.

    \b
    edgeqa ask "Who designed the machine?" notes.txt
    edgeqa ask "How deep may the pump be submerged?" manuals/*.txt
    edgeqa add manuals/
    edgeqa capabilities
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run() -> int:
    """Runs the command line; returns the exit code."""
    streams.settle()
    try:
        code = commands.main(prog_name="edgeqa", standalone_mode=False, color=False if streams.is_plain() else None)
        sys.stdout.flush()
    except SystemExit:  # how click leaves a broken pipe: with 1, which is "no answer" here
        return failed(BrokenPipeError())
    except Exception as error:
        return failed(error)
    streams.leave(output_failed=False)
    return code if isinstance(code, int) else EXIT_ANSWERED


def failed(error: Exception) -> int:
    """Reports an error; returns the exit code."""
    code = _report(error)
    streams.leave(output_failed=isinstance(error, (OutputFailed, BrokenPipeError)))
    return code


def _as_ours(error: Exception) -> Exception:
    """Returns an error for the user in place of one of the system or of an installed library, which is no bug."""
    if _lacks_address_space(error):
        return AddressSpaceLimited()
    if isinstance(error, EdgeQAError):
        return error
    if isinstance(error, ImportError) and (library := (error.name or "edgeqa").partition(".")[0]) != "edgeqa":
        because = f"which cannot be imported: {str(error).strip().partition(chr(10))[0]}"
        return LibraryMissing(library, **({} if isinstance(error, ModuleNotFoundError) else {"reason": because}))
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return ThreadsLimited()
    if isinstance(error, OSError) and error.errno in files.TOO_MANY:  # a library or an import has met the limit
        return FilesLimited()
    if isinstance(error, OSError) and error.filename and error.strerror:
        return FileRefused(str(error.filename), error.strerror)
    return error


def _lacks_address_space(error: Exception) -> bool:
    """Tells whether a library, a thread or memory was refused for a limit on address space (`ulimit -v`)."""
    if isinstance(error, ImportError):
        return _NOT_MAPPED in f"{error} {error.__cause__}"
    has_no_thread = isinstance(error, ThreadsLimited) or str(error) == _NO_THREAD
    if not has_no_thread and (not isinstance(error, MemoryError) or isinstance(error, EdgeQAError)):
        return False
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _report(error: Exception) -> int:
    """Reports an error on standard error; returns the exit code."""
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    error = _as_ours(error)
    if isinstance(error, EdgeQAError):
        from edgeqa.screen import plain  # imported here, because few commands end in an error

        streams.say(f"edgeqa: {plain(str(error))}")
        if error.hint:
            streams.say(f"  hint: {plain(error.hint)}")
        return error.exit_code
    if isinstance(error, click.ClickException):
        streams.unfailing(error.show)
        if isinstance(error, click.NoSuchOption) and error.ctx is not None and error.ctx.info_name in _ASKING:
            hint = f'a question that begins with a dash stands after --, as in: {error.ctx.command_path} -- "-z" FILE'
            streams.say(f"  hint: {hint}")
        return error.exit_code
    if isinstance(error, click.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader has seen enough, as in `edgeqa ... | head`
        return EXIT_ANSWERED
    if isinstance(error, MemoryError):
        streams.say("edgeqa: out of memory\n  hint: give less text at a time, or a smaller --budget")
        return EXIT_DEVICE
    streams.say(f"edgeqa: internal error: {type(error).__name__}: {error}")
    streams.say(f"  hint: this is a bug; {DEBUG_VARIABLE}=1 shows where, please report it")
    return EXIT_DEVICE
