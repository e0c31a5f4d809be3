"""Derivatives that belong to the intervals of a path instead of its points.

Between two points of the path an elementwise nonlinearity f has the slope
``(f(b) - f(a)) / (b - a)``. Passing gradients back with these slopes gives, for each interval, a
gradient whose product with the change of any layer that cuts the network is the change of the
target, with no error of the step. For other operations the mean of the derivatives at the two
points is taken, which is exact for products. As the steps shrink, both go to the derivative.

Gradients of interval i, from point i-1 to point i, are kept at point i; those at point 0 are 0.
Points and samples share one axis, points first; transposing a tensor moves it.

References
----------
Shrikumar et al. (2017), Proceedings of Machine Learning Research 70:3145-3153: the rescale rule,
which is one such step from the baseline to the sample.
Harten, Lax and van Leer (1983), SIAM Review 25:35-61: mean value slopes along a path.
"""

import torch


def secant(func, args, kwargs, n_points, axis):
    """Apply an elementwise function of one moving tensor, which has the points on that axis."""
    return _Secant.apply(args[0], func, args[1:], kwargs, (n_points, axis))


def averaged(func, args, kwargs, moving, n_points, axis_of):
    """Apply any other function; returns what it returns.

    Parameters
    ----------
    func, args, kwargs
        The function and what it is called with.
    moving
        Those tensors among its arguments that change along the path.
    n_points
        Points of the path.
    axis_of
        From a tensor to the axis that holds the points.
    """
    if not torch.is_grad_enabled():
        return func(*args, **kwargs)
    flat: list[torch.Tensor] = []
    numbers = {id(t) for t in moving}
    form = _take(([*args], dict(kwargs)), flat, lambda t: id(t) in numbers)
    shapes: list = []
    places = (n_points, [axis_of(tensor) for tensor in flat], axis_of)
    out = _Averaged.apply(func, form, places, shapes, *flat)
    return _put(shapes[0], list(out))


class _Secant(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, func, args, kwargs, place):
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        out = func(x.clone() if func.__name__.endswith("_") else x, *args, **kwargs)
        ctx.save_for_backward(x, out)
        ctx.function, ctx.place = (func, args, kwargs), place
        return out

    @staticmethod
    def backward(ctx, gradient):
        x, out, gradient = (points_first(t, *ctx.place) for t in (*ctx.saved_tensors, gradient))
        step = x[1:] - x[:-1]
        change = out[1:] - out[:-1]
        near = _is_lost_in_rounding(change, step, x, out)
        slope = change / torch.where(near, 1.0, step)
        if near.any():
            slope[near] = _derivative(ctx.function, (x[:-1] + step / 2)[near])
        result = torch.zeros_like(x)
        torch.mul(slope, gradient[1:], out=result[1:])
        return points_back(result, ctx.place[1]), None, None, None, None


def points_first(tensor, n_points, axis):
    """Give the points an axis of their own, the first."""
    return tensor.movedim(axis, 0).unflatten(0, (n_points, -1))


def points_back(tensor, axis):
    """Undo `points_first`."""
    return tensor.flatten(0, 1).movedim(0, axis)


def _is_lost_in_rounding(change, step, x, out):
    """Where the derivative in the middle of a step is closer to its slope than the difference.

    The first errs by the square of the step, the second by a rounding divided by the step.
    """
    least = (24 * torch.finfo(x.dtype).eps) ** (1 / 3)
    small = change.abs() <= least * torch.maximum(out[1:].abs(), out[:-1].abs())
    return small & (step.abs() <= least * (1 + x[1:].abs()))


def _derivative(function, x):
    func, args, kwargs = function
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(func(x.clone(), *args, **kwargs).sum(), x)
    return slope


class _Averaged(torch.autograd.Function):
    @staticmethod
    def forward(ctx, func, form, places, shapes, *flat):
        with torch.enable_grad():
            inner = [t.detach().requires_grad_(t.is_floating_point()) for t in flat]
            args, kwargs = _put(form, [t.clone() for t in inner])
            outputs: list[torch.Tensor] = []
            shapes.append(_take(func(*args, **kwargs), outputs, lambda t: True))
        n_points, axes, axis_of = places
        ctx.inner, ctx.outputs, ctx.n_points = inner, outputs, n_points
        ctx.axes, ctx.out_axes = axes, [axis_of(out) for out in outputs]
        return tuple(t.detach() for t in outputs)

    @staticmethod
    def backward(ctx, *gradients):
        wanted = [(t, axis) for t, axis in zip(ctx.inner, ctx.axes, strict=True) if t.requires_grad]
        used = [
            (out, g, axis)
            for out, g, axis in zip(ctx.outputs, gradients, ctx.out_axes, strict=True)
            if g is not None and out.requires_grad
        ]
        inner, outputs = [t for t, _ in wanted], [out for out, _, _ in used]
        after = _products(outputs, inner, [g for _, g, _ in used])
        first = [_shifted(g, ctx.n_points, axis, -1) for _, g, axis in used]
        before = _products(outputs, inner, first)
        means = iter(
            (a + _shifted(b, ctx.n_points, axis, 1)) / 2
            for a, b, (_, axis) in zip(after, before, wanted, strict=True)
        )
        result = (next(means) if t.requires_grad else None for t in ctx.inner)
        return None, None, None, None, *result


def _products(outputs, inner, cotangents):
    return torch.autograd.grad(
        outputs, inner, cotangents, retain_graph=True, materialize_grads=True
    )


def _shifted(gradient, n_points, axis, by):
    """Move what belongs to a point to the point after (by 1) or before (by -1); 0 comes in."""
    shifted = points_first(gradient, n_points, axis).roll(by, 0)
    shifted[0 if by == 1 else -1] = 0
    return points_back(shifted, axis)


def _take(value, found, wanted):
    """Return the value with the wanted tensors replaced by their number in `found`."""
    if isinstance(value, torch.Tensor) and wanted(value):
        found.append(value)
        return _Place(len(found) - 1)
    if isinstance(value, dict):
        return {key: _take(inner, found, wanted) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_take(inner, found, wanted) for inner in value])
    return value


def _put(form, values):
    if isinstance(form, _Place):
        return values[form]
    if isinstance(form, dict):
        return {key: _put(inner, values) for key, inner in form.items()}
    if type(form) in (list, tuple):
        return type(form)([_put(inner, values) for inner in form])
    return form


class _Place(int):
    """Number of a tensor among the arguments."""
