import os
import signal
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints_of_others import CENTERS, HISTORY, KERNELS, N_CELLS, SIDE, Maker, order, run
from torch import nn
from torch.nn import functional

from retina_codec.contributions import integrated_gradients, one_cell
from retina_codec.networks import (
    DeepRetina,
    as_published,
    centred,
    describe_checkpoint,
    load_network,
    save_network,
)
from retina_codec.stimuli import Normalisation

PLACES = centred(CENTERS, (SIDE, SIDE), KERNELS)
CASES = {
    "BNCNN, era C, norms of channels": ("C2", "dense", {}),
    "BNCNN, era C, convolution": ("C2", "conv", {}),
    "BNCNN, era C, norms of units": ("C1", "dense", {}),
    "BNCNN, era C, norms of units, convolution": ("C1", "conv", {}),
    "BNCNN, era A": ("A1", "dense", {}),
    "BNCNN, era A, noise kept": ("A1", "dense", {"sigma": True}),
    "BNCNN2D, era A": ("C2", "dense", {"sigma": True}),
    "LinearStackedBNCNN, era B": ("A1", "dense", {"conv": "stack+norm", "norm": "abs"}),
    "LinearStackedBNCNN": ("C2", "conv", {"conv": "stack", "norm": "abs"}),
    "LinearStackedBNCNN, dropout": ("C2", "conv", {"conv": "stack+dropout", "norm": "abs"}),
    "LinearStackedBNCNN, norms of units": ("C1", "dense", {"conv": "stack", "norm": "abs"}),
    "VaryModel": ("C2", "conv", {"conv": "stack+both", "norm": "abs", "sigma": True}),
    "VaryModel, finalstack": ("C2", "conv", {"conv": "stack", "norm": "abs", "final_stack": True}),
    "VaryModel, inner biases": ("C2", "conv", {"conv": "stack", "inner_bias": True}),
    "VaryModel, no biases": ("C2", "conv", {"conv": "stack", "bias": False, "norm": "abs"}),
    "VaryModel, era D": ("D2", "conv", {"conv": "stack", "norm": "abs"}),
    "VaryModel, groups": ("C2", "dense", {"groups": 2, "norm": "abs"}),
    "RetinotopicModel": ("C2", "map", {"conv": "stack", "norm": "abs"}),
    "RetinotopicModel, norms of units": ("C1", "map", {"norm": "abs"}),
    "LN": ("LN", "dense", {}),
}
CHANNELS = {"VaryModel, groups": (4, 2)}


def hyps(**changes):
    given = {
        "img_shape": [HISTORY, SIDE, SIDE],
        "centers": CENTERS,
        "cells": np.array([0, 3]),
        "dataset": "15-10-07",
        "stim_type": "naturalscene",
    }
    return {**given, **changes}


def checkpoint(state, **changes):
    made = hyps(**changes)
    return {
        "model_state_dict": OrderedDict(state),
        "hyps": made,
        "norm_stats": {"mean": np.float32(51.5), "std": np.float64(49.25)},
        "zero_dict": {"sequential.0": {1, 3}},
        "test_pearson": np.float64(0.62),
        "epoch": 30,
        "optim_state_dict": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}},
        **made,
    }


def saved(path, objects, *, legacy=False):
    torch.save(objects, path, _use_new_zipfile_serialization=not legacy)
    return path


