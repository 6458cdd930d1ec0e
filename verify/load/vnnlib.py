"""``verify.load_property``: a VNN-LIB file, 1.0 or 2.0, as the property whose counterexample it describes."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path

from verify.errors import LoadError
from verify.load.vnnlib_cases import cases
from verify.load.vnnlib_clauses import clauses
from verify.load.vnnlib_formula import Document
from verify.load.vnnlib_text import read_text
from verify.network import Network
from verify.property import Property

_FIRST_WORD = re.compile(r"(?:\s|;[^\n]*\n)*\(\s*([^\s();]+)")  # linear: no two ways to skip a character
_TWO = ("vnnlib-version", "declare-network")


def load_property(path: str | Path, network: Network) -> Property:
    """The property in a ``.vnnlib`` or ``.vnnlib.gz`` file, for ``network``. The file describes the counterexample.

    The property holds iff no input satisfies the assertions. They are put into disjunctive normal form here, once: each
    case is a clause, a box of inputs and rows ``C y + d <= 0`` of outputs. Inputs X_0, X_1, ... are the network's inputs
    in row-major order, ``region`` (1, *input_shape). Decimals are exact; what float64 cannot hold is rounded outwards for
    proofs and inwards for witnesses (see :mod:`verify.load.vnnlib_box` for the inputs that are fixed at such a decimal).

    Strict comparisons of outputs are kept (``strict``) for witnesses. A proof may take them as non-strict, which is sound:
    a counterexample of the strict property is one of the non-strict property.

    Raises LoadError (missing, truncated, not VNN-LIB, sizes that are not the network's), UnsupportedProperty for what
    is read but not answered, and MissingDependency when a 2.0 file is read without the package vnnlib.
    """
    file = Path(path)
    text = _text(file)
    document = _document(text, str(file))
    for kind, declared, has in (
        ("inputs X_i", document.inputs, math.prod(network.input_shape)),
        ("outputs Y_j", document.outputs, network.outputs),
    ):
        if declared != has:
            raise LoadError(
                f"{file} declares {declared} {kind}, the network {network.source or ''} has {has}: "
                "the property belongs to another network"
            )
    return Property(clauses(cases(document), document, tuple(network.input_shape)), source=str(file))


def _text(file: Path) -> str:
    if not file.is_file():
        raise LoadError(
            f"{file}: {'is a folder' if file.is_dir() else 'no such file'}; give a .vnnlib or .vnnlib.gz file"
        )
    try:
        data = file.read_bytes()
        if file.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LoadError(f"{file}: not a whole gzip file ({error}): copy it again") from error
    except UnicodeDecodeError as error:
        raise LoadError(f"{file}: not a text file (byte {error.start} is no UTF-8)") from error
    except OSError as error:
        raise LoadError(f"{file}: cannot be read: {error.strerror}") from error


def _document(text: str, source: str) -> Document:
    """The file in whichever version of the language its first command is written."""
    first = _FIRST_WORD.match(text)
    if first is None:
        raise LoadError(f"{source}: holds no VNN-LIB command: it is empty or of another kind")
    if first[1] in _TWO:
        from verify.load.vnnlib_two import read_two

        return read_two(text, source)
    return read_text(text, source)
