"""Training that a proof can follow: losses over the bounds module itself, gradients on.

``verify.train(module, data, config)`` trains; the losses are usable alone, in a loop of the user's own::

    live = verify.train.trace(module, input_shape=(1, 28, 28))
    loss = verify.train.ibp_loss(live, x, y, 0.1, kappa=0.5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from verify._callable import callable_package

if TYPE_CHECKING:
    from verify.train.architectures import ARCHITECTURES as ARCHITECTURES
    from verify.train.config import Training as Training
    from verify.train.config import read_training as read_training
    from verify.train.distill import Distillation as Distillation
    from verify.train.distill import train_distilled as train_distilled
    from verify.train.evaluate import Errors as Errors
    from verify.train.evaluate import error_rates as error_rates
    from verify.train.export import write_onnx as write_onnx
    from verify.train.initialise import ibp_initialise as ibp_initialise
    from verify.train.linear import LinearTraining as LinearTraining
    from verify.train.linear import train_linear as train_linear
    from verify.train.live import Live as Live
    from verify.train.live import trace as trace
    from verify.train.losses import crown_ibp_loss as crown_ibp_loss
    from verify.train.losses import dual_loss as dual_loss
    from verify.train.losses import fgsm_loss as fgsm_loss
    from verify.train.losses import ibp_loss as ibp_loss
    from verify.train.losses import mtl_ibp_loss as mtl_ibp_loss
    from verify.train.losses import noise_loss as noise_loss
    from verify.train.losses import online_target_loss as online_target_loss
    from verify.train.losses import pgd_loss as pgd_loss
    from verify.train.losses import sabr_loss as sabr_loss
    from verify.train.losses import standard_loss as standard_loss
    from verify.train.methods import METHODS as METHODS
    from verify.train.outcome import Epoch as Epoch
    from verify.train.outcome import Trained as Trained
    from verify.train.pseudo import pseudo_labels as pseudo_labels
    from verify.train.pseudo import with_unlabelled as with_unlabelled

_PUBLIC = {
    "ARCHITECTURES": "verify.train.architectures",
    **dict.fromkeys(("Training", "read_training"), "verify.train.config"),
    **dict.fromkeys(("Distillation", "train_distilled"), "verify.train.distill"),
    **dict.fromkeys(("Errors", "error_rates"), "verify.train.evaluate"),
    "write_onnx": "verify.train.export",
    "ibp_initialise": "verify.train.initialise",
    **dict.fromkeys(("Live", "trace"), "verify.train.live"),
    **dict.fromkeys(
        (
            "crown_ibp_loss",
            "dual_loss",
            "fgsm_loss",
            "ibp_loss",
            "mtl_ibp_loss",
            "noise_loss",
            "online_target_loss",
            "pgd_loss",
            "sabr_loss",
            "standard_loss",
        ),
        "verify.train.losses",
    ),
    **dict.fromkeys(("LinearTraining", "train_linear"), "verify.train.linear"),
    "METHODS": "verify.train.methods",
    **dict.fromkeys(("Epoch", "Trained"), "verify.train.outcome"),
    **dict.fromkeys(("pseudo_labels", "with_unlabelled"), "verify.train.pseudo"),
}

callable_package(__name__, "verify.train.api:train")


def __getattr__(name: str) -> Any:
    """The public name, imported at its first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'verify.train' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
