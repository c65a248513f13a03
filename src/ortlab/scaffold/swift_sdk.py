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
    "Actor", "Alignment", "Angle", "Animation", "Any", "AnyTensor", "App", "ApplePlatform", "Array",
    "Axis", "BFloat16", "BenchCore", "Binding", "BlockRunner", "Bool", "Bundle", "BundleToken",
    "Button", "CFData", "CFDictionary", "CFString", "CGBitmapInfo", "CGColorSpace", "CGContext",
    "CGDataProvider", "CGImage", "CGImageAlphaInfo", "CGImagePropertyOrientation",
    "CGImageSourceCopyPropertiesAtIndex", "CGImageSourceCreateImageAtIndex",
    "CGImageSourceCreateWithData", "CGImageSourceGetCount", "CGImageSourceGetPrimaryImageIndex",
    "CGRect", "COrt", "CPUFallback", "CPUOptions", "Cache", "Calendar", "Canvas", "CarriedStates",
    "CaseIterable", "ChannelType", "Character", "CharacterSet", "Chart", "Circle", "Classification",
    "Clock", "CocoaError", "Codable", "CodingKey", "Collection", "Color", "ColorOrder", "Combine",
    "CommandLine", "ComputeUnits", "ConfigEntry", "Context", "CoreGraphics", "CoreMLCache",
    "CoreMLOptions", "CustomOpLibrary", "CustomStringConvertible", "Darwin", "Data", "Date",
    "Decodable", "Decoder", "Dictionary", "Dimension", "DimensionChecker", "Dispatch",
    "DispatchQueue", "DispatchTime", "Divider", "Double", "Duration", "Edge", "Element",
    "ElementType", "Encodable", "Encoder", "Environment", "Equatable", "Error", "ExecutionProvider",
    "FallbackState", "FileManager", "Float", "Font", "ForEach", "Form", "Formatter", "Foundation",
    "Gauge", "Glibc", "Grid", "Group", "HStack", "Half", "Hashable", "Host", "Identifiable",
    "Image", "ImageFormat", "ImageIO", "ImagePreprocessor", "Input", "InputBinding", "Int", "Int16",
    "Int32", "Int64", "Int8", "Iterator", "JSONDecoder", "JSONEncoder", "Label", "Layout", "Lazily",
    "LevelTables", "Link", "List", "LoadedModel", "Locale", "LocalizedError", "LocalizedStringKey",
    "Lock", "Main", "MainActor", "Measurement", "MemoryLayout", "Menu", "MetricsEvent",
    "MetricsListener", "Mirror", "ModelDescriptor", "ModelFormat", "ModelResources", "ModelSDK",
    "ModelSession", "ModelSource", "ModelStyle", "ModelVariant", "Models", "Musl",
    "NSHomeDirectory", "NSItemProvider", "NSObject", "Name", "Namespace", "NavigationStack",
    "NavigationView", "Never", "Notification", "NotificationCenter", "ObjectIdentifier",
    "ObservableObject", "ObservedObject", "Operation", "Optional", "Ort", "OrtCall", "OrtElement",
    "OrtElementType", "OrtEnvironment", "OrtError", "OrtMemory", "OrtRuntime", "OrtSession",
    "OrtSessionOptions", "OrtValue", "OrtValueInfo", "Output", "PHPickerConfiguration",
    "PHPickerResult", "PHPickerViewController", "PHPickerViewControllerDelegate", "Path",
    "PhotoFacts", "PhotosUI", "Picker", "Picture", "PictureWriter", "Placement", "Port", "Process",
    "ProcessInfo", "Progress", "ProgressView", "Protocol", "ProviderReport", "ProviderSetup",
    "Published", "Range", "Rectangle", "ReducedFloat", "Refusal", "Regex", "Report", "Resampling",
    "ResizeRule", "Resizer", "Result", "Runner", "SDKError", "SampleTensor", "Scanner", "Scene",
    "SceneStorage", "Section", "Self", "Sendable", "Sequence", "SessionOptions", "SessionReport",
    "Set", "Shape", "Sink", "Slider", "Slot", "Spacer", "SpecializationStrategy", "Stage", "State",
    "StateDescriptor", "StateObject", "Stepper", "Stream", "String", "StringTensor", "Substring",
    "Swift", "SwiftUI", "SystemClock", "Table", "Task", "Tensor", "TensorDescriptor",
    "TensorElement", "TensorKind", "Text", "TextField", "Thread", "Timer", "Toggle", "Type",
    "UIAccessibility", "UIApplication", "UIGraphicsImageRenderer", "UIGraphicsImageRendererFormat",
    "UIImage", "UIKit", "UIViewControllerRepresentable", "UInt", "UInt16", "UInt32", "UInt64",
    "UInt8", "URL", "URLResourceKey", "UTType", "UUID", "UniformTypeIdentifiers", "Unit",
    "UnsafeBufferPointer", "UnsafeMutableBufferPointer", "UnsafeMutablePointer",
    "UnsafeMutableRawBufferPointer", "UnsafeRawBufferPointer", "Usage", "VStack", "Value", "View",
    "Void", "WindowGroup", "WorkingMemory", "WritableKeyPath",
})  # fmt: skip
"""Names that the SDK's sources, and apps with SwiftUI, use; a model's class may not hide them."""


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
