"""The typed Kotlin API of prepared models: one class a model, and a registry of all of them.

What a model declares is turned into a view of strings (`kotlin_view.py`), the templates under
`templates/kotlin` lay it out. Equal models give equal text, byte for byte.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.scaffold.kotlin_code import render
from ortlab.scaffold.kotlin_model import KOTLIN
from ortlab.scaffold.kotlin_view import model_view
from ortlab.scaffold.sdk_model import (
    ModelForSdk,
    SampleAsset,
    ShippedVariant,
    refuse_unsupported,
)
from ortlab.scaffold.sdk_names import class_name, distinct

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["ModelForSdk", "SampleAsset", "ShippedVariant", "kotlin_sources"]

PACKAGE: Final = "dev.ortlab.sdk.models"
DIRECTORY: Final = PACKAGE.replace(".", "/")

RESERVED_CLASSES: Final = frozenset({
    "Any", "Array", "AssetModelSource", "AutoCloseable", "BFloat16Tensor", "Bitmap", "Boolean",
    "BooleanTensor", "ByteTensor", "ChannelType", "Classification", "ColorOrder", "Context",
    "Dimension", "Double", "DoubleTensor", "ElementType", "Float", "Float16Tensor", "FloatTensor",
    "GenericSession", "ImageFormat", "ImagePreprocessor", "Input", "InputBinding", "IntTensor",
    "Label", "Layout", "List", "Long", "LongArray", "LongTensor", "ModelDescriptor",
    "ModelSource", "ModelStyle", "ModelVariant", "Models", "Nothing", "Output", "Picture",
    "ProviderReport", "ResizeRule", "SampleTensor", "SessionOptions", "ShortTensor",
    "StateDescriptor", "String", "StringTensor", "Tensor", "TensorDescriptor", "TensorKind",
    "UByteTensor", "UIntTensor", "ULongTensor", "UShortTensor", "Unit",
})  # fmt: skip
"""Class names that a model's class may not hide."""


def kotlin_sources(models: Sequence[ModelForSdk]) -> Mapping[str, str]:
    """Return the generated sources of `:sdk`, by path relative to its Kotlin source directory.

    Args:
        models: At least one; their classes are named after them, clashes get a number.

    Raises:
        ModelError: A model has an input or output that the Java API cannot give or take; the
            message names it and the reason.
    """
    names = distinct(
        (class_name(model.prepared.name) for model in models), {*RESERVED_CLASSES, "Models"}
    )
    for model in models:
        refuse_unsupported(model, KOTLIN)
    views = [model_view(model, name) for model, name in zip(models, names, strict=True)]
    sources = {
        f"{DIRECTORY}/{name}.kt": _rendered("model.kt.j2", model=view)
        for name, view in zip(names, views, strict=True)
    }
    sources[f"{DIRECTORY}/Models.kt"] = _rendered("models.kt.j2", names=sorted(names))
    return sources


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates" / "kotlin"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape(()),
    )
    environment.filters["kotlin"] = render
    return environment


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(package=PACKAGE, **values)
