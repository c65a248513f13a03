package dev.ortlab.benchcore

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import kotlin.random.Random

private const val WARM_UP_RUNS = 1000
private const val FAR_NS = 3_600_000_000_000L

/**
 * Times chunks of runs by the core's loop and by a bare one, in random order; prints the wall
 * nanoseconds of both for each round: `BLOCK BARE`.
 *
 * Arguments: model with one float input and a fixed shape, rounds, runs of a chunk.
 */
fun main(arguments: Array<String>) {
    val (model, rounds, runs) = arguments
    val environment = OrtEnvironment.getEnvironment()
    val options = OrtSession.SessionOptions().apply { setIntraOpNumThreads(1) }
    environment.createSession(model, options).use { session ->
        val (name, node) = session.inputInfo.entries.single()
        val shape = (node.info as TensorInfo).shape
        val elements = shape.fold(1L, Long::times).toInt()
        val zeros = directBuffer(elements * Float.SIZE_BYTES).asFloatBuffer()
        OnnxTensor.createTensor(environment, zeros, shape).use { input ->
            val loops = Loops(environment, session, mapOf(name to input))
            loops.bare(WARM_UP_RUNS)
            loops.block(WARM_UP_RUNS)
            compare(loops, rounds.toInt(), runs.toInt())
        }
    }
}

private fun compare(
    loops: Loops,
    rounds: Int,
    runs: Int,
) {
    val order = Random(0)
    repeat(rounds) {
        val isBlockFirst = order.nextBoolean()
        val first = wallNs { if (isBlockFirst) loops.block(runs) else loops.bare(runs) }
        val second = wallNs { if (isBlockFirst) loops.bare(runs) else loops.block(runs) }
        println(if (isBlockFirst) "$first $second" else "$second $first")
    }
}

/** The two loops over the same call of the same session. */
private class Loops(
    environment: OrtEnvironment,
    private val session: OrtSession,
    private val inputs: Map<String, OnnxTensor>,
) {
    private val call = ModelCall(environment, session, inputs)
    private val pinned = call.run().use { result -> result.associate { (name, value) -> name to value } }

    /** As a block does. */
    fun block(runs: Int) {
        val rule = StopRule(minRuns = runs.toLong(), minNs = 0, maxNs = FAR_NS, floorRuns = 5)
        measureRuns(call, rule, Samples(capacityFor(rule, 1)), System.nanoTime() + FAR_NS)
    }

    /** Two readings of the clock and a store. */
    fun bare(runs: Int): LongArray {
        val samples = LongArray(runs)
        for (run in samples.indices) {
            val startedNs = System.nanoTime()
            session.run(inputs, pinned)
            samples[run] = System.nanoTime() - startedNs
        }
        return samples
    }
}

private inline fun wallNs(block: () -> Unit): Long {
    System.gc()
    val startedNs = System.nanoTime()
    block()
    return System.nanoTime() - startedNs
}
