"""Whole runs: they learn what is there, repeat bit for bit, survive interruption, and fail with step and cause."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.modules import module, stripes
from torch import nn

import verify
from verify.load.dataset import Dataset
from verify.train.augment import moved
from verify.train.checkpoint import NAME
from verify.train.methods import METHODS

CONFIG = verify.Training(
    epsilon="0.1", epochs=3, batch=16, rate=5e-3, warm_up=0.5, ramp=1.0, watched=32, watched_steps=3, steps=2
)
LEARNERS = ("standard", "pgd", "ibp", "dual")


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.module.state_dict().values() if p.is_floating_point()])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_repeats_itself_bit_for_bit_and_reports_its_epochs(method):
    config = replace(CONFIG, method=method, regularise=0.1 if METHODS[method].bounded else 0.0, l1=1e-5, epochs=2)
    data, held = stripes(48), stripes(16, seed=1)
    epochs = []
    first = verify.train(module("convolution"), data, config, validation=held, progress=epochs.append)
    again = verify.train(module("convolution"), data, config)
    other = verify.train(module("convolution"), data, replace(config, seed=1))
    assert torch.equal(weights(first), weights(again)) and not torch.equal(weights(first), weights(other))
    assert tuple(epochs) == first.history and [e.number for e in epochs] == [1, 2]
    assert [e.radius for e in epochs] == pytest.approx([0.0333, 0.1], abs=0.02)
    for epoch in epochs:
        assert epoch.errors.count == 16 and epoch.errors.clean <= epoch.errors.attacked <= epoch.errors.certified
    assert again.history[0].errors is None and again.history[0].loss == epochs[0].loss
    assert not first.module.training and first.config == config
    x = held.inputs
    torch.testing.assert_close(first.network(x.double()).float(), first.module(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", LEARNERS)
def test_what_can_be_learnt_is_learnt(method):
    config = replace(CONFIG, method=method, epochs=10, ramp=3.0)
    trained = verify.train(module("mlp"), stripes(), config)
    errors = verify.error_rates(trained.network, *_of(stripes(64, seed=1)), epsilon="0.1")
    assert errors.clean == 0 and (method == "standard" or errors.attacked < 0.1)
    if METHODS[method].bounded:
        assert errors.certified < 0.1
        found = verify.certify_batch(trained.network, *_of(stripes(8, seed=2)), epsilon="0.1", clip=(0, 1))
        assert any(r.verdict is verify.Verdict.VERIFIED for r in found)


def test_moved_images_are_the_images_elsewhere():
    images = torch.rand(40, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    found = moved(images, 2, -1.0, torch.Generator().manual_seed(1))
    wide = torch.full((40, 2, 9, 11), -1.0)
    wide[:, :, 2:-2, 2:-2] = images
    places = [
        {(a, b) for a in range(5) for b in range(5) if torch.equal(wide[k, :, a : a + 5, b : b + 7], found[k])}
        for k in range(40)
    ]
    assert all(len(place) == 1 for place in places) and len(set().union(*places)) > 10
    assert torch.equal(moved(images, 0, 0.0, torch.Generator()), images)


@pytest.mark.parametrize("shape", [(4, 10), (4, 1, 3, 3)])
def test_what_cannot_be_moved_is_refused(shape):
    with pytest.raises(verify.UsageError, match="shift is 3"):
        moved(torch.zeros(shape), 3, 0.0, torch.Generator())


def _of(data: Dataset):
    return data.inputs, data.labels


@pytest.mark.parametrize("kind", ["convolution", "normalised"])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, kind):
    # sabr also draws random points, and so does whatever moves the images
    config, data = replace(CONFIG, method="sabr", shift=1), stripes(48)
    whole = verify.train(module(kind), data, config)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify.train(module(kind), data, config, folder=tmp_path / "run", progress=stop)
    # The resumed module starts from other weights, which the checkpoint replaces.
    resumed = verify.train(module(kind, seed=5), data, config, folder=tmp_path / "run", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    plain = [[(e.number, e.loss, e.radius) for e in trained.history] for trained in (whole, resumed)]
    assert plain[0] == plain[1]


def test_a_finished_run_resumes_to_itself(tmp_path):
    data, watched = stripes(32), stripes(8, seed=1)
    first = verify.train(module("mlp"), data, CONFIG, folder=tmp_path, validation=watched)
    again = verify.train(module("mlp"), data, CONFIG, folder=tmp_path, resume=True)
    assert torch.equal(weights(first), weights(again)) and first.history == again.history


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": replace(CONFIG, rate=1e-3)}, "is of another config, network or data set"),
        ({"data": stripes(48, seed=9)}, "is of another config, network or data set"),
        ({"module": "convolution"}, "is of another config, network or data set"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, change, words):
    asked = {"module": "mlp", "data": stripes(48), "config": CONFIG}
    verify.train(module("mlp"), asked["data"], CONFIG, folder=tmp_path)
    asked |= change
    with pytest.raises(verify.UsageError, match=words):
        verify.train(module(asked["module"]), asked["data"], asked["config"], folder=tmp_path, resume=True)


def test_what_is_watched_is_no_part_of_a_runs_identity(tmp_path):
    verify.train(module("mlp"), stripes(48), replace(CONFIG, epochs=1), folder=tmp_path)
    with pytest.raises(verify.UsageError):
        verify.train(module("mlp"), stripes(48), CONFIG, folder=tmp_path, resume=True)
    config = replace(CONFIG, epochs=1, watched=0)
    assert verify.train(module("mlp"), stripes(48), config, folder=tmp_path, resume=True).history[0].number == 1


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", None, {"version": 99, "identity": ""}, {"a": 1}])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    if isinstance(content, bytes):
        (tmp_path / NAME).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / NAME)
    with pytest.raises(verify.LoadError, match="start without resume"):
        verify.train(module("mlp"), stripes(48), CONFIG, folder=tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_with_step_and_cause():
    huge = replace(stripes(32), inputs=stripes(32).inputs * 1e30)
    made = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with torch.no_grad():
        made[1].weight.fill_(1e30)
    with pytest.raises(
        verify.TrainingFailed, match=r"step 1 \(epoch 1, radius 0\): the loss is nan; rate is 0.005 .*lower"
    ):
        verify.train(made, huge, replace(CONFIG, clip=None))


@pytest.mark.parametrize(
    ("value", "cause"), [(1e30, "the loss is|norm is"), (torch.inf, "weights that are NaN or infinite")]
)
def test_the_checkpoint_of_the_last_good_epoch_is_left_and_named(tmp_path, value, cause):
    made, data = module("mlp"), stripes(32)

    def poison(epoch):
        with torch.no_grad():
            made[1].weight.fill_(value)
            made[3].weight.fill_(value)

    with pytest.raises(
        verify.TrainingFailed, match=rf"step 3 \(epoch 2.*({cause}).*checkpoint.pt holds the end of epoch 1"
    ):
        verify.train(made, data, CONFIG, folder=tmp_path, progress=poison)
    content = torch.load(tmp_path / NAME, weights_only=True)
    assert content["epoch"] == 1 and all(bool(torch.isfinite(v).all()) for v in content["module"].values())


@pytest.mark.parametrize(
    ("made", "data", "change", "words"),
    [
        ("mlp", stripes(8), {}, "batch is 16, and there are 8 inputs"),
        (
            "mlp",
            Dataset(stripes(32).inputs, torch.full((32,), 7), "sevens", "as stored"),
            {},
            "sevens: input 0 has the label 7",
        ),
        (
            "mlp",
            Dataset(stripes(32).inputs * 255, stripes(32).labels, "pixels", "as stored"),
            {},
            "pixels: inputs range over",
        ),
        ("mlp", stripes(32), {"epsilon": "0.9", "stretch": 2.0}, "no two points of clip"),
        ("nets", stripes(32), {}, "unknown architecture 'nets': choose from mlp"),
        ("json:dumps", stripes(32), {}, "calling it without arguments failed"),
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.Sigmoid()), stripes(32), {}, "Sigmoid"),
        (nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 3)), stripes(32), {}, "p=0.5 in training mode"),
        (nn.Sequential(nn.Flatten()), stripes(32), {}, "there is nothing to train"),
    ],
)
def test_misuse_is_refused_before_the_first_epoch(made, data, change, words):
    chosen = module("mlp") if made == "mlp" else made
    with pytest.raises(verify.ReluproofError) as caught:
        verify.train(chosen, data, replace(CONFIG, **change))
    assert words in str(caught.value)


def test_a_device_that_is_absent_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(verify.UsageError, match="device is 'cuda', and torch finds none here"):
            verify.train(module("mlp"), stripes(32), replace(CONFIG, device="cuda"))


def test_float64_inputs_train_a_float32_module():
    data = stripes(32)
    trained = verify.train(module("mlp"), replace(data, inputs=data.inputs.double()), replace(CONFIG, epochs=1))
    assert torch.equal(weights(trained), weights(verify.train(module("mlp"), data, replace(CONFIG, epochs=1))))


def test_the_checkpoint_of_a_run_is_not_overwritten_by_another(tmp_path):
    verify.train(module("mlp"), stripes(32), replace(CONFIG, epochs=1), folder=tmp_path)
    with pytest.raises(verify.UsageError, match="is the checkpoint of another run"):
        verify.train(module("mlp"), stripes(32), CONFIG, folder=tmp_path)


def test_resume_needs_a_folder(tmp_path):
    with pytest.raises(verify.UsageError, match="resume needs the folder"):
        verify.train(module("mlp"), stripes(32), CONFIG, resume=True)
    with pytest.raises(verify.LoadError, match="no checkpoint to resume from"):
        verify.train(module("mlp"), stripes(32), CONFIG, folder=tmp_path, resume=True)


def test_initial_weights_come_from_the_seed_and_leave_torchs_own_draws_alone():
    images = Dataset(torch.rand(16, 1, 28, 28), torch.zeros(16, dtype=torch.int64), "noise", "as stored")
    config = replace(CONFIG, epochs=1, architecture="wong-kolter", initialise="ibp")
    state = torch.random.get_rng_state()
    first, again = (verify.train(name, images, config) for name in (None, "wong-kolter"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(weights(first), weights(again))


@pytest.mark.parametrize("name", verify.train.ARCHITECTURES)
def test_every_architecture_reads_images_and_can_be_traced(name):
    made = verify.train.ARCHITECTURES[name]()
    x = torch.rand(2, 1, 28, 28)
    live = verify.train.trace(made, (1, 28, 28))
    assert live.outputs == 10
    torch.testing.assert_close(live.bind(x).scores, made(x))
