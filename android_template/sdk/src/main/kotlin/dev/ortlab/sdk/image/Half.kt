package dev.ortlab.sdk.image

private const val SIGN = 0x8000
private const val MAGNITUDE = 0x7FFF_FFFF
private const val FLOAT_INFINITY = 0x7F80_0000
private const val HALF_INFINITY = 0x7C00
private const val HALF_NAN = 0x7E00

/** Bits of 65520, which and beyond which everything rounds to infinity. */
private const val OVERFLOW = 0x477F_F000

/** Bits of 2^-14, the least normal value. */
private const val LEAST_NORMAL = 0x3880_0000
private const val REBIAS = 0x3800_0000
private const val DROPPED_BITS = 13
private const val SIGN_DISTANCE = 16

/** 2^24: units of the least subnormal value in one. */
private const val SUBNORMAL_UNITS = 16_777_216.0

/** Bits of IEEE 754 binary16 nearest to [value], to even where two are. */
internal fun halfBits(value: Float): Short {
    val bits = value.toRawBits()
    val sign = (bits ushr SIGN_DISTANCE) and SIGN
    val magnitude = bits and MAGNITUDE
    val half =
        when {
            magnitude > FLOAT_INFINITY -> HALF_NAN
            magnitude >= OVERFLOW -> HALF_INFINITY
            magnitude < LEAST_NORMAL -> Math.rint(Float.fromBits(magnitude) * SUBNORMAL_UNITS).toInt()
            else -> roundedToEven(magnitude - REBIAS)
        }
    return (sign or half).toShort()
}

private fun roundedToEven(bits: Int): Int {
    val even = (bits ushr DROPPED_BITS) and 1
    return (bits + (1 shl (DROPPED_BITS - 1)) - 1 + even) ushr DROPPED_BITS
}
