package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/**
 * Element types of tensor files.
 *
 * @property sizeBytes of one element; 0 for strings, whose elements differ.
 */
@Serializable
internal enum class ElementType(
    val wireName: String,
    val sizeBytes: Int,
) {
    @SerialName("float")
    FLOAT("float", 4),

    @SerialName("double")
    DOUBLE("double", 8),

    @SerialName("float16")
    FLOAT16("float16", 2),

    @SerialName("bfloat16")
    BFLOAT16("bfloat16", 2),

    @SerialName("int8")
    INT8("int8", 1),

    @SerialName("int16")
    INT16("int16", 2),

    @SerialName("int32")
    INT32("int32", 4),

    @SerialName("int64")
    INT64("int64", 8),

    @SerialName("uint8")
    UINT8("uint8", 1),

    @SerialName("uint16")
    UINT16("uint16", 2),

    @SerialName("uint32")
    UINT32("uint32", 4),

    @SerialName("uint64")
    UINT64("uint64", 8),

    @SerialName("bool")
    BOOL("bool", 1),

    @SerialName("string")
    STRING("string", 0),
}
