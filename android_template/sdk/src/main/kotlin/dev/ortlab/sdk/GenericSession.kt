package dev.ortlab.sdk

import ai.onnxruntime.OrtException
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger

/**
 * A loaded model. Generated classes wrap it; by itself it takes and gives tensors by their names.
 *
 * It serves one run at a time, from any thread: a second run at the same moment is refused with
 * [BusyException]. Output tensors whose shape never changes belong to the session and hold the newest
 * run's values; read or copy them before the next run, on the thread that ran.
 *
 * @property descriptor of the model.
 * @property variant which of the packaged files is loaded.
 * @property providers which execution providers it has, and whether the CPU steps in.
 * @property loadDurationNanos from finding the file to being ready, in nanoseconds.
 */
public class GenericSession private constructor(
    public val descriptor: ModelDescriptor,
    public val variant: ModelVariant,
    public val providers: ProviderReport,
    public val loadDurationNanos: Long,
    private val loaded: LoadedModel,
    private val metrics: MetricsListener?,
) : AutoCloseable {
    private val state = AtomicInteger(IDLE)
    private val outputs = OutputTensors(descriptor)
    private val states = StateTensors(descriptor.states)
    private val adopted = ConcurrentLinkedQueue<AutoCloseable>()
    private var lastBinding: InputBinding? = null

    /** Whether [close] was called. */
    public val isClosed: Boolean
        get() = state.get() >= CLOSING

    /**
     * Runs the model once.
     *
     * @param inputs a tensor for each input of [descriptor], by name.
     * @return a tensor for each output, by name, in the model's order.
     * @throws InvalidTensorException a tensor does not fit; nothing was run.
     * @throws IllegalArgumentException an input is missing, or a name is unknown.
     * @throws BusyException another run uses the session or a tensor.
     * @throws ClosedException the session or a tensor was closed.
     * @throws RunException the runtime failed.
     */
    public fun run(inputs: Map<String, Tensor>): Map<String, Tensor> {
        val names = descriptor.inputs.map { it.name }
        val unknown = inputs.keys - names.toSet()
        require(unknown.isEmpty()) { "The model ${descriptor.name} has no input $unknown; it has $names" }
        val tensors = names.map { name -> requireNotNull(inputs[name]) { "The input '$name' is missing" } }
        if (isClosed) throw closed()
        val results = run(InputBinding(descriptor, tensors))
        return descriptor.outputs.indices.associate { descriptor.outputs[it].name to results[it] }
    }

    /**
     * Runs the model once; the same list as before where no output's shape can change.
     *
     * @param fill writes the inputs once no other run can interfere.
     */
    internal fun run(
        binding: InputBinding,
        fill: (() -> Unit)? = null,
    ): List<Tensor> {
        val listener = metrics ?: return runGuarded(binding, fill)
        val started = System.nanoTime()
        val results =
            try {
                runGuarded(binding, fill)
            } catch (error: SdkException) {
                listener.onEvent(MetricsEvent.Failed(descriptor.name, MetricsEvent.Stage.RUN, error))
                throw error
            }
        listener.onEvent(MetricsEvent.RunCompleted(descriptor.name, System.nanoTime() - started))
        return results
    }

    /**
     * Forgets what earlier runs left behind: states start with zeros again.
     *
     * @throws BusyException a run is under way.
     * @throws ClosedException the session was closed.
     */
    public fun reset() {
        begin()
        try {
            states.reset()
        } finally {
            end()
        }
    }

    /**
     * Lets go of the model; a second call does nothing. While a run is under way, the run ends first
     * and its thread lets go.
     */
    override fun close() {
        while (true) {
            when (state.get()) {
                IDLE -> {
                    if (state.compareAndSet(IDLE, CLOSED)) {
                        release()
                        return
                    }
                }

                RUNNING -> {
                    if (state.compareAndSet(RUNNING, CLOSING)) return
                }

                else -> {
                    return
                }
            }
        }
    }

    /** Closes [resource] when the session lets go of the model: after the last run. */
    internal fun <T : AutoCloseable> adopt(resource: T): T {
        adopted += resource
        if (isClosed) resource.close()
        return resource
    }

    private fun runGuarded(
        binding: InputBinding,
        fill: (() -> Unit)?,
    ): List<Tensor> {
        begin()
        try {
            fill?.invoke()
            binding.acquire()
            try {
                return execute(binding)
            } finally {
                binding.release()
            }
        } finally {
            end()
        }
    }

    private fun execute(binding: InputBinding): List<Tensor> {
        if (binding !== lastBinding) {
            outputs.refuseAsInputs(binding.tensors)
            lastBinding = binding
        }
        outputs.acquire()
        try {
            states.connect(binding.feeds, outputs.handles)
            val results = outputs.run(loaded.session, binding.feeds)
            states.advance()
            return results
        } catch (error: OrtException) {
            throw RunException("Cannot run the model ${descriptor.name}: ${error.message}", error)
        } finally {
            outputs.release()
        }
    }

    private fun begin() {
        if (!state.compareAndSet(IDLE, RUNNING)) {
            throw if (isClosed) closed() else BusyException("The model ${descriptor.name} is being run; it serves one run at a time")
        }
    }

    private fun end() {
        if (!state.compareAndSet(RUNNING, IDLE)) {
            state.set(CLOSED)
            release()
        }
    }

    private fun closed() = ClosedException("The session of the model ${descriptor.name} was closed")

    private fun release() {
        outputs.close()
        states.close()
        adopted.forEach { it.close() }
        loaded.close()
    }

    internal companion object {
        private const val IDLE = 0
        private const val RUNNING = 1
        private const val CLOSING = 2
        private const val CLOSED = 3

        fun open(
            descriptor: ModelDescriptor,
            source: ModelSource,
            options: SessionOptions,
        ): GenericSession {
            val started = System.nanoTime()
            val session =
                try {
                    val variant = VariantChoice.choose(descriptor, options.style)
                    val loaded = LoadedModel.load(descriptor, variant, source, options)
                    val duration = System.nanoTime() - started
                    try {
                        GenericSession(descriptor, variant, loaded.providers, duration, loaded, options.metrics)
                    } catch (error: SdkException) {
                        loaded.close()
                        throw error
                    }
                } catch (error: SdkException) {
                    options.metrics?.onEvent(MetricsEvent.Failed(descriptor.name, MetricsEvent.Stage.LOAD, error))
                    throw error
                }
            options.metrics?.onEvent(
                MetricsEvent.SessionLoaded(descriptor.name, session.loadDurationNanos, session.variant, session.providers),
            )
            return session
        }
    }
}
