"""The three to five sentences that come first: what a run found in the last layer, and what not."""

from collections.abc import Iterator, Mapping
from typing import Any

CALLED = 0.05
Numbers = Mapping[str, Any]


def headlines(prediction: Numbers, layers: Mapping[str, Numbers]) -> list[str]:
    """Say first what matters most, each with its n, and its interval or control.

    Parameters
    ----------
    prediction, layers
        Numbers of the summary; of several layers the last one speaks, which is nearest to the
        cells, whatever its numbers are.
    """
    sentences = [_prediction(prediction)]
    if layers:
        layer, found = list(layers.items())[-1]
        sentences += [_modes(layer, found), _removal(layer, found), *_fields(layer, found)]
        sentences += _not_supported(layer, found)
    return sentences


def said(value: float | None, form: str = ".2f") -> str:
    """Write a number, or say that there is none."""
    return "(no number)" if value is None else format(value, form)


def span(numbers: Numbers, name: str) -> str:
    """Write an interval, where there is one."""
    low, high = numbers.get(f"{name}, from"), numbers.get(f"{name}, to")
    return "too few for an interval" if low is None else f"{low:.2f} to {high:.2f}"


def _prediction(numbers: Numbers) -> str:
    return (
        f"Prediction: on {numbers['samples']} samples that were held out the network predicts "
        f"n = {numbers['cells']} cells with a mean r of {said(numbers['mean r'])} (95 % interval "
        f"over cells: {span(numbers, 'mean r')}); a linear-nonlinear model reaches "
        f"{said(numbers['mean r of the LN model'])} (difference: {span(numbers, 'difference')})."
        f"{_doubt(numbers)}"
    )


def _doubt(numbers: Numbers) -> str:
    """Warn where what follows is about a network that is not like the retina."""
    lowest = numbers["mean r, from"] if numbers["mean r, from"] is not None else numbers["mean r"]
    if lowest is not None and lowest > 0:
        return ""
    return (
        " That is no better than chance: what follows describes the network, and says nothing "
        "about the retina. Train it longer or on a longer recording."
    )


def _modes(layer: str, numbers: Numbers) -> str:
    return (
        f"Modes: in layer {layer}, n = {numbers['modes alive']} sparse modes explain "
        f"{said(numbers['held-out R2'], '.0%')} of the variance of what interneurons contribute to "
        f"the target ({numbers['target']}) on samples held out, with "
        f"{said(numbers['active modes in a sample (mean)'], '.1f')} of them active at a time; "
        f"{numbers['modes that come back']} come back when the fit is repeated with other seeds "
        "and other stretches of time."
    )


def _removal(layer: str, numbers: Numbers) -> str:
    own = numbers["mean |change of rate| without a mode's channels"]
    control = numbers["mean |change of rate| without random channels"]
    return (
        f"Removal: the channels of each of n = {numbers['modes alive']} modes of layer {layer} "
        "were removed from the network. Over cells, the loss of rate goes with how much a cell "
        f"goes with the mode: r = {said(numbers['r of loss with mode-cell correlation'])}, for as "
        f"many random channels r = {said(numbers['the same for random channels'])}. The mean "
        f"change of rate is {said(own, '.0%')}, with random channels {said(control, '.0%')}."
    )


def _fields(layer: str, numbers: Numbers) -> Iterator[str]:
    held = numbers.get("field held by modes")
    if held is not None:
        yield (
            f"Receptive fields: modes of layer {layer} hold {held:.0%} of the power of the fields "
            f"of single moments (mean over n = {numbers['cells with fields']} cells), with "
            f"loadings shifted in time {said(numbers['field held, shifted'], '.0%')} (95 % "
            f"interval of the difference: {span(numbers, 'field held beyond shifted')})."
        )


def _not_supported(layer: str, numbers: Numbers) -> Iterator[str]:
    """Say in one sentence what was asked and not found."""
    missing = [*_no_larger(numbers), *_no_spikes(numbers), *_no_types(numbers)]
    if missing:
        yield f"Asked and not found in layer {layer}: {'; '.join(missing)}."


def _no_larger(numbers: Numbers) -> Iterator[str]:
    low = numbers.get("modes beyond these, from")
    if low is not None and low <= 0:
        yield (
            "that modes say more about the shape of a field than rate, target and contrast do "
            f"(95 % interval of the difference in R²: {span(numbers, 'modes beyond these')})"
        )


def _no_spikes(numbers: Numbers) -> Iterator[str]:
    tested = numbers["pairs of cell and mode tested for spikes"]
    if tested and not numbers["of these with spikes beyond the rate"]:
        yield (
            "that modes explain recorded spikes beyond the predicted rate (0 of n = "
            f"{tested} pairs of cell and mode, q < {CALLED})"
        )


def _no_types(numbers: Numbers) -> Iterator[str]:
    p = numbers["p of the silhouette (shifted loadings)"]
    if numbers["types of cells chosen"] == 1 or (p is not None and p >= CALLED):
        yield f"types of cells by their modes (p = {said(p, '.2g')}, beside shifted loadings)"
