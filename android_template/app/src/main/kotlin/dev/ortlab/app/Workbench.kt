package dev.ortlab.app

import android.content.Context
import android.os.Handler
import android.os.Looper
import dev.ortlab.sdk.AssetModelSource
import dev.ortlab.sdk.BFloat16Tensor
import dev.ortlab.sdk.BooleanTensor
import dev.ortlab.sdk.BufferTensor
import dev.ortlab.sdk.ByteTensor
import dev.ortlab.sdk.DoubleTensor
import dev.ortlab.sdk.Float16Tensor
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.GenericSession
import dev.ortlab.sdk.IntTensor
import dev.ortlab.sdk.Label
import dev.ortlab.sdk.LongTensor
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.ProviderReport
import dev.ortlab.sdk.SdkException
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.ShortTensor
import dev.ortlab.sdk.StringTensor
import dev.ortlab.sdk.Tensor
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.UByteTensor
import dev.ortlab.sdk.UIntTensor
import dev.ortlab.sdk.ULongTensor
import dev.ortlab.sdk.UShortTensor
import dev.ortlab.sdk.image.ImagePreprocessor
import dev.ortlab.sdk.image.Picture
import java.io.IOException
import java.util.concurrent.Executors

/**
 * What an output answered.
 *
 * @property name of the output.
 * @property labels best classes, where the output scores classes; else null.
 * @property text its numbers or texts in short.
 */
internal data class OutputSummary(
    val name: String,
    val labels: List<Label>?,
    val text: String,
)

/** How the last work ended. */
internal sealed interface Outcome {
    /**
     * The model ran.
     *
     * @property outputs in the model's order.
     * @property loadNs from finding the file to being ready.
     * @property firstRunNs the first run of the session, or of this picture.
     * @property runsNs runs after it.
     * @property providers which execution providers the session has.
     * @property variant id of the packaged file.
     * @property memory of this process afterwards.
     */
    class Ran(
        val outputs: List<OutputSummary>,
        val loadNs: Long,
        val firstRunNs: Long,
        val runsNs: List<Long>,
        val providers: ProviderReport,
        val variant: String,
        val memory: ProcessMemory?,
    ) : Outcome

    /**
     * It did not work.
     *
     * @property reason in words.
     */
    class Failed(
        val reason: String,
    ) : Outcome
}

/**
 * Runs models on a thread of its own. It belongs to the process, so that work and result outlive a
 * rotation of the screen.
 */
internal object Workbench {
    private const val RUNS = 9

    private val worker = Executors.newSingleThreadExecutor { task -> Thread(task, "models") }
    private val main = Handler(Looper.getMainLooper())
    private var opened: Opened? = null

    /** What ended last; used on the main thread. */
    var outcome: Outcome? = null
        private set

    /** Whether something runs; used on the main thread. */
    var isBusy: Boolean = false
        private set

    /** Told on the main thread when [outcome] or [isBusy] changed. */
    var listener: (() -> Unit)? = null

    private class Opened(
        val model: ModelDescriptor,
        val options: SessionOptions,
        val session: GenericSession,
    )

    /** Runs a model on its packaged sample. */
    fun runSample(
        context: Context,
        model: ModelDescriptor,
        options: SessionOptions,
    ) = start(context, model, options) { source -> model.loadSample(source) }

    /** Runs a model on a picture; other inputs hold zeros. */
    fun runPicture(
        context: Context,
        model: ModelDescriptor,
        options: SessionOptions,
        read: () -> Picture,
    ) = start(context, model, options) {
        val picture = read()
        model.allocateInputs(openDimensions(model)).also { inputs ->
            for (input in model.inputs) {
                val kind = input.kind as? TensorKind.Image ?: continue
                val tensor = inputs.getValue(input.name) as BufferTensor
                ImagePreprocessor(kind.format).write(picture, tensor.bytes)
            }
        }
    }