def windows(n=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, HISTORY, SIDE, SIDE, generator=generator, dtype=dtype)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older"])
@pytest.mark.parametrize("name", CASES)
def test_every_class_and_era_predicts_as_its_list_of_layers(name, legacy, tmp_path):
    hidden, final, options = CASES[name]
    layers = order(hidden, final)
    kernels = (5, 5, 5) if options.get("conv") else KERNELS
    widths = (4, 2 if "groups" in name else 3, N_CELLS)
    state = Maker(3, **options).make(layers, kernels, widths)
    path = saved(tmp_path / "a.pt", checkpoint(state, model_type=name.split(",")[0]), legacy=legacy)
    network = load_network(path, positions=centred)
    places = centred(CENTERS, (SIDE, SIDE), kernels)
    expected = run(windows(), layers, state, places=places)
    with torch.no_grad():
        torch.testing.assert_close(network(windows()), expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-3
    assert not network.training
    assert network.history == HISTORY
    assert network.normalisation == Normalisation(mean=51.5, std=49.25)
    numbers = [number for number, kind in enumerate(layers) if kind == "act"] or [3]
    assert network.default_layers == tuple(f"sequential.{number}" for number in numbers)


@pytest.mark.parametrize("conv", ["stack", "stack+dropout", "stack+norm", "one2one", "plain"])
@pytest.mark.parametrize("paddings", [[0, 0, 0], [1, 2, 0], [3, 0, 1]])
def test_paddings_and_stacks(conv, paddings, tmp_path):
    layers = order("C2", "dense")
    state = Maker(5, conv=conv, paddings=paddings, final_stack=True).make(layers, (7, 5), (4, 3))
    path = saved(tmp_path / "a.pt", checkpoint(state, paddings=paddings))
    network = load_network(path)
    expected = run(windows(), layers, state, paddings=paddings)
    with torch.no_grad():
        torch.testing.assert_close(network(windows()), expected, rtol=1e-9, atol=1e-9)
    one = conv in ("one2one", "plain")
    kept = [not one and padding > 0 for padding in paddings[:2]]
    assert [not isinstance(network.sequential[at], nn.Conv2d) for at in (0, 4)] == kept


@pytest.mark.parametrize("sides", [(3,) * 7, (5, 5, 5, 3), (7, 7, 3)])
def test_stacks_of_the_published_sizes_are_one_filter_of_15(sides, tmp_path):
    maker, layers = Maker(1), order("C2", "dense", n_hidden=1)
    state = maker.make(layers, (11,), (3,))
    del state["sequential.0.weight"], state["sequential.0.bias"]
    for number, side in enumerate(sides):
        maker.one(f"sequential.0.convs.{number}", 3 if number else HISTORY, 3, side, number > 1)
    state["sequential.5.weight"] = maker.draw(N_CELLS, 3 * 2 * 2)
    shape = [HISTORY, 16, 16]
    network = load_network(saved(tmp_path / "a.pt", checkpoint(state, img_shape=shape)))
    assert network.sequential[0].kernel_size == (15, 15)
    x = torch.randn(2, *shape, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), run(x, layers, state), rtol=1e-8, atol=1e-8)


