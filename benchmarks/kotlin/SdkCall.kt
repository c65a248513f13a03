package dev.ortlab.sdkbench

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.models.Tiny
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.random.Random

private const val WARM_UP_RUNS = 200_000

/**
 * Times chunks of calls of the generated class and of bare `OrtSession.run` with pinned outputs, in
 * random order; prints the nanoseconds of both for each round: `SDK BARE`.
 *
 * Arguments: assets, rounds, calls of a chunk.
 */
internal fun main(arguments: Array<String>) {
    val assets = File(arguments[0])
    val rounds = arguments[1].toInt()
    val calls = arguments[2].toInt()
    val environment = OrtEnvironment.getEnvironment()
    Tiny.open(FileModelSource(assets), SessionOptions(intraOpThreads = 1)).use { model ->
        val input = Tiny.Input.allocate()
        val options = OrtSession.SessionOptions()
        options.setIntraOpNumThreads(1)
        val path = File(assets, model.variant.assetPath).path
        environment.createSession(path, options).use { session ->
            val inputs = mapOf("x" to tensor(environment))
            val outputs = mapOf("y" to tensor(environment))

            fun bare(count: Int) = repeat(count) { session.run(inputs, outputs).close() }

            fun generated(count: Int) = repeat(count) { model.run(input).y }

            bare(WARM_UP_RUNS)
            generated(WARM_UP_RUNS)
            val order = Random(0)
            repeat(rounds) {
                val isSdkFirst = order.nextBoolean()
                val first = nanos { if (isSdkFirst) generated(calls) else bare(calls) }
                val second = nanos { if (isSdkFirst) bare(calls) else generated(calls) }
                println(if (isSdkFirst) "$first $second" else "$second $first")
            }
        }
        input.close()
    }
}

private fun tensor(environment: OrtEnvironment): OnnxTensor {
    val memory = ByteBuffer.allocateDirect(4 * Float.SIZE_BYTES).order(ByteOrder.nativeOrder())
    return OnnxTensor.createTensor(environment, memory.asFloatBuffer(), longArrayOf(1, 4))
}

private inline fun nanos(body: () -> Unit): Long {
    val started = System.nanoTime()
    body()
    return System.nanoTime() - started
}
