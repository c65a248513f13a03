"""Inputs and outputs as raw little-endian files.

Source of the format: `bench_protocol/README.md`, "Tensor files".
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Mapping

NUMPY_TYPES = {
    "float": "f4",
    "double": "f8",
    "float16": "f2",
    "bfloat16": "u2",  # numpy has no type for it: its bits
    "int8": "i1",
    "int16": "i2",
    "int32": "i4",
    "int64": "i8",
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "bool": "u1",
}
STRING = "string"
ELEMENT_TYPES = (*NUMPY_TYPES, STRING)
_LENGTH_BYTES = 4


def decode(data: bytes, element_type: str, shape: list[int]) -> Any:
    """Return the array that the bytes of a tensor file hold.

    Raises:
        ValueError: They do not hold exactly this type and shape.
    """
    import numpy as np

    count = 1
    for size in shape:
        count *= size
    if element_type == STRING:
        texts: Any = np.empty(count, dtype=object)
        texts[:] = _decode_strings(data, count)
        return texts.reshape(shape)
    stored = np.dtype("<" + NUMPY_TYPES[element_type])
    if len(data) != count * stored.itemsize:
        needed = count * stored.itemsize
        raise ValueError(f"{element_type} {shape} takes {needed} bytes, it has {len(data)}")
    values = np.frombuffer(data, dtype=stored).astype(stored.newbyteorder("=")).reshape(shape)
    if element_type == "bool":
        if values.size and int(values.max()) > 1:
            raise ValueError("a bool is neither 0 nor 1")
        values = values.astype(bool)
    return values


def _decode_strings(data: bytes, count: int) -> list[str]:
    texts: list[str] = []
    at = 0
    while at + _LENGTH_BYTES <= len(data) and len(texts) < count:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            break
        texts.append(data[start:at].decode("utf-8"))
    if len(texts) != count or at != len(data):
        raise ValueError(f"it does not hold exactly {count} strings")
    return texts


def encode(array: Any, element_type: str) -> bytes:
    """Return the bytes of a tensor file."""
    import numpy as np

    if element_type == STRING:
        parts = []
        for item in np.asarray(array, dtype=object).ravel():
            text = item if isinstance(item, bytes) else str(item).encode("utf-8")
            parts += [len(text).to_bytes(_LENGTH_BYTES, "little"), text]
        return b"".join(parts)
    stored = np.dtype("<" + NUMPY_TYPES[element_type])
    return bytes(np.ascontiguousarray(array).astype(stored, casting="unsafe").tobytes())


def read(tensor: Mapping[str, Any], base: str) -> Any:
    """Read a tensor of a request.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not the one that was described.
    """
    with open(os.path.join(base, tensor["path"]), "rb") as stream:
        data = stream.read()
    if tensor["sha256"] is not None and hashlib.sha256(data).hexdigest() != tensor["sha256"]:
        raise ValueError("the file was changed since the request was made")
    return decode(data, tensor["element_type"], tensor["shape"])


def write(directory: str, index: int, name: str, element_type: str, array: Any) -> dict[str, Any]:
    """Write an output under a name of our own and return its description.

    Raises:
        OSError: The file cannot be written.
    """
    data = encode(array, element_type)
    path = f"output-{index}.bin"
    with open(os.path.join(directory, path), "wb") as stream:
        stream.write(data)
    return {
        "name": name,
        "element_type": element_type,
        "shape": [int(size) for size in array.shape],
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
