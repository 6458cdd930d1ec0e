"""The cache of evidence: certificates and counterexamples by what they are about. None of it is ever believed.

A file's name is the question and the network that it claims to answer, so finding one takes no index; whoever reads it checks it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import verify
from verify.files import keep, made

FORMAT = "format-3"  # of certificates and of what is hashed for a name: another one is looked for elsewhere
CERTIFICATE, POINT = ".reluproof", ".npy"


class Evidence:
    """A folder of evidence. ``made`` by the first file that is kept; one that cannot be read is refused here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FORMAT
        try:
            if folder.exists():
                next(folder.iterdir(), None)
        except OSError as error:
            raise verify.UsageError(f"the cache of evidence {str(folder)!r} cannot be read: {error.strerror}") from None

    def path(self, claim: verify.Claim, kind: str) -> Path:
        """Where evidence about a claim is kept."""
        return self._folder / claim.digest[:2] / f"{claim.digest}-{claim.identity}{kind}"

    def read(self, claim: verify.Claim, kind: str) -> bytes | None:
        """The file about this claim, where there is one."""
        return read_file(self.path(claim, kind))

    def keep(self, claim: verify.Claim, kind: str, content: bytes) -> str:
        """Keep a file, and give its SHA-256."""
        path = self.path(claim, kind)
        made(path.parent)
        keep(path, content)
        return digest(content)

    def of_other_networks(self, claim: verify.Claim, most: int) -> Iterator[bytes]:
        """Certificates of the same question about other networks, ``most`` of them."""
        others = sorted(self.path(claim, CERTIFICATE).parent.glob(f"{claim.digest}-*{CERTIFICATE}"))
        for path in [p for p in others if p != self.path(claim, CERTIFICATE)][:most]:
            content = read_file(path)
            if content is not None:
                yield content


def read_file(path: Path) -> bytes | None:
    """A file's content, or None where there is no such file. Raises UsageError where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise verify.UsageError(f"the evidence {str(path)!r} cannot be read: {error.strerror}") from None


def digest(content: bytes) -> str:
    """SHA-256, as hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_point(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    """The point in a file, or None where it holds none."""
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    return found if isinstance(found, np.ndarray) and found.dtype.kind == "f" else None
