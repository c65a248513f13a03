// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

package dev.ortlab.sdk.models

import android.content.Context
import dev.ortlab.sdk.AssetModelSource
import dev.ortlab.sdk.Dimension
import dev.ortlab.sdk.ElementType
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.GenericSession
import dev.ortlab.sdk.InputBinding
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.ModelSource
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.ModelVariant
import dev.ortlab.sdk.ProviderReport
import dev.ortlab.sdk.SampleTensor
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.StateDescriptor
import dev.ortlab.sdk.Tensor
import dev.ortlab.sdk.TensorDescriptor

/**
 * The model `product`.
 *
 * Open it once, run it often, and close it. It serves one run at a time, from any thread; a second
 * run at the same moment is refused. The runtime's usage data stays off unless the app allows it
 * through `Telemetry`.
 */
public class Product private constructor(
    private val session: GenericSession,
) : AutoCloseable {
    private var lastOutput: Output? = null

    /** Which of the packaged files is loaded. */
    public val variant: ModelVariant
        get() = session.variant

    /** Which execution providers it has, and whether the CPU steps in for them. */
    public val providers: ProviderReport
        get() = session.providers

    /** From finding the file to being ready, in nanoseconds. */
    public val loadDurationNanos: Long
        get() = session.loadDurationNanos

    /** Whether [close] was called. */
    public val isClosed: Boolean
        get() = session.isClosed

    /**
     * Runs the model once.
     *
     * @return its outputs. Those whose shape never changes are the same tensors after every run, with
     *   new values: read or copy them before the next run.
     * @throws dev.ortlab.sdk.InvalidTensorException a tensor cannot be an input here; nothing was run.
     * @throws dev.ortlab.sdk.BusyException another run uses the model or a tensor.
     * @throws dev.ortlab.sdk.ClosedException the model or a tensor was closed.
     * @throws dev.ortlab.sdk.RunException the runtime failed.
     */
    public fun run(input: Input): Output = outputOf(session.run(input.binding))

    /** Lets go of the model; a second call does nothing. A run under way ends first. */
    override fun close(): Unit = session.close()

    private fun outputOf(tensors: List<Tensor>): Output =
        lastOutput?.takeIf { it.tensors === tensors } ?: Output(tensors).also { lastOutput = it }

    /**
     * What the model takes: make it once, fill its tensors before each run, and close it.
     *
     * @property left input `left`, `float[rows, inner]`.
     * @property right input `right`, `float[inner, 4]`.
     * @property bias input `bias`, `float[4]`.
     * @throws dev.ortlab.sdk.ShapeMismatchException a shape does not fit, or two contradict each other.
     * @throws dev.ortlab.sdk.SharedTensorException one tensor is given twice.
     * @throws dev.ortlab.sdk.ClosedException a tensor was closed.
     */
    public class Input(
        public val left: FloatTensor,
        public val right: FloatTensor,
        public val bias: FloatTensor,
    ) : AutoCloseable {
        internal val binding =
            InputBinding(descriptor, listOf(left, right, bias))

        /** Closes its tensors; a second call does nothing. */
        override fun close() {
            left.close()
            right.close()
            bias.close()
        }

        /** Makes inputs. */
        public companion object {
            /**
             * Makes tensors of zeros in direct buffers.
             *
             * @param rows size of `rows`.
             * @param inner size of `inner`.
             * @throws dev.ortlab.sdk.ShapeMismatchException a size is negative or too large.
             */
            public fun allocate(
                rows: Long,
                inner: Long,
            ): Input =
                Input(
                    left = FloatTensor.allocate(rows, inner),
                    right = FloatTensor.allocate(inner, 4),
                    bias = FloatTensor.allocate(4),
                )
        }
    }

    /** What the model gives. */
    public class Output internal constructor(
        internal val tensors: List<Tensor>,
    ) {
        /** Output `sum`, `float[rows, 4]`. */
        public val sum: FloatTensor = tensors[0] as FloatTensor

        /** Output `total`, `float scalar`. */
        public val total: FloatTensor = tensors[1] as FloatTensor
    }

    /** Opens the model. */
    public companion object {
        /** The model for code that knows no generated class. */
        public val descriptor: ModelDescriptor =
            ModelDescriptor(
                name = "product",
                inputs =
                    listOf(
                        TensorDescriptor(
                            name = "left",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Named("rows"), Dimension.Named("inner")),
                            identifier = "left",
                        ),
                        TensorDescriptor(
                            name = "right",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Named("inner"), Dimension.Fixed(4)),
                            identifier = "right",
                        ),
                        TensorDescriptor(
                            name = "bias",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Fixed(4)),
                            identifier = "bias",
                        ),
                    ),
                outputs =
                    listOf(
                        TensorDescriptor(
                            name = "sum",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Named("rows"), Dimension.Fixed(4)),
                            identifier = "sum",
                        ),
                        TensorDescriptor(
                            name = "total",
                            elementType = ElementType.FLOAT,
                            shape = emptyList<Dimension>(),
                            identifier = "total",
                        ),
                    ),
                states = emptyList<StateDescriptor>(),
                variants =
                    listOf(
                        ModelVariant(
                            id = "runtime-arm",
                            style = ModelStyle.RUNTIME,
                            target = "arm",
                            precision = "fp32",
                            assetPath = "ortlab/product/runtime-arm.ort",
                            sha256 = "f55595a889979bc5a4ef59713ceb57b30ce0f39aac46b124523dbf5ee312d9c2",
                            sizeBytes = 2296L,
                        ),
                    ),
                sample =
                    listOf(
                        SampleTensor(
                            name = "left",
                            elementType = ElementType.FLOAT,
                            shape = listOf(1L, 16L),
                            assetPath = "ortlab/product/sample/input-0.bin",
                        ),
                        SampleTensor(
                            name = "right",
                            elementType = ElementType.FLOAT,
                            shape = listOf(16L, 4L),
                            assetPath = "ortlab/product/sample/input-1.bin",
                        ),
                        SampleTensor(
                            name = "bias",
                            elementType = ElementType.FLOAT,
                            shape = listOf(4L),
                            assetPath = "ortlab/product/sample/input-2.bin",
                        ),
                    ),
            )

        /**
         * Opens the model.
         *
         * @param source where the packaged files are.
         * @throws dev.ortlab.sdk.ModelNotFoundException the file is not there.
         * @throws dev.ortlab.sdk.ModelLoadException the runtime does not take the model.
         * @throws dev.ortlab.sdk.ProviderNotAvailableException a provider that is asked for is not there.
         * @throws IllegalArgumentException [options] asks for a style that is not packaged.
         */
        public fun open(
            source: ModelSource,
            options: SessionOptions = SessionOptions(),
        ): Product = Product(descriptor.open(source, options))

        /** Opens the model from the app's assets, as the other `open` does. */
        public fun open(
            context: Context,
            options: SessionOptions = SessionOptions(),
        ): Product = open(AssetModelSource(context), options)
    }
}
