"""Convolutions with large filters, done as products of spatial spectra.

A filter of 15 x 15 taps costs 225 multiplications a pixel in space; a product of spectra costs the
same for filters of any size. Filters are small networks' first layers in the retina.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy import fft

FEWEST_TAPS = 81
PIXEL_COST = 170.0
"""Cost of taking one pixel of one map to its spectrum and back, in multiplications of a direct
convolution; measured on two cores with filters of 11 x 11 and 15 x 15."""


@dataclass(frozen=True)
class Spectra:
    """Spectra of the filters of one layer for inputs of one size, as real matrices.

    Attributes
    ----------
    forth, back
        For each spatial frequency a matrix from channels in (real and imaginary parts) to channels
        out, and the one for the gradient.
    grid
        Size of the transforms.
    out_size
        Size of the maps that come out.
    bias
        Added to the maps.
    """

    forth: Float[torch.Tensor, "frequency in_part out_part"]
    back: Float[torch.Tensor, "frequency out_part in_part"]
    grid: tuple[int, int]
    out_size: tuple[int, int]
    bias: Float[torch.Tensor, " out"] | None


def pays(weight: torch.Tensor, size: tuple[int, int]) -> bool:
    """Whether a convolution (stride 1) of maps of that size is faster as product of spectra."""
    n_out, n_in, *taps = weight.shape
    if taps[0] * taps[1] < FEWEST_TAPS:
        return False
    pixels = size[0] * size[1]
    out_pixels = (size[0] - taps[0] + 1) * (size[1] - taps[1] + 1)
    direct = n_in * n_out * taps[0] * taps[1] * out_pixels
    return direct > PIXEL_COST * (n_in + n_out) * pixels + 2 * n_in * n_out * pixels


def spectra(
    weight: Float[torch.Tensor, "out in ky kx"],
    bias: Float[torch.Tensor, " out"] | None,
    size: tuple[int, int],
) -> Spectra:
    """Prepare the filters of a layer (cross-correlation, no padding) for maps of one size."""
    grid = tuple(fft.next_fast_len(n, real=True) for n in size)
    out_size = tuple(n - k + 1 for n, k in zip(size, weight.shape[2:], strict=True))
    transformed = torch.fft.rfft2(weight, s=grid).permute(2, 3, 1, 0).flatten(0, 1)
    forth = _as_real(transformed.conj().resolve_conj())
    back = _as_real(transformed.transpose(1, 2))
    return Spectra(forth, back, grid, out_size, bias)


def convolution(
    maps: Float[torch.Tensor, "batch in y x"], filters: Spectra
) -> Float[torch.Tensor, "batch out out_y out_x"]:
    """Convolve maps with filters whose spectra are known; differentiable with respect to the maps.

    Examples
    --------
    >>> maps, weight = torch.randn(2, 3, 20, 20), torch.randn(4, 3, 9, 9)
    >>> result = convolution(maps, spectra(weight, None, (20, 20)))
    >>> bool((result - torch.conv2d(maps, weight)).abs().max() < 1e-3)
    True
    """
    return _Convolution.apply(maps, filters)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, maps, filters):
        ctx.filters, ctx.in_size = filters, maps.shape[2:]
        out = _through(maps, filters.forth, filters.grid, filters.out_size)
        return out if filters.bias is None else out.add_(filters.bias[:, None, None])

    @staticmethod
    def backward(ctx, gradient):
        return _through(gradient, ctx.filters.back, ctx.filters.grid, ctx.in_size), None


def _through(maps, matrices, grid, size):
    """Take maps to their spectra, mix the channels at each frequency, and take them back.

    The transforms are SciPy's: on a processor they are faster than those of torch.
    """
    spectrum = torch.from_numpy(fft.rfft2(maps.detach().numpy(), s=grid)).permute(2, 3, 0, 1)
    n_y, n_x, n_maps, _ = spectrum.shape
    parts = torch.view_as_real(spectrum.contiguous()).reshape(n_y * n_x, n_maps, -1)
    mixed = torch.bmm(parts, matrices).view(n_y, n_x, n_maps, -1, 2)
    spectrum = torch.view_as_complex(mixed).permute(2, 3, 0, 1).numpy()
    # In two steps, because rows that nobody wants need not be taken back.
    rows = fft.ifft(spectrum, axis=-2)[..., : size[0], :]
    return torch.from_numpy(fft.irfft(rows, n=grid[1])[..., : size[1]]).contiguous()


def _as_real(matrices: torch.Tensor) -> torch.Tensor:
    """Complex matrices "frequency in out" as real ones that act on (real, imaginary) pairs."""
    n, n_in, n_out = matrices.shape
    real = matrices.real.new_empty(n, n_in, 2, n_out, 2)
    real[:, :, 0, :, 0] = real[:, :, 1, :, 1] = matrices.real
    real[:, :, 0, :, 1] = matrices.imag
    real[:, :, 1, :, 0] = -matrices.imag
    return real.reshape(n, 2 * n_in, 2 * n_out)
