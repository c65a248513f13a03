package dev.ortlab.sdk

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A value that a model hands from one call to the next.
 *
 * It lives in two native buffers that change roles after each call, so nothing is copied: give
 * [current] to the model as its input, pin [next] as its output, then [advance]. A call that fails
 * is simply not followed by [advance], and the state stays what it was. Use it from one thread at a
 * time.
 *
 * @param environment ONNX Runtime's environment
 * @param type element type of the state
 * @param shape sizes of the state; empty for a scalar
 * @throws IllegalArgumentException if the type has no fixed size, or a size is not positive
 */
public class State(
    environment: OrtEnvironment,
    type: OnnxJavaType,
    shape: LongArray,
) : AutoCloseable {
    private val buffers: List<ByteBuffer>
    private val tensors: List<OnnxTensor>
    private var turn = 0
    private var closed = false

    init {
        require(type != OnnxJavaType.STRING && type != OnnxJavaType.UNKNOWN) { "a state cannot hold $type" }
        require(shape.all { it > 0 }) { "a state of shape ${shape.contentToString()} is empty" }
        val byteCount = shape.fold(type.size.toLong()) { product, size -> Math.multiplyExact(product, size) }
        require(byteCount <= Int.MAX_VALUE) { "a state of $byteCount bytes is larger than a buffer can be" }
        buffers = List(2) { ByteBuffer.allocateDirect(byteCount.toInt()).order(ByteOrder.nativeOrder()) }
        val first = OnnxTensor.createTensor(environment, buffers[0], shape, type)
        tensors =
            try {
                listOf(first, OnnxTensor.createTensor(environment, buffers[1], shape, type))
            } catch (error: OrtException) {
                first.close()
                throw error
            }
    }

    /**
     * The state now: zeros at first, afterwards what the model wrote last.
     *
     * @throws IllegalStateException if this is closed
     */
    public val current: OnnxTensor
        get() = tensor(turn)

    /**
     * Where the model is to write the state after this call.
     *
     * @throws IllegalStateException if this is closed
     */
    public val next: OnnxTensor
        get() = tensor(1 - turn)

    /**
     * Makes what the model wrote into [next] the [current] state.
     *
     * @throws IllegalStateException if this is closed
     */
    public fun advance() {
        checkOpen()
        turn = 1 - turn
    }

    /**
     * Starts again with zeros.
     *
     * @throws IllegalStateException if this is closed
     */
    public fun reset() {
        checkOpen()
        val buffer = buffers[turn]
        for (index in 0 until buffer.capacity()) buffer.put(index, 0)
    }

    /** Frees both tensors; calling it again does nothing. */
    override fun close() {
        if (closed) return
        closed = true
        tensors.forEach { it.close() }
    }

    private fun tensor(which: Int): OnnxTensor {
        checkOpen()
        return tensors[which]
    }

    private fun checkOpen() {
        check(!closed) { "the state is closed" }
    }
}
