"""Checkpoints of others, made up from lists of layers, and a slow way to run such lists."""

import torch
from torch.nn import functional

HISTORY, SIDE = 6, 14
KERNELS, CHANNELS, N_CELLS = (5, 3, 3), (4, 3), 2
CENTERS = [(3, 4), (11, 7)]
HIDDEN = {
    "C2": ("conv", "norm", "noise", "act"),
    "C1": ("conv", "flatten", "norm", "reshape", "noise", "act"),
    "A1": ("conv", "flatten", "norm", "noise", "act", "reshape"),
    "D2": ("conv", "noise", "act", "norm"),
}
FINAL = {
    "dense": ("flatten", "linear", "norm", "out"),
    "conv": ("conv", "grab", "norm", "out"),
    "map": ("conv", "norm", "out", "onehot"),
}


def order(hidden, final, n_hidden=2):
    """Names of layers, in order."""
    if hidden == "LN":
        return ("flatten", "dropout", "linear", "out")
    before, end = HIDDEN[hidden] * n_hidden, FINAL[final]
    return (*before[:-1], *end[1:]) if hidden == "A1" else (*before, *end)


class Maker:
    """Draws weights for a list of layers and remembers them beside their numbers."""

    def __init__(
        self,
        seed,
        *,
        norm="torch",
        conv="plain",
        dtype=torch.float64,
        paddings=None,
        bias=True,
        final_stack=False,
        groups=1,
        inner_bias=False,
        sigma=False,
    ):
        self.generator = torch.Generator().manual_seed(seed)
        self.norm, self.conv, self.dtype, self.bias = norm, conv, dtype, bias
        self.paddings, self.final_stack, self.groups = paddings or [0] * 9, final_stack, groups
        self.inner_bias, self.sigma = inner_bias, sigma

    def draw(self, *shape, size=0.3):
        return size * torch.randn(*shape, generator=self.generator, dtype=self.dtype)

    def make(self, layers, kernels=KERNELS, channels=(*CHANNELS, N_CELLS)):
        self.state, size, number_of_conv, shape = {}, (HISTORY, SIDE, SIDE), 0, None
        for number, name in enumerate(layers):
            key = f"sequential.{number}"
            if name == "conv":
                kernel, width = kernels[number_of_conv], channels[number_of_conv]
                last = number_of_conv == len(kernels) - 1 and not self.final_stack
                self.filters(key, size[0], width, kernel, plain=last)
                side = size[1] - kernel + 1 + 2 * self.paddings[number_of_conv]
                size, number_of_conv = (width, side, side), number_of_conv + 1
            elif name == "flatten":
                shape, size = size, (size[0] * size[1] * size[2],)
            elif name == "reshape":
                size = shape
            elif name == "linear":
                self.state[f"{key}.weight"] = self.draw(N_CELLS, size[0], size=0.1)
                size = (N_CELLS,)
            elif name == "norm":
                self.batch_norm(key, size[0])
            elif name == "noise" and self.sigma:
                self.state[f"{key}.sigma"] = torch.full((1,), 0.05, dtype=self.dtype)
            elif name == "grab":
                size = (size[0],)
            elif name == "onehot":
                self.state[f"{key}.w"] = self.draw(size[0], size[1] * size[2])
        return self.state

    def batch_norm(self, key, count, kind=None):
        own = (kind or self.norm) == "abs"
        names = ("scale", "shift") if own else ("weight", "bias")
        self.state[f"{key}.running_mean"] = self.draw(count)
        self.state[f"{key}.running_var"] = self.draw(count).square() + 0.5
        self.state[f"{key}.{names[0]}"] = self.draw(count) + 0.7 * self.draw(count).sign()
        self.state[f"{key}.{names[1]}"] = self.draw(count)
        if not own:
            self.state[f"{key}.num_batches_tracked"] = torch.tensor(7)

    def filters(self, key, below, width, kernel, *, plain):
        if plain or self.conv == "plain":
            groups = 1 if below == HISTORY and self.groups == 1 else self.groups
            self.one(key, below // groups, width, kernel, self.bias)
        elif self.conv == "one2one":
            self.one(f"{key}.first_conv", below, width, 3, False)
            for channel in range(width):
                chain = (kernel - 1) // 2 - 1
                for step in range(chain):
                    self.one(f"{key}.seqs.{channel}.{step}", 1, 1, 3, step == chain - 1)
        else:
            between = {"stack": 1, "stack+dropout": 2, "stack+norm": 2, "stack+both": 3}[self.conv]
            n = (kernel - 1) // 2
            for step in range(n):
                at = f"{key}.convs.{step * between}"
                self.one(at, below if step == 0 else width, width, 3,
                         self.bias if step == n - 1 else self.inner_bias)  # fmt: skip
                if self.conv in ("stack+norm", "stack+both") and step < n - 1:
                    self.batch_norm(f"{key}.convs.{step * between + 1}", width, "abs")

    def one(self, key, below, width, kernel, bias):
        self.state[f"{key}.weight"] = self.draw(width, below, kernel, kernel)
        if bias:
            self.state[f"{key}.bias"] = self.draw(width)


def normed(x, state, key, eps):
    """Batch norm, written out."""
    mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    own = f"{key}.scale" in state
    scale = state[f"{key}.scale"].abs() if own else state[f"{key}.weight"]
    shift = state[f"{key}.shift" if own else f"{key}.bias"]
    view = (1, -1) + (1,) * (x.ndim - 2)
    x = (x - mean.view(view)) / (var.view(view) + eps).sqrt()
    return x * scale.view(view) + shift.view(view)


def filtered(x, state, key, padding):
    """One convolution, or a stack of them one by one."""

    def one(x, at, padding=0, groups=1):
        weight, bias = state[f"{at}.weight"], state.get(f"{at}.bias")
        return functional.conv2d(x, weight, bias, padding=padding, groups=groups)

    if f"{key}.weight" in state:
        groups = x.shape[1] // state[f"{key}.weight"].shape[1]
        return one(x, key, padding, groups)
    inner = sorted(
        {name[len(key) + 1 :].rsplit(".", 1)[0] for name in state if name.startswith(f"{key}.")},
        key=lambda name: [int(part) if part.isdigit() else -1 for part in name.split(".")],
    )
    if "first_conv" in inner:
        x = one(functional.pad(x, (padding,) * 4), f"{key}.first_conv")
        outs = []
        for channel in range(x.shape[1]):
            out = x[:, channel : channel + 1]
            for name in (one_ for one_ in inner if one_.startswith(f"seqs.{channel}.")):
                out = one(out, f"{key}.{name}")
            outs.append(out)
        return torch.cat(outs, dim=1)
    convs = [name for name in inner if f"{key}.{name}.weight" in state]
    for name in inner:
        if name in convs:
            own = padding if name == convs[-1] else min(padding, 1)
            padding -= own
            x = one(x, f"{key}.{name}", own)
        else:
            x = normed(x, state, f"{key}.{name}", 1e-5)
    return x


def run(x, layers, state, *, places=(), paddings=None, out=functional.softplus):
    """Run a list of layers, one operation after the other."""
    paddings, shape, count = list(paddings or [0] * 9), None, 0
    for number, name in enumerate(layers):
        key = f"sequential.{number}"
        if name == "conv":
            x, count = filtered(x, state, key, paddings[count]), count + 1
        elif name == "flatten":
            shape, x = x.shape[1:], x.reshape(len(x), -1)
        elif name == "reshape":
            x = x.reshape(len(x), *shape)
        elif name == "norm":
            x = normed(x, state, key, 1e-3)
        elif name == "act":
            x = x.clamp(min=0)
        elif name == "linear":
            x = x @ state[f"{key}.weight"].T
        elif name == "grab":
            x = torch.stack([x[:, c, row, col] for c, (row, col) in enumerate(places)], dim=1)
        elif name == "out":
            x = out(x)
        elif name == "onehot":
            w = state[f"{key}.w"]
            x = torch.stack(
                [
                    sum(
                        x[:, c].reshape(len(x), -1)[:, i] * (w[c, i] - w[c].min())
                        for i in range(w.shape[1])
                    )
                    * (w[c] - w[c].min()).sum()
                    for c in range(len(w))
                ],
                dim=1,
            )
    return x
