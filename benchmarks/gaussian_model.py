"""The Gaussian model of Schmidt et al. 2018: robust learning needs more data, and unlabelled data will do (Carmon et al. 2019).

Run: python benchmarks/gaussian_model.py. Inputs of class y = 1 or -1 are N(y theta, sigma^2 I) in d dimensions, |theta| = sqrt(d),
sigma = 0.6 d^(1/4). The classifier is the sign of w . x, with w the mean of the labelled y x; its error, plain and against an l_inf
adversary, is a formula. Means over draws. Exits 1 when robust learning does not need more, or pseudo-labels do not help.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_left

import numpy as np
import torch
from common import RESULTS, report
from scipy.special import ndtr
from torch import Tensor

from verify.plot import COLOURS, new_figure, save
from verify.train import pseudo_labels

NOISE, EPSILON, DRAWS, SEED = 0.6, 0.5, 20, 0
DIMENSIONS = (1_000, 10_000, 100_000, 1_000_000)
SAMPLES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
SHOWN, GOOD = 1_000, 0.01  # the dimension whose errors are listed and drawn; the error that counts as learnt


def spread(d: int) -> float:
    """The standard deviation sigma of every coordinate."""
    return NOISE * d**0.25


def error(w: Tensor, epsilon: float) -> float:
    """Exact error of sign(w . x) when every coordinate may move by epsilon: P[y w . x < epsilon |w|_1], theta all ones."""
    return float(ndtr(float((epsilon * w.abs().sum() - w.sum()) / (spread(len(w)) * w.norm()))))


def labelled_mean(d: int, n: int, generator: torch.Generator) -> Tensor:
    """The mean of y x over n labelled samples: N(theta, sigma^2 / n I), which is drawn at once."""
    return 1 + spread(d) / n**0.5 * torch.randn(d, generator=generator, dtype=torch.float64)


def pseudo_mean(w: Tensor, m: int, generator: torch.Generator) -> Tensor:
    """The mean of y x over m samples whose labels w gives."""
    signs = 2.0 * torch.randint(2, (m, 1), generator=generator) - 1
    x = signs + spread(len(w)) * torch.randn(m, len(w), generator=generator, dtype=torch.float64)
    named, _ = pseudo_labels(lambda part: torch.stack([-part @ w, part @ w], 1), x)
    return ((2.0 * named - 1).unsqueeze(1) * x).mean(0)


def mean(values: list[float]) -> float:
    """Mean over the draws."""
    return float(np.mean(values))


def errors(d: int, n: int) -> tuple[float, float, float]:
    """Plain and robust error after n labelled samples, and the robust error after one labelled and n unlabelled ones."""
    plain, robust, pseudo = [], [], []
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(SEED + draw)
        w = labelled_mean(d, n, generator)
        plain.append(error(w, 0.0))
        robust.append(error(w, EPSILON))
        pseudo.append(error(pseudo_mean(labelled_mean(d, 1, generator), n, generator), EPSILON))
    return mean(plain), mean(robust), mean(pseudo)


def needed(d: int, epsilon: float) -> int:
    """The fewest labelled samples after which the mean error is at most GOOD; it falls with their number."""

    def learnt(n: int) -> bool:
        generators = (torch.Generator().manual_seed(SEED + draw) for draw in range(DRAWS))
        return mean([error(labelled_mean(d, n, generator), epsilon) for generator in generators]) <= GOOD

    most = next(n for n in (2**k for k in range(30)) if learnt(n))
    return bisect_left(range(most + 1), True, lo=1, key=learnt)


def picture(rows: list[tuple[float, float, float]]) -> None:
    """Errors against the number of samples."""
    figure = new_figure(4.8, 3.4)
    panel = figure.subplots()
    names = ("plain error, n labelled", "robust error, n labelled", "robust error, 1 labelled + n unlabelled")
    for values, name, colour, mark in zip(zip(*rows, strict=True), names, COLOURS, "os^", strict=False):
        panel.plot(SAMPLES, [100 * v for v in values], marker=mark, color=colour, label=name)
    panel.set(xscale="log", xlabel="samples n", ylabel="error (%)", ylim=(-2, None))
    panel.set_title(f"Gaussian model, d = {SHOWN}, $\\epsilon$ = {EPSILON}")
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3)
    save(figure, RESULTS / "gaussian_model.png")


def main() -> int:
    """Measure, print, draw."""
    begun = time.process_time()
    found = [errors(SHOWN, n) for n in SAMPLES]
    rows = [[n, *(f"{100 * value:.2f}" for value in row)] for n, row in zip(SAMPLES, found, strict=True)]
    header = ["samples", "plain %", "robust %", "robust %, 1 labelled + samples unlabelled"]
    print(f"d = {SHOWN}, epsilon = {EPSILON}, mean of {DRAWS} draws\n")
    report("gaussian_model", header, rows)
    print(f"\nlabelled samples until the error is {GOOD:.0%}\n")
    counts = [(d, needed(d, 0.0), needed(d, EPSILON)) for d in DIMENSIONS]
    report("gaussian_model_samples", ["d", "plain", "robust"], counts)
    picture(found)
    print(f"{time.process_time() - begun:.0f} s of the processor", file=sys.stderr)
    more = all(robust > plain for _, plain, robust in counts) and counts[-1][2] > 2 * counts[0][2]
    helped = found[-1][2] < GOOD < found[0][1]
    return int(not (more and helped))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
