package dev.ortlab.benchcore

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo

private const val LONGEST_PINNED_BYTES = Int.MAX_VALUE.toLong()

/**
 * The call that is timed: the one the generated SDK makes.
 *
 * Where the model declares every output's shape in full, the outputs are written into tensors that
 * exist already: an app that runs a model again and again keeps its buffers, and the SDK does so for
 * it. Where a shape depends on the input, or where the Java API cannot make a tensor of that type,
 * the runtime allocates all outputs at each run; they are released after the clock was read.
 *
 * @param inputs by name; closed by whoever made them.
 */
internal class ModelCall(
    environment: OrtEnvironment,
    private val session: OrtSession,
    private val inputs: Map<String, OnnxTensor>,
) : TimedCall,
    AutoCloseable {
    private val pinned: Map<String, OnnxTensor>? = pinOutputs(environment, session)

    /** Whether the outputs are written into tensors that exist already. */
    val hasPinnedOutputs: Boolean get() = pinned != null

    override fun run(): OrtSession.Result =
        if (pinned == null) session.run(inputs) else session.run(inputs, pinned)

    override fun close() {
        pinned?.values?.forEach { it.close() }
    }
}

/** Returns a tensor for each output, or null where the runtime has to allocate one of them. */
private fun pinOutputs(
    environment: OrtEnvironment,
    session: OrtSession,
): Map<String, OnnxTensor>? {
    val made = LinkedHashMap<String, OnnxTensor>()
    for ((name, node) in session.outputInfo) {
        val tensor = (node.info as? TensorInfo)?.let { pinOutput(environment, it) }
        if (tensor == null) {
            made.values.forEach { it.close() }
            return null
        }
        made[name] = tensor
    }
    return made
}

private fun pinOutput(
    environment: OrtEnvironment,
    info: TensorInfo,
): OnnxTensor? {
    val type = elementTypeOf(info) ?: return null
    val shape = info.shape
    if (type.sizeBytes == 0 || shape.any { it <= 0 }) return null
    val sizeBytes = shape.fold(type.sizeBytes.toDouble()) { size, dimension -> size * dimension }
    if (sizeBytes > LONGEST_PINNED_BYTES) return null
    return createTensor(environment, type, shape, directBuffer(sizeBytes.toInt()))
}
