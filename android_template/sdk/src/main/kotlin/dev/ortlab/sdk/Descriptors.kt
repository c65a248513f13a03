package dev.ortlab.sdk

/** A dimension of a tensor's shape, as the model declares it. */
public sealed interface Dimension {
    /**
     * A size that never changes.
     *
     * @property size at least 0.
     */
    public data class Fixed(
        public val size: Long,
    ) : Dimension {
        override fun toString(): String = size.toString()
    }

    /**
     * A size that the caller chooses; the same wherever the name appears.
     *
     * @property name as the model has it; may hold any characters.
     */
    public data class Named(
        public val name: String,
    ) : Dimension {
        override fun toString(): String = name
    }

    /** A size that the caller chooses, without a name. */
    public data object Unknown : Dimension {
        override fun toString(): String = "?"
    }
}

/**
 * An input or output of a model.
 *
 * @property name as the model has it; may hold any characters.
 * @property elementType of its tensors.
 * @property shape its dimensions, or null when the model does not even declare how many.
 * @property kind what its numbers mean to people.
 * @property identifier name of the property in the generated class.
 */
public class TensorDescriptor(
    public val name: String,
    public val elementType: ElementType,
    public val shape: List<Dimension>?,
    public val kind: TensorKind = TensorKind.Raw,
    public val identifier: String = name,
    internal val isPinned: Boolean = true,
) {
    /** Sizes of a shape that never changes, or null when one may. */
    public val fixedShape: LongArray?
        get() {
            val sizes = shape?.map { (it as? Dimension.Fixed)?.size ?: return null } ?: return null
            return sizes.toLongArray()
        }

    /**
     * Makes a tensor of zeros.
     *
     * @param dimensions sizes of named dimensions.
     * @throws ShapeMismatchException a size is missing, or the model declares too little of the shape.
     */
    public fun allocate(dimensions: Map<String, Long> = emptyMap()): Tensor {
        val sizes =
            shape?.map { dimension ->
                when (dimension) {
                    is Dimension.Fixed -> dimension.size
                    is Dimension.Named -> dimensions[dimension.name] ?: refuse("the size of '${dimension.name}' is not given")
                    Dimension.Unknown -> refuse("it has a dimension without size and name: make the tensor yourself")
                }
            }
        return Tensor.allocate(elementType, *(sizes ?: refuse("its shape is not known: make the tensor yourself")).toLongArray())
    }

    private fun refuse(why: String): Nothing = throw ShapeMismatchException("Cannot make a tensor for '$name' ($this): $why")

    /** Type and shape in words, such as `float[batch, 3, 224, 224]`. */
    override fun toString(): String = elementType.onnxName + (shape?.joinToString(", ", "[", "]") ?: "[any shape]")
}

/**
 * A value that the session itself carries from one run to the next, starting with zeros.
 *
 * @property inputName the model's input that takes it; no caller gives it.
 * @property outputName the model's output that gives the next one; no caller gets it.
 * @property elementType of both.
 * @property sizes of both.
 * @property dimensions named dimensions of them, with the sizes they are thereby fixed to.
 */
public class StateDescriptor(
    public val inputName: String,
    public val outputName: String,
    public val elementType: ElementType,
    public val sizes: List<Long>,
    public val dimensions: Map<String, Long> = emptyMap(),
)

/**
 * A packaged file of a model.
 *
 * @property id unique in the model, such as `fixed-arm`.
 * @property style how it was optimized.
 * @property target family of CPUs it was optimized for, `arm` or `amd64`; null fits all.
 * @property precision of weights and arithmetic, such as `fp32`.
 * @property assetPath where a [ModelSource] finds it.
 * @property sha256 of the file, in hexadecimal.
 * @property sizeBytes of the file.
 */
public data class ModelVariant(
    public val id: String,
    public val style: ModelStyle,
    public val target: String?,
    public val precision: String,
    public val assetPath: String,
    public val sha256: String,
    public val sizeBytes: Long,
)

/**
 * A packaged input tensor, in raw little-endian form.
 *
 * @property name of the input.
 * @property elementType of the tensor.
 * @property shape its sizes.
 * @property assetPath where a [ModelSource] finds it.
 */
public class SampleTensor(
    public val name: String,
    public val elementType: ElementType,
    public val shape: List<Long>,
    public val assetPath: String,
)

/**
 * A model as the app carries it: what it takes, what it gives, and the way to open it without its
 * generated class.
 *
 * @property name unique in the app.
 * @property inputs in the model's order, without [states].
 * @property outputs in the model's order, without [states].
 * @property states what the session carries from one run to the next.
 * @property variants packaged files, the recommended one first.
 * @property sample packaged inputs to try the model with; empty when there are none.
 * @property customOpLibraries packaged shared libraries with the model's own operators.
 */
public class ModelDescriptor(
    public val name: String,
    public val inputs: List<TensorDescriptor>,
    public val outputs: List<TensorDescriptor>,
    public val states: List<StateDescriptor>,
    public val variants: List<ModelVariant>,
    public val sample: List<SampleTensor>,
    public val customOpLibraries: List<String> = emptyList(),
) {
    /** Styles that are packaged, the recommended one first. */
    public val styles: List<ModelStyle>
        get() = variants.map { it.style }.distinct()

    /** Sizes that states fix for the dimensions they share with inputs. */
    internal val stateDimensions: Map<String, Long> = HashMap<String, Long>().apply { states.forEach { putAll(it.dimensions) } }

    /**
     * Makes a tensor of zeros for every input.
     *
     * @param dimensions sizes of named dimensions.
     * @return by the inputs' names; the caller closes them.
     * @throws ShapeMismatchException a size is missing, or an input declares too little of its shape.
     */
    public fun allocateInputs(dimensions: Map<String, Long> = emptyMap()): Map<String, Tensor> =
        inputs.associate { it.name to it.allocate(stateDimensions + dimensions) }

    /**
     * Opens the model without its generated class.
     *
     * @throws ModelNotFoundException the file is not in [source].
     * @throws ModelLoadException the runtime does not take it.
     * @throws ProviderNotAvailableException a provider that [options] asks for is not there.
     * @throws IllegalArgumentException [options] asks for a style that is not packaged.
     */
    public fun open(
        source: ModelSource,
        options: SessionOptions = SessionOptions(),
    ): GenericSession = GenericSession.open(this, source, options)

    /**
     * Reads the packaged sample.
     *
     * @return a new tensor for each input, by its name; the caller closes them.
     * @throws ModelNotFoundException a file is not in [source].
     */
    public fun loadSample(source: ModelSource): Map<String, Tensor> = SampleReader.read(sample, source)
}
