"""reluproof: prove that no input within epsilon of x is classified differently, or find one.

    network = verify.load("model.onnx")                 # or verify.from_torch(module, input_shape=(1, 28, 28))
    result = verify.certify(network, x, label, epsilon=0.1, clip=(0, 1))
    result.verdict, result.margins, result.counterexample

Names are imported when they are first used, so that ``import verify`` and ``reluproof --help`` load no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from verify.attack.api import attack as attack
    from verify.attack.methods import ATTACKS as ATTACKS
    from verify.attack.report import AttackedInput as AttackedInput
    from verify.attack.report import AttackReport as AttackReport
    from verify.attack.report import Finding as Finding
    from verify.attack.transfer import TransferMatrix as TransferMatrix
    from verify.attack.transfer import transfer_matrix as transfer_matrix
    from verify.attack.transformations import Transformations as Transformations
    from verify.branch.decide import Decision as Decision
    from verify.branch.decide import decide as decide
    from verify.certificate import Certificate as Certificate
    from verify.certificate import Refused as Refused
    from verify.certify.api import Comparison as Comparison
    from verify.certify.api import certify as certify
    from verify.certify.api import certify_batch as certify_batch
    from verify.certify.api import compare as compare
    from verify.certify.api import lower_bounds as lower_bounds
    from verify.certify.claims import Claim as Claim
    from verify.certify.claims import claims as claims
    from verify.certify.claims import recheck as recheck
    from verify.certify.claims import refuted as refuted
    from verify.certify.explain import Explanation as Explanation
    from verify.certify.explain import explain as explain
    from verify.certify.methods import METHODS as METHODS
    from verify.certify.options import Options as Options
    from verify.certify.pre_activation import PRE_ACTIVATION as PRE_ACTIVATION
    from verify.check import Report as Report
    from verify.dataset.merge import merge as merge
    from verify.dataset.progress import Progress as Progress
    from verify.dataset.question import parse_shard as parse_shard
    from verify.dataset.question import versions as versions
    from verify.dataset.radius import Radius as Radius
    from verify.dataset.radius import certified_radius as certified_radius
    from verify.dataset.record import Record as Record
    from verify.dataset.result import Run as Run
    from verify.dataset.result import read_run as read_run
    from verify.dataset.run import Execution as Execution
    from verify.dataset.run import run as run
    from verify.dataset.summary import run_summary as run_summary
    from verify.errors import LoadError as LoadError
    from verify.errors import LoadMismatch as LoadMismatch
    from verify.errors import MissingDependency as MissingDependency
    from verify.errors import ReluproofError as ReluproofError
    from verify.errors import SoundnessError as SoundnessError
    from verify.errors import TrainingFailed as TrainingFailed
    from verify.errors import UnsupportedOperator as UnsupportedOperator
    from verify.errors import UnsupportedProperty as UnsupportedProperty
    from verify.errors import UsageError as UsageError
    from verify.floating import parse_decimal as parse_decimal
    from verify.gate.api import gate as gate
    from verify.gate.audit import Audit as Audit
    from verify.gate.audit import audit as audit
    from verify.gate.formats.github import append_step_summary as append_step_summary
    from verify.gate.formats.table import GATE_FORMATS as GATE_FORMATS
    from verify.gate.ledger import read_ledger as read_ledger
    from verify.gate.ledger import write_ledger as write_ledger
    from verify.gate.outcome import GateOutcome as GateOutcome
    from verify.gate.reading import read_policy as read_policy
    from verify.load.data import Dataset as Dataset
    from verify.load.data import load_data as load_data
    from verify.load.data import parse_index as parse_index
    from verify.load.dispatch import load as load
    from verify.load.pytorch import from_torch as from_torch
    from verify.load.replay import replays as replays
    from verify.load.vnnlib import load_property as load_property
    from verify.module import as_module as as_module
    from verify.network import Network as Network
    from verify.plot.gallery_figure import plot_counterexamples as plot_counterexamples
    from verify.plot.gallery_figure import plot_gallery as plot_gallery
    from verify.plot.radii_figure import Radii as Radii
    from verify.plot.radii_figure import plot_radii as plot_radii
    from verify.plot.radii_figure import read_radii as read_radii
    from verify.plot.surface import Surface as Surface
    from verify.plot.surface import surface as surface
    from verify.plot.surface_figure import plot_surface as plot_surface
    from verify.proof.canonical import identity as identity
    from verify.proof.canonical import save_network as save_network
    from verify.proof.transfer import transfer as transfer
    from verify.property import Clause as Clause
    from verify.property import Property as Property
    from verify.property import PropertyCounterexample as PropertyCounterexample
    from verify.region import ball as ball
    from verify.region import box as box
    from verify.report.api import report as report
    from verify.selftest.run import SelfTest as SelfTest
    from verify.selftest.run import selftest as selftest
    from verify.specification import Query as Query
    from verify.specification import Specification as Specification
    from verify.train.api import train as train
    from verify.train.config import Training as Training
    from verify.train.config import read_training as read_training
    from verify.train.evaluate import Errors as Errors
    from verify.train.evaluate import error_rates as error_rates
    from verify.train.export import write_onnx as write_onnx
    from verify.train.outcome import Epoch as Epoch
    from verify.train.outcome import Trained as Trained
    from verify.verdict import Counterexample as Counterexample
    from verify.verdict import Evidence as Evidence
    from verify.verdict import MarginRow as MarginRow
    from verify.verdict import Result as Result
    from verify.verdict import Verdict as Verdict

# Where each public name lives. A bare module is a room that is called by its own name (verify._callable).
_PUBLIC = {
    "load": "verify.load",
    "certify": "verify.certify",
    "attack": "verify.attack",
    **dict.fromkeys(("AttackReport", "AttackedInput", "Finding"), "verify.attack.report"),
    **dict.fromkeys(("TransferMatrix", "transfer_matrix"), "verify.attack.transfer"),
    "Transformations": "verify.attack.transformations",
    "ATTACKS": "verify.attack.methods",
    **dict.fromkeys(("Comparison", "certify_batch", "compare", "lower_bounds"), "verify.certify.api"),
    **dict.fromkeys(("Decision", "decide"), "verify.branch.decide"),
    **dict.fromkeys(("Execution", "run"), "verify.dataset.run"),
    **dict.fromkeys(("Run", "read_run"), "verify.dataset.result"),
    "Progress": "verify.dataset.progress",
    **dict.fromkeys(("Radius", "certified_radius"), "verify.dataset.radius"),
    "Record": "verify.dataset.record",
    "merge": "verify.dataset.merge",
    **dict.fromkeys(("parse_shard", "versions"), "verify.dataset.question"),
    **dict.fromkeys(("Claim", "claims", "recheck", "refuted"), "verify.certify.claims"),
    "Report": "verify.check",
    "gate": "verify.gate",
    "append_step_summary": "verify.gate.formats.github",
    "GATE_FORMATS": "verify.gate.formats.table",
    "GateOutcome": "verify.gate.outcome",
    **dict.fromkeys(("Audit", "audit"), "verify.gate.audit"),
    "read_policy": "verify.gate.reading",
    **dict.fromkeys(("read_ledger", "write_ledger"), "verify.gate.ledger"),
    "run_summary": "verify.dataset.summary",
    **dict.fromkeys(("Explanation", "explain"), "verify.certify.explain"),
    "METHODS": "verify.certify.methods",
    "Options": "verify.certify.options",
    "PRE_ACTIVATION": "verify.certify.pre_activation",
    **dict.fromkeys(
        (
            "LoadError",
            "LoadMismatch",
            "MissingDependency",
            "ReluproofError",
            "SoundnessError",
            "TrainingFailed",
            "UnsupportedOperator",
            "UnsupportedProperty",
            "UsageError",
        ),
        "verify.errors",
    ),
    "parse_decimal": "verify.floating",
    **dict.fromkeys(("Dataset", "load_data", "parse_index"), "verify.load.data"),
    "from_torch": "verify.load.pytorch",
    "load_property": "verify.load.vnnlib",
    "replays": "verify.load.replay",
    "Network": "verify.network",
    **dict.fromkeys(("plot_counterexamples", "plot_gallery"), "verify.plot.gallery_figure"),
    **dict.fromkeys(("Radii", "plot_radii", "read_radii"), "verify.plot.radii_figure"),
    "plot_surface": "verify.plot.surface_figure",
    **dict.fromkeys(("Surface", "surface"), "verify.plot.surface"),
    **dict.fromkeys(("identity", "save_network"), "verify.proof.canonical"),
    **dict.fromkeys(("Certificate", "Refused"), "verify.certificate"),
    "transfer": "verify.proof.transfer",
    "as_module": "verify.module",
    **dict.fromkeys(("Clause", "Property", "PropertyCounterexample"), "verify.property"),
    **dict.fromkeys(("ball", "box"), "verify.region"),
    "report": "verify.report",
    "selftest": "verify.selftest",
    "SelfTest": "verify.selftest.run",
    "train": "verify.train",
    **dict.fromkeys(("Training", "read_training"), "verify.train.config"),
    **dict.fromkeys(("Errors", "error_rates"), "verify.train.evaluate"),
    "write_onnx": "verify.train.export",
    **dict.fromkeys(("Epoch", "Trained"), "verify.train.outcome"),
    **dict.fromkeys(("Query", "Specification"), "verify.specification"),
    **dict.fromkeys(("Counterexample", "Evidence", "MarginRow", "Result", "Verdict"), "verify.verdict"),
}

__all__ = [*sorted(_PUBLIC), "__version__"]  # noqa: PLE0604 (every entry is a string)


def __getattr__(name: str) -> Any:
    """The public name, imported at its first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'verify' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if _PUBLIC[name] == f"verify.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return list(__all__)
