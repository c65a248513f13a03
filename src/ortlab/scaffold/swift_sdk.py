"""The typed Swift API of prepared models: one class a model, and a registry of all of them.

What a model declares is turned into a view of strings (`swift_view.py`), the templates under
`templates/swift` lay it out. Equal models give equal text, byte for byte.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.scaffold.sdk_model import (
    ModelForSdk,
    SampleAsset,
    ShippedVariant,
    refuse_unsupported,
)
from ortlab.scaffold.sdk_names import class_name, distinct
from ortlab.scaffold.swift_code import render
from ortlab.scaffold.swift_model import SWIFT
from ortlab.scaffold.swift_view import model_view

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["ModelForSdk", "SampleAsset", "ShippedVariant", "swift_sources"]

REGISTRY: Final = "Models"

RESERVED_CLASSES: Final = frozenset({
    "Any", "AnyTensor", "Array", "BFloat16", "Bool", "Bundle", "CPUFallback", "CPUOptions",
    "CarriedStates", "ChannelType", "Character", "Classification", "ColorOrder", "ConfigEntry",
    "CoreMLCache", "CoreMLOptions", "Data", "Date", "Decodable", "Dictionary", "Dimension",
    "DimensionChecker", "Double", "ElementType", "Encodable", "Error", "ExecutionProvider",
    "FallbackState", "Float", "Foundation", "Half", "ImageFormat", "ImagePreprocessor", "Input",
    "InputBinding", "Int", "Int16", "Int32", "Int64", "Int8", "Label", "Layout", "Lazily",
    "LoadedModel", "Lock", "MappedFile", "MetricsEvent", "MetricsListener", "ModelDescriptor",
    "ModelResources", "ModelSDK", "ModelSession", "ModelSource", "ModelStyle", "ModelVariant",
    "Models", "Never", "Optional", "Ort", "OrtEnvironment", "OrtError", "OrtRuntime", "OrtSession",
    "OrtSessionOptions", "OrtValue", "Output", "OutputTensors", "Picture", "PictureWriter",
    "Protocol", "ProviderReport", "ProviderSetup", "ReducedFloat", "Resampling", "ResizeRule",
    "Resizer", "Result", "SDKError", "SampleTensor", "Self", "Sendable", "SessionOptions",
    "SessionReport", "Set", "State", "StateDescriptor", "String", "StringTensor", "Swift", "Task",
    "Tensor", "TensorDescriptor", "TensorElement", "TensorKind", "TensorMemory", "Type", "UInt",
    "UInt16", "UInt32", "UInt64", "UInt8", "URL", "Usage", "Void",
})  # fmt: skip
"""Names of types that a model's class may not hide."""


def swift_sources(models: Sequence[ModelForSdk]) -> Mapping[str, str]:
    """Return the generated sources of `ModelSDK`, by path relative to `Generated/Swift`.

    Args:
        models: At least one; their classes are named after them, clashes get a number.

    Raises:
        ModelError: A model has an input or output that no Swift type stands for; the message names
            it and the reason.
    """
    names = distinct((class_name(model.prepared.name) for model in models), RESERVED_CLASSES)
    for model in models:
        refuse_unsupported(model, SWIFT)
    views = [model_view(model, name) for model, name in zip(models, names, strict=True)]
    sources = {
        f"{name}.swift": _rendered("model.swift.j2", model=view)
        for name, view in zip(names, views, strict=True)
    }
    sources[f"{REGISTRY}.swift"] = _rendered("models.swift.j2", names=sorted(names))
    return sources


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates" / "swift"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape(()),
    )
    environment.filters["swift"] = render
    environment.filters["capitalized"] = lambda text: text[0].upper() + text[1:]
    return environment


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)
