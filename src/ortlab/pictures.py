"""What the kinds `image` and `classification` do, on arrays; the SDKs do the same.

Source of every operation and of the order of roundings: `docs/kinds.md`. Sizes go by width and
height, arrays by rows and columns. The result is the same to the last bit on every platform, but
for confidences, which may differ in the last place of ``exp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ortlab.domain import ClassificationKind, ColorOrder, ImageKind, Layout, ResizeRule
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

CHANNEL_TYPES: Final = {"uint8": "<u1", "float16": "<f2", "float": "<f4"}
"""Element types of image tensors, and numpy's names of them."""
CHANNEL_COUNTS: Final = {ColorOrder.RGB: 3, ColorOrder.BGR: 3, ColorOrder.GRAY: 1}
LAST_ORIENTATION: Final = 8
_MAXIMUM_LEVEL: Final = 255
_WEIGHT_BITS: Final = 22
_HALF_WEIGHT: Final = 1 << (_WEIGHT_BITS - 1)
_RGB: Final = 3
_LUMA: Final = (19595, 38470, 7471)  # ITU-R BT.601 in units of 2^-16
_LUMA_BITS: Final = 16


# ------------------------------------------------------------------------------ geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the whole resized picture lies in the tensor.

    Attributes:
        width: Columns of the resized picture.
        height: Rows of it.
        left: Column of the tensor where it begins; negative where it sticks out.
        top: Row likewise.
    """

    width: int
    height: int
    left: int
    top: int


def place(
    picture_size: tuple[int, int], tensor_size: tuple[int, int], rule: ResizeRule
) -> Placement:
    """Apply a resize rule; sizes are (width, height)."""
    width, height = picture_size
    frame_width, frame_height = tensor_size
    if rule is ResizeRule.STRETCH:
        return Placement(width=frame_width, height=frame_height, left=0, top=0)
    if rule is ResizeRule.FIT_HEIGHT:
        kept = -(-width * frame_height // height)
        return Placement(width=min(frame_width, kept), height=frame_height, left=0, top=0)
    width_limits = frame_width * height <= frame_height * width
    if width_limits == (rule is not ResizeRule.CROP):
        resized = (frame_width, max(1, _rounded_division(height * frame_width, width)))
    else:
        resized = (max(1, _rounded_division(width * frame_height, height)), frame_height)
    if rule is ResizeRule.FIT_TOP_LEFT:
        return Placement(width=resized[0], height=resized[1], left=0, top=0)
    return Placement(
        width=resized[0],
        height=resized[1],
        left=_half(frame_width - resized[0]),
        top=_half(frame_height - resized[1]),
    )


def _rounded_division(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


def _half(rest: int) -> int:
    return rest // 2 if rest >= 0 else -(-rest // 2)


def oriented(picture: Array, orientation: int) -> Array:
    """Turn and mirror rows × columns (× channels) as Exif's orientation tag asks.

    Args:
        picture: As stored.
        orientation: 1 to 8 as in Exif 2.3; 0 (unknown) counts as 1.

    Raises:
        UsageError: It is none of these.
    """
    if not 0 <= orientation <= LAST_ORIENTATION:
        message = f"cannot turn a picture: Exif knows no orientation {orientation}"
        raise UsageError(message)
    mirrored = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    turned = picture.swapaxes(0, 1) if orientation >= 5 else picture
    for axis in mirrored:
        turned = turned[::-1] if axis == 0 else turned[:, ::-1]
    return turned


# ------------------------------------------------------------------------------ resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """What one sample of a resized axis is made of: weights of samples from ``first`` on."""

    first: int
    weights: tuple[int, ...]


def taps_of(source: int, resized: int, visible: range, *, antialias: bool) -> tuple[Tap, ...]:
    """Weigh an axis of ``source`` samples that becomes ``resized`` long.

    Args:
        source: Samples before.
        resized: Samples after.
        visible: Those of the resized samples that are wanted.
        antialias: Whether shrinking averages over all it covers.

    Returns:
        Weights in units of 2^-22, one tap for each visible sample.
    """
    scale = source / resized
    reach = max(scale, 1.0) if antialias else 1.0
    inverse = 1.0 / reach
    taps = []
    for index in visible:
        center = (index + 0.5) * scale
        first = max(0, int(center - reach + 0.5))
        end = min(source, int(center + reach + 0.5))
        exact = [
            max(0.0, 1.0 - abs((sample + first - center + 0.5) * inverse))
            for sample in range(end - first)
        ]
        total = 0.0
        for weight in exact:  # in this order: `sum` compensates in newer releases of Python
            total += weight
        fixed = tuple(int(0.5 + weight / total * (1 << _WEIGHT_BITS)) for weight in exact)
        taps.append(Tap(first=first, weights=fixed))
    return tuple(taps)


def _resampled(levels: Array, taps: Sequence[Tap]) -> Array:
    """Resample the first axis; levels are whole numbers of 0 to 255."""
    import numpy as np

    result = np.empty((len(taps), *levels.shape[1:]), dtype=np.int64)
    for index, tap in enumerate(taps):
        samples = levels[tap.first : tap.first + len(tap.weights)]
        weights = np.array(tap.weights, dtype=np.int64)
        result[index] = np.tensordot(weights, samples, axes=1)
    rounded: Array = np.minimum((result + _HALF_WEIGHT) >> _WEIGHT_BITS, _MAXIMUM_LEVEL)
    return rounded


def visible_levels(
    levels: Array, placement: Placement, tensor_size: tuple[int, int], *, antialias: bool
) -> Array:
    """Resize rows × columns × channels and return the part that the tensor shows.

    Columns are resampled first, then rows; each time the result is rounded to whole levels.
    """
    rows, columns = levels.shape[:2]
    left, top = max(0, -placement.left), max(0, -placement.top)
    seen_columns = range(left, left + min(tensor_size[0], placement.width))
    seen_rows = range(top, top + min(tensor_size[1], placement.height))
    across = taps_of(columns, placement.width, seen_columns, antialias=antialias)
    down = taps_of(rows, placement.height, seen_rows, antialias=antialias)
    narrowed = _resampled(levels.swapaxes(0, 1), across).swapaxes(0, 1)
    return _resampled(narrowed, down)


# ------------------------------------------------------------------------------ image


def image_tensor(
    picture: Array, kind: ImageKind, tensor_size: tuple[int, int], element_type: str = "float"
) -> Array:
    """Return the tensor that a model gets for a picture.

    Args:
        picture: Rows × columns × 3 (RGB) or 4 (RGBA, not multiplied with alpha), uint8, upright.
        kind: What the model wants.
        tensor_size: Width and height of the tensor.
        element_type: ``uint8``, ``float16`` or ``float``.

    Returns:
        1 × channels × rows × columns, or 1 × rows × columns × channels.

    Raises:
        UsageError: There is no picture in the array, or no image tensor of this element type.
    """
    import numpy as np

    if element_type not in CHANNEL_TYPES:
        known = ", ".join(CHANNEL_TYPES)
        message = f"cannot make an image tensor of element type {element_type!r}: known are {known}"
        raise UsageError(message)
    levels = _opaque_levels(picture, kind.color_order)
    placement = place((levels.shape[1], levels.shape[0]), tensor_size, kind.resize)
    inner = visible_levels(levels, placement, tensor_size, antialias=kind.antialias)
    left, top = max(0, placement.left), max(0, placement.top)
    channels = CHANNEL_COUNTS[kind.color_order]
    filled = np.full((tensor_size[1], tensor_size[0], channels), float(kind.padding))
    filled[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    exact = (filled * kind.scale - np.array(kind.mean)) / np.array(kind.std)
    if kind.layout is Layout.NCHW:
        exact = exact.transpose(2, 0, 1)
    return np.ascontiguousarray(_elements(exact, element_type))[np.newaxis]


def _elements(exact: Array, element_type: str) -> Array:
    import numpy as np

    if element_type == "uint8":
        return np.clip(np.rint(exact), 0, _MAXIMUM_LEVEL).astype("<u1")
    with np.errstate(over="ignore"):
        return exact.astype("<f4").astype(CHANNEL_TYPES[element_type])


def _opaque_levels(picture: Array, order: ColorOrder) -> Array:
    import numpy as np

    if picture.ndim != _RGB or picture.shape[2] not in {_RGB, _RGB + 1} or not picture.size:
        shape = " × ".join(map(str, picture.shape))
        message = f"cannot read an array of {shape} as a picture: it takes rows × columns × 3 or 4"
        raise UsageError(message)
    if picture.dtype != np.uint8:
        message = f"cannot read an array of {picture.dtype} as a picture: it takes uint8"
        raise UsageError(message)
    colors: Array = picture[..., :_RGB].astype(np.int64)
    if picture.shape[2] > _RGB:
        alpha = picture[..., _RGB:].astype(np.int64)
        white = _MAXIMUM_LEVEL * (_MAXIMUM_LEVEL - alpha)
        colors = (colors * alpha + white + _MAXIMUM_LEVEL // 2) // _MAXIMUM_LEVEL
    if order is ColorOrder.BGR:
        return colors[..., ::-1]
    if order is ColorOrder.GRAY:
        luma = colors @ np.array(_LUMA, dtype=np.int64)
        return ((luma + (1 << (_LUMA_BITS - 1))) >> _LUMA_BITS)[..., np.newaxis]
    return colors


# ------------------------------------------------------------------------------ classification


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A class that a model sees.

    Attributes:
        index: Position among the model's classes, from 0.
        text: Name of the class.
        confidence: The model's score of it; 0 to 1 where the model or softmax makes it so.
    """

    index: int
    text: str
    confidence: float


