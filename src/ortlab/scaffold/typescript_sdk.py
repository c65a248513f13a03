"""The typed TypeScript API of prepared models: one class a model, and a list of all of them.

What a model declares is turned into a view of strings (`typescript_view.py`), the templates under
`templates/typescript` lay it out. Equal models give equal text, byte for byte.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.sdk_names import class_name, distinct
from ortlab.scaffold.typescript_code import render
from ortlab.scaffold.typescript_model import refuse_what_the_web_cannot
from ortlab.scaffold.typescript_view import model_view

if TYPE_CHECKING:
    from jinja2 import Environment

MODELS: Final = "models"
INDEX: Final = "index"
_INTERFACES: Final = ("Input", "Output")

RESERVED_CLASSES: Final = frozenset({
    "AggregateError", "Array", "ArrayBuffer", "AsyncFunction", "Atomics", "Aux", "BigInt",
    "BigInt64Array", "BigUint64Array", "Blob", "Boolean", "Cache", "ClassLabel", "Classification",
    "Con", "DataView", "Date", "Document", "Element", "Error", "EvalError", "Event", "EventTarget",
    "File", "FinalizationRegistry", "Float16Array", "Float32Array", "Float64Array", "Function",
    "GPU", "Generator", "Image", "ImageData", "ImageFormat", "Index", "Infinity", "Int16Array",
    "Int32Array", "Int8Array", "InternalError", "Intl", "Iterator", "JSON", "Location", "Map",
    "Math", "ModelDescriptor", "ModelSession", "ModelVariant", "Models", "NaN", "Navigator", "Node",
    "Nul", "Number", "Object", "Option", "Performance", "Picture", "Prn", "Promise", "Proxy",
    "RangeError", "ReadableStream", "ReferenceError", "Reflect", "RegExp", "Request", "Response",
    "Runtime", "SampleTensor", "SdkError", "ServiceWorker", "SessionOptions", "SessionReport",
    "Set", "SharedArrayBuffer", "StateDescriptor", "Storage", "String", "Symbol", "SyntaxError",
    "Tensor", "TensorDescriptor", "Text", "TypeError", "URIError", "URL", "Uint16Array",
    "Uint32Array", "Uint8Array", "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet",
    "WebAssembly", "Window", "Worker",
})  # fmt: skip
"""Names that the SDK, JavaScript, browsers and file systems use; a class may not hide them."""


def typescript_sources(models: Sequence[ModelForSdk]) -> Mapping[str, str]:
    """Return the generated sources of the SDK, by path relative to the generated folder.

    Args:
        models: At least one; their classes are named after them, clashes get a number.

    Raises:
        ModelError: A model has an input or output that no TypeScript type stands for; the message
            names it and the reason.
    """
    for model in models:
        refuse_what_the_web_cannot(model)
    names = class_names(model.prepared.name for model in models)
    views = [model_view(model, name) for model, name in zip(models, names, strict=True)]
    sources = {
        f"{MODELS}/{name}.ts": _rendered("model.ts.j2", model=view)
        for name, view in zip(names, views, strict=True)
    }
    sources[f"{MODELS}/{INDEX}.ts"] = _rendered("index.ts.j2", names=sorted(names))
    return sources


def runtime_source(providers: Sequence[str]) -> str:
    """Return `runtime.ts`: the import of the smallest build of ONNX Runtime with the providers.

    Args:
        providers: By their names in onnxruntime-web, in order of preference.
    """
    bundle, wasm = "wasm", "ort-wasm-simd-threaded.wasm"
    if set(providers) - {"wasm"}:
        bundle, wasm = "webgpu", "ort-wasm-simd-threaded.asyncify.wasm"
    return _rendered("runtime.ts.j2", bundle=bundle, wasm=wasm, providers=list(providers))


def class_names(models: Iterable[str]) -> tuple[str, ...]:
    """Return the classes' names: also those of their interfaces clash with nothing.

    Args:
        models: What the models are called, in order.
    """
    taken = set(RESERVED_CLASSES)
    chosen = []
    for model in models:
        wish, number = class_name(model), 1
        (name,) = distinct([wish], taken)
        while {f"{name}{end}".casefold() for end in _INTERFACES} & set(map(str.casefold, taken)):
            number += 1
            (name,) = distinct([f"{wish}{number}"], taken)
        taken |= {name, *(f"{name}{end}" for end in _INTERFACES)}
        chosen.append(name)
    return tuple(chosen)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates" / "typescript"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape(()),
    )
    environment.filters["typescript"] = render
    environment.filters["capitalized"] = lambda text: text[0].upper() + text[1:]
    return environment


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)
