"""`edgeqa models`: add models of your own, see what there is, choose, test, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgeqa import streams
from edgeqa.commands.options import budget_option, json_option, threads_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle


@click.group("models", short_help="Use a model of your own.", context_settings={"max_content_width": 100})
def command() -> None:
    """Use a model of your own: any reader of BERT's family that was exported to ONNX.

    \b
    edgeqa models add roberta-base-squad2/
    edgeqa models list
    edgeqa models use roberta-base-squad2
    edgeqa ask "Who designed the machine?" notes.txt --bundle roberta-base-squad2

    Nothing is downloaded. For a model of a hub, two commands make the directory:

    \b
    pip install "optimum-onnx[onnxruntime]"
    optimum-cli export onnx --model deepset/roberta-base-squad2 --task question-answering roberta-base-squad2/

    Added models live in the user's data directory, or in $EDGEQA_HOME.
    """


@command.command("add")
@click.argument("directory", metavar="DIR")
@click.option("--name", metavar="NAME", help="What to call it; by default as DIR is called.")
@click.option("--graph", metavar="FILE", help="Which graph of DIR to take, where there are several.")
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
    quantize: str | None,
    as_json: bool,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Make a model of the export in DIR, and test it on this device.

    DIR is what the usual exporters write: model.onnx (or onnx/model.onnx), tokenizer.json, config.json. It is copied,
    and may be deleted afterwards.

    --quantize int8 needs the extra edgeqa[convert]. It asks 24 built-in English questions before and after, and refuses
    if answers move by more than 10 % F1, or a logit by more than 2.

    \b
    edgeqa models add distilbert-squad/
    edgeqa models add distilbert-squad/ --name small --quantize int8
    edgeqa models add export/ --graph onnx/model_fp16.onnx --name half

    Exit codes: 0 added, 2 wrong usage, 3 DIR is no model that can be used on this device.
    """
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.commands.progress import ProgressBar
    from edgeqa.importing.adding import add as add_model

    with ProgressBar() as progress:
        added = add_model(
            directory,
            name=name,
            graph=graph,
            int8=quantize == "int8",
            overrides=Overrides(threads=threads, budget_bytes=budget_bytes),
            progress=progress,
        )
    facts = _facts(added.bundle)
    facts["self_test"] = added.verdict.detail
    facts["built_in_f1"] = round(added.right_percent, 1)
    if added.moved is not None:
        facts["moved"] = {
            "answers_percent": round(added.moved.answers_percent, 1),
            "questions": added.moved.questions,
            "logits": round(added.moved.logits, 3),
        }
    if as_json:
        streams.print_json(facts)
        return
    click.echo(_described(facts))
    click.echo(f"\nuse it: edgeqa models use {facts['name']}, or --bundle {facts['name']}")


@command.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """Show the models that there are; the one in use has a star.

    \b
    edgeqa models list
    edgeqa models list --json
    """
    from edgeqa.errors import BundleError
    from edgeqa.importing import shelf
    from edgeqa.models.bundle import BUNDLED, Bundle, added_models, chosen

    def listed(name: str) -> dict[str, Any]:
        try:
            return {**_facts(Bundle.load(chosen(name))), "name": name}  # as it is called here, by its directory
        except BundleError as error:
            return {"name": name, "fault": str(error)}

    found = [listed(name) for name in (BUNDLED, *added_models())]
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
    from edgeqa.capabilities.plan import make_plan
    from edgeqa.capabilities.probe import probe
    from edgeqa.errors import NotEnoughMemory
    from edgeqa.models.bundle import Bundle, chosen

    bundle = Bundle.load(chosen(name))
    facts = _facts(bundle)
    try:
        facts["needed_bytes"] = make_plan(probe(providers=False), bundle.needs()).needed_bytes
        facts["fits"] = True
    except NotEnoughMemory as refused:
        facts |= {"needed_bytes": refused.needed_bytes, "fits": False, "missing_bytes": refused.missing_bytes}
    if as_json:
        streams.print_json(facts)
    else:
        click.echo(_described(facts))


