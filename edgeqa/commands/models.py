"""`edgeqa models`: its commands add models of your own, and list, choose, test and remove models."""

from __future__ import annotations

from typing import Any, Literal

import click

from edgeqa import streams
from edgeqa.commands import budget_option, json_option, threads_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE


@click.group("models", short_help="Use a model of your own.")
def command() -> None:
    """Use a model of your own: any reader of BERT's family that was exported to ONNX.

    \b
    edgeqa models add roberta-base-squad2/
    edgeqa models list
    edgeqa models use roberta-base-squad2
    edgeqa ask "Who designed the machine?" notes.txt --bundle roberta-base-squad2

    Nothing is downloaded. For a model from a hub, two commands make the directory:

    \b
    pip install "optimum-onnx[onnxruntime]"
    optimum-cli export onnx --model deepset/roberta-base-squad2 --task question-answering roberta-base-squad2/

    Added models live in the user's data directory, or in $EDGEQA_HOME.
    """


@command.command("add")
@click.argument("directory", metavar="DIR")
@click.option("--name", metavar="NAME", help="The name of the model; by default that of DIR, or of the bundle in it.")
@click.option("--graph", metavar="FILE", help="The graph of DIR to take, if there are several.")
@click.option(
    "--quantize",
    type=click.Choice(["int8"]),
    help="Make the int8 form: smaller and faster. Refused if answers move.",
)
@json_option
@threads_option
@budget_option
def add(
    *,
    directory: str,
    name: str | None,
    graph: str | None,
    quantize: Literal["int8"] | None,
    as_json: bool,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Make a model of the export in DIR, and test it on this device.

    DIR is the output of the usual exporters: model.onnx (or onnx/model.onnx), tokenizer.json, config.json. It is
    copied, and may be deleted afterwards. It may also be a bundle of edgeqa, or a wheel with one: that brings
    edgeqa-base to a device without pip.

    --quantize int8 needs the extra edgeqa[convert]. It asks 24 built-in English questions before and after, and refuses
    if answers move by more than 10 % F1, or a logit by more than 2.

    \b
    edgeqa models add distilbert-squad/
    edgeqa models add distilbert-squad/ --name small --quantize int8
    edgeqa models add export/ --graph onnx/model_fp16.onnx --name half
    edgeqa models add edgeqa_base-1.0-py3-none-any.whl

    Exit codes: 0 added, 2 wrong usage, 3 DIR is no model that can be used on this device.
    """
    from edgeqa.models.exports.adding import add_model

    with streams.ProgressBar() as progress:
        facts = add_model(
            directory,
            name=name,
            graph=graph,
            quantize=quantize,
            threads=threads,
            budget_bytes=budget_bytes,
            progress=progress,
        ).to_json()
    use = f"use it: edgeqa models use {facts['name']}, or --bundle {facts['name']}"
    streams.print_either(facts, f"{_described(facts)}\n\n{use}", as_json=as_json)


@command.command("prepare", short_help="Make graphs of the model NAME for an accelerator.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--provider", required=True, metavar="PROVIDER", help="The provider: openvino, cuda, coreml, cpu, ...")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16"]),
    help="Make graphs of this precision; by default both are made and tried, and the better ones are kept.",
)
@json_option
@threads_option
@budget_option
def prepare(
    *,
    name: str | None,
    provider: str,
    precision: Literal["float32", "float16"] | None,
    as_json: bool,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Make graphs for an accelerator from the model NAME (by default the one in use), and try them.

    The graphs of edgeqa's models have operators of the CPU, which most accelerators do not compute. This command makes
    graphs that they do compute, from the model on the device; nothing is downloaded. PROVIDER is an execution provider
    that onnxruntime offers here (edgeqa capabilities). It is used from then on if its answers are right and it is
    quicker.

    \b
    edgeqa models prepare --provider openvino
    edgeqa models prepare edgeqa-base --provider cuda --precision float16

    The result is a model of its own, called NAME.float32 or NAME.float16; edgeqa models remove deletes it.

    Exit codes: 0 made and right, 2 wrong usage, 3 the provider takes none of it, or its answers are wrong.
    """
    from edgeqa.models.preparing import prepare_model

    with streams.ProgressBar() as progress:
        made = prepare_model(
            name,
            provider=provider,
            precision=precision,
            threads=threads,
            budget_bytes=budget_bytes,
            progress=progress,
        )
    facts = made.to_json()
    streams.print_either(facts, _prepared(facts), as_json=as_json)


@command.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the models; the one in use has a star.

    \b
    edgeqa models list
    edgeqa models list --json
    """
    from edgeqa.models import shelf
    from edgeqa.models.bundle import BUNDLED

    found = [model.to_json() for model in shelf.list_models()]
    in_use = shelf.in_use()
    if as_json:
        streams.print_json({"in_use": in_use, "models": found})
        return
    width = max(len(facts["name"]) for facts in found)
    for facts in found:
        star = "*" if facts["name"] == in_use else " "
        click.echo(f"{star} {facts['name']:{width}}  {_line(facts)}")
    if in_use not in {facts["name"] for facts in found}:
        streams.say(f"edgeqa: the model in use, {in_use}, is not there\n  hint: edgeqa models use {BUNDLED}")


@command.command("show")
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show what the model NAME is, and whether it fits this device.

    \b
    edgeqa models show edgeqa-mini
    edgeqa models show roberta-base-squad2 --json
    """
    from edgeqa.models.opening import show_model

    facts = show_model(name).to_json()
    streams.print_either(facts, _described(facts), as_json=as_json)


@command.command("use", short_help="Use the model NAME from now on.")
@click.argument("name")
@json_option
def use(*, name: str, as_json: bool) -> None:
    """Use the model NAME from now on, unless --bundle names another; also in Python.

    \b
    edgeqa models use roberta-base-squad2
    edgeqa models use edgeqa-mini          # the bundled one again
    """
    from edgeqa.models import shelf

    shelf.use_model(name)
    streams.print_either({"in_use": name}, f"{name} is in use now", as_json=as_json)


@command.command("remove")
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Delete the model NAME. If it is in use, the bundled one is used from then on.

    \b
    edgeqa models remove roberta-base-squad2
    """
    from edgeqa.capabilities import show_bytes
    from edgeqa.models import shelf

    was_in_use = shelf.in_use() == name
    freed_bytes = shelf.remove_model(name)
    if as_json:
        streams.print_json({"removed": name, "freed_bytes": freed_bytes, "in_use": shelf.in_use()})
        return
    then = f"; {shelf.in_use()} is in use now" if was_in_use else ""
    click.echo(f"{name} is removed, {show_bytes(freed_bytes)} freed{then}")


@command.command("check", short_help="Read every byte of the models NAME, and check it.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@threads_option
@budget_option
@click.pass_context
def check(
    ctx: click.Context, *, names: tuple[str, ...], as_json: bool, threads: int | None, budget_bytes: int | None
) -> None:
    """Read every byte of the models NAME (by default of all), and test each on this device.

    \b
    edgeqa models check
    edgeqa models check roberta-base-squad2 --json

    Exit codes: 0 all are right, 3 one is not.
    """
    from edgeqa.models.opening import check_models

    results = check_models(*names, threads=threads, budget_bytes=budget_bytes)
    if as_json:
        streams.print_json({"models": [one.to_json() for one in results]})
    else:
        width = max(len(one.name) for one in results)
        for one in results:
            click.echo(f"{one.name:{width}}  {'right' if one.passed else 'WRONG'}  {one.text}")
    ctx.exit(EXIT_ANSWERED if all(one.passed for one in results) else EXIT_DEVICE)


def _line(facts: dict[str, Any]) -> str:
    """Returns the facts by which a user tells a model from others, on one line."""
    from edgeqa.capabilities import show_bytes

    if "fault" in facts:
        return f"BROKEN: {facts['fault']}"
    dimensions = f"{facts['layers']} layers of {facts['width']}"
    return f"{facts['kind']:5}  {facts['precision']:8}  {show_bytes(facts['size_bytes']):>8}  {dimensions}"


_ROWS = {
    "name": "name",
    "kind": "kind",
    "precision": "precision",
    "layers": "layers",
    "width": "width",
    "max_tokens": "tokens, question and passage",
    "context_tokens": "tokens of a passage",
    "lowercase": "letters made small",
    "size_bytes": "size on disk",
    "needed_bytes": "memory needed",
    "missing_bytes": "memory missing",
    "path": "where",
    "self_test": "self-test",
    "built_in_f1": "F1, built-in questions",
}


def _described(facts: dict[str, Any]) -> str:
    from edgeqa.capabilities import show_bytes

    lines = []
    for key, called in _ROWS.items():
        if (value := facts.get(key)) is None:
            continue
        if key.endswith("_bytes"):
            value = show_bytes(value)
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        lines.append(f"{called:<29}{value}")
    if moved := facts.get("moved"):
        lines.append(
            f"{'moved by the precision':<29}{moved['answers_percent']} % F1 of answers ({moved['questions']} of them "
            f"others), logits by at most {moved['logits']}"
        )
    return "\n".join(lines)


def _prepared(facts: dict[str, Any]) -> str:
    """Returns the trials as a table, and their result."""
    from edgeqa.capabilities import show_bytes
    from edgeqa.capabilities.precision import short

    rows = [("provider", "graphs", "answers", "ms a passage", "ms to load", "MiB", "nodes taken")]
    for one in facts["provider"]["tried"]:
        figures = (one["ms"], one["load_ms"], one["mib"])
        shown = [f"{one['ms']:.1f}", f"{one['load_ms']:.0f}", f"{one['mib']:.0f}"] if None not in figures else ["-"] * 3
        taken = "-" if one["nodes"] is None else f"{one['nodes_taken']} of {one['nodes']}"
        rows.append((short(one["name"]), one["precision"], "right" if one["ok"] else "not usable", *shown, taken))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{one['reason']}" for one in facts["provider"]["tried"] if not one["ok"]]
    used = f"{short(facts['provider']['name'])} computes from now on: {facts['provider']['reason']}"
    kept = f"{facts['name']}, {show_bytes(facts['size_bytes'])}: edgeqa models remove {facts['name']} deletes it"
    return "\n".join([*lines, "", used, kept])
