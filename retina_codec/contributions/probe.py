"""Look into a network while it runs, and leave it exactly as it was."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

INPUT = ":input"
"""End of the name of a layer that is not what a module puts out, but what it takes in."""


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Hold a network in evaluation mode, without gradients for parameters, and then set it back.

    Parameters
    ----------
    network
        Any module.

    Yields
    ------
    nn.Module
        The same network.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> with frozen(network):
    ...     network.training, network.weight.requires_grad
    (False, False)
    >>> network.training, network.weight.requires_grad
    (True, True)
    """
    modes = [(module, module.training) for module in network.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        network.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield network
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


@contextmanager
def hooked(
    network: nn.Module,
    layers: Sequence[str],
    instead: Callable[[str, torch.Tensor], torch.Tensor],
) -> Iterator[None]:
    """Let each layer hand on ``instead(layer, output)`` while the block lasts.

    A layer "module:input" is what a module takes in as its first argument; only this module then
    gets what is handed on. So units have a name also where no module puts them out: those of
    attention heads are "blocks.3.attn.proj:input" in many transformers.

    Parameters
    ----------
    network
        Any module.
    layers
        Names from ``network.named_modules()``, possibly with ":input".
    instead
        From the name of a layer and its output to what it hands on.

    Raises
    ------
    ValueError
        If a layer is unknown or, when it runs, puts out (or takes in) no single tensor.

    Examples
    --------
    >>> network = nn.Sequential(nn.ReLU(), nn.Flatten())
    >>> with hooked(network, ["1:input"], lambda layer, output: 2 * output):
    ...     network(torch.ones(1, 1))
    tensor([[2.]])
    """
    modules = {layer: named_module(network, layer) for layer in layers}

    def output_hook(layer):
        def hook(module, inputs, output):
            return instead(layer, one_tensor(layer, output, "puts out"))

        return hook

    def input_hook(layer):
        def hook(module, inputs):
            first, *others = inputs or (None,)
            # A copy: what others do to the same tensor in place is no part of this layer.
            own = one_tensor(layer, first, "takes in").clone()
            return instead(layer, own), *others

        return hook

    handles = [
        module.register_forward_pre_hook(input_hook(layer))
        if layer.endswith(INPUT)
        else module.register_forward_hook(output_hook(layer))
        for layer, module in modules.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def one_tensor(layer: str, value: Any, does: str) -> torch.Tensor:
    """Return what a layer puts out or takes in, or raise an error if it is no tensor.

    Raises
    ------
    ValueError
        If so.
    """
    if not isinstance(value, torch.Tensor):
        msg = f"Layer {layer!r} {does} a {type(value).__name__}, expected one tensor."
        raise ValueError(msg)
    return value


@contextmanager
def probed(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Keep what each layer puts out, ready for gradients, in the dictionary that the block gets.

    The graph begins at the earliest of the layers: nothing below it is differentiated. Layers
    further down hand on a copy, so that operations in place do not change what was kept.

    Parameters
    ----------
    network
        Any module.
    layers
        Names from ``network.named_modules()``, possibly with ":input".

    Yields
    ------
    dict
        By layer; filled when the network runs.

    Raises
    ------
    ValueError
        If a layer is unknown, runs more than once in a pass, or puts out no single tensor.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with probed(network, ["1"]) as kept:
    ...     output = network(torch.ones(5, 2))
    >>> (gradient,) = torch.autograd.grad(output.sum(), kept["1"])
    >>> gradient.shape
    torch.Size([5, 3])
    """
    kept: dict[str, torch.Tensor] = {}

    def keep(layer, output):
        kept[layer] = once(kept, layer, differentiable(output))
        return kept[layer].clone()

    with hooked(network, layers, keep):
        yield kept


def differentiable(output: torch.Tensor) -> torch.Tensor:
    """Return the tensor, as the begin of a graph unless it is part of one."""
    return output if output.requires_grad else output.detach().requires_grad_()


def once(kept: dict[str, torch.Tensor], layer: str, output: torch.Tensor) -> torch.Tensor:
    """Return the output, or raise an error if the layer ran before in the same pass.

    Raises
    ------
    ValueError
        If it did.
    """
    if layer in kept:
        msg = f"Layer {layer!r} runs more than once in a pass; name a layer that runs once."
        raise ValueError(msg)
    return output


def bypassed(
    network: nn.Module,
    sample: torch.Tensor,
    layers: Sequence[str],
    value: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, bool]:
    """For each layer, whether the stimulus reaches the target also round it.

    Parameters
    ----------
    network
        In evaluation mode.
    sample
        One input "1 ...".
    layers
        Each is cut in turn: what it puts out no longer depends on the input.
    value
        Target, from the output of the network.

    Returns
    -------
    dict
        By layer.

    Raises
    ------
    ValueError
        If a layer is unknown, or puts out no single tensor.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> bypassed(network, torch.ones(1, 2), ["0"], lambda output: output.sum())
    {'0': False}
    """
    found = {}
    for layer in layers:
        with (
            torch.enable_grad(),
            hooked(network, [layer], lambda _, output: output.detach().clone()),
        ):
            start = sample.detach().requires_grad_()
            found[layer] = bool(value(network(start.clone())).requires_grad)
    return found


def named_module(network: nn.Module, layer: str) -> nn.Module:
    """Return the module of that name; of "module:input" it is the one before the colon.

    Parameters
    ----------
    network
        Any module.
    layer
        Its name.

    Raises
    ------
    ValueError
        If there is none; the message lists all and guesses.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> named_module(network, "1:input")
    ReLU()
    """
    modules = dict(network.named_modules())
    modules.pop("", None)
    name = layer.removesuffix(INPUT)
    if name in modules:
        return modules[name]
    close = difflib.get_close_matches(name, modules, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    msg = f"No layer {layer!r} in the network. Layers: {', '.join(modules)}.{guess}"
    raise ValueError(msg)
