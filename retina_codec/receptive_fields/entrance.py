"""The convolution through which the stimulus enters a network, and fields kept as gradients there.

A gradient at the output of the first convolution is small: "channel y x" instead of "lag y x". The
field follows from it exactly, through the filters, whenever somebody asks.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from retina_codec.contributions import bypassed

AT_ONCE = 16
"""Fields whose spectra are in memory together: a few megabytes, so that they stay in the cache."""

SQUARINGS = 12
"""The products of lags are raised to the power 2 ** 12: what is 1 % weaker than the first singular
value is gone."""


@dataclass(frozen=True)
class Entrance:
    """A convolution (stride 1, no padding) that takes windows "lag y x" and is no one's bypass.

    Attributes
    ----------
    layer
        Its name.
    weight
        Filters "channel lag y x".
    size
        Height and width of the stimulus.

    Examples
    --------
    >>> entrance = Entrance("conv", torch.ones(1, 2, 3, 3), (4, 4))
    >>> gradients = np.zeros((1, 1, 2, 2), np.float32)
    >>> gradients[0, 0, 0, 1] = 1.0  # one unit of the convolution drives the cell
    >>> entrance.fields(gradients)[0, 0].tolist()
    [[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    layer: str
    weight: Float[torch.Tensor, "channel lag ky kx"]
    size: tuple[int, int]

    def fields(
        self, gradients: Float[np.ndarray, "item channel oy ox"]
    ) -> Float[np.ndarray, "item lag y x"]:
        """Take gradients behind the convolution to the window.

        Parameters
        ----------
        gradients
            Of a response with respect to what the convolution puts out.

        Returns
        -------
        Gradients of the response with respect to the window, oldest lag first.
        """
        given = torch.as_tensor(np.ascontiguousarray(gradients)).to(self.weight)
        return nn.functional.conv_transpose2d(given, self.weight).cpu().numpy()

    def first_products(
        self, gradients: Float[np.ndarray, "item channel oy ox"]
    ) -> tuple[
        Float[np.ndarray, "item y x"], Float[np.ndarray, "item lag"], Float[np.ndarray, " item"]
    ]:
        """Return map, time course and share of power of the product nearest to each field.

        The fields themselves are never made: the products between lags are sums over spatial
        frequencies (Parseval), and the map is the only thing that is taken back to space.

        Parameters
        ----------
        gradients
            As in `fields`.

        Returns
        -------
        Maps of unit norm; time courses, positive at their strongest lag; shares from 0 to 1.
        """
        found = [
            self._some_products(torch.as_tensor(np.ascontiguousarray(gradients[i : i + AT_ONCE])))
            for i in range(0, max(len(gradients), 1), AT_ONCE)
        ]
        space, time_course, share = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
        return space, time_course, share

    def _some_products(self, gradients):
        n_lags = self.weight.shape[1]
        spectrum = self._spectrum(gradients.to(self._filters))
        mixed = torch.bmm(spectrum, self._back)  # "frequency item part_of_lag"
        field = mixed.view(*mixed.shape[:2], n_lags, 2).permute(1, 2, 0, 3).flatten(2)
        products = torch.bmm(field, field.mT)
        power = products.diagonal(dim1=1, dim2=2).sum(dim=1)
        lags = strongest_direction(products.double()).float()
        time_course = (products @ lags[:, :, None])[:, :, 0]
        strength = (time_course * lags).sum(dim=1)  # of the first product, squared singular value
        norm = strength.clamp(min=0).sqrt().clamp(min=torch.finfo(strength.dtype).tiny)
        time_course = time_course / norm[:, None]
        across = torch.bmm(lags[:, None], field)[:, 0].unflatten(1, (-1, 2)) / norm[:, None, None]
        space = torch.fft.irfft2(torch.view_as_complex(self._unweighted(across)), s=self.size)
        peak = time_course.gather(1, time_course.abs().argmax(dim=1, keepdim=True))
        sign = torch.where(peak < 0, -1.0, 1.0)
        share = strength / power.clamp(min=torch.finfo(power.dtype).tiny)
        return space * sign[:, :, None], time_course * sign, share.double()

    def _spectrum(self, gradients):
        """Spectra "frequency item part_of_channel": the transform as two products of matrices."""
        across, down = self._transforms
        rows = torch.einsum("icyx,xfp->yfpic", gradients, across)
        n_items, n_channels = gradients.shape[:2]
        columns = torch.einsum("yfpn,yhpq->hfnq", rows.flatten(3), down)
        return columns.reshape(-1, n_items, n_channels * 2)

    @cached_property
    def _filters(self):
        """The weights in single precision, where the separation is computed."""
        return self.weight.float().cpu()

    @cached_property
    def _transforms(self):
        """Discrete Fourier transforms of rows (half of the frequencies) and of columns."""
        height, width = (n - k + 1 for n, k in zip(self.size, self.weight.shape[2:], strict=True))
        across = torch.fft.rfft(torch.eye(self.size[1])[:width], dim=1)
        down = torch.fft.fft(torch.eye(self.size[0])[:height], dim=1)
        by_real = torch.view_as_real(down)
        by_imaginary = torch.view_as_real(1j * down)
        return torch.view_as_real(across), torch.stack([by_real, by_imaginary], dim=2)

    @cached_property
    def _weights(self):
        """Parseval: each column of the half spectrum counts twice, but those of no partner."""
        n = self.size[1]
        counts = torch.full((n // 2 + 1,), 2.0)
        counts[0] = 1.0
        if n % 2 == 0:
            counts[-1] = 1.0
        return counts.sqrt() / math.sqrt(math.prod(self.size))

    @cached_property
    def _back(self):
        """For each frequency, from parts of channels to weighted parts of lags."""
        filters = torch.fft.rfft2(self._filters, s=self.size) * self._weights
        matrices = filters.permute(2, 3, 0, 1).flatten(0, 1)
        parts = torch.stack([torch.view_as_real(matrices), torch.view_as_real(1j * matrices)], 2)
        return parts.reshape(len(parts), 2 * self.weight.shape[0], -1).contiguous()

    def _unweighted(self, across):
        grid = across.unflatten(1, (self.size[0], -1))
        return (grid / self._weights[:, None]).contiguous()


def strongest_direction(products: Float[torch.Tensor, "item n n"]) -> Float[torch.Tensor, "item n"]:
    """First eigenvector of symmetric matrices without negative eigenvalues, by repeated squaring.

    Examples
    --------
    >>> strongest_direction(torch.tensor([[[4.0, 0.0], [0.0, 1.0]]])).abs().tolist()
    [[1.0, 0.0]]
    """
    tiny = torch.finfo(products.dtype).tiny
    power = products
    for _ in range(SQUARINGS):
        power = power / power.abs().amax(dim=(1, 2), keepdim=True).clamp(min=tiny)
        power = torch.bmm(power, power)
    column = power.diagonal(dim1=1, dim2=2).argmax(dim=1)
    vector = power.gather(2, column[:, None, None].expand(-1, power.shape[1], 1))[:, :, 0]
    return vector / vector.norm(dim=1, keepdim=True).clamp(min=tiny)


def entrance_of(network: nn.Module, sample: torch.Tensor) -> Entrance | None:
    """Find the convolution through which everything enters; None if the network has none.

    Parameters
    ----------
    network
        Frozen.
    sample
        One window "1 lag y x".

    Returns
    -------
    A convolution of stride 1 without padding that alone takes the window; None where the window
    goes elsewhere too, or is changed before.

    Examples
    --------
    >>> from retina_codec.contributions import frozen
    >>> network = nn.Sequential(nn.Conv2d(2, 3, kernel_size=3), nn.ReLU(), nn.Flatten())
    >>> with frozen(network):
    ...     entrance = entrance_of(network, torch.zeros(1, 2, 5, 5))
    >>> entrance.layer, entrance.weight.shape, entrance.size
    ('0', torch.Size([3, 2, 3, 3]), (5, 5))
    """
    found: list[tuple[str, nn.Conv2d]] = []

    def look(name):
        def hook(module, inputs):
            if inputs and inputs[0] is sample:
                found.append((name, module))

        return hook

    convolutions = {
        name: module for name, module in network.named_modules() if type(module) is nn.Conv2d
    }
    handles = [m.register_forward_pre_hook(look(name)) for name, m in convolutions.items()]
    try:
        with torch.no_grad():
            network(sample)
    finally:
        for handle in handles:
            handle.remove()
    if len(found) != 1 or not _is_plain(found[0][1]):
        return None
    layer, module = found[0]
    if bypassed(network, sample, [layer], lambda output: output.sum())[layer]:
        return None
    return Entrance(layer, module.weight.detach(), tuple(sample.shape[2:]))


def _is_plain(module: nn.Conv2d) -> bool:
    return (
        module.stride == (1, 1)
        and module.padding in ((0, 0), "valid")
        and module.dilation == (1, 1)
        and module.groups == 1
    )


@dataclass(frozen=True)
class LazyFields:
    """Fields "item lag y x" that are kept as gradients behind the entrance, and made when sliced.

    Attributes
    ----------
    gradients
        Behind the entrance, "item channel y x"; an array, or one in a Zarr store.
    entrance
        The convolution that takes them to the window.

    Examples
    --------
    >>> entrance = Entrance("conv", torch.ones(1, 2, 3, 3), (4, 4))
    >>> fields = LazyFields(np.ones((5, 1, 2, 2), np.float32), entrance)
    >>> fields.shape, float(fields[0][0, 1, 1])
    ((5, 2, 4, 4), 4.0)
    """

    gradients: Any
    entrance: Entrance
    ndim = 4

    @property
    def dtype(self) -> np.dtype:
        """That of the gradients."""
        return self.gradients.dtype

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As if they were there."""
        return (len(self), self.entrance.weight.shape[1], *self.entrance.size)

    def __len__(self) -> int:
        return self.gradients.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Make the fields of some items; further axes are sliced from these."""
        first, *others = index if isinstance(index, tuple) else (index,)
        if isinstance(first, (int, np.integer)):
            if not -len(self) <= first < len(self):
                msg = f"There are {len(self)} fields, got number {first}."
                raise IndexError(msg)
            return self[[int(first)]][(0, *others)]
        if first is Ellipsis:
            first, others = slice(None), [Ellipsis, *others]
        return self.entrance.fields(self.gradients[first])[(slice(None), *others)]

    def first_products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return map, time course and separability of each; NaN where a field is zero.

        Returns
        -------
        As in `Entrance.first_products`; the fields themselves are not made.
        """
        space, time_course, share = self.entrance.first_products(self.gradients)
        for found in (space, time_course, share):
            found[share == 0] = np.nan
        return space, time_course, share

    def reshape(self, *shape: int) -> np.ndarray:
        """Make all of them, in another shape.

        Parameters
        ----------
        *shape
            As in ``numpy.ndarray.reshape``.
        """
        return self[:].reshape(*shape)

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Any:
        """Make all of them, and return their mean.

        Parameters
        ----------
        axis
            As in ``numpy.ndarray.mean``.
        """
        return self[:].mean(axis=axis)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Make all of them."""
        return self[:].astype(dtype or self.dtype, copy=False)
