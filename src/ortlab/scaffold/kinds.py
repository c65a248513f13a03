"""Kinds of inputs and outputs, from `ortlab.toml`'s tables, held against what the model says.

Source of what the kinds mean: `docs/kinds.md`. Every key is that of the kind's dataclass.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from ortlab.domain import (
    ClassificationKind,
    ColorOrder,
    ImageKind,
    Layout,
    ModelSpec,
    ResizeRule,
    StateKind,
    TensorKind,
    TensorSpec,
)
from ortlab.errors import UsageError
from ortlab.pictures import CHANNEL_COUNTS, CHANNEL_TYPES

INPUTS: Final = "inputs"
OUTPUTS: Final = "outputs"
_IMAGE_RANK: Final = 4
_IMAGE_KEYS: Final = (
    *("layout", "color_order", "scale", "mean", "std", "resize", "padding", "width", "height"),
    "antialias",
)
_KEYS: Final = {
    "image": _IMAGE_KEYS,
    "classification": ("labels", "top_k", "apply_softmax"),
    "state": ("input", "shape"),
}
_SIDES: Final = {"image": INPUTS, "classification": OUTPUTS, "state": OUTPUTS}
_SCORE_TYPES: Final = ("float", "float16")
_MAXIMUM_LEVEL: Final = 255

Choice = TypeVar("Choice", Layout, ColorOrder, ResizeRule)


def kinds_of(
    section: Mapping[str, Mapping[str, Any]], spec: ModelSpec, base: Path
) -> dict[str, TensorKind]:
    """Return the kinds of a model's inputs and outputs, by tensor name.

    Args:
        section: ``inputs`` and ``outputs``, each a tensor's name to its table; the tables
            `[app.inputs."x"]` and `[app.outputs."y"]`.
        spec: What the model says of itself.
        base: Directory that a path of a labels file is relative to.

    Raises:
        UsageError: A table cannot mean anything, or not for this model; the message names its
            place and what is known.
    """
    kinds: dict[str, TensorKind] = {}
    for side, tensors in ((INPUTS, spec.inputs), (OUTPUTS, spec.outputs)):
        known = {tensor.name: tensor for tensor in tensors}
        for name, table in section.get(side, {}).items():
            place = f"[app.{side}.{json.dumps(name, ensure_ascii=False)}]"
            reader = _Table(place=place, values=table)
            if name not in known:
                reader.refuse(f"the model has no such {side[:-1]}" + _near(name, known))
            kinds[name] = _kind_of(reader, side, known[name], spec, base)
    _refuse_shared_states(kinds)
    return kinds


def _kind_of(
    table: _Table, side: str, tensor: TensorSpec, spec: ModelSpec, base: Path
) -> TensorKind:
    kind = table.values.get("kind")
    if kind is None:
        table.refuse(f'it has no kind: write kind = "…", known are {", ".join(_KEYS)}')
    if not isinstance(kind, str) or kind not in _KEYS:
        table.refuse(f"there is no kind {_said(kind)}" + _near(kind, _KEYS))
    if _SIDES[kind] != side:
        table.refuse(f"{_article(kind)} is a kind of {_SIDES[kind]}, not of {side}")
    for key in table.values:
        if key not in {"kind", *_KEYS[kind]}:
            table.refuse(f"{_article(kind)} has no key {_said(key)}" + _near(key, _KEYS[kind]))
    if kind == "image":
        return _image(table, tensor)
    if kind == "classification":
        return _classification(table, tensor, base)
    return _state(table, tensor, {given.name: given for given in spec.inputs})


# ------------------------------------------------------------------------------ image


def _image(table: _Table, tensor: TensorSpec) -> ImageKind:
    if tensor.element_type not in CHANNEL_TYPES:
        known = ", ".join(CHANNEL_TYPES)
        table.refuse(f"an image is {known}, and this input is {tensor.element_type}")
    shape = tensor.shape
    if shape is None or len(shape) != _IMAGE_RANK:
        said = "of unknown rank" if shape is None else _shape_text(shape)
        table.refuse(f"an image has 4 dimensions (batch, channels, rows, columns), this is {said}")
    sizes = [_fixed(size) for size in shape]
    if sizes[0] not in {None, 1}:
        table.refuse(
            f"an image has a batch of 1, and this input has {sizes[0]}: {_shape_text(shape)}"
        )
    layout = table.choice("layout", Layout, _likely_layout(sizes))
    channel_axis = 1 if layout is Layout.NCHW else 3
    likely = ColorOrder.GRAY if sizes[channel_axis] == 1 else ColorOrder.RGB
    order = table.choice("color_order", ColorOrder, likely)
    channels = CHANNEL_COUNTS[order]
    if sizes[channel_axis] not in {None, channels}:
        table.refuse(
            f"{order} pictures have {channels} channel{'s' * (channels > 1)}, and dimension"
            f" {channel_axis} of {_shape_text(shape)} is {sizes[channel_axis]}; layout is {layout}"
        )
    rows_axis = 2 if layout is Layout.NCHW else 1
    return ImageKind(
        layout=layout,
        color_order=order,
        scale=table.number("scale", 1.0 if tensor.element_type == "uint8" else 1 / _MAXIMUM_LEVEL),
        mean=table.numbers("mean", (0.0,), channels),
        std=_std(table, channels),
        resize=table.choice("resize", ResizeRule, ResizeRule.STRETCH),
        padding=_padding(table),
        height=_side(table, "height", sizes[rows_axis], shape),
        width=_side(table, "width", sizes[rows_axis + 1], shape),
        antialias=table.boolean("antialias", default=True),
    )


def _likely_layout(sizes: list[int | None]) -> Layout:
    colors = set(CHANNEL_COUNTS.values())
    return Layout.NHWC if sizes[3] in colors and sizes[1] not in colors else Layout.NCHW


def _std(table: _Table, channels: int) -> tuple[float, ...]:
    std = table.numbers("std", (1.0,), channels)
    if 0 in std:
        table.refuse("std is divided by, it cannot be 0")
    return std


def _padding(table: _Table) -> float:
    padding = table.number("padding", 0.0)
    if not 0 <= padding <= _MAXIMUM_LEVEL:
        table.refuse(f"padding is a channel value of 0 to 255, and {padding:g} is not")
    return padding


def _side(
    table: _Table, key: str, said: int | None, shape: tuple[int | str | None, ...]
) -> int | None:
    given = table.size(key)
    if said is None and given is None:
        table.refuse(f"the model leaves the {key} open ({_shape_text(shape)}): write {key} = …")
    if said is not None and given not in {None, said}:
        table.refuse(f"{key} = {given}, and the model says {said}: {_shape_text(shape)}")
    return given if said is None else None


# ------------------------------------------------------------------------------ classification


def _classification(table: _Table, tensor: TensorSpec, base: Path) -> ClassificationKind:
    if tensor.element_type not in _SCORE_TYPES:
        known = " or ".join(_SCORE_TYPES)
        table.refuse(f"scores of classes are {known}, and this output is {tensor.element_type}")
    labels = _labels(table, base)
    classes = _class_count(table, tensor)
    if classes is not None and classes != len(labels):
        table.refuse(
            f"there are {len(labels)} labels for {classes} classes"
            + (" (is one of them a background class?)" if abs(classes - len(labels)) == 1 else "")
        )
    top_k = table.size("top_k")
    return ClassificationKind(
        labels=labels,
        top_k=min(5 if top_k is None else top_k, len(labels)),
        apply_softmax=table.boolean("apply_softmax", default=False),
    )


def _class_count(table: _Table, tensor: TensorSpec) -> int | None:
    """Return the number of classes, None where the model leaves it open."""
    if tensor.shape is None:
        return None
    sizes = [_fixed(size) for size in tensor.shape]
    if len(sizes) > 1 and sizes[0] is None:
        sizes = sizes[1:]  # the batch
    counted = [size for size in sizes if size != 1]
    if len(counted) > 1:
        said = _shape_text(tensor.shape)
        table.refuse(f"scores of one picture's classes are one row, and this output is {said}")
    return counted[0] if counted else 1


def _labels(table: _Table, base: Path) -> tuple[str, ...]:
    given = table.values.get("labels")
    if isinstance(given, list) and all(isinstance(label, str) for label in given):
        labels = tuple(given)
    elif isinstance(given, str):
        labels = _labels_file(table, base / given)
    else:
        table.refuse("labels is a list of names, or the path of a file with one name a line")
    if not labels:
        table.refuse("there are no labels")
    return labels


def _labels_file(table: _Table, path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        table.refuse(f"its labels cannot be read from {path}: {error.strerror}")
    except UnicodeDecodeError:
        table.refuse(f"its labels cannot be read from {path}: it is not UTF-8")
    lines = text.rstrip("\r\n").split("\n")
    return tuple(line.removesuffix("\r") for line in lines) if lines != [""] else ()


# ------------------------------------------------------------------------------ state


def _state(table: _Table, tensor: TensorSpec, inputs: Mapping[str, TensorSpec]) -> StateKind:
    name = table.values.get("input")
    if not isinstance(name, str):
        table.refuse('it has no input: write input = "…", the input that this output becomes')
    if name not in inputs:
        table.refuse(f"the model has no input {_said(name)}" + _near(name, inputs))
    given = inputs[name]
    if given.element_type != tensor.element_type:
        table.refuse(
            f"a state keeps its type, and input {_said(name)} is {given.element_type}, this output"
            f" {tensor.element_type}"
        )
    if given.element_type == "string":
        table.refuse("a state starts with zeros, and strings have none")
    wanted = table.shape("shape")
    merged = _merged_shape(table, given, tensor, wanted)
    said = given.shape
    open_input = said is None or any(_fixed(size) is None for size in said)
    return StateKind(input_name=name, shape=merged if open_input else None)


def _merged_shape(
    table: _Table, given: TensorSpec, tensor: TensorSpec, wanted: tuple[int, ...] | None
) -> tuple[int, ...]:
    shapes = [shape for shape in (given.shape, tensor.shape, wanted) if shape is not None]
    said = f"input {_said(given.name)} is {_known_shape(given)}, this output {_known_shape(tensor)}"
    if wanted is not None:
        said += f", shape = {list(wanted)}"
    if len({len(shape) for shape in shapes}) > 1:
        table.refuse(f"a state keeps its shape, and {said}")
    if not shapes:
        table.refuse(f"the state's sizes are open ({said}): write shape = […]")
    merged = []
    for axis in range(len(shapes[0])):
        sizes = {size for shape in shapes if (size := _fixed(shape[axis])) is not None}
        if len(sizes) > 1:
            table.refuse(f"a state keeps its shape, and {said}")
        if not sizes:
            table.refuse(f"the state's sizes are open ({said}): write shape = […]")
        merged.append(sizes.pop())
    return tuple(merged)


def _refuse_shared_states(kinds: Mapping[str, TensorKind]) -> None:
    fed: dict[str, str] = {}
    for name, kind in kinds.items():
        if not isinstance(kind, StateKind):
            continue
        place = f"[app.outputs.{json.dumps(name, ensure_ascii=False)}]"
        table = _Table(place=place, values={})
        if kind.input_name in fed:
            other = _said(fed[kind.input_name])
            table.refuse(f"input {_said(kind.input_name)} is already the state of output {other}")
        if isinstance(kinds.get(kind.input_name), ImageKind):
            table.refuse(f"input {_said(kind.input_name)} is an image, it cannot be a state")
        fed[kind.input_name] = name


# ------------------------------------------------------------------------------ values of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One table, with its place for messages."""

    place: str
    values: Mapping[str, Any]

    def refuse(self, reason: str) -> NoReturn:
        message = f"cannot use {self.place}: {reason}"
        raise UsageError(message)

    def choice(self, key: str, kind: type[Choice], default: Choice) -> Choice:
        given = self.values.get(key, default.value)
        known = [member.value for member in kind]
        if not isinstance(given, str) or given not in known:
            self.refuse(f"{key} cannot be {_said(given)}" + _near(given, known))
        return kind(given)

    def boolean(self, key: str, *, default: bool) -> bool:
        given = self.values.get(key, default)
        if not isinstance(given, bool):
            self.refuse(f"{key} is true or false, not {_said(given)}")
        return given

    def number(self, key: str, default: float) -> float:
        return self._number_of(key, self.values.get(key, default))

    def numbers(self, key: str, default: tuple[float, ...], channels: int) -> tuple[float, ...]:
        """Return one number, or one a channel."""
        given = self.values.get(key, list(default))
        numbers = given if isinstance(given, list) else [given]
        if len(numbers) not in {1, channels}:
            wanted = "1 number" if channels == 1 else f"1 or {channels} numbers"
            self.refuse(f"{key} takes {wanted}, and there are {len(numbers)}")
        return tuple(self._number_of(key, number) for number in numbers)

    def size(self, key: str) -> int | None:
        given = self.values.get(key)
        if given is not None and not _is_size(given):
            self.refuse(f"{key} is a whole number from 1 on, not {_said(given)}")
        return given

    def shape(self, key: str) -> tuple[int, ...] | None:
        given = self.values.get(key)
        if given is None:
            return None
        if not isinstance(given, list) or not all(map(_is_size, given)):
            self.refuse(f"{key} is a list of whole numbers from 1 on, not {_said(given)}")
        return tuple(given)

    def _number_of(self, key: str, given: object) -> float:
        """Return a number; a fraction such as ``"1/255"`` is one."""
        number = math.nan
        if isinstance(given, str):
            dividend, _, divisor = given.partition("/")
            with contextlib.suppress(ValueError, ZeroDivisionError):
                number = float(dividend) / float(divisor or "1")
        elif isinstance(given, int | float) and not isinstance(given, bool):
            number = float(given)
        if not math.isfinite(number):
            self.refuse(f'{key} is a number or a fraction such as "1/255", not {_said(given)}')
        return number


def _is_size(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _fixed(size: int | str | None) -> int | None:
    """Return a dimension's size where the model fixes it."""
    return size if isinstance(size, int) and size > 0 else None


def _shape_text(shape: tuple[int | str | None, ...]) -> str:
    return " × ".join("?" if size is None else str(size) for size in shape) or "a scalar"


def _known_shape(tensor: TensorSpec) -> str:
    return "of unknown shape" if tensor.shape is None else _shape_text(tensor.shape)


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "image" else f"a {kind}"


def _said(given: object) -> str:
    return json.dumps(given, ensure_ascii=False, default=str)


def _near(given: object, known: Collection[str]) -> str:
    """Return what may have been meant, else all there is."""
    near = difflib.get_close_matches(str(given), known, n=3)
    if near:
        return "; near are " + ", ".join(map(_said, near))
    return "; known are " + ", ".join(map(_said, known)) if known else "; it has none"
