package dev.ortlab.tests

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import dev.ortlab.sdk.Classification
import dev.ortlab.sdk.Label
import dev.ortlab.sdk.State
import dev.ortlab.sdk.image.ChannelType
import dev.ortlab.sdk.image.ColorOrder
import dev.ortlab.sdk.image.ImageFormat
import dev.ortlab.sdk.image.ImagePreprocessor
import dev.ortlab.sdk.image.Layout
import dev.ortlab.sdk.image.Picture
import dev.ortlab.sdk.image.ResizeRule
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.add
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.buildJsonArray
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.put
import java.io.File
import java.io.OutputStream
import java.lang.management.ManagementFactory
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

private const val GUARD: Byte = 0x5A
private const val GUARD_BYTES = 16

/** Answers a file of cases with what the SDK makes of them: `COMMAND CASES ANSWER`. */
fun main(arguments: Array<String>) {
    val (command, cases, answer) = arguments
    val given = Json.parseToJsonElement(File(cases).readText())
    val directory = File(cases).absoluteFile.parentFile
    File(answer).outputStream().buffered().use { output ->
        when (command) {
            "images" -> images(given.jsonArray, directory, output)
            "orientations" -> orientations(given.jsonArray, directory, output)
            "labels" -> output.write(labels(given.jsonArray).toString().toByteArray())
            "state" -> states(given.jsonObject, directory, output)
            "classify" -> output.write(classified(given.jsonObject, directory).toString().toByteArray())
            "speed" -> output.write(speed().toString().toByteArray())
            "misuse" -> output.write(misuse().toString().toByteArray())
            else -> error(command)
        }
    }
}

private fun text(
    case: JsonObject,
    key: String,
): String = case.getValue(key).jsonPrimitive.content

private fun numbers(element: JsonElement): List<Double> = element.jsonArray.map { it.jsonPrimitive.double }

private fun pictureOf(
    case: JsonObject,
    directory: File,
): Picture {
    val name = text(case, "picture")
    val sizes = Json.parseToJsonElement(File(directory, "pictures.json").readText()).jsonObject
    val size = sizes.getValue(name).jsonObject
    val bytes = File(directory, "pictures/$name.rgba").readBytes()
    return Picture.fromRgba(text(size, "width").toInt(), text(size, "height").toInt(), bytes)
}

private fun formatOf(case: JsonObject): ImageFormat =
    ImageFormat(
        width = text(case, "width").toInt(),
        height = text(case, "height").toInt(),
        layout = Layout.valueOf(text(case, "layout").uppercase()),
        colorOrder = ColorOrder.valueOf(text(case, "color_order").uppercase()),
        channelType = ChannelType.valueOf(text(case, "element_type").uppercase()),
        scale = text(case, "scale").toDouble(),
        mean = numbers(case.getValue("mean")),
        std = numbers(case.getValue("std")),
        resize = ResizeRule.valueOf(text(case, "resize").uppercase().replace('-', '_')),
        padding = text(case, "padding").toDouble(),
        antialias = case.getValue("antialias").jsonPrimitive.boolean,
    )

/**
 * Writes every tensor, and checks what the bytes alone do not show: nothing around the tensor is
 * touched, a preprocessor that has seen another picture answers the same, typed buffers as well.
 */
private fun images(
    cases: JsonArray,
    directory: File,
    output: OutputStream,
) {
    val other = Picture(3, 2, IntArray(6) { it * 40_503 })
    for (element in cases) {
        val case = element.jsonObject
        val format = formatOf(case)
        val picture = pictureOf(case, directory)
        val byteCount = format.elementCount * format.channelType.byteCount
        val buffer = ByteBuffer.allocateDirect(byteCount + 2 * GUARD_BYTES).order(ByteOrder.nativeOrder())
        for (index in 0 until buffer.capacity()) buffer.put(index, GUARD)
        (buffer as Buffer).position(GUARD_BYTES)
        val preprocessor = ImagePreprocessor(format)
        preprocessor.write(picture, buffer)
        check(buffer.position() == GUARD_BYTES) { "the position moved: $case" }
        val tensor = ByteArray(byteCount) { buffer.get(GUARD_BYTES + it) }
        for (index in 0 until GUARD_BYTES) {
            check(buffer.get(index) == GUARD) { "wrote before the tensor: $case" }
            check(buffer.get(GUARD_BYTES + byteCount + index) == GUARD) { "wrote behind the tensor: $case" }
        }
        preprocessor.write(other, buffer)
        preprocessor.write(picture, buffer)
        check(tensor.indices.all { tensor[it] == buffer.get(GUARD_BYTES + it) }) { "differs again: $case" }
        checkTyped(preprocessor, picture, buffer)
        output.write(tensor)
    }
}

