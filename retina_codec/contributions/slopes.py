"""Derivatives that belong to the intervals of a path instead of its points.

Between two points of the path an elementwise nonlinearity f has the slope
``(f(b) - f(a)) / (b - a)``. Passing gradients back with these slopes gives, for each interval, a
gradient whose product with the change of any layer that cuts the network is the change of the
target, with no error of the step. For other operations the mean of the derivatives at the two
points is taken, which is exact for products. As the steps shrink, both go to the derivative.

Gradients of interval i, from point i-1 to point i, are kept at point i; those at point 0 are 0.

References
----------
Shrikumar et al. (2017), Proceedings of Machine Learning Research 70:3145-3153: the rescale rule,
which is one such step from the baseline to the sample.
Harten, Lax and van Leer (1983), SIAM Review 25:35-61: mean value slopes along a path.
"""

import torch

NEARLY_EQUAL = 1e-3


def secant(func, args, kwargs, n_points):
    """Apply an elementwise function of one moving tensor."""
    return _Secant.apply(args[0], func, args[1:], kwargs, n_points)


def averaged(func, args, kwargs, moving, n_points):
    """Apply any other function; returns what it returns."""
    if not torch.is_grad_enabled():
        return func(*args, **kwargs)
    flat: list[torch.Tensor] = []
    numbers = {id(t) for t in moving}
    form = _take(([*args], dict(kwargs)), flat, lambda t: id(t) in numbers)
    shapes: list = []
    out = _Averaged.apply(func, form, n_points, shapes, *flat)
    return _put(shapes[0], list(out))


class _Secant(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, func, args, kwargs, n_points):
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        x = x.clone() if func.__name__.endswith("_") else x
        out = func(x, *args, **kwargs)
        ctx.save_for_backward(x, out)
        ctx.function, ctx.n_points = (func, args, kwargs), n_points
        return out

    @staticmethod
    def backward(ctx, gradient):
        x, out = (t.unflatten(0, (ctx.n_points, -1)) for t in ctx.saved_tensors)
        before, after = x[:-1], x[1:]
        step = after - before
        near = step.abs() <= NEARLY_EQUAL * torch.maximum(before.abs(), after.abs())
        slope = (out[1:] - out[:-1]) / torch.where(near, 1.0, step)
        if near.any():
            slope[near] = _derivative(ctx.function, ((before + after) / 2)[near])
        result = torch.zeros_like(x)
        torch.mul(slope, gradient.unflatten(0, (ctx.n_points, -1))[1:], out=result[1:])
        return result.flatten(0, 1), None, None, None, None


def _derivative(function, x):
    func, args, kwargs = function
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(func(x.clone(), *args, **kwargs).sum(), x)
    return slope


class _Averaged(torch.autograd.Function):
    @staticmethod
    def forward(ctx, func, form, n_points, shapes, *flat):
        with torch.enable_grad():
            inner = [t.detach().requires_grad_(t.is_floating_point()) for t in flat]
            args, kwargs = _put(form, [t.clone() for t in inner])
            outputs: list[torch.Tensor] = []
            shapes.append(_take(func(*args, **kwargs), outputs, lambda t: True))
        ctx.inner, ctx.outputs, ctx.n_points = inner, outputs, n_points
        return tuple(t.detach() for t in outputs)

    @staticmethod
    def backward(ctx, *gradients):
        wanted = [t for t in ctx.inner if t.requires_grad]
        used = [
            (out, g)
            for out, g in zip(ctx.outputs, gradients, strict=True)
            if g is not None and out.requires_grad
        ]
        after = _products(used, wanted, [g for _, g in used])
        before = _products(used, wanted, [_earlier(g, ctx.n_points) for _, g in used])
        means = iter(
            (a + _later(b, ctx.n_points)) / 2
            for a, b in zip(after, before, strict=True)
        )
        result = (next(means) if t.requires_grad else None for t in ctx.inner)
        return None, None, None, None, *result


def _products(used, wanted, cotangents):
    return torch.autograd.grad(
        [out for out, _ in used], wanted, cotangents, retain_graph=True, materialize_grads=True
    )


def _earlier(gradient, n_points):
    """Put what belongs to interval i on its first point."""
    parts = gradient.unflatten(0, (n_points, -1))
    return torch.cat([parts[1:], torch.zeros_like(parts[:1])]).flatten(0, 1)


def _later(gradient, n_points):
    parts = gradient.unflatten(0, (n_points, -1))
    return torch.cat([torch.zeros_like(parts[:1]), parts[:-1]]).flatten(0, 1)


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
