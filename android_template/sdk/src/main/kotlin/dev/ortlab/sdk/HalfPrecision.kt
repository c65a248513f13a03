package dev.ortlab.sdk

import dev.ortlab.sdk.image.halfBits

/** Conversions of 16-bit floats; Android's own need API level 26. Source: IEEE 754-2019. */
internal object HalfPrecision {
    private const val FLOAT_SIGN = 0x8000_0000.toInt()
    private const val FLOAT_INFINITY = 0x7F80_0000
    private const val HALF_INFINITY = 0x7C00
    private const val HALF_MANTISSA = 0x03FF
    private const val MANTISSA_SHIFT = 13
    private const val BIAS_DIFFERENCE = 112

    /** 2^-24, the smallest subnormal number. */
    private const val SUBNORMAL_STEP = 5.9604645e-8f

    fun float16ToFloat(bits: Short): Float {
        val sign = (bits.toInt() and 0x8000) shl 16
        val exponent = bits.toInt() and HALF_INFINITY
        val mantissa = bits.toInt() and HALF_MANTISSA
        val magnitude =
            when (exponent) {
                0 -> (mantissa * SUBNORMAL_STEP).toRawBits()
                HALF_INFINITY -> FLOAT_INFINITY or (mantissa shl MANTISSA_SHIFT)
                else -> ((exponent shl MANTISSA_SHIFT) + (BIAS_DIFFERENCE shl 23)) or (mantissa shl MANTISSA_SHIFT)
            }
        return Float.fromBits(sign or magnitude)
    }

    fun floatToFloat16(value: Float): Short = halfBits(value)

    fun bfloat16ToFloat(bits: Short): Float = Float.fromBits(bits.toInt() shl 16)

    fun floatToBfloat16(value: Float): Short {
        val bits = value.toRawBits()
        val isNan = (bits and FLOAT_SIGN.inv()) > FLOAT_INFINITY
        return (if (isNan) (bits ushr 16) or 0x0040 else roundedShift(bits, 16)).toShort()
    }

    /** Drops [shift] bits, to nearest, ties to even. */
    private fun roundedShift(
        bits: Int,
        shift: Int,
    ): Int {
        val odd = (bits ushr shift) and 1
        return (bits + (1 shl (shift - 1)) - 1 + odd) ushr shift
    }
}
