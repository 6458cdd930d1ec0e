"""From the cases of a VNN-LIB file to the clauses of a property: each case a box and the rows it must satisfy there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from verify.load.vnnlib_box import Ends, Rounded, region, rounded, tightened
from verify.load.vnnlib_cases import Case, Cases
from verify.load.vnnlib_formula import Atom, Document
from verify.load.vnnlib_rows import Row, matrices, row
from verify.property import Clause
from verify.region import Box


def clauses(found: Cases, document: Document, shape: tuple[int, ...]) -> tuple[Clause, ...]:
    """One clause a case, in the file's order, for a network whose inputs have ``shape``.

    A case that no point satisfies in exact arithmetic (crossed bounds, a false comparison of numbers) has no clause.
    Cases of the same box share one Box object, so that bounds over it are computed once.
    """
    maker = _Maker(found.common, document, shape)
    made = (maker.clause(case) for case in found.cases)
    return tuple(clause for clause in made if clause is not None)


class _Maker:
    """What the cases of one file have in common, and the boxes and rows made so far."""

    def __init__(self, common: Case, document: Document, shape: tuple[int, ...]) -> None:
        self.document, self.shape = document, shape
        self.possible = _possible(common)
        self.ends = tightened({}, _about_inputs(common), document)
        self.crossed = {i for i, ends in self.ends.items() if ends.empty()}
        self.rows = [row(a, document) for a in common if _about_outputs(a)]
        self.incomplete = [
            i for i in range(document.inputs) if not (e := self.ends.get(i)) or e.lower is None or e.upper is None
        ]
        self.base: npt.NDArray[np.float64] | None = None
        self.boxes: dict[tuple[tuple[int, Rounded], ...], Box] = {}
        self.row_of: dict[int, Row] = {}

    def clause(self, case: Case) -> Clause | None:
        changed = tightened(self.ends, _about_inputs(case), self.document)
        rows = [*self.rows, *(self.row(a) for a in case if _about_outputs(a))]
        if not self.possible or not _possible(case) or self.crossed or any(e.empty() for e in changed.values()):
            return None
        return Clause(self.box(changed), *matrices(rows, self.document.outputs))

    def row(self, atom: Atom) -> Row:
        found = self.row_of.get(id(atom))
        if found is None:
            found = self.row_of[id(atom)] = row(atom, self.document)
        return found

    def box(self, changed: dict[int, Ends]) -> Box:
        for index in self.incomplete:
            if index not in changed:
                rounded(index, self.ends.get(index, Ends()), self.document)  # names the bound that is missing
        values = tuple(sorted((i, rounded(i, ends, self.document)) for i, ends in changed.items()))
        found = self.boxes.get(values)
        if found is None:
            found = self.boxes[values] = region(self._base(), dict(values), self.shape)
        return found

    def _base(self) -> npt.NDArray[np.float64]:
        """The ends (4, inputs) that all cases share; NaN where only the cases bound an input."""
        if self.base is None:
            self.base = np.full((4, self.document.inputs), np.nan)
            for i in set(self.ends) - set(self.incomplete):
                self.base[:, i] = rounded(i, self.ends[i], self.document)
        return self.base


def _about_inputs(case: Case) -> list[Atom]:
    return [a for a in case if a.inputs]


def _about_outputs(atom: Atom) -> bool:
    return bool(atom.outputs) and not atom.inputs


def _possible(case: Case) -> bool:
    """Whether the comparisons of numbers alone are true."""
    return all(a.constant < 0 or (a.constant == 0 and not a.strict) for a in case if not a.inputs and not a.outputs)
