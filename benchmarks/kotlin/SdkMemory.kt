package dev.ortlab.sdkbench

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.models.Resnet50
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val RUNS = 3
private const val ELEMENTS = 3 * 224 * 224

/**
 * Loads and runs a model in one of two ways and prints the process's peak memory in kilobytes and the
 * sum of the outputs: `PEAK SUM`.
 *
 * Arguments: assets, `sdk` or `path`.
 */
internal fun main(arguments: Array<String>) {
    val assets = File(arguments[0])
    val sum = if (arguments[1] == "sdk") generated(assets) else byPath(assets)
    val peak = File("/proc/self/status").readLines().first { it.startsWith("VmHWM") }
    println("${peak.filter { it.isDigit() }} $sum")
}

private fun generated(assets: File): Float =
    Resnet50.open(FileModelSource(assets), SessionOptions(intraOpThreads = 1)).use { model ->
        Resnet50.Input.allocate().use { input ->
            for (index in 0 until ELEMENTS) input.gpu0Data0[index] = value(index)
            repeat(RUNS - 1) { model.run(input) }
            model
                .run(input)
                .gpu0Softmax1
                .toFloatArray()
                .sumOfSquares()
        }
    }

private fun byPath(assets: File): Float {
    val environment = OrtEnvironment.getEnvironment()
    val options = OrtSession.SessionOptions()
    options.setIntraOpNumThreads(1)
    val path = File(assets, Resnet50.descriptor.variants[0].assetPath).path
    return environment.createSession(path, options).use { session ->
        val memory = ByteBuffer.allocateDirect(ELEMENTS * Float.SIZE_BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer()
        for (index in 0 until ELEMENTS) memory.put(index, value(index))
        OnnxTensor.createTensor(environment, memory, longArrayOf(1, 3, 224, 224)).use { input ->
            val feeds = mapOf(session.inputNames.first() to input)
            repeat(RUNS - 1) { session.run(feeds).close() }
            session.run(feeds).use { result ->
                val output = (result[0] as OnnxTensor).floatBuffer
                FloatArray(output.remaining()).also { output.get(it) }.sumOfSquares()
            }
        }
    }
}

private fun value(index: Int): Float = (index % 255) / 255f - 0.5f

private fun FloatArray.sumOfSquares(): Float = fold(0f) { sum, value -> sum + value * value }
