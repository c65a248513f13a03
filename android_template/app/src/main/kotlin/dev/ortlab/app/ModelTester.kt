package dev.ortlab.app

import dev.ortlab.sdk.BufferTensor
import dev.ortlab.sdk.Dimension
import dev.ortlab.sdk.GenericSession
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.ModelSource
import dev.ortlab.sdk.ModelVariant
import dev.ortlab.sdk.ProviderReport
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.Tensor
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.image.ImagePreprocessor
import dev.ortlab.sdk.image.Picture

private const val MAXIMUM_RUNS = 20
private const val TIMING_BUDGET_NS = 1_000_000_000L

/**
 * What a run of a model gave. Durations are nanoseconds.
 *
 * @property variant the packaged file.
 * @property providers what the session really has.
 * @property loadDurationNanos of opening the model, whenever that was.
 * @property firstRunNanos of the run that gave [outputs].
 * @property runNanos of the runs after it; empty where the first took all the time there is.
 * @property outputs of the first run.
 * @property memory of the process afterwards; null where it cannot be known.
 */
internal class RunAnswer(
    val variant: ModelVariant,
    val providers: ProviderReport,
    val loadDurationNanos: Long,
    val firstRunNanos: Long,
    val runNanos: List<Long>,
    val outputs: List<OutputSummary>,
    val memory: ProcessMemory?,
)

/**
 * Opens a model and runs it; the model stays open for the next run with the same options.
 *
 * For one thread at a time.
 *
 * @property source where the packaged files are.
 */
internal class ModelTester(
    private val source: ModelSource,
) : AutoCloseable {
    private class Opened(
        val model: ModelDescriptor,
        val options: SessionOptions,
        val session: GenericSession,
    )

    private var opened: Opened? = null

    /**
     * Runs [model] once for its outputs and then for at most a second for its latency.
     *
     * @param pictures for inputs that are images, by name; other inputs take the packaged sample, or
     *   zeros where there is none.
     */
    fun run(
        model: ModelDescriptor,
        options: SessionOptions,
        pictures: Map<String, Picture>,
    ): RunAnswer {
        val session = open(model, options)
        val inputs = inputsFor(model, pictures)
        try {
            session.reset()
            val started = System.nanoTime()
            val results = session.run(inputs)
            val firstRunNanos = System.nanoTime() - started
            val outputs = model.outputs.map { OutputSummary.of(it, results.getValue(it.name)) }
            return RunAnswer(
                variant = session.variant,
                providers = session.providers,
                loadDurationNanos = session.loadDurationNanos,
                firstRunNanos = firstRunNanos,
                runNanos = measure(session, inputs, firstRunNanos),
                outputs = outputs,
                memory = ProcessMemory.read(),
            )
        } finally {
            inputs.values.forEach { it.close() }
        }
    }

    /** Lets go of the model; the next run opens it again. */
    override fun close() {
        opened?.session?.close()
        opened = null
    }

    private fun open(
        model: ModelDescriptor,
        options: SessionOptions,
    ): GenericSession {
        opened?.takeIf { it.model === model && it.options == options }?.let { return it.session }
        // First the old one: two models at once may be more than the phone has memory for.
        close()
        return model.open(source, options).also { opened = Opened(model, options, it) }
    }

    private fun measure(
        session: GenericSession,
        inputs: Map<String, Tensor>,
        firstRunNanos: Long,
    ): List<Long> {
        val nanos = ArrayList<Long>()
        var left = TIMING_BUDGET_NS - firstRunNanos
        while (left > 0 && nanos.size < MAXIMUM_RUNS) {
            val started = System.nanoTime()
            session.run(inputs)
            val taken = System.nanoTime() - started
            nanos += taken
            left -= taken
        }
        return nanos
    }

    private fun inputsFor(
        model: ModelDescriptor,
        pictures: Map<String, Picture>,
    ): Map<String, Tensor> {
        val tensors = LinkedHashMap<String, Tensor>()
        try {
            if (model.sample.isNotEmpty()) tensors += model.loadSample(source)
            for (input in model.inputs) {
                val picture = pictures[input.name]
                when {
                    picture != null -> tensors.put(input.name, tensorOf(input, picture))?.close()
                    input.name !in tensors -> tensors[input.name] = input.allocate(ones(model, input))
                }
            }
            return tensors
        } catch (problem: RuntimeException) {
            tensors.values.forEach { it.close() }
            throw problem
        }
    }

    private fun tensorOf(
        input: TensorDescriptor,
        picture: Picture,
    ): Tensor {
        val format = requireNotNull((input.kind as? TensorKind.Image)?.format) { "'${input.name}' takes no picture" }
        val tensor = Tensor.allocate(input.elementType, *format.shape)
        ImagePreprocessor(format).write(picture, (tensor as BufferTensor).bytes)
        return tensor
    }

    /** Sizes for dimensions that may vary: as the states fix them, else 1. */
    private fun ones(
        model: ModelDescriptor,
        input: TensorDescriptor,
    ): Map<String, Long> {
        val named = input.shape.orEmpty().filterIsInstance<Dimension.Named>()
        return named.associate { it.name to 1L } + model.states.flatMap { it.dimensions.entries }.associate { it.toPair() }
    }
}
