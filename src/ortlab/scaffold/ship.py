"""Which variants an app carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ortlab.domain import (
    Analysis,
    OptimizationStyle,
    Precision,
    PreparedModel,
    ShippedStyles,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError, UsageError

AUTO: Final = "auto"
_STYLES: Final = {
    ShippedStyles.FIXED: (OptimizationStyle.FIXED,),
    ShippedStyles.RUNTIME: (OptimizationStyle.RUNTIME,),
    ShippedStyles.BOTH: (OptimizationStyle.FIXED, OptimizationStyle.RUNTIME),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """Variants for an app, the one to take by default first, and what a user should know."""

    variants: tuple[Variant, ...]
    notes: tuple[str, ...]


def shipped_styles(word: str, analysis: Analysis | None) -> tuple[ShippedStyles, tuple[str, ...]]:
    """Return which styles to ship, and in sentences how that was decided.

    Args:
        word: ``fixed``, ``runtime``, ``both``, or ``auto``: what the last run recommends.
        analysis: Of the newest run of the model, for ``auto``; None where there is none.

    Raises:
        UsageError: The word is none of them.
    """
    if word != AUTO:
        try:
            return ShippedStyles(word), ()
        except ValueError as error:
            known = ", ".join([*ShippedStyles, AUTO])
            message = f"cannot ship {word!r}: it is one of {known}"
            raise UsageError(message) from error
    both = ShippedStyles.BOTH
    if analysis is None:
        return both, ("both styles are shipped: no run of this model says which is better",)
    recommendation = analysis.recommendation
    if recommendation.style is None:
        reason = recommendation.sentence.rstrip(".")
        return both, (f"both styles are shipped: the last run does not decide ({reason})",)
    if recommendation.style is OptimizationStyle.ONNX:
        reason = recommendation.sentence
        note = f"both styles are shipped: the last run recommends the .onnx file ({reason})"
        return both, (note,)
    style = ShippedStyles(recommendation.style.value)
    note = f"{style} style is shipped, as the last run recommends: {recommendation.sentence}"
    return style, (note,)


def shipped_variants(
    prepared: PreparedModel, ship: ShippedStyles, *, because: str = "phones have Arm CPUs"
) -> Shipped:
    """Choose the files of an app: one of each style, optimized for Arm.

    Where both styles are wanted and one could not be made, the other ships alone; where neither
    could, the `.onnx` file does. Each time a note says so.

    Args:
        prepared: The model.
        ship: Which styles.
        because: Why a file that was optimized for amd64 is no good choice.

    Raises:
        ModelError: Nothing that is wanted was prepared.
    """
    variants: list[Variant] = []
    notes: list[str] = []
    missing: list[str] = []
    for style in _STYLES[ship]:
        variant = _best(prepared, style)
        if variant is None:
            missing.append(f"{style}: {_why_missing(prepared, style)}")
            continue
        variants.append(variant)
        notes += _about(prepared, variant, because)
    plain = _best(prepared, OptimizationStyle.ONNX)
    if not variants and ship is ShippedStyles.BOTH and plain is not None:
        variants.append(plain)
        notes.append(f"the .onnx file is shipped, for there is no .ort file ({'; '.join(missing)})")
    elif missing and variants:
        notes.append(f"only {variants[0].style} style is shipped ({'; '.join(missing)})")
    if not variants:
        message = (
            f"cannot generate an app for {prepared.name}: nothing to ship ({'; '.join(missing)})"
        )
        raise ModelError(message, next_step="ortlab prepare MODEL.onnx --style fixed --target arm")
    return Shipped(variants=tuple(variants), notes=tuple(notes))


def _best(prepared: PreparedModel, style: OptimizationStyle) -> Variant | None:
    found = [variant for variant in prepared.variants if variant.style is style]
    return min(
        found,
        key=lambda variant: (
            variant.precision is not Precision.FP32,
            variant.target is not TargetPlatform.ARM,
        ),
        default=None,
    )


def _why_missing(prepared: PreparedModel, style: OptimizationStyle) -> str:
    for refused in prepared.refused:
        if refused.variant_id.startswith(style.value):
            return refused.reason.rstrip(".")
    return "it was not prepared"


def _about(prepared: PreparedModel, variant: Variant, because: str) -> list[str]:
    notes = []
    if variant.target is TargetPlatform.AMD64:
        notes.append(
            f"{variant.variant_id} was optimized for amd64, and {because}: prepare the"
            " model with --target arm"
        )
    others = [
        other.precision.value
        for other in prepared.variants
        if other.style is variant.style
        and other.target is variant.target
        and other.precision is not variant.precision
    ]
    if others:
        notes.append(
            f"of {variant.style} style, {variant.precision} is shipped; {', '.join(others)} was"
            " prepared too"
        )
    return notes
