"""Networks and boxes made to break floating point."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import strategies as st

from verify.load.builder import Builder
from verify.region import box
from verify.specification import Query, Specification

# Numbers that cancel, overflow the mantissa, underflow, or are exact.
nasty = st.sampled_from(
    [0.0, 1.0, -1.0, 1e17, -1e17, 1.0 + 2**-52, -1.0 - 2**-52, 1e-30, 5e-324, -5e-324, 2.0**-1022, 0.1, 3.0]
)
small = st.floats(-2, 2, allow_subnormal=True)
entry = st.one_of(nasty, small)


@st.composite
def nasty_queries(draw):
    """One or two layers of up to four units with nasty weights, over a box with nasty ends; one row."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    b = Builder()
    x = b.input((1, sizes[0]))
    for k, (n, m) in enumerate(pairwise(sizes)):
        w = torch.tensor(draw(st.lists(entry, min_size=n * m, max_size=n * m)), dtype=torch.float64).reshape(m, n)
        x = b.affine(x, w, torch.tensor(draw(st.lists(entry, min_size=m, max_size=m)), dtype=torch.float64))
        if k < len(sizes) - 2 and draw(st.booleans()):
            x = b.relu(x)
    net = b.finish(x)
    ends = draw(st.lists(st.tuples(small, small), min_size=sizes[0], max_size=sizes[0]))
    region = box(torch.tensor([[min(e) for e in ends]]), torch.tensor([[max(e) for e in ends]]))
    c = torch.tensor(draw(st.lists(entry, min_size=sizes[-1], max_size=sizes[-1])), dtype=torch.float64)
    spec = Specification(
        c.reshape(1, 1, -1), torch.tensor([[draw(entry)]], dtype=torch.float64), torch.zeros(1, 1).long()
    )
    return Query(net, region, spec)
