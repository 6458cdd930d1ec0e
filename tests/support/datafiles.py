"""A tiny labelled data set, written as IDX files or offered by a module of the working directory."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

PIXELS = (np.arange(3 * 4 * 5, dtype=np.uint32) * 37 % 256).astype(np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 2], dtype=np.uint8)
FLOATS = np.array([[0.1, 0.5], [0.25, 1.0], [0.3, 0.0]])


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">I{values.ndim}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, *, prefix: str = "t10k", gz: bool = False, separator: str = "-") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, values in ((f"images{separator}idx3", PIXELS), (f"labels{separator}idx1", LABELS)):
        name = f"{prefix}-{kind}-ubyte"
        if gz:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(values)))
        else:
            (folder / name).write_bytes(idx_bytes(values))


MODULE = """
import torch

class Pairs(torch.utils.data.Dataset):
    def __init__(self, items): self.items = items
    def __len__(self): return len(self.items)
    def __getitem__(self, k): return self.items[k]

pixels = torch.tensor({pixels}, dtype=torch.uint8)
labels = {labels}
dataset = Pairs([(pixel, label) for pixel, label in zip(pixels, labels)])
floats = torch.utils.data.TensorDataset(pixels / 255, torch.tensor(labels))
listed = list(dataset.items)
number = 5
empty = []
pictures = [("a picture", 1)]
ragged = [(torch.zeros(2), 0), (torch.zeros(3), 0)]
triples = [(torch.zeros(2), 0, 0)]
words = [(torch.zeros(2), "seven")]

class Holder:
    inner = dataset

def make(): return dataset
def fail(): raise RuntimeError("no download")
def nothing(): return None
"""


def write_module(folder: Path, name: str) -> None:
    (folder / f"{name}.py").write_text(MODULE.format(pixels=PIXELS.tolist(), labels=LABELS.tolist()))
