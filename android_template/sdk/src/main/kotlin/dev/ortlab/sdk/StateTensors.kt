package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor

/** Inputs that a session feeds with its own outputs. */
internal class StateTensors(
    descriptors: List<StateDescriptor>,
) : AutoCloseable {
    private class Slot(
        val inputName: String,
        val outputName: String,
        val state: State,
    )

    private val slots = ArrayList<Slot>(descriptors.size)

    init {
        try {
            for (descriptor in descriptors) {
                val state =
                    wrapping("make the state of '${descriptor.inputName}'") {
                        State(OrtRuntime.environment, descriptor.elementType.javaType, descriptor.sizes.toLongArray())
                    }
                slots += Slot(RuntimeNames.of(descriptor.inputName), RuntimeNames.of(descriptor.outputName), state)
            }
        } catch (error: SdkException) {
            close()
            throw error
        }
    }

    /** Puts the values now into [inputs], and where the next ones belong into [outputs]. */
    fun connect(
        inputs: MutableMap<String, OnnxTensor>,
        outputs: MutableMap<String, OnnxTensor>,
    ) {
        for (index in slots.indices) {
            val slot = slots[index]
            inputs[slot.inputName] = slot.state.current
            outputs[slot.outputName] = slot.state.next
        }
    }

    fun advance() {
        for (index in slots.indices) slots[index].state.advance()
    }

    fun reset() {
        for (slot in slots) slot.state.reset()
    }

    override fun close() {
        for (slot in slots) slot.state.close()
    }
}
