"""What every record can do: check itself, name its axes, become an xarray.Dataset and come back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import xarray as xr

SEPARATOR = "."
COUNT = "count"
COLUMNS = "columns"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """Base of all records: a frozen dataclass whose annotations say what its axes are.

    A field is one of five things, told apart by its annotation: an array (``Float[Any, "sample
    feature"]``), a table (``Annotated[pd.DataFrame, "cell"]``), arrays of unequal length
    (``Annotated[tuple, "cell"]``), another record, or a plain value. The same axis name means the
    same length everywhere in a record.

    Raises
    ------
    ValueError
        If a field has the wrong number of axes, the wrong kind of numbers, or disagrees in length.

    Examples
    --------
    >>> from dataclasses import field
    >>> from jaxtyping import Float
    >>> @dataclass(frozen=True, kw_only=True, eq=False)
    ... class Voltages(Record):
    ...     values: Float[Any, "time cell"] = field(metadata={"units": "mV"})
    ...     layer: str = "bipolar"
    >>> voltages = Voltages(values=np.zeros((5, 2)))
    >>> voltages.axes_of("values"), voltages.label("values")
    (('time', 'cell'), 'values (mV)')
    >>> Voltages.from_xarray(voltages.to_xarray()).layer
    'bipolar'
    """

    def __post_init__(self):
        seen: dict[str, tuple[str, int]] = {}
        for name, axis, length in self._lengths():
            first, expected = seen.setdefault(axis, (name, length))
            if length != expected:
                msg = (
                    f"{type(self).__name__}: axis {axis!r} is {expected} in {first!r} "
                    f"but {length} in {name!r}."
                )
                raise ValueError(msg)

    @classmethod
    def axes(cls) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Axis names of each array, table and ragged field: one tuple for each possible layout."""
        return {name: kind.layouts for name, kind in _kinds(cls).items() if kind.layouts}

    def axes_of(self, name: str) -> tuple[str, ...]:
        """Axis names of one array of this record.

        Parameters
        ----------
        name
            Of the field.

        Raises
        ------
        ValueError
            If the field is not an array of this record's layouts.
        """
        return _layout(
            _kinds(type(self))[name], getattr(self, name), f"{type(self).__name__}: {name!r}"
        )

    def label(self, name: str) -> str:
        """Text for a figure's axis: what the field is, with its unit.

        Parameters
        ----------
        name
            Of the field.
        """
        metadata = _kinds(type(self))[name].metadata
        label, unit = metadata.get("long_name", name.replace("_", " ")), metadata.get("units")
        return f"{label} ({unit})" if unit else label

    def to_xarray(self) -> xr.Dataset:
        """Return a labelled dataset: arrays and tables as variables, plain values as attributes."""
        variables, attributes = self._parts(prefix="")
        return xr.Dataset(variables, attrs={"record": type(self).__name__, **attributes})

    @classmethod
    def from_xarray(cls, dataset: xr.Dataset, *, lazy: str | None = None) -> "Record":
        """Take back what `to_xarray` gave.

        Parameters
        ----------
        dataset
            In memory or in a file.
        lazy
            Axis: arrays along it stay where they are until they are sliced.

        Returns
        -------
        Record
            Of this class.

        Raises
        ------
        ValueError
            If the dataset holds another record, or lacks a field.
        """
        found = dataset.attrs.get("record")
        if found != cls.__name__:
            msg = f"Expected a dataset with a {cls.__name__}, got {found or 'no record at all'}."
            raise ValueError(msg)
        return cls._from_parts(dataset, prefix="", lazy=lazy)

    def _lengths(self) -> Iterator[tuple[str, str, int]]:
        for name, kind in _kinds(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            if kind.record:
                yield from (
                    (f"{name}{SEPARATOR}{inner}", *rest) for inner, *rest in value._lengths()
                )
            elif kind.dtypes:
                yield from (
                    (name, *pair) for pair in zip(self.axes_of(name), value.shape, strict=True)
                )
            elif kind.layouts:
                yield name, kind.layouts[0][0], len(value)

    def _parts(self, prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
        variables: dict[str, Any] = {}
        attributes: dict[str, str] = {}
        for name, kind in _kinds(type(self)).items():
            value, key = getattr(self, name), f"{prefix}{name}"
            if value is None:
                continue
            if kind.record:
                inner_variables, inner_attributes = value._parts(prefix=f"{key}{SEPARATOR}")
                variables |= inner_variables
                attributes |= inner_attributes
            elif kind.dtypes:
                variables[key] = (self.axes_of(name), np.asarray(value), kind.metadata)
            elif kind.is_table:
                (axis,) = kind.layouts[0]
                variables |= {
                    f"{key}{SEPARATOR}{c}": (axis, _plain(value[c])) for c in value.columns
                }
                attributes[f"{key}{SEPARATOR}{COLUMNS}"] = json.dumps(list(value.columns))
            elif kind.layouts:
                (axis,) = kind.layouts[0]
                counts = np.array([len(part) for part in value], dtype=np.int64)
                variables[key] = (
                    f"{key}{SEPARATOR}flat",
                    np.concatenate([*value, []]),
                    kind.metadata,
                )
                variables[f"{key}{SEPARATOR}{COUNT}"] = (axis, counts)
            else:
                attributes[key] = value if kind.is_text else json.dumps(value)
        return variables, attributes

    @classmethod
    def _from_parts(cls, dataset: xr.Dataset, prefix: str, lazy: str | None) -> "Record":
        values = {}
        for name, kind in _kinds(cls).items():
            key = f"{prefix}{name}"
            if kind.record:
                values[name] = kind.record._from_parts(
                    dataset, prefix=f"{key}{SEPARATOR}", lazy=lazy
                )
            elif kind.is_table and f"{key}{SEPARATOR}{COLUMNS}" in dataset.attrs:
                columns = json.loads(dataset.attrs[f"{key}{SEPARATOR}{COLUMNS}"])
                values[name] = pd.DataFrame(
                    {c: dataset[f"{key}{SEPARATOR}{c}"].values for c in columns}
                )
            elif kind.dtypes and key in dataset.variables:
                array = dataset[key]
                values[name] = array if lazy in array.dims else array.values
            elif kind.layouts and key in dataset.variables:
                stops = np.cumsum(dataset[f"{key}{SEPARATOR}{COUNT}"].values)
                values[name] = tuple(np.split(dataset[key].values, stops)[:-1])
            elif key in dataset.attrs:
                text = dataset.attrs[key]
                values[name] = text if kind.is_text else json.loads(text)
        missing = [
            name for name, kind in _kinds(cls).items() if name not in values and kind.required
        ]
        if missing:
            msg = f"The dataset lacks {', '.join(missing)}; a {cls.__name__} needs them."
            raise ValueError(msg)
        return cls(**values)


@dataclass(frozen=True)
class _Kind:
    required: bool
    metadata: Mapping[str, str]
    layouts: tuple[tuple[str, ...], ...] = ()
    dtypes: tuple[str, ...] = ()
    record: type[Record] | None = None
    is_table: bool = False
    is_text: bool = False


@cache
def _kinds(cls: type[Record]) -> Mapping[str, _Kind]:
    hints = get_type_hints(cls, include_extras=True)
    return {
        field.name: _Kind(
            required=type(None) not in _options(hints[field.name]),
            metadata=field.metadata,
            **_shape(_options(hints[field.name])),
        )
        for field in fields(cls)
    }


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _shape(options: tuple[Any, ...]) -> dict[str, Any]:
    arrays = [option for option in options if hasattr(option, "dim_str")]
    if arrays:
        return {
            "layouts": tuple(tuple(a.dim_str.split()) for a in arrays),
            "dtypes": tuple(arrays[0].dtypes),
        }
    for option in options:
        if get_origin(option) is Annotated:
            held, axis = get_args(option)
            return {"layouts": ((axis,),), "is_table": held is pd.DataFrame}
        if isinstance(option, type) and issubclass(option, Record):
            return {"record": option}
    return {"is_text": str in options}


def _layout(kind: _Kind, value: Any, where: str) -> tuple[str, ...]:
    expected = " or ".join(f"({', '.join(layout)})" for layout in kind.layouts)
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        msg = f"{where} must be an array with axes {expected}, got {type(value).__name__}."
        raise ValueError(msg)
    matching = [layout for layout in kind.layouts if len(layout) == len(value.shape)]
    if not matching:
        msg = f"{where} must have axes {expected}, got an array of shape {tuple(value.shape)}."
        raise ValueError(msg)
    if str(value.dtype) not in kind.dtypes:
        msg = f"{where} must hold numbers like {kind.dtypes[-1]}, got {value.dtype}."
        raise ValueError(msg)
    return matching[0]


def _plain(column: pd.Series) -> np.ndarray:
    """Return numbers as they are, everything else as text: files know no other kinds."""
    values = column.to_numpy()
    return (
        values
        if values.dtype.kind in "iufb"
        else np.array([str(value) for value in values], dtype=object)
    )
