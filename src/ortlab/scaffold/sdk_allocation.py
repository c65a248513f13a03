"""What a caller must say so that tensors for a model's inputs can be made, in any language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ortlab.scaffold.sdk_model import (
    ModelForSdk,
    Shape,
    Signature,
    caller_signature,
    image_inputs,
    image_shape,
    state_dimensions,
)
from ortlab.scaffold.sdk_names import comment_text, distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationParameter:
    """A parameter of `allocate`.

    Attributes:
        name: Identifier.
        is_shape: Whether it is all sizes of a tensor that declares none; else it is one size.
        comment: What it is.
    """

    name: str
    is_shape: bool
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationPlan:
    """How to make the tensors that callers give.

    Attributes:
        parameters: What must be said.
        sizes: Of each tensor: numbers and parameters' names, or the name of a parameter that is a
            shape.
    """

    parameters: tuple[AllocationParameter, ...]
    sizes: tuple[tuple[int | str, ...] | str, ...]


def allocation_plan(
    model: ModelForSdk,
    whole: Signature,
    names: tuple[str, ...],
    identifier: Callable[..., str],
) -> AllocationPlan:
    """Return the plan for the inputs that callers give.

    Args:
        model: Whose inputs.
        whole: Its signature.
        names: Identifiers of these inputs.
        identifier: Makes an identifier of a dimension's name, with the keyword `fallback`.
    """
    images = image_inputs(model)
    inputs = caller_signature(model, whole).inputs
    fixed = state_dimensions(model, whole)
    shapes: list[Shape | None] = [
        image_shape(images[tensor.name], tensor) if tensor.name in images else tensor.shape
        for tensor in inputs
    ]
    wanted: dict[tuple[str, int], AllocationParameter] = {}
    for index, (tensor, shape) in enumerate(zip(inputs, shapes, strict=True)):
        own, said = names[index], comment_text(tensor.name)
        if shape is None:
            wanted["", index] = _shape_parameter(f"{own}Shape", f"sizes of `{said}`")
        for axis, size in enumerate(shape or ()):
            if size is None:
                wish = _size_parameter(f"{own}Size{axis}", f"size {axis} of `{said}`")
                wanted[f"?{axis}", index] = wish
            elif isinstance(size, str) and size not in fixed:
                name = identifier(size, fallback="size")
                wanted[f"={size}", 0] = _size_parameter(name, f"size of `{comment_text(size)}`")
    chosen = dict(zip(wanted, distinct(wish.name for wish in wanted.values()), strict=True))

    def size_of(index: int, axis: int, size: int | str | None) -> int | str:
        if size is None:
            return chosen[f"?{axis}", index]
        if isinstance(size, str):
            return fixed[size] if size in fixed else chosen[f"={size}", 0]
        return size

    return AllocationPlan(
        parameters=tuple(replace(wish, name=chosen[key]) for key, wish in wanted.items()),
        sizes=tuple(
            chosen["", index]
            if shape is None
            else tuple(size_of(index, axis, size) for axis, size in enumerate(shape))
            for index, shape in enumerate(shapes)
        ),
    )


def _size_parameter(name: str, comment: str) -> AllocationParameter:
    return AllocationParameter(name=name, is_shape=False, comment=comment)


def _shape_parameter(name: str, comment: str) -> AllocationParameter:
    return AllocationParameter(name=name, is_shape=True, comment=comment)
