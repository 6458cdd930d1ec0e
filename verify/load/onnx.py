"""Reads ONNX files, opsets 7 to 22, node by node; what an operator means is said in the table of ``onnx_ops``.

A tensor of the graph is either a constant or a value of the network. Nodes whose inputs are all constants are
evaluated here: moving numbers and integer arithmetic exactly, floating arithmetic in float64 with its rounding paid
for (see ``onnx_constants``), so that claims are about real arithmetic over the numbers in the file. The shape of a
value is a constant, since the batch axis counts as 1.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from verify.errors import LoadError, ReluproofError, UnsupportedOperator
from verify.load.builder import Builder, Value
from verify.load.onnx_call import Call, Operand
from verify.load.onnx_constants import FOLDS, Constant, read_tensor
from verify.load.onnx_ops import ON_CONSTANTS, REMEDIES, RULES
from verify.load.onnx_runtime import onnx_runtime
from verify.load.runtime import check_against_runtime
from verify.network import Network

OLDEST_OPSET, NEWEST_OPSET = 7, 22
OUR_DOMAINS = ("", "ai.onnx")
CHECK_SEED = 0  # the same inputs at every load, so that a file that loads once loads always


def load_onnx(path: str | Path) -> Network:
    """The network in an ``.onnx`` or ``.onnx.gz`` file, checked against onnxruntime or the onnx package's reference.

    Raises LoadError (missing, truncated, not ONNX, opset out of range, NaN weights), UnsupportedOperator and
    LoadMismatch.
    """
    return import_onnx(read_model(Path(path)), source=str(path))


def import_onnx(model: onnx.ModelProto, *, source: str) -> Network:
    """The network of a model in memory, checked against the runtime; ``source`` names it in reports and errors."""
    network, shape = read_graph(model, source)
    runtime, run = onnx_runtime(model, shape)
    generator = torch.Generator().manual_seed(CHECK_SEED)
    check_against_runtime(network, run, source=f"{runtime} on {source}", generator=generator)
    return network


def read_model(path: Path) -> onnx.ModelProto:
    """The protobuf in a file, its external data included. Raises LoadError when it is not an ONNX model."""
    if not path.is_file():
        raise LoadError(f"no file {str(path)!r}: give the path of an ONNX model")
    try:
        if path.suffix == ".gz":
            model = onnx.load_model_from_string(gzip.decompress(path.read_bytes()))
        else:
            model = onnx.load(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError(f"{str(path)!r} is not a whole gzip file ({error}): copy it again") from error
    except DecodeError as error:
        raise LoadError(f"{str(path)!r} is not an ONNX model, or it is truncated: export or copy it again") from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise LoadError(f"{str(path)!r} cannot be read: {_first_line(error)}") from error
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise LoadError(f"{str(path)!r} keeps its weights in another file: decompress it next to them")
    return model


def model_input_shape(model: onnx.ModelProto, source: str) -> tuple[int, ...]:
    """The shape that a model gives its one input, batch axis 1 included. Raises LoadError as :func:`load_onnx` does."""
    return _input_shape(_the_input(model.graph, {t.name for t in model.graph.initializer}, source), source)


def read_graph(model: onnx.ModelProto, source: str) -> tuple[Network, tuple[int, ...]]:
    """The network and the shape that the source gives its input (batch axis 1 included); checked by nobody yet."""
    _require_known(model, source)
    graph = model.graph
    found: dict[str, Operand] = {t.name: read_tensor(t) for t in graph.initializer}
    entry = _the_input(graph, found, source)
    builder = Builder()
    shape = _input_shape(entry, source)
    found[entry.name] = builder.input(shape, entry.name)
    read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    for node in graph.node:
        for name, operand in _results(builder, node, found, read).items():
            found[name] = operand
    if len(graph.output) != 1:
        names = [o.name for o in graph.output]
        raise LoadError(
            f"{source!r} has {len(names)} outputs {names}: export a model with the scores as its one output"
        )
    output = found.get(graph.output[0].name)
    if not isinstance(output, Value):
        raise LoadError(f"the output {graph.output[0].name!r} of {source!r} does not depend on the input")
    return builder.finish(output, source), shape


# --- the graph's frame -----------------------------------------------------------------------------------------------


def _require_known(model: onnx.ModelProto, source: str) -> None:
    if not model.graph.node or not model.graph.output:
        raise LoadError(f"{source!r} is not an ONNX model: it has no nodes or no output")
    opsets = [o.version for o in model.opset_import if o.domain in OUR_DOMAINS]
    if len(opsets) != 1 or not OLDEST_OPSET <= opsets[0] <= NEWEST_OPSET:
        shown = opsets[0] if len(opsets) == 1 else opsets or "unknown"
        raise LoadError(
            f"{source!r} has opset {shown}: opsets {OLDEST_OPSET} to {NEWEST_OPSET} are read; "
            "export it again or use onnx.version_converter"
        )
    if model.graph.sparse_initializer:
        names = [t.values.name for t in model.graph.sparse_initializer]
        raise LoadError(f"{source!r} has sparse initializers {names}: store them dense")


def _the_input(graph: onnx.GraphProto, constants: Collection[str], source: str) -> onnx.ValueInfoProto:
    entries = [i for i in graph.input if i.name not in constants]
    if len(entries) != 1:
        names = [i.name for i in entries]
        raise LoadError(f"{source!r} has {len(names)} inputs {names}: a network of exactly one input is read")
    return entries[0]


def _input_shape(entry: onnx.ValueInfoProto, source: str) -> tuple[int, ...]:
    """The input's shape; a first axis without a size is the batch axis, and counts as 1."""
    kind = entry.type.tensor_type
    if kind.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        known = kind.elem_type in onnx.TensorProto.DataType.values()
        name = onnx.TensorProto.DataType.Name(kind.elem_type) if known else kind.elem_type
        raise LoadError(f"input {entry.name!r} of {source!r} has type {name}: float32 and float64 are read")
    if not kind.HasField("shape") or not kind.shape.dim:
        raise LoadError(f"input {entry.name!r} of {source!r} has no shape: export the model with a fixed input shape")
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    unknown = [axis for axis, n in enumerate(sizes) if n <= 0 and axis > 0]
    if unknown:
        shown = [d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in kind.shape.dim]
        raise LoadError(
            f"input {entry.name!r} of {source!r} has shape {shown}: only the first axis, the batch, may be unknown; "
            "export the model with a fixed input shape"
        )
    return (sizes[0] if sizes[0] > 0 else 1, *sizes[1:])


