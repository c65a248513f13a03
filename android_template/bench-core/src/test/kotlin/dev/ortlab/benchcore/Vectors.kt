package dev.ortlab.benchcore

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.DynamicTest
import java.io.File
import java.nio.ByteBuffer

/** The vectors of the benchmark protocol; a project of its own may do without them. */
internal object Vectors {
    private val protocol = System.getProperty("ortlab.bench_protocol").orEmpty()

    /** A file below `vectors`. */
    fun file(path: String): File {
        assumeTrue(protocol.isNotEmpty(), "ortlab.bench_protocol names no directory")
        return File(protocol, "vectors/$path")
    }

    fun json(path: String): JsonObject = Json.parseToJsonElement(file(path).readText()).jsonObject

    /** One test for each case of a file. */
    fun tests(
        path: String,
        list: String,
        check: (JsonObject) -> Unit,
    ): List<DynamicTest> {
        val cases = json(path).getValue(list).jsonArray.map { it.jsonObject }
        check(cases.isNotEmpty()) { "$path has no $list" }
        return cases.map { case -> DynamicTest.dynamicTest(case.text("name")) { check(case) } }
    }
}

internal fun JsonObject.text(key: String): String = getValue(key).jsonPrimitive.content

internal fun JsonObject.long(key: String): Long = getValue(key).jsonPrimitive.long

internal fun JsonObject.double(key: String): Double = getValue(key).jsonPrimitive.double

internal fun JsonObject.boolean(key: String): Boolean = getValue(key).jsonPrimitive.boolean

internal fun JsonObject.inner(key: String): JsonObject = getValue(key).jsonObject

internal fun JsonObject.longs(key: String): List<Long> = getValue(key).jsonArray.map { it.jsonPrimitive.long }

/** Durations, of which equal ones in a row are written once with their number. */
internal fun JsonObject.durations(): Sequence<Long> =
    getValue("durations_ns").jsonArray.asSequence().flatMap { pair ->
        val (durationNs, times) = (pair as JsonArray).map { it.jsonPrimitive.long }
        generateSequence { durationNs }.take(times.toInt())
    }

/** Bytes written in hexadecimal, as a direct buffer. */
internal fun JsonObject.bytes(key: String): ByteBuffer {
    val bytes = text(key).chunked(2).map { it.toInt(16).toByte() }
    val buffer = directBuffer(bytes.size)
    bytes.forEachIndexed { at, byte -> buffer.put(at, byte) }
    return buffer
}

/** The remaining bytes, in hexadecimal. */
internal fun ByteBuffer.hexadecimal(): String = (position() until limit()).joinToString("") { "%02x".format(get(it)) }

/** The request with one field changed. */
internal fun JsonObject.with(
    key: String,
    value: JsonElement,
): JsonObject = JsonObject(this + (key to value))
