"""Look into a network while it runs, and leave it exactly as it was."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Hold a network in evaluation mode, without gradients for parameters, and then set it back."""
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

    Raises
    ------
    ValueError
        If a layer is unknown or, when it runs, puts out no single tensor.
    """
    modules = {layer: named_module(network, layer) for layer in layers}

    def hook_of(layer):
        def hook(module, inputs, output):
            if not isinstance(output, torch.Tensor):
                msg = f"Layer {layer!r} puts out a {type(output).__name__}, expected one tensor."
                raise ValueError(msg)
            return instead(layer, output)

        return hook

    handles = [module.register_forward_hook(hook_of(layer)) for layer, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def probed(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Keep what each layer puts out, ready for gradients, in the dictionary that the block gets.

    The graph begins at the earliest of the layers: nothing below it is differentiated. Layers
    further down hand on a copy, so that operations in place do not change what was kept.

    Raises
    ------
    ValueError
        If a layer is unknown, runs more than once in a pass, or puts out no single tensor.
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
    """Return the module of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists all and guesses.
    """
    modules = dict(network.named_modules())
    modules.pop("", None)
    if layer in modules:
        return modules[layer]
    close = difflib.get_close_matches(layer, modules, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    msg = f"No layer {layer!r} in the network. Layers: {', '.join(modules)}.{guess}"
    raise ValueError(msg)