@command.command("use")
@click.argument("name")
@json_option
def use(*, name: str, as_json: bool) -> None:
    """Use the model NAME from now on, where no --bundle is given; also in Python.

    \b
    edgeqa models use roberta-base-squad2
    edgeqa models use edgeqa-mini          # the bundled one again
    """
    from edgeqa.importing import shelf

    shelf.use(name)
    if as_json:
        streams.print_json({"in_use": name})
    else:
        click.echo(f"{name} is in use now")


@command.command("remove")
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Delete the model NAME. If it is in use, the bundled one is used from then on.

    \b
    edgeqa models remove roberta-base-squad2
    """
    from edgeqa.capabilities.settings import show_bytes
    from edgeqa.importing import shelf

    was_in_use = shelf.in_use() == name
    freed_bytes = shelf.remove(name)
    if as_json:
        streams.print_json({"removed": name, "freed_bytes": freed_bytes, "in_use": shelf.in_use()})
        return
    then = f"; {shelf.in_use()} is in use now" if was_in_use else ""
    click.echo(f"{name} is removed, {show_bytes(freed_bytes)} freed{then}")


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@threads_option
@budget_option
@click.pass_context
def check(
    ctx: click.Context, *, names: tuple[str, ...], as_json: bool, threads: int | None, budget_bytes: int | None
) -> None:
    """Read every byte of the models NAME (of all, where none is named), and test each on this device.

    \b
    edgeqa models check
    edgeqa models check roberta-base-squad2 --json

    Exit codes: 0 all are right, 3 one is not.
    """
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.errors import EdgeQAError
    from edgeqa.importing.checking import check as checked
    from edgeqa.models.bundle import BUNDLED, added_models

    wanted = Overrides(threads=threads, budget_bytes=budget_bytes)

    def verdict(name: str) -> dict[str, Any]:
        try:
            return {"name": name, "passed": True, "text": checked(name, wanted).detail}
        except EdgeQAError as fault:
            return {"name": name, "passed": False, "text": str(fault), "hint": fault.hint}

    results = [verdict(name) for name in names or (BUNDLED, *added_models())]
    if as_json:
        streams.print_json({"models": results})
    else:
        width = max(len(one["name"]) for one in results)
        for one in results:
            click.echo(f"{one['name']:{width}}  {'right' if one['passed'] else 'WRONG'}  {one['text']}")
    ctx.exit(EXIT_ANSWERED if all(one["passed"] for one in results) else EXIT_DEVICE)


def _facts(bundle: Bundle) -> dict[str, Any]:
    m = bundle.manifest
    facts = {
        "name": m.name,
        "kind": m.kind,
        "precision": m.precision,
        "layers": m.layers,
        "width": m.width,
        "context_tokens": m.max_context_tokens - 1,
        "lowercase": m.lowercase,
        "size_bytes": sum(file.size_bytes for file in m.files),
        "digest": bundle.digest,
        "path": str(bundle.path),
    }
    if m.joint is not None:
        facts |= {"max_tokens": m.joint.max_tokens, "pair": m.pair._asdict(), "outputs": list(m.joint.outputs)}
    return facts


def _line(facts: dict[str, Any]) -> str:
    """Returns the facts of a model that tell it from others, on one line."""
    from edgeqa.capabilities.settings import show_bytes

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
    "max_tokens": "tokens, question and context",
    "context_tokens": "tokens of a context",
    "lowercase": "letters made small",
    "size_bytes": "size on disk",
    "needed_bytes": "memory needed",
    "missing_bytes": "memory missing",
    "path": "where",
    "self_test": "self-test",
    "built_in_f1": "F1, built-in questions",
}


def _described(facts: dict[str, Any]) -> str:
    from edgeqa.capabilities.settings import show_bytes

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
