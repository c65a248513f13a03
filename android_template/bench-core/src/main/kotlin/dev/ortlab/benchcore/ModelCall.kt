package dev.ortlab.benchcore

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo

private const val LONGEST_PINNED_BYTES = Int.MAX_VALUE.toDouble()

/**
 * The call that is timed: the one that the generated SDK makes.
 *
 * An app that runs a model again and again keeps its buffers, and the SDK does so for it: where the
 * model declares an output's shape in full, the runtime writes into a tensor that exists already.
 * The other outputs, whose shapes depend on the input or whose type the Java API cannot make, are
 * allocated by the runtime at each run and released after the clock was read.
 *
 * @param inputs by name; closed by whoever made them.
 */
internal class ModelCall(
    environment: OrtEnvironment,
    private val session: OrtSession,
    private val inputs: Map<String, OnnxTensor>,
) : TimedCall,
    AutoCloseable {
    private val pinned = LinkedHashMap<String, OnnxTensor>()
    private val requested = LinkedHashSet<String>()

    init {
        for ((name, node) in session.outputInfo) {
            val tensor = (node.info as? TensorInfo)?.let { pinnedTensor(environment, it) }
            if (tensor == null) requested += name else pinned[name] = tensor
        }
    }

    /**
     * Runs for the first time. A model may declare shapes that its outputs do not have; then the
     * runtime refuses our tensors, and allocates all outputs from here on.
     */
    fun runFirst(): OrtSession.Result =
        try {
            run()
        } catch (error: OrtException) {
            if (pinned.isEmpty()) throw error
            close()
            pinned.clear()
            run()
        }

    override fun run(): OrtSession.Result =
        when {
            pinned.isEmpty() -> session.run(inputs)
            requested.isEmpty() -> session.run(inputs, pinned)
            else -> session.run(inputs, requested, pinned)
        }

    override fun close() {
        pinned.values.forEach { it.close() }
    }
}

/** Returns a tensor for an output, or null where the runtime has to allocate it. */
private fun pinnedTensor(
    environment: OrtEnvironment,
    info: TensorInfo,
): OnnxTensor? {
    val type = elementTypeOf(info) ?: return null
    val shape = info.shape
    if (type == ElementType.STRING || shape.any { it <= 0 }) return null
    val sizeBytes = shape.fold(type.sizeBytes.toDouble()) { size, dimension -> size * dimension }
    if (sizeBytes > LONGEST_PINNED_BYTES) return null
    return createTensor(environment, type, shape, directBuffer(sizeBytes.toInt()))
}
