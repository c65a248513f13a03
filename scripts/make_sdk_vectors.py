"""Write `sdk_vectors/` from definitions that share nothing with any SDK.

``python scripts/make_sdk_vectors.py`` writes them, ``--check`` says whether they are current. The
words of `docs/kinds.md` are followed one pixel at a time, with exact fractions where the SDKs have
double precision; bytes come from ``struct``.
"""

# ruff: noqa: D103 (small functions whose names say it)

from __future__ import annotations

import base64
import json
import math
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "sdk_vectors"
PICTURES = {"1x1": (1, 1), "3x5": (3, 5), "7x4": (7, 4), "2x31": (2, 31), "61x37": (61, 37)}
WIDE = (224, 3)
RULES = ("stretch", "fit", "fit-top-left", "fit-height", "crop")
ORDERS = ("rgb", "bgr", "gray")
LAYOUTS = ("nchw", "nhwc")
TYPES = ("uint8", "float16", "float")

Pixel = tuple[int, int, int, int]
Rows = list[list[Pixel]]
Levels = list[list[int]]


# ------------------------------------------------------------------------------ pictures


def numbers(seed: int, limit: int) -> Iterator[int]:
    """Yield pseudo-random numbers below a limit: a linear congruential generator's upper bits."""
    state = seed
    while True:
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        yield (state >> 33) % limit


