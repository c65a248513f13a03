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
 * The model `counter`.
 *
 * Open it once, run it often, and close it. It serves one run at a time, from any thread; a second
 * run at the same moment is refused. The runtime's usage data stays off unless the app allows it
 * through `Telemetry`.
 *
 * What it hands from one run to the next stays in here, starting with zeros: see [reset].
 */
public class Counter private constructor(
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

    /**
     * Forgets earlier runs: what the model hands on is zeros again.
     *
     * @throws dev.ortlab.sdk.BusyException a run is under way.
     * @throws dev.ortlab.sdk.ClosedException the model was closed.
     */
    public fun reset(): Unit = session.reset()

    /** Lets go of the model; a second call does nothing. A run under way ends first. */
    override fun close(): Unit = session.close()

    private fun outputOf(tensors: List<Tensor>): Output =
        lastOutput?.takeIf { it.tensors === tensors } ?: Output(tensors).also { lastOutput = it }

    /**
     * What the model takes: make it once, fill its tensors before each run, and close it.
     *
     * @property x input `x`, `float[batch, 4]`.
     * @throws dev.ortlab.sdk.ShapeMismatchException a shape does not fit, or two contradict each other.
     * @throws dev.ortlab.sdk.SharedTensorException one tensor is given twice.
     * @throws dev.ortlab.sdk.ClosedException a tensor was closed.
     */
    public class Input(
        public val x: FloatTensor,
    ) : AutoCloseable {
        internal val binding =
            InputBinding(descriptor, listOf(x))

        /** Closes its tensors; a second call does nothing. */
        override fun close() {
            x.close()
        }

        /** Makes inputs. */
        public companion object {
            /**
             * Makes tensors of zeros in direct buffers.
             *
             * @throws dev.ortlab.sdk.ShapeMismatchException a size is negative or too large.
             */
            public fun allocate(): Input =
                Input(
                    x = FloatTensor.allocate(2, 4),
                )
        }
    }

    /** What the model gives. */
    public class Output internal constructor(
        internal val tensors: List<Tensor>,
    ) {
        /** Output `y`, `float scalar`. */
        public val y: FloatTensor = tensors[0] as FloatTensor
    }

    /** Opens the model. */
    public companion object {
        /** The model for code that knows no generated class. */
        public val descriptor: ModelDescriptor =
            ModelDescriptor(
                name = "counter",
                inputs =
                    listOf(
                        TensorDescriptor(
                            name = "x",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Named("batch"), Dimension.Fixed(4)),
                            identifier = "x",
                        ),
                    ),
                outputs =
                    listOf(
                        TensorDescriptor(
                            name = "y",
                            elementType = ElementType.FLOAT,
                            shape = emptyList<Dimension>(),
                            identifier = "y",
                        ),
                    ),
                states =
                    listOf(
                        StateDescriptor(
                            inputName = "memory",
                            outputName = "next",
                            elementType = ElementType.FLOAT,
                            sizes = listOf(2L, 4L),
                            dimensions = mapOf(Pair("batch", 2L)),
                        ),
                    ),
                variants =
                    listOf(
                        ModelVariant(
                            id = "fixed-arm",
                            style = ModelStyle.FIXED,
                            target = "arm",
                            precision = "fp32",
                            assetPath = "ortlab/counter/fixed-arm.ort",
                            sha256 = "3071bb2eadf5372cda6b47746c0daae203613e3a6158ba8a1c5295435f94dc1c",
                            sizeBytes = 2672L,
                        ),
                    ),
                sample = emptyList<SampleTensor>(),
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
        ): Counter = Counter(descriptor.open(source, options))

        /** Opens the model from the app's assets, as the other `open` does. */
        public fun open(
            context: Context,
            options: SessionOptions = SessionOptions(),
        ): Counter = open(AssetModelSource(context), options)
    }
}