private fun checkTyped(
    preprocessor: ImagePreprocessor,
    picture: Picture,
    expected: ByteBuffer,
) {
    val count = preprocessor.format.elementCount
    if (preprocessor.format.channelType == ChannelType.FLOAT16) {
        val direct = ByteBuffer.allocateDirect(count * 2).order(ByteOrder.nativeOrder()).asShortBuffer()
        preprocessor.write(picture, direct)
        val wanted = expected.asShortBuffer()
        check((0 until count).all { direct.get(it) == wanted.get(it) }) { "a ShortBuffer differs" }
    }
    if (preprocessor.format.channelType == ChannelType.FLOAT) {
        val heap = FloatBuffer.allocate(count)
        preprocessor.write(picture, heap)
        val wanted = expected.asFloatBuffer()
        check((0 until count).all { heap.get(it) == wanted.get(it) }) { "a FloatBuffer differs" }
    }
}

private fun orientations(
    cases: JsonArray,
    directory: File,
    output: OutputStream,
) {
    for (element in cases) {
        val case = element.jsonObject
        val turned = pictureOf(case, directory).oriented(text(case, "orientation").toInt())
        check(turned.width == text(case, "width").toInt() && turned.height == text(case, "height").toInt())
        for (pixel in turned.argb) {
            for (shift in intArrayOf(16, 8, 0, 24)) output.write(pixel ushr shift)
        }
    }
}

private fun labels(cases: JsonArray): JsonArray =
    buildJsonArray {
        for (element in cases) {
            val case = element.jsonObject
            val scores = case.getValue("scores").jsonArray.map { it.jsonPrimitive.content.toFloat() }
            val names = List(scores.size) { "class $it" }
            val softmax = case.getValue("apply_softmax").jsonPrimitive.boolean
            val classification = Classification(names, case.getValue("top_k").jsonPrimitive.int, softmax)
            val buffer = FloatBuffer.wrap(scores.toFloatArray())
            val answer = classification.of(buffer)
            check(buffer.position() == 0 && answer == classification.of(scores.toFloatArray()))
            add(jsonOf(answer))
        }
    }

private fun jsonOf(labels: List<Label>): JsonArray =
    buildJsonArray {
        for (label in labels) {
            val entry =
                buildJsonObject {
                    put("index", label.index)
                    put("text", label.text)
                    put("confidence", label.confidence.toString())
                }
            add(entry)
        }
    }

/** Runs a model whose `x` and `y` are of the state's type, and writes every `y`. */
private fun states(
    given: JsonObject,
    directory: File,
    output: OutputStream,
) {
    val environment = OrtEnvironment.getEnvironment()
    val type = OnnxJavaType.valueOf(text(given, "type").uppercase())
    val shape =
        given
            .getValue("shape")
            .jsonArray
            .map { it.jsonPrimitive.long }
            .toLongArray()
    val stepShape =
        given
            .getValue("step_shape")
            .jsonArray
            .map { it.jsonPrimitive.long }
            .toLongArray()
    val steps = ByteBuffer.wrap(File(directory, text(given, "steps")).readBytes())
    val resets = given.getValue("resets").jsonArray.map { it.jsonPrimitive.int }
    val stepBytes = stepShape.fold(type.size) { product, size -> product * size.toInt() }
    environment.createSession(File(directory, text(given, "model")).path).use { session ->
        val state = State(environment, type, shape)
        state.use {
            val x = ByteBuffer.allocateDirect(stepBytes).order(ByteOrder.nativeOrder())
            val xTensor = OnnxTensor.createTensor(environment, x, stepShape, type)
            for (step in 0 until steps.capacity() / stepBytes) {
                if (step in resets) state.reset()
                for (index in 0 until stepBytes) x.put(index, steps.get(step * stepBytes + index))
                val inputs = mapOf("x" to xTensor, text(given, "input") to state.current)
                val pinned = mapOf(text(given, "output") to state.next)
                session.run(inputs, setOf("y"), pinned).use { result ->
                    val y = (result.get("y").get() as OnnxTensor).byteBuffer
                    while (y.hasRemaining()) output.write(y.get().toInt())
                }
                state.advance()
            }
            xTensor.close()
        }
        state.close()
        check(runCatching { state.current }.exceptionOrNull() is IllegalStateException)
        check(runCatching { state.reset() }.exceptionOrNull() is IllegalStateException)
        check(runCatching { state.advance() }.exceptionOrNull() is IllegalStateException)
    }
}

