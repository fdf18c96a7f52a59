"""Why a network has no ONNX form, in one line: the operator, the module, and what to do."""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from lowtide.errors import first_line

TORCH = Path(torch.__file__).parent
NODE = re.compile(r"translating node %(\w+) .*?target=torch\.ops\.(\w+\.\w+)", re.DOTALL)
ONE_SIZE = re.compile(r"specialized it to be a constant \((\d+)\)")
GUARD = re.compile(r"generated guard (.+)")


def why_not(error: Exception, model: nn.Module, program: ExportedProgram | None) -> str:
    """Of what torch's exporter has raised; `program` is what it had captured of `model` before."""
    if program is not None:
        return _unconverted(error, program)
    if isinstance(error, GuardOnDataDependentSymNode):
        return (
            f"{_where(error, model)} branches on the values of the images: branch on shapes alone, "
            "or choose by torch.where"
        )
    if "Constraints violated" in str(error):
        return _fixed_batch(error)
    cause = _root(error)
    return f"{_where(error, model)}: {type(cause).__name__}: {first_line(cause)}"


def _unconverted(error: Exception, program: ExportedProgram) -> str:
    """An operator of the captured graph that the exporter does not know, or knows in part."""
    cause = _root(error)
    found = next((m for e in _chain(error) if (m := NODE.search(str(e)))), None)
    if found is None:
        return f"{type(cause).__name__}: {first_line(cause)}"
    node, operator = found.groups()
    place = f"operator {operator}{_module_of(node, program)}"
    if "No ONNX function found" in str(cause):
        return f"{place} has no ONNX form: write the module without it"
    return f"{place}: {first_line(cause)}"


def _module_of(node: str, program: ExportedProgram) -> str:
    """The module that a node of the decomposed graph comes from, as `named_modules` calls it."""
    for found in program.run_decompositions().graph.nodes:
        if found.name == node and found.meta.get("nn_module_stack"):
            name, _ = list(found.meta["nn_module_stack"].values())[-1]
            return f" in module {name}" if name else ""
    return ""


def _fixed_batch(error: Exception) -> str:
    said = str(error)
    remedy = "take the batch size from images.shape[0] and do not branch on it"
    if (size := ONE_SIZE.search(said)) is not None:
        return f"it takes batches of {size[1]} images alone, as it was tried with: {remedy}"
    guard = GUARD.search(said)
    condition = "" if guard is None else re.sub(r"L\['\w+'\]\.size\(\)\[0\]", "batch", guard[1])
    return f"it does not take batches of any size ({condition or first_line(error)}): {remedy}"


def _where(error: Exception, model: nn.Module) -> str:
    """The innermost of the model's modules that was at work, and its line."""
    names = {id(module): name for name, module in model.named_modules()}
    place = "the model"
    for frame, line in traceback.walk_tb(error.__traceback__):
        module, file = frame.f_locals.get("self"), Path(frame.f_code.co_filename)
        if id(module) in names and not file.is_relative_to(TORCH):
            name = names[id(module)] or type(module).__name__
            place = f"module {name} ({file.name}:{line})"
    return place


def _root(error: BaseException) -> Exception:
    *_, last = _chain(error)
    return last


def _chain(error: BaseException | None) -> Iterator[Exception]:
    while isinstance(error, Exception):
        yield error
        error = error.__cause__