def softmax(logits: Array) -> Array:
    """Return ``exp(x - max) / sum`` of a vector, in double precision, as float32."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        powers = np.exp(logits.astype(np.float64) - np.max(logits, initial=-np.inf))
        shares: Array = (powers / powers.sum()).astype(np.float32)
    return shares


def top_k(scores: Array, count: int) -> tuple[int, ...]:
    """Return the indices of the largest scores of a vector: ties by index, NaN last."""
    import numpy as np

    values = scores.astype(np.float64)
    order = np.lexsort((np.arange(values.size), -values, np.isnan(values)))
    return tuple(int(index) for index in order[:count])


def labels_of(scores: Array, kind: ClassificationKind) -> tuple[Label, ...]:
    """Return the best classes, best first.

    Args:
        scores: One a class; dimensions of size 1 do not matter.
        kind: Labels, how many are answered, and whether the scores are logits.

    Raises:
        UsageError: There are more or fewer scores than labels.
    """
    flat = scores.reshape(-1)
    if flat.size != len(kind.labels):
        message = (
            f"cannot name what the model sees: it scores {flat.size} classes, and there are"
            f" {len(kind.labels)} labels"
        )
        raise UsageError(message)
    confidences = softmax(flat) if kind.apply_softmax else flat
    return tuple(
        Label(index=index, text=kind.labels[index], confidence=float(confidences[index]))
        for index in top_k(flat, kind.top_k)
    )