/** Runs one-input classifiers on every picture, as an app does. */
private fun classified(
    given: JsonObject,
    directory: File,
): JsonArray {
    val environment = OrtEnvironment.getEnvironment()
    val format = formatOf(given)
    val preprocessor = ImagePreprocessor(format)
    val names = given.getValue("labels").jsonArray.map { it.jsonPrimitive.content }
    val classification = Classification(names, names.size)
    val buffer = ByteBuffer.allocateDirect(format.elementCount * format.channelType.byteCount)
    buffer.order(ByteOrder.nativeOrder())
    return environment.createSession(text(given, "model")).use { session ->
        OnnxTensor.createTensor(environment, buffer, format.shape, OnnxJavaType.FLOAT).use { tensor ->
            buildJsonArray {
                for (name in given.getValue("pictures").jsonArray) {
                    val picture = pictureOf(JsonObject(mapOf("picture" to name)), directory)
                    preprocessor.write(picture, buffer)
                    session.run(mapOf(session.inputNames.first() to tensor)).use { result ->
                        add(jsonOf(classification.of((result.get(0) as OnnxTensor).floatBuffer)))
                    }
                }
            }
        }
    }
}

/** Measures 1920 x 1080 to 224 x 224 after warming up: milliseconds (median), and bytes allocated. */
private fun speed(): JsonObject =
    buildJsonObject {
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
        val picture = Picture(1920, 1080, IntArray(1920 * 1080) { (it * 2_654_435) or (0xFF shl 24) })
        for (antialias in listOf(true, false)) {
            val preprocessor = ImagePreprocessor(ImageFormat(224, 224, antialias = antialias))
            val buffer = ByteBuffer.allocateDirect(224 * 224 * 12).order(ByteOrder.nativeOrder()).asFloatBuffer()
            var allocated = 0L
            val times =
                List(60) {
                    val before = threads.currentThreadAllocatedBytes
                    val start = System.nanoTime()
                    preprocessor.write(picture, buffer)
                    val duration = System.nanoTime() - start
                    allocated = threads.currentThreadAllocatedBytes - before
                    duration
                }
            val name = if (antialias) "antialias" else "two_samples"
            put("${name}_ms", times.drop(30).sorted()[15] / 1e6)
            put("${name}_allocated_bytes", allocated)
        }
    }

private fun misuse(): JsonArray {
    val format = ImageFormat(4, 4)
    val preprocessor = ImagePreprocessor(format)
    val picture = Picture(1, 1, IntArray(1))
    val environment = OrtEnvironment.getEnvironment()
    val cases =
        listOf<() -> Unit>(
            { Picture(0, 1, IntArray(0)) },
            { Picture(2, 2, IntArray(3)) },
            { Picture.fromRgba(1, 1, ByteArray(3)) },
            { picture.oriented(9) },
            { ImageFormat(0, 4) },
            { ImageFormat(30_000, 30_000) },
            { ImageFormat(4, 4, mean = listOf(0.0, 0.0)) },
            { ImageFormat(4, 4, std = listOf(1.0, 0.0, 1.0)) },
            { ImageFormat(4, 4, scale = Double.NaN) },
            { ImageFormat(4, 4, padding = 256.0) },
            { preprocessor.write(picture, ByteBuffer.allocateDirect(192).order(ByteOrder.BIG_ENDIAN)) },
            { preprocessor.write(picture, ByteBuffer.allocateDirect(191).order(ByteOrder.nativeOrder())) },
            { preprocessor.write(picture, FloatBuffer.allocate(47)) },
            { preprocessor.write(picture, java.nio.ShortBuffer.allocate(48)) },
            { Classification(emptyList()) },
            { Classification(listOf("a"), 0) },
            { Classification(listOf("a")).of(floatArrayOf(1f, 2f)) },
            { State(environment, OnnxJavaType.STRING, longArrayOf(1)) },
            { State(environment, OnnxJavaType.FLOAT, longArrayOf(1, -1)) },
        )
    return buildJsonArray {
        for (case in cases) {
            val error = runCatching { case() }.exceptionOrNull()
            check(error == null || error is IllegalArgumentException) { "another error: $error" }
            add(JsonPrimitive(error?.message))
        }
    }
}
