package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor

/**
 * Tensors that were checked against what a model takes; bound once, run many times.
 *
 * @throws ElementTypeMismatchException a tensor has another type than the model's input.
 * @throws ShapeMismatchException a shape does not fit, or two inputs contradict each other.
 * @throws SharedTensorException one tensor is given for two inputs.
 * @throws ClosedException a tensor was closed.
 */
internal class InputBinding(
    model: ModelDescriptor,
    val tensors: List<Tensor>,
) {
    private val texts: List<Pair<String, StringTensor>>

    /** What the runtime is given, by its names. */
    val feeds: MutableMap<String, OnnxTensor> = LinkedHashMap()

    init {
        val descriptors = model.inputs
        val bound = DimensionChecker(model.stateDimensions)
        val seen = HashMap<Tensor, String>()
        descriptors.forEachIndexed { index, descriptor ->
            val tensor = tensors[index]
            tensor.checkOpen()
            seen.put(tensor, descriptor.name)?.let { other ->
                throw SharedTensorException("One tensor is given for both inputs '$other' and '${descriptor.name}'")
            }
            bound.check(descriptor, tensor)
        }
        texts =
            descriptors.zip(tensors).mapNotNull { (descriptor, tensor) ->
                (tensor as? StringTensor)?.let { RuntimeNames.of(descriptor.name) to it }
            }
        descriptors.forEachIndexed { index, descriptor ->
            feeds[RuntimeNames.of(descriptor.name)] = tensors[index].handle()
        }
    }

    /** Borrows all tensors, or none. */
    fun acquire() {
        for (index in tensors.indices) {
            try {
                tensors[index].acquire()
            } catch (refusal: UnusableException) {
                for (earlier in 0 until index) tensors[earlier].release()
                throw refusal
            }
        }
        for ((name, text) in texts) feeds[name] = text.refresh()
    }

    fun release() {
        for (index in tensors.indices) tensors[index].release()
    }
}

/** Checks tensors against declared inputs and keeps the sizes of named dimensions. */
internal class DimensionChecker(
    known: Map<String, Long>,
) {
    private val origins = HashMap<String, String>()
    private val bound = HashMap(known)

    fun check(
        descriptor: TensorDescriptor,
        tensor: Tensor,
    ) {
        if (tensor.elementType != descriptor.elementType) {
            throw ElementTypeMismatchException(
                "Input '${descriptor.name}' takes ${descriptor.elementType.onnxName}, not ${tensor.elementType.onnxName}",
            )
        }
        val shape = descriptor.shape ?: return
        val given = tensor.sizes
        if (given.size != shape.size) refuse(descriptor, given, "it has ${given.size} dimensions instead of ${shape.size}")
        shape.forEachIndexed { axis, dimension -> checkAxis(descriptor, given, axis, dimension) }
    }

    private fun checkAxis(
        descriptor: TensorDescriptor,
        given: LongArray,
        axis: Int,
        dimension: Dimension,
    ) {
        when (dimension) {
            is Dimension.Fixed -> {
                if (given[axis] != dimension.size) {
                    refuse(descriptor, given, "dimension $axis is ${given[axis]} instead of ${dimension.size}")
                }
            }

            is Dimension.Named -> {
                val earlier = bound.getOrPut(dimension.name) { given[axis] }
                if (earlier != given[axis]) {
                    val origin = origins[dimension.name]?.let { " in input '$it'" } ?: " in a state"
                    refuse(descriptor, given, "dimension '${dimension.name}' is ${given[axis]}, but $earlier$origin")
                }
                origins.getOrPut(dimension.name) { descriptor.name }
            }

            Dimension.Unknown -> {
                // Any size.
            }
        }
    }

    private fun refuse(
        descriptor: TensorDescriptor,
        given: LongArray,
        why: String,
    ): Nothing =
        throw ShapeMismatchException(
            "Input '${descriptor.name}' takes $descriptor, not ${given.contentToString()}: $why",
        )
}