# --- one node --------------------------------------------------------------------------------------------------------


def _results(
    builder: Builder, node: onnx.NodeProto, found: Mapping[str, Operand], read: set[str]
) -> dict[str, Operand]:
    """The tensors that a node makes, by name."""
    name = node.name or f"{node.op_type}:{node.output[0] if node.output else ''}"
    missing = [i for i in node.input if i and i not in found]
    if missing:
        raise LoadError(f"node {name!r} reads {missing[0]!r}, which no node before it makes: the file is damaged")
    call = Call(
        builder=builder,
        name=name,
        op=node.op_type,
        inputs=tuple(found[i] if i else None for i in node.input),
        outputs=tuple(o if o in read else "" for o in node.output),
        attributes={a.name: _attribute(a) for a in node.attribute},
    )
    builder.here, builder.here_op = name, node.op_type
    try:
        made = _made(call, node)
    except UnsupportedOperator:
        raise
    except LoadError as error:
        raise LoadError(f"node {name!r} ({node.op_type}): {error}") from error
    except (ValueError, TypeError, IndexError, RuntimeError, ReluproofError) as error:
        # Shapes that do not fit one another, an axis out of range: numpy and torch say it best.
        raise LoadError(f"node {name!r} ({node.op_type}) cannot be read: {_first_line(error)}") from error
    return dict(zip(node.output, made, strict=False))


def _made(call: Call, node: onnx.NodeProto) -> list[Operand]:
    constants = [c for c in call.inputs if isinstance(c, Constant)]
    folding = len(constants) == len([c for c in call.inputs if c is not None]) and bool(constants)
    if folding and call.op not in ON_CONSTANTS:
        return _folded(call, node, constants)
    rule = RULES.get(call.op)
    if rule is None or node.domain not in OUR_DOMAINS:
        op = call.op if node.domain in OUR_DOMAINS else f"{node.domain}.{call.op}"
        advice = REMEDIES.get(op, f"supported operators: {', '.join(RULES)}")
        raise UnsupportedOperator(call.name, op, remedy=advice)
    unknown = sorted(set(call.attributes) - set(rule.attributes) - set(rule.irrelevant))
    if unknown:
        raise call.refuse(f"attribute {unknown[0]}", f"attributes that are read: {list(rule.attributes)}")
    if not rule.least <= len(call.inputs) <= (rule.most or len(call.inputs)):
        raise call.refuse(f"{len(call.inputs)} inputs")
    if rule.outputs is not None and any(call.outputs[rule.outputs :]):
        raise call.refuse(f"output {rule.outputs}, {node.output[rule.outputs]!r}")
    made = rule.handler(call)
    return [made] if isinstance(made, Value | Constant) else list(made)


def _folded(call: Call, node: onnx.NodeProto, constants: list[Constant]) -> list[Operand]:
    """A node of constants only: the table FOLDS, and for integers, which round nothing, the reference evaluator."""
    if call.op in FOLDS and not call.attributes and node.domain in OUR_DOMAINS:
        with np.errstate(all="ignore"):  # what is not finite is refused by the network that stores it
            return [FOLDS[call.op](*constants)]
    if any(c.floating for c in constants) or node.domain not in OUR_DOMAINS:
        raise call.refuse("all its inputs are constants", f"constants are folded through: {', '.join(FOLDS)}")
    arrays = [None if c is None else c.array for c in call.inputs if not isinstance(c, Value)]
    from onnx.reference import ReferenceEvaluator  # a quarter of a second to import, and seldom needed

    evaluator = ReferenceEvaluator(node)
    named = {name: array for name, array in zip(node.input, arrays, strict=True) if array is not None}
    results = [np.asarray(r) for r in evaluator.run(None, named)]
    if any(r.dtype.kind == "f" for r in results):
        raise call.refuse("its result is not an integer", f"constants are folded through: {', '.join(FOLDS)}")
    return [Constant(r) for r in results]


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
