// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

package dev.ortlab.sdk.models

import android.content.Context
import android.graphics.Bitmap
import dev.ortlab.sdk.AssetModelSource
import dev.ortlab.sdk.Classification
import dev.ortlab.sdk.Dimension
import dev.ortlab.sdk.ElementType
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.GenericSession
import dev.ortlab.sdk.InputBinding
import dev.ortlab.sdk.Label
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
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.image.ChannelType
import dev.ortlab.sdk.image.ColorOrder
import dev.ortlab.sdk.image.ImageFormat
import dev.ortlab.sdk.image.ImagePreprocessor
import dev.ortlab.sdk.image.Layout
import dev.ortlab.sdk.image.Picture
import dev.ortlab.sdk.image.ResizeRule
import dev.ortlab.sdk.image.toPicture

/**
 * The model `sample`.
 *
 * Open it once, run it often, and close it. It serves one run at a time, from any thread; a second
 * run at the same moment is refused. The runtime's usage data stays off unless the app allows it
 * through `Telemetry`.
 */
public class Sample private constructor(
    private val session: GenericSession,
) : AutoCloseable {
    private var lastOutput: Output? = null
    private val pictureInput by lazy { session.adopt(Input.allocate()) }

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
     * Runs the model on a picture of any size.
     *
     * @return its outputs, as for [Input].
     * @throws dev.ortlab.sdk.BusyException another run uses the model.
     * @throws dev.ortlab.sdk.ClosedException the model was closed.
     * @throws dev.ortlab.sdk.RunException the runtime failed.
     */
    public fun run(picture: Picture): Output {
        val input = pictureInput
        return outputOf(session.run(input.binding) { input.writePicture(picture) })
    }

    /**
     * Runs the model on a bitmap of any size.
     *
     * @return its outputs, as for [Input].
     * @throws dev.ortlab.sdk.BusyException another run uses the model.
     * @throws dev.ortlab.sdk.ClosedException the model was closed.
     * @throws dev.ortlab.sdk.RunException the runtime failed.
     */
    public fun run(bitmap: Bitmap): Output = run(bitmap.toPicture())

    /** Lets go of the model; a second call does nothing. A run under way ends first. */
    override fun close(): Unit = session.close()

    private fun outputOf(tensors: List<Tensor>): Output =
        lastOutput?.takeIf { it.tensors === tensors } ?: Output(tensors).also { lastOutput = it }

    /**
     * What the model takes: make it once, fill its tensors before each run, and close it.
     *
     * @property picture input `picture`, `float[1, 3, 32, 32]`.
     * @throws dev.ortlab.sdk.ShapeMismatchException a shape does not fit, or two contradict each other.
     * @throws dev.ortlab.sdk.SharedTensorException one tensor is given twice.
     * @throws dev.ortlab.sdk.ClosedException a tensor was closed.
     */
    public class Input(
        public val picture: FloatTensor,
    ) : AutoCloseable {
        internal val binding =
            InputBinding(descriptor, listOf(picture))
        private val picturePreprocessor = ImagePreprocessor(pictureFormat)

        /**
         * Writes a picture of any size into [picture].
         *
         * @throws dev.ortlab.sdk.ClosedException the tensor was closed.
         */
        public fun writePicture(picture: Picture) {
            picturePreprocessor.write(picture, this.picture.bytes)
        }

        /** Closes its tensors; a second call does nothing. */
        override fun close() {
            picture.close()
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
                    picture = FloatTensor.allocate(1, 3, 32, 32),
                )
        }
    }

    /** What the model gives. */
    public class Output internal constructor(
        internal val tensors: List<Tensor>,
    ) {
        /** Output `colour`, `float[1, 4]`. */
        public val colour: FloatTensor = tensors[0] as FloatTensor

        /** The classes that [colour] scores best, best first. */
        public fun labels(): List<Label> {
            val scores = colour.toFloatArray()
            return colourClassification.of(scores)
        }
    }

    /** Opens the model. */
    public companion object {
        private fun colourLabels0(): List<String> =
            listOf(
                "red",
                "green",
                "blue",
                "grey",
            )

        private val pictureFormat =
            ImageFormat(
                width = 32,
                height = 32,
                layout = Layout.NCHW,
                colorOrder = ColorOrder.RGB,
                channelType = ChannelType.FLOAT,
                scale = 0.00392156862745098,
                mean = listOf(0.0),
                std = listOf(1.0),
                resize = ResizeRule.CROP,
                padding = 0.0,
                antialias = true,
            )

        private val colourClassification =
            Classification(labels = colourLabels0(), topK = 3, applySoftmax = false)

        /** The model for code that knows no generated class. */
        public val descriptor: ModelDescriptor =
            ModelDescriptor(
                name = "sample",
                inputs =
                    listOf(
                        TensorDescriptor(
                            name = "picture",
                            elementType = ElementType.FLOAT,
                            shape =
                                listOf(
                                    Dimension.Fixed(1),
                                    Dimension.Fixed(3),
                                    Dimension.Fixed(32),
                                    Dimension.Fixed(32),
                                ),
                            kind = TensorKind.Image(pictureFormat),
                            identifier = "picture",
                        ),
                    ),
                outputs =
                    listOf(
                        TensorDescriptor(
                            name = "colour",
                            elementType = ElementType.FLOAT,
                            shape = listOf(Dimension.Fixed(1), Dimension.Fixed(4)),
                            kind = TensorKind.Scores(colourClassification),
                            identifier = "colour",
                        ),
                    ),
                states = emptyList<StateDescriptor>(),
                variants =
                    listOf(
                        ModelVariant(
                            id = "fixed-arm",
                            style = ModelStyle.FIXED,
                            target = "arm",
                            precision = "fp32",
                            assetPath = "ortlab/sample/fixed-arm.ort",
                            sha256 = "efc0e00eb511c86cdbcb361b2ddfeb1a001b3bf3618830686a892e70fda1b125",
                            sizeBytes = 4672L,
                        ),
                        ModelVariant(
                            id = "runtime-arm",
                            style = ModelStyle.RUNTIME,
                            target = "arm",
                            precision = "fp32",
                            assetPath = "ortlab/sample/runtime-arm.ort",
                            sha256 = "042ae99fce5fcf092cef7dd28c990c891cccd9ea6f769d8be3b6bea8bee43254",
                            sizeBytes = 5152L,
                        ),
                    ),
                sample =
                    listOf(
                        SampleTensor(
                            name = "picture",
                            elementType = ElementType.FLOAT,
                            shape = listOf(1L, 3L, 32L, 32L),
                            assetPath = "ortlab/sample/sample/input-0.bin",
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
        ): Sample = Sample(descriptor.open(source, options))

        /** Opens the model from the app's assets, as the other `open` does. */
        public fun open(
            context: Context,
            options: SessionOptions = SessionOptions(),
        ): Sample = open(AssetModelSource(context), options)
    }
}