    private fun openDimensions(model: ModelDescriptor): Map<String, Long> =
        model.inputs
            .flatMap { it.shape.orEmpty() }
            .filterIsInstance<dev.ortlab.sdk.Dimension.Named>()
            .associate { it.name to 1L }

    private fun start(
        context: Context,
        model: ModelDescriptor,
        options: SessionOptions,
        inputs: (AssetModelSource) -> Map<String, Tensor>,
    ) {
        if (isBusy) return
        isBusy = true
        listener?.invoke()
        val source = AssetModelSource(context.applicationContext)
        worker.execute {
            val ended =
                try {
                    run(open(model, options, source), inputs(source))
                } catch (error: SdkException) {
                    Outcome.Failed(error.message.orEmpty())
                } catch (error: IllegalArgumentException) {
                    Outcome.Failed(error.message.orEmpty())
                } catch (error: IOException) {
                    Outcome.Failed(error.message.orEmpty())
                }
            main.post {
                outcome = ended
                isBusy = false
                listener?.invoke()
            }
        }
    }

    private fun open(
        model: ModelDescriptor,
        options: SessionOptions,
        source: AssetModelSource,
    ): GenericSession {
        opened?.let { if (it.model === model && it.options == options) return it.session }
        opened?.session?.close()
        opened = null
        return model.open(source, options).also { opened = Opened(model, options, it) }
    }

    private fun run(
        session: GenericSession,
        inputs: Map<String, Tensor>,
    ): Outcome =
        try {
            val durations = ArrayList<Long>(RUNS + 1)
            var outputs = emptyMap<String, Tensor>()
            repeat(RUNS + 1) {
                val started = System.nanoTime()
                outputs = session.run(inputs)
                durations += System.nanoTime() - started
            }
            Outcome.Ran(
                outputs = session.descriptor.outputs.map { summary(it, outputs.getValue(it.name)) },
                loadNs = session.loadDurationNanos,
                firstRunNs = durations.first(),
                runsNs = durations.drop(1),
                providers = session.providers,
                variant = session.variant.id,
                memory = ProcessMemory.read(),
            )
        } finally {
            inputs.values.forEach { it.close() }
        }

    private fun summary(
        output: TensorDescriptor,
        tensor: Tensor,
    ): OutputSummary {
        val kind = output.kind as? TensorKind.Scores
        val scores = numbersOf(tensor)
        val labels =
            if (kind != null && scores != null && scores.size == kind.classification.labels.size) {
                kind.classification.of(FloatArray(scores.size) { scores[it].toFloat() })
            } else {
                null
            }
        val text = if (tensor is StringTensor) textsText(tensor.toStringArray()) else numbersText(scores ?: DoubleArray(0))
        return OutputSummary(output.name, labels, "$tensor $text")
    }

    private fun numbersOf(tensor: Tensor): DoubleArray? =
        when (tensor) {
            is FloatTensor -> tensor.toFloatArray().map { it.toDouble() }
            is Float16Tensor -> tensor.toFloatArray().map { it.toDouble() }
            is BFloat16Tensor -> tensor.toFloatArray().map { it.toDouble() }
            is DoubleTensor -> tensor.toDoubleArray().toList()
            is ByteTensor -> tensor.toByteArray().map { it.toDouble() }
            is ShortTensor -> tensor.toShortArray().map { it.toDouble() }
            is IntTensor -> tensor.toIntArray().map { it.toDouble() }
            is LongTensor -> tensor.toLongArray().map { it.toDouble() }
            is UByteTensor -> tensor.toByteArray().map { it.toUByte().toDouble() }
            is UShortTensor -> tensor.toShortArray().map { it.toUShort().toDouble() }
            is UIntTensor -> tensor.toIntArray().map { it.toUInt().toDouble() }
            is ULongTensor -> tensor.toLongArray().map { it.toULong().toDouble() }
            is BooleanTensor -> tensor.toBooleanArray().map { if (it) 1.0 else 0.0 }
            is StringTensor -> null
        }?.toDoubleArray()
}