def drawn(width: int, height: int, seed: int, *, opaque: bool) -> Rows:
    """Draw gradients with noise, so that every pixel and channel differs from its neighbours."""
    noise = numbers(seed, 256)
    return [
        [
            (
                (x * 255 // max(1, width - 1) + next(noise) // 6) % 256,
                (y * 255 // max(1, height - 1) + next(noise) // 6) % 256,
                next(noise),
                255 if opaque else (0, 1, 100, 254, 255)[next(noise) % 5],
            )
            for x in range(width)
        ]
        for y in range(height)
    ]


def raw(rows: Rows) -> bytes:
    return bytes(level for row in rows for pixel in row for level in pixel)


def seen(rows: Rows, orientation: int) -> Rows:
    """Turn by composing a mirror and quarter turns, each spelled out."""
    if orientation in {2, 4, 5, 7}:
        rows = [row[::-1] for row in rows]
    quarters = {3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}.get(orientation, 0)
    for _ in range(quarters):
        rows = [list(column) for column in zip(*rows[::-1], strict=True)]
    return rows


# ------------------------------------------------------------------------------ image


def on_white(pixel: Pixel) -> tuple[int, ...]:
    alpha = pixel[3]
    return tuple(
        math.floor(Fraction(level * alpha + 255 * (255 - alpha), 255) + Fraction(1, 2))
        for level in pixel[:3]
    )


def channels_of(rows: Rows, order: str) -> list[Levels]:
    colors = [[on_white(pixel) for pixel in row] for row in rows]
    if order == "gray":
        luma = (19595, 38470, 7471)
        return [
            [
                [
                    math.floor(
                        Fraction(sum(w * c for w, c in zip(luma, color, strict=True)), 65536)
                        + Fraction(1, 2)
                    )
                    for color in row
                ]
                for row in colors
            ]
        ]
    return [[[color["rgb".index(name)] for color in row] for row in colors] for name in order]


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def placed(w: int, h: int, frame: tuple[int, int], rule: str) -> tuple[int, int, int, int]:
    width, height = frame
    if rule == "stretch":
        return width, height, 0, 0
    if rule == "fit-height":
        return min(width, math.ceil(Fraction(w * height, h))), height, 0, 0
    by_width, by_height = Fraction(width, w), Fraction(height, h)
    factor = max(by_width, by_height) if rule == "crop" else min(by_width, by_height)
    new_width, new_height = max(1, half_up(w * factor)), max(1, half_up(h * factor))
    if rule == "fit-top-left":
        return new_width, new_height, 0, 0
    rest = (width - new_width, height - new_height)
    left, top = (abs(r) // 2 * (1 if r >= 0 else -1) for r in rest)
    return new_width, new_height, left, top


@cache
def shares(count: int, size: int, *, antialias: bool) -> list[dict[int, int]]:
    """Return what each new sample takes of the old ones, in units of 2^-22."""
    scale = Fraction(count, size)
    reach = max(scale, Fraction(1)) if antialias else Fraction(1)
    new = []
    for index in range(size):
        center = (index + Fraction(1, 2)) * scale
        exact = {
            sample: 1 - distance / reach
            for sample in range(count)
            if (distance := abs(sample + Fraction(1, 2) - center)) < reach
        }
        total = sum(exact.values())
        new.append({sample: half_up(part / total * 2**22) for sample, part in exact.items()})
    return new


def axis(old: list[int], size: int, *, antialias: bool) -> list[int]:
    """Resize one line of levels."""
    return [
        min(255, (sum(weight * old[sample] for sample, weight in parts.items()) + 2**21) // 2**22)
        for parts in shares(len(old), size, antialias=antialias)
    ]


def resized(levels: Levels, width: int, height: int, *, antialias: bool) -> Levels:
    narrowed = [axis(row, width, antialias=antialias) for row in levels]
    columns = [
        axis(list(column), height, antialias=antialias) for column in zip(*narrowed, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def element(value: float, element_type: str) -> bytes:
    if element_type == "uint8":
        return struct.pack("<B", min(255, max(0, round(value))))
    single = struct.pack("<f", value)
    if element_type == "float":
        return single
    rounded = struct.unpack("<f", single)[0]
    try:
        return struct.pack("<e", rounded)
    except OverflowError:
        return struct.pack("<e", math.copysign(math.inf, rounded))


def tensor(rows: Rows, case: dict[str, Any]) -> bytes:
    frame = (case["width"], case["height"])
    width, height, left, top = placed(len(rows[0]), len(rows), frame, case["resize"])
    planes = []
    for channel, levels in enumerate(channels_of(rows, case["color_order"])):
        whole = resized(levels, width, height, antialias=case["antialias"])
        mean, std = (case[key][channel % len(case[key])] for key in ("mean", "std"))
        plane = []
        for y, x in product(range(frame[1]), range(frame[0])):
            inside = 0 <= y - top < height and 0 <= x - left < width
            level = whole[y - top][x - left] if inside else case["padding"]
            plane.append(element((level * case["scale"] - mean) / std, case["element_type"]))
        planes.append(plane)
    if case["layout"] == "nhwc":
        return b"".join(b"".join(pixel) for pixel in zip(*planes, strict=True))
    return b"".join(b"".join(plane) for plane in planes)


# ------------------------------------------------------------------------------ cases


PLAIN: dict[str, Any] = {
    "layout": "nchw",
    "color_order": "rgb",
    "scale": 1.0,
    "mean": [0.0],
    "std": [1.0],
    "resize": "stretch",
    "padding": 0.0,
    "antialias": True,
    "element_type": "uint8",
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
PADDLE = {"scale": 1 / 255, "mean": [0.5], "std": [0.5], "padding": 127.5, "antialias": False}


def image_cases(pictures: dict[str, Rows]) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []

    def add(picture: str, width: int, height: int, **changes: Any) -> None:
        case = {**PLAIN, "picture": picture, "width": width, "height": height, **changes}
        cases.append({**case, "tensor": base64.b64encode(tensor(pictures[picture], case)).decode()})

    sizes = ((1, 1), (5, 4), (9, 3))
    for picture, rule, (width, height), antialias in product(pictures, RULES, sizes, (True, False)):
        add(picture, width, height, resize=rule, padding=114, antialias=antialias)
    for layout, order, kind, rule in product(LAYOUTS, ORDERS, TYPES, RULES):
        channels = 1 if order == "gray" else 3
        changes: dict[str, Any] = {key: IMAGENET[key][:channels] for key in ("mean", "std")}
        changes["scale"] = 1 / 255
        if kind == "uint8":
            changes = {"scale": 0.7, "mean": [-3.25], "std": [0.5]}
        add("7x4", 5, 6, layout=layout, color_order=order, element_type=kind, resize=rule,
            padding=127.5, **changes)  # fmt: skip
    for order in ORDERS:
        add("glass", 4, 4, color_order=order, element_type="float", scale=1 / 255)
    add("61x37", 12, 6, color_order="bgr", element_type="float", resize="fit-height", **PADDLE)
    add("224x3", 12, 6, color_order="bgr", element_type="float", resize="fit-height", **PADDLE)
    add("3x5", 5, 4, element_type="float16", scale=400.0)
    add("3x5", 5, 4, element_type="float16", scale=1e-9, mean=[-1e-7])
    return cases


def orientation_cases(pictures: dict[str, Rows]) -> list[dict[str, Any]]:
    return [
        {
            "picture": picture,
            "orientation": orientation,
            "width": len(turned[0]),
            "height": len(turned),
            "rgba": base64.b64encode(raw(turned)).decode(),
        }
        for picture in ("1x1", "3x5", "7x4")
        for orientation in range(9)
        for turned in [seen(pictures[picture], orientation)]
    ]


def classification_cases() -> list[dict[str, Any]]:
    nan, infinity = "NaN", "Infinity"
    score_lists: list[list[float | str]] = [
        [0.25],
        [0.1, 0.7, 0.2],
        [1.0, 3.0, 3.0, -2.0, 3.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [1000.0, 999.0, -1000.0],
        [-1e30, -1e30, 88.0, 87.5],
        [2.0, nan, 5.0, nan, -1.0],
        [nan, nan],
        [f"-{infinity}", 1.0, 2.0],
        [value / 32 - 4 for value, _ in zip(numbers(5, 256), range(40), strict=False)],
    ]
    cases = []
    for scores, top_k, apply_softmax in product(score_lists, (1, 3, 100), (True, False)):
        single = [struct.unpack("<f", struct.pack("<f", float(score)))[0] for score in scores]
        ranked = [
            *sorted((i for i, s in enumerate(single) if s == s), key=lambda i: (-single[i], i)),
            *(i for i, s in enumerate(single) if s != s),
        ]
        shares = softmax(single) if apply_softmax else single
        cases.append(
            {
                "scores": scores,
                "top_k": top_k,
                "apply_softmax": apply_softmax,
                "indices": ranked[:top_k],
                "confidences": [json_number(shares[i]) for i in ranked[:top_k]],
            }
        )
    return cases


def json_number(value: float) -> float | str:
    """Return a number, or the name of one that JSON does not know."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def softmax(logits: list[float]) -> list[float]:
    if any(math.isnan(logit) for logit in logits):
        return [math.nan] * len(logits)
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    return [power / math.fsum(powers) for power in powers]


def state_cases() -> dict[str, Any]:
    """Follow `leaky_sum.onnx`: state_out = 0.5 · state_in + x, y = state_out - 1."""
    levels = numbers(7, 128)
    state = [0.0, 0.0, 0.0]
    steps: list[dict[str, Any]] = []
    for number in range(12):
        reset = number in {5, 9}
        if reset:
            state = [0.0, 0.0, 0.0]
        x = [next(levels) / 8 - 8 for _ in state]
        state = [0.5 * old + new for old, new in zip(state, x, strict=True)]
        steps.append({"reset": reset, "x": x, "y": [value - 1 for value in state]})
    return {"model": "leaky_sum.onnx", "input": "state_in", "output": "state_out", "steps": steps}


def leaky_sum() -> bytes:
    from onnx import TensorProto, helper

    shape = [1, 3]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("x", "state_in", "y", "state_out")
    }
    constants = [
        helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = [
        helper.make_node("Mul", ["state_in", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], ["state_out"]),
        helper.make_node("Sub", ["state_out", "one"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "leaky_sum",
        [values["x"], values["state_in"]],
        [values["y"], values["state_out"]],
        constants,
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


# ------------------------------------------------------------------------------ files


def make_files() -> dict[str, bytes]:
    pictures = {
        name: drawn(*size, seed, opaque=True) for seed, (name, size) in enumerate(PICTURES.items())
    }
    wide = {"224x3": drawn(*WIDE, 8, opaque=True), "glass": drawn(6, 5, 9, opaque=False)}
    every = pictures | wide
    sizes = {name: {"width": len(rows[0]), "height": len(rows)} for name, rows in every.items()}
    return {
        **{f"pictures/{name}.rgba": raw(rows) for name, rows in every.items()},
        "pictures.json": lines(sizes),
        "image.json": lines(image_cases(every)),
        "orientation.json": lines(orientation_cases(every)),
        "classification.json": lines(classification_cases()),
        "state.json": lines(state_cases()),
        "leaky_sum.onnx": leaky_sum(),
    }


def lines(value: object) -> bytes:
    """Write JSON, a case a line."""
    if isinstance(value, list):
        text = "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]\n"
    else:
        text = json.dumps(value, indent=1) + "\n"
    return text.encode()


def main() -> int:
    wanted = make_files()
    if "--check" in sys.argv:
        there = {
            str(path.relative_to(VECTORS)): path.read_bytes()
            for path in VECTORS.rglob("*")
            if path.is_file()
        }
        wrong = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
        print("\n".join(f"{name} is not current" for name in wrong) or "current")
        return bool(wrong)
    for name, data in wanted.items():
        path = VECTORS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(wanted)} files, {sum(map(len, wanted.values()))} bytes in {VECTORS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