OUTPUTS = {
    "softplus": ({}, functional.softplus),
    "exponential": ({"softplus": False}, torch.exp),
    "exponential of softplus": (
        {"inference_exp": True},
        lambda x: torch.exp(functional.softplus(x)),
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_follows_the_settings(name, tmp_path):
    changes, out = OUTPUTS[name]
    layers = order("C2", "dense")
    state = Maker(2).make(layers)
    network = load_network(saved(tmp_path / "a.pt", checkpoint(state, **changes)))
    with torch.no_grad():
        torch.testing.assert_close(network(windows()), run(windows(), layers, state, out=out))


def test_published_rule_reads_the_same_place_for_all_cells():
    centers = [(0, 0), (19, 22), (40, 5), (49, 49)]
    assert as_published(centers, (50, 50), (15, 11, 11)) == [(10, 10)] * 4
    assert centred(centers, (50, 50), (15, 11, 11)) == [(0, 0), (2, 5), (15, 0), (15, 15)]


def test_positions_are_chosen_by_a_function(tmp_path):
    layers = order("C2", "conv")
    state = Maker(4).make(layers, (5, 5, 3))
    path = saved(tmp_path / "a.pt", checkpoint(state))
    rule = as_published(CENTERS, (SIDE, SIDE), (5, 5, 3))
    assert rule != centred(CENTERS, (SIDE, SIDE), (5, 5, 3))
    for positions, places in ((None, rule), (lambda *_: [(0, 1), (2, 2)], [(0, 1), (2, 2)])):
        network = load_network(path, positions=positions)
        with torch.no_grad():
            expected = run(windows(), layers, state, places=places)
            torch.testing.assert_close(network(windows()), expected)


def test_facts_come_along(tmp_path):
    state = Maker(0).make(order("C2", "dense"))
    path = saved(tmp_path / "a.pt", checkpoint(state, model_type="BNCNN"))
    about = load_network(path).about
    assert (about.cells, about.dataset, about.stim_type) == ((0, 3), "15-10-07", "naturalscene")
    assert about.model_type == "BNCNN"
    assert about.scores == {"test_pearson": 0.62, "epoch": 30.0}
    assert about.pruned == {"sequential.0": (1, 3)}
    facts = describe_checkpoint(path)
    assert facts["layers"]["sequential.0.weight"] == [4, HISTORY, 5, 5]
    assert facts["era"] == about.era
    assert facts["normalisation"] == {"mean": 51.5, "std": 49.25}
    assert describe_checkpoint(tmp_path) == facts
    assert load_network(tmp_path).about == about


def test_older_names_of_settings_and_defaults(tmp_path):
    state = Maker(0).make(order("A1", "dense"))
    objects = {"model_state_dict": state, "model_hyps": {"img_shape": (HISTORY, SIDE, SIDE)}}
    network = load_network(saved(tmp_path / "a.pt", objects, legacy=True))
    assert network.normalisation == Normalisation()
    assert network.about.era.startswith("A or B")


@pytest.mark.parametrize("precision", [torch.float64, torch.float32, torch.float16])
def test_contributions_of_a_loaded_network_close(precision, tmp_path):
    state = Maker(3, conv="stack", norm="abs", dtype=precision).make(order("C2", "conv"), (5, 5, 5))
    network = load_network(saved(tmp_path / "a.pt", checkpoint(state)), positions=centred)
    dtype = next(network.parameters()).dtype
    assert dtype == (torch.float64 if precision == torch.float64 else torch.float32)
    found = integrated_gradients(
        network,
        windows(8, dtype=dtype).numpy(),
        layers=network.default_layers,
        target=one_cell(1),
        n_steps=100,
    )
    assert set(found) == {"sequential.3", "sequential.7"}
    for contributions in found.values():
        assert np.abs(contributions.gap).max() < 0.02 * np.abs(contributions.values).sum(1).max()


def dropped(state, key):
    del state[key]
    return state


REFUSED = {
    "unknown class": (lambda s: s, {"model_type": "DalesBNCNN"}, "its class is DalesBNCNN"),
    "recurrent": (lambda s: s, {"recurrent": True}, "its setting 'recurrent' is on"),
    "unknown key": (lambda s: {**s, "h_init": torch.zeros(2)}, {}, "it has the weights 'h_init'"),
    "unknown layer": (
        lambda s: {**s, "sequential.2.mask": torch.zeros(2)}, {}, "a layer has the weights mask"
    ),
    "missing layer": (
        lambda s: {k: v for k, v in s.items() if "ial.4." not in k}, {}, "are in no order"
    ),
    "missing key": (
        lambda s: dropped(dict(s), "sequential.1.running_var"), {}, "a layer has the weights bias"
    ),
    "wrong shape": (
        lambda s: {**s, "sequential.9.weight": torch.zeros(2, 7)}, {}, "a dense layer has the shape"
    ),
    "wrong norm": (
        lambda s: {**s, **{f"sequential.1.{k}": torch.ones(5) for k in (
            "weight", "bias", "running_mean", "running_var")}}, {}, "a batch norm has the shape"
    ),
    "wrong history": (lambda s: s, {"img_shape": [5, SIDE, SIDE]}, "a convolution takes|a filter"),
    "unknown activation": (lambda s: s, {"activ_fxn": "Swish"}, "its activation is 'Swish'"),
    "not finite": (
        lambda s: {**s, "sequential.0.bias": torch.full((4,), torch.nan)}, {}, "are not all finite"
    ),
    "no tensor": (lambda s: {**s, "sequential.0.bias": 3}, {}, "expected tensors"),
    "no weights": (lambda s: {}, {}, "it has no weights"),
    "strides": (lambda s: s, {"strides": [1, 2]}, "it has strides"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name, tmp_path):
    change, changes, words = REFUSED[name]
    state = {k: v.float() if v.is_floating_point() else v
             for k, v in Maker(0).make(order("C2", "dense")).items()}  # fmt: skip
    path = saved(tmp_path / "a.pt", checkpoint(change(state), **changes))
    with pytest.raises(ValueError, match=words) as caught:
        load_network(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cells_without_places_are_refused(tmp_path):
    state = Maker(0).make(order("C2", "conv"))
    for centers in (None, [(1, 2)], "here"):
        path = saved(tmp_path / "a.pt", checkpoint(state, centers=centers))
        with pytest.raises(ValueError, match="expected row and column of each cell"):
            load_network(path, positions=centred)


# What a file could try


class Runs:
    """When read by Python's own reader, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


HOSTILE = {
    "as the file": lambda bad, good: bad,
    "beside": lambda bad, good: {**good, "extra": bad},
    "in settings": lambda bad, good: {**good, "hyps": {**good["hyps"], "noise": bad}},
    "in the optimiser": lambda bad, good: {**good, "optim_state_dict": {"state": [bad]}},
    "as weights": lambda bad, good: {**good, "model_state_dict": {"sequential.0.weight": bad}},
    "as normalisation": lambda bad, good: {**good, "norm_stats": {"mean": bad, "std": 1.0}},
    "as centres": lambda bad, good: {**good, "hyps": {**good["hyps"], "centers": bad}},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "older"])
@pytest.mark.parametrize("where", HOSTILE)
def test_nothing_in_a_file_runs(where, legacy, tmp_path):
    mark = tmp_path / "ran"
    good = checkpoint(Maker(0).make(order("C2", "conv")))
    path = saved(tmp_path / "a.pt", HOSTILE[where](Runs(mark), good), legacy=legacy)
    try:
        load_network(path, positions=centred)
        assert where in ("beside", "in settings", "in the optimiser")
    except ValueError as error:
        assert str(path) in str(error)
    try:
        describe_checkpoint(path)
    except ValueError as error:
        assert str(path) in str(error)
    assert not mark.exists()


def zipped(path, objects, extra=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", objects)
        for name, raw in extra:
            archive.writestr(name, raw)
    return path


STORAGE = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"


def tensor(n_items, shape, stride):
    sizes = [
        b"(" + b"".join(b"J" + struct.pack("<i", n) for n in of) + b"t" for of in (shape, stride)
    ]
    stored = STORAGE + b"J" + struct.pack("<i", n_items) + b"tQK\x00" + sizes[0] + sizes[1]
    return b"ctorch._utils\n_rebuild_tensor\n" + stored + b"tR"


DEEP = b"\x80\x02" + b"(" * 20_000
NESTED = b"\x80\x02" + b"]" + b"\x85" * 20_000 + b"."
STATE = b"\x80\x02}X\x10\x00\x00\x00model_state_dict}X\x13\x00\x00\x00sequential.0.weight"
SELF = b"\x80\x02}q\x00X\x10\x00\x00\x00model_state_dicth\x00s."
LAUGHS = b"\x80\x02)" + b"q\x00h\x00\x86" * 60 + b"\x94}h\x00K\x01s."
LAUGHS_VALUE = b")" + b"q\x01h\x01\x86" * 60
ATTACKS = {
    "storage larger than the file": (STATE + tensor(2**30, (2**15, 2**15), (2**15, 1)) + b"ss.", 8),
    "tensor larger than its storage": (STATE + tensor(2, (2**15, 2**15), (2**15, 1)) + b"ss.", 8),
    "one number as a huge tensor": (STATE + tensor(2, (2**15, 2**15), (0, 0)) + b"ss.", 8),
    "negative sizes": (STATE + tensor(2, (-5, 3), (1, 1)) + b"ss.", 8),
    "negative storage": (STATE + tensor(-2, (1,), (1,)) + b"ss.", 8),
    "text longer than the file": (b"\x80\x02X\xff\xff\xff\xffabc.", 0),
    "bytes longer than the file": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"abc.", 0),
    "deep marks": (DEEP, 0),
    "deep tuples": (NESTED, 0),
    "holds itself": (SELF, 0),
    "billion laughs as a key": (LAUGHS, 0),
    "billion laughs as weights": (
        STATE + LAUGHS_VALUE + b"ss.", 0),
    "billion laughs as settings": (
        b"\x80\x02}(X\x10\x00\x00\x00model_state_dict}X\x04\x00\x00\x00hyps}("
        b"X\x07\x00\x00\x00strides" + LAUGHS_VALUE + b"X\x07\x00\x00\x00dataset" + LAUGHS_VALUE
        + b"X\x05\x00\x00\x00cells" + LAUGHS_VALUE + b"uu.", 0),
    "billion laughs in Lightning": (
        b"\x80\x02}(X\x0a\x00\x00\x00state_dict}X\x10\x00\x00\x00hyper_parameters}"
        b"X\x04\x00\x00\x00core" + LAUGHS_VALUE + b"su.", 0),
    "one list made into many": (
        b"\x80\x02](" + b"K\x01" * 1000 + b"eq\x00" + b"]("
        + b"cbuiltins\nset\nh\x00\x85R" * 1000 + b"e.", 0),
    "empty stack": (b"\x80\x02.", 0),
    "nothing": (b"", 0),
    "a call by the old codes": (b"\x80\x02(X\x04\x00\x00\x00true" + b"ios\nsystem\n.", 0),
    "persistent id of text": (b"\x80\x02X\x05\x00\x00\x00/etc/Q.", 0),
    "state over a name": (b"\x80\x02cos\nsystem\n}b.", 0),
    "array of a huge shape": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR(K\x01J\xff\xff\xff\x7f\x85"
        b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x08abcdefghtb.", 0),
}  # fmt: skip


def within(seconds, call):
    """Call, and fail if it takes too long."""

    def late(*_):
        raise AssertionError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return call()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ATTACKS)
def test_made_up_byte_code_is_refused(name, tmp_path):
    objects, n_bytes = ATTACKS[name]
    path = zipped(tmp_path / "a.pt", objects, [("archive/data/0", bytes(n_bytes))])
    for read in (load_network, describe_checkpoint):
        with pytest.raises(ValueError, match="Cannot load a network from") as caught:
            within(5, lambda read=read: read(path))
        assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == ["a.pt"]


def test_bombs_and_paths_in_archives_are_refused(tmp_path):
    bomb = zipped(
        tmp_path / "a.pt", b"\x80\x02N.", [("archive/data/0", bytes(2**24))], zipfile.ZIP_DEFLATED
    )
    with pytest.raises(ValueError, match="is compressed or larger"):
        load_network(bomb)
    climbing = zipped(tmp_path / "b.pt", b"\x80\x02N.", [("../../escaped", b"x")])
    with pytest.raises(ValueError, match="it is no torch-deep-retina checkpoint or open-retina"):
        load_network(climbing)
    assert not (tmp_path.parent.parent / "escaped").exists()
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "b.pt"]


def test_programs_are_refused_by_what_is_inside(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "a.pt")
        torch.export.save(
            torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "b.pt2"
        )
    (tmp_path / "b.pt2").rename(tmp_path / "b.pt")
    with pytest.raises(ValueError, match="a TorchScript archive: .* Save model.state_dict"):
        load_network(tmp_path / "a.pt")
    with pytest.raises(ValueError, match="an exported program .* Save model.state_dict"):
        load_network(tmp_path / "b.pt")


# open-retina

SESSION, N_CHANNELS, LENGTHS, SPATIAL = "mouse.a", 2, (9, 5), (5, 3)


def core_state(kind, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return 0.4 * torch.randn(*shape, generator=generator, dtype=dtype)

    state, below = {}, N_CHANNELS
    for number, (length, side) in enumerate(zip(LENGTHS, SPATIAL, strict=True)):
        key, width = f"core.features.layer{number}", 4
        if kind == "custom_separable":
            state[f"{key}.conv.weight_spatial"] = draw(width, below, 1, side, side)
            state[f"{key}.conv.sin_weights"] = draw(width, below, length // 3)
            state[f"{key}.conv.cos_weights"] = draw(width, below, length // 3)
        elif kind == "separable":
            state[f"{key}.conv.space_conv.weight"] = draw(width, below, 1, side, side)
            state[f"{key}.conv.time_conv.weight"] = draw(width, width, length, 1, 1)
        else:
            state[f"{key}.conv.conv.weight"] = draw(width, below, length, side, side)
        state[f"{key}.conv._log_speed_default"] = torch.full((1,), 0.1 * number, dtype=dtype)
        for name, value in {"weight": draw(width) + 1, "bias": draw(width)}.items():
            state[f"{key}.norm.{name}"] = value
        state[f"{key}.norm.running_mean"] = draw(width)
        state[f"{key}.norm.running_var"] = draw(width).square() + 0.5
        state[f"{key}.norm.num_batches_tracked"] = torch.tensor(4)
        state[f"{key}.bias.bias"] = draw(1, width, 1, 1, 1)
        below = width
    state["core._input_weights_regularizer_spatial.laplace.filter"] = draw(1, 1, 1, 3, 3)
    return state, draw


def readout_state(kind, draw, session, side, n=3):
    key = f"readout.{session}"
    if kind == "factorised":
        return {
            f"{key}.mask_weights": draw(side * side, n),
            f"{key}.feature_weights": draw(4, n),
            f"{key}.bias": draw(n),
        }
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=2)
    return {
        f"{key}.mask_mean": draw(n, 2),
        f"{key}.mask_log_var": draw(n),
        f"{key}.grid": grid.repeat(n, 1, 1, 1),
        f"{key}.features": draw(1, 4, 1, n),
        f"{key}.scale_param": draw(n) + 1,
        f"{key}.bias": draw(n),
    }


def slow_core(movie, state, kind):
    for number, length in enumerate(LENGTHS):
        key = f"core.features.layer{number}"
        conv = {
            k.split(".conv.", 1)[1]: v for k, v in state.items() if k.startswith(f"{key}.conv.")
        }
        padding, speed = (0, "same")[number], float(conv["_log_speed_default"].exp())
        if kind == "custom_separable":
            space = conv["weight_spatial"]
            weight = torch.zeros(*space.shape[:2], length, *space.shape[3:], dtype=space.dtype)
            for step in range(length):
                time = step - length
                mask = 1 / (1 + np.exp(-time - int(length * 0.95) / speed))
                for wave in range(length // 3):
                    phase = 2 * np.pi * wave * speed * time / length
                    along = np.sin(phase) * conv["sin_weights"][:, :, wave]
                    along = along + np.cos(phase) * conv["cos_weights"][:, :, wave]
                    weight[:, :, step] += mask * along[..., None, None] * space[:, :, 0]
            movie = functional.conv3d(movie, weight, padding=padding)
        elif kind == "separable":
            movie = functional.conv3d(movie, conv["space_conv.weight"], padding=padding)
            movie = speed * functional.conv3d(movie, conv["time_conv.weight"], padding=padding)
        else:
            movie = functional.conv3d(movie, conv["conv.weight"], padding=padding)
        movie = normed5(movie, state, f"{key}.norm") + state[f"{key}.bias.bias"]
        movie = torch.where(movie > 0, movie, movie.exp() - 1)
        if number == 0:
            movie = functional.max_pool3d(movie, (1, 2, 2))
    return movie


def normed5(x, state, key):
    mean, var, weight, bias = (
        state[f"{key}.{name}"].view(1, -1, 1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def slow_readout(maps, state, kind, session):
    part = {k.rsplit(".", 1)[1]: v for k, v in state.items() if k.startswith(f"readout.{session}.")}
    outs = []
    for cell in range(len(part["bias"])):
        if kind == "factorised":
            mask = part["mask_weights"][:, cell].reshape(maps.shape[-2:]).abs()
            features, scale = part["feature_weights"][:, cell], 1
            features = features / (features.square().sum() + 1e-5).sqrt()
        else:
            away = part["grid"][cell] - part["mask_mean"][cell] * 2.0
            variance = torch.exp(part["mask_log_var"][cell] * 3.0) + 1e-8
            mask = torch.exp(-0.5 * (away.square().sum(-1) / variance).clamp(max=20))
            mask = mask / mask.sum()
            features, scale = part["features"][0, :, 0, cell], part["scale_param"][cell]
        drive = (maps * mask).sum((-1, -2)) * features[None, :, None]
        outs.append(functional.softplus(drive.sum(1) * scale + part["bias"][cell]))
    return torch.stack(outs, dim=2)


def lightning(state, kind, readout):
    core = {
        "_target_": "openretina.modules.core.base_core.SimpleCoreWrapper",
        "temporal_kernel_sizes": list(LENGTHS),
        "cut_first_n_frames": 1,
        "maxpool_every_n_layers": 2,
        "hidden_padding": True,
        "convolution_type": kind,
    }
    of_readout = {"gaussian_mean_scale": 2.0, "gaussian_var_scale": 3.0, "readout_bias": True,
                  "mask_constraint": "abs", "weights_constraint": "norm"}  # fmt: skip
    settings = {
        "in_shape": (N_CHANNELS, 40, 16, 16),
        "core": configured(core),
        "readout": configured(of_readout),
        "data_info": {"stim_mean": 37.2, "stim_std": 30.0},
    }
    return {"state_dict": state, "hyper_parameters": settings, "epoch": 3, "loops": {}}


def configured(values):
    """Objects as omegaconf stores them: content, nodes, and a way back to the parent."""
    holder = DictConfig()
    nodes = {}
    for key, value in values.items():
        nodes[key] = AnyNode()
        nodes[key].__dict__.update(_val=value, _parent=holder)
        if isinstance(value, list):
            nodes[key] = ListConfig()
            nodes[key].__dict__.update(_content=list(value), _parent=holder)
    holder.__dict__.update(_content=nodes, _parent=None, _flags_cache=None)
    return holder


class DictConfig:
    pass


class ListConfig:
    pass


class AnyNode:
    pass


@pytest.fixture
def omegaconf_names(monkeypatch):
    """Stand-ins that are saved under the names of a package that is not installed."""
    import sys
    from types import ModuleType

    for cls, module in (
        (DictConfig, "omegaconf.dictconfig"),
        (ListConfig, "omegaconf.listconfig"),
        (AnyNode, "omegaconf.nodes"),
    ):
        made = ModuleType(module)
        setattr(made, cls.__name__, cls)
        monkeypatch.setattr(cls, "__module__", module)
        monkeypatch.setitem(sys.modules, module, made)
    monkeypatch.setitem(sys.modules, "omegaconf", ModuleType("omegaconf"))
    yield
    # loading must not depend on the stand-ins: tests remove them before they load


@pytest.fixture
def saved_lightning(tmp_path, omegaconf_names, monkeypatch):
    import sys

    def save(kind="custom_separable", readout="Gaussian", sessions=(SESSION,), change=None):
        state, draw = core_state(kind)
        for session in sessions:
            state |= readout_state(readout, draw, session, 6)
        objects = lightning(state, kind, readout)
        path = saved(tmp_path / "a.ckpt", change(objects) if change else objects)
        for name in [name for name in sys.modules if name.startswith("omegaconf")]:
            monkeypatch.delitem(sys.modules, name)
        return path, state

    return save


@pytest.mark.parametrize("readout", ["Gaussian", "factorised"])
@pytest.mark.parametrize("kind", ["custom_separable", "separable", "full"])
def test_movies_become_windows(kind, readout, saved_lightning):
    path, state = saved_lightning(kind, readout)
    network = load_network(path)
    assert network.history == sum(LENGTHS) - 1
    movie = torch.randn(1, N_CHANNELS, network.history, 16, 16, dtype=torch.float64)
    expected = slow_readout(slow_core(movie, state, kind), state, readout, SESSION)[:, -1]
    with torch.no_grad():
        torch.testing.assert_close(network(movie), expected)
        grey = movie.clone()
        grey[:, 1] = 0
        torch.testing.assert_close(network(movie[:, 0]), network(grey))
    assert network.normalisation == Normalisation(mean=37.2, std=30.0)
    facts = describe_checkpoint(path)
    assert facts["sessions"] == {SESSION: 3}
    assert facts["model_type"].endswith("SimpleCoreWrapper")


def test_sessions_are_asked_for(saved_lightning):
    path, state = saved_lightning(sessions=("one", "two"))
    with pytest.raises(ValueError, match=r"'session' is needed: it has 2 \(one, two\)"):
        load_network(path)
    with pytest.raises(ValueError, match="no session 'twi': .* Did you mean 'two'"):
        load_network(path, session="twi")
    movie = torch.randn(2, N_CHANNELS, 13, 16, 16, dtype=torch.float64)
    maps = slow_core(movie, state, "custom_separable")
    expected = slow_readout(maps, state, "Gaussian", "two")[:, -1]
    with torch.no_grad():
        torch.testing.assert_close(load_network(path, session="two")(movie), expected)


def test_contributions_of_a_network_of_movies_close(saved_lightning):
    network = load_network(saved_lightning()[0])
    samples = np.random.default_rng(0).normal(size=(4, network.history, 16, 16))
    found = integrated_gradients(
        network, samples, layers=network.default_layers, target=one_cell(0), n_steps=200
    )
    for contributions in found.values():
        assert np.abs(contributions.gap).max() < 0.02 * np.abs(contributions.values).sum(1).max()


class Holder(dict):
    """A dictionary of another package."""


WAYS = {
    "as a configuration": lambda o: {**o, "hyper_parameters": configured(o["hyper_parameters"])},
    "as another dictionary": lambda o: {**o, "hyper_parameters": Holder(o["hyper_parameters"])},
}


@pytest.mark.parametrize("name", WAYS)
def test_settings_are_stored_in_several_ways(name, saved_lightning):
    network = load_network(saved_lightning(change=WAYS[name])[0])
    assert network.history == sum(LENGTHS) - 1
    assert network.normalisation == Normalisation(mean=37.2, std=30.0)


def without(objects, *keys):
    inner = objects
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return objects


def renamed(objects, old, new):
    state = {k.replace(old, new): v for k, v in objects["state_dict"].items()}
    return {**objects, "state_dict": state}


BAD_LIGHTNING = {
    "no core": (lambda o: without(o, "hyper_parameters", "core"), "no settings of the core"),
    "point readout": (lambda o: renamed(o, "mask_mean", "_mu"), "a point Gaussian readout"),
    "unknown weights": (lambda o: renamed(o, "core.features", "core.gru"), "supported are core"),
    "no readout settings": (
        lambda o: without(o, "hyper_parameters", "readout"),
        "gaussian_mean_scale",
    ),
    "no shape": (lambda o: without(o, "hyper_parameters", "in_shape"), "'in_shape' is None"),
}


@pytest.mark.parametrize("name", BAD_LIGHTNING)
def test_lightning_refused_in_one_line(name, saved_lightning):
    change, words = BAD_LIGHTNING[name]
    path, _ = saved_lightning(change=change)
    with pytest.raises(ValueError, match=words) as caught:
        load_network(path)
    assert str(path) in str(caught.value)


# The door


def made_in_tests():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def test_own_code_with_weights(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    source = f"{made_in_tests.__module__}:made_in_tests"
    state = made_in_tests().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    saved(tmp_path / "w.pt", state)
    saved(tmp_path / "old.pt", {"state_dict": state}, legacy=True)
    for name in ("w.safetensors", "w.pt", "old.pt"):
        network = load_network(source, weights=tmp_path / name)
        assert not network.training
        assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)
    saved(tmp_path / "other.pt", {"1.weight": torch.zeros(3, 3)})
    with pytest.raises(ValueError, match="Cannot load weights from .*other.pt"):
        load_network(source, weights=tmp_path / "other.pt")
    with pytest.raises(ValueError, match="returned a dict, expected an nn.Module"):
        load_network("builtins:dict")
    with pytest.raises(FileNotFoundError, match="No network at builtins:dict"):
        load_network(Path("builtins:dict"))
    with pytest.raises(ValueError, match="'session' does not apply to a function"):
        load_network(source, session="a")


def test_own_folders_and_wrong_options(tmp_path):
    network = DeepRetina(shape=(12, 12), history=5, typical_rate_hz=[5.0], kernels=(5, 3))
    folder = save_network(network, tmp_path / "own")
    assert describe_checkpoint(folder)["model_type"] == "DeepRetina"
    with pytest.raises(ValueError, match="'positions' does not apply to a folder"):
        load_network(folder, positions=centred)
    with pytest.raises(FileNotFoundError, match="Did you mean 'own'"):
        load_network(tmp_path / "own2")
    (tmp_path / "x.pt").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match="it is not what torch.save wrote"):
        load_network(tmp_path / "x.pt")
    saved(tmp_path / "y.pt", {"a.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match="it holds a.weight. Weights alone are loaded with"):
        load_network(tmp_path / "y.pt")


# Damage


def damaged(raw, generator):
    """Return the bytes cut off, or with a few of them changed."""
    raw = bytearray(raw)
    if generator.random() < 0.3:
        return bytes(raw[: generator.integers(len(raw))])
    header = generator.random() < 0.7  # most damage where sizes and names are
    for _ in range(generator.integers(1, 6)):
        at = generator.integers(min(len(raw), 3000) if header else len(raw))
        raw[at] = generator.integers(256)
    return bytes(raw)


@pytest.mark.parametrize("kind", ["zip", "older", "lightning", "safetensors"])
def test_damaged_files_end_in_one_clear_error_or_the_right_result(kind, saved_lightning, tmp_path):
    state = Maker(0).make(order("C2", "dense"))
    if kind == "lightning":
        path, _ = saved_lightning()
    elif kind == "safetensors":
        network = DeepRetina(shape=(12, 12), history=5, typical_rate_hz=[5.0], kernels=(5, 3))
        path = save_network(network, tmp_path / "own") / "weights.safetensors"
    else:
        path = saved(tmp_path / "a.pt", checkpoint(state), legacy=kind == "older")
    whole, generator = path.read_bytes(), np.random.default_rng(1)
    named = path.parent if kind == "safetensors" else path
    shapes = {k: tuple(v.shape) for k, v in load_network(named).state_dict().items()}
    refused = 0
    for _ in range(70):
        path.write_bytes(damaged(whole, generator))
        try:
            network = within(5, lambda: load_network(named))
        except ValueError as error:
            refused += 1
            assert str(named) in str(error)
            assert "\n" not in str(error)
        else:
            assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == shapes
    assert refused > 5
