package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtSession
import java.nio.ByteOrder

/** A session's outputs: memory allocated once where the shape cannot change, new tensors elsewhere. */
internal class OutputTensors(
    descriptor: ModelDescriptor,
) {
    private class Slot(
        val name: String,
        val elementType: ElementType,
        val fixedSizes: LongArray?,
    )

    private val slots =
        descriptor.outputs.map { output ->
            // The runtime writes only into tensors that its Java API can create, text aside.
            val canPin = output.isPinned && output.elementType.canBeInput && output.elementType != ElementType.STRING
            Slot(RuntimeNames.of(output.name), output.elementType, if (canPin) output.fixedShape else null)
        }
    private val pinned = arrayOfNulls<Tensor>(slots.size)

    /** Where the runtime writes, by its names. */
    val handles: MutableMap<String, OnnxTensor> = LinkedHashMap<String, OnnxTensor>()
    private val requested: Set<String> = slots.filter { it.fixedSizes == null }.mapTo(LinkedHashSet()) { it.name }
    private var lastResults: List<Tensor>? = null

    /** Borrows the tensors; what the caller closed is made anew. */
    fun acquire() {
        for (index in pinned.indices) {
            val sizes = slots[index].fixedSizes ?: continue
            val tensor = pinned[index]?.takeUnless { it.isClosed } ?: replace(index, sizes)
            try {
                tensor.acquire()
            } catch (refusal: UnusableException) {
                releaseFirst(index)
                throw refusal
            }
        }
    }

    fun release(): Unit = releaseFirst(pinned.size)

    private fun releaseFirst(count: Int) {
        for (index in 0 until count) pinned[index]?.release()
    }

    private fun replace(
        index: Int,
        sizes: LongArray,
    ): Tensor {
        val tensor = Tensor.allocate(slots[index].elementType, *sizes)
        handles[slots[index].name] = tensor.handle()
        pinned[index] = tensor
        lastResults = null
        return tensor
    }

    /** Refuses to read from the memory that a run writes to. */
    fun refuseAsInputs(inputs: List<Tensor>) {
        for (tensor in inputs) {
            val index = pinned.indexOfFirst { it === tensor }
            if (index >= 0) {
                throw SharedTensorException(
                    "The output tensor '${slots[index].name}' of this session is given as an input: the run would overwrite it",
                )
            }
        }
    }

    fun run(
        session: OrtSession,
        feeds: Map<String, OnnxTensor>,
    ): List<Tensor> {
        if (requested.isEmpty()) {
            session.run(feeds, handles).close()
            return lastResults ?: pinned.filterNotNull().also { lastResults = it }
        }
        val result = if (handles.isEmpty()) session.run(feeds) else session.run(feeds, requested, handles)
        return result.use { values ->
            slots.mapIndexed { index, slot -> pinned[index] ?: copyOf(slot, values.get(slot.name).get() as OnnxTensor) }
        }
    }

    fun close() {
        pinned.forEach { it?.close() }
    }

    private fun copyOf(
        slot: Slot,
        value: OnnxTensor,
    ): Tensor {
        val sizes = value.info.shape
        if (slot.elementType == ElementType.STRING) {
            val texts = ArrayList<String>()
            flatten(value.value, texts)
            return StringTensor(sizes, texts.toTypedArray())
        }
        val tensor = Tensor.allocate(slot.elementType, *sizes) as BufferTensor
        tensor.bytes.put(value.byteBuffer.order(ByteOrder.nativeOrder()))
        return tensor
    }

    private fun flatten(
        value: Any?,
        into: MutableList<String>,
    ) {
        if (value is Array<*>) value.forEach { flatten(it, into) } else into += value as? String ?: ""
    }
}
