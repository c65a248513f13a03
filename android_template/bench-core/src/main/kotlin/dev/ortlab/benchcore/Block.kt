package dev.ortlab.benchcore

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtSession
import java.io.File
import java.io.FileOutputStream

private const val NS_PER_S = 1e9
private const val NS_PER_MS = 1_000_000L
private const val PROFILE = "profile.json"

/**
 * One request on its way through the stages.
 *
 * @param base directory that relative paths of the request start from.
 * @param directory where progress, result and outputs go.
 * @param startedNs start of the deadline.
 * @param sharesProcess whether other blocks run in this process.
 * @param progress told of each stage.
 */
internal class Block(
    private val request: BlockRequest,
    private val platform: Platform,
    private val base: File,
    private val directory: File,
    startedNs: Long,
    private val sharesProcess: Boolean,
    private val progress: (Stage) -> Unit,
) {
    private val deadlineNs = startedNs + (request.deadlineSeconds * NS_PER_S).toLong()
    private val memory = MemoryReader()
    private val result = BlockResult(request.blockId, request.providers, measureClock())
    private val timing = result.timing
    private var stage = Stage.START

    /** Goes through the stages and returns the result, failed or not. */
    fun run(): BlockResult {
        try {
            goThroughStages()
        } catch (error: Exception) {
            result.failure = describeFailure(error, stage)
        } catch (error: OutOfMemoryError) {
            result.failure = describeFailure(error, stage)
        } catch (error: LinkageError) {
            result.failure = describeFailure(error, stage)
        }
        result.memory = memory.points
        return result
    }

    private fun goThroughStages() {
        enter(Stage.START)
        val load = LoadMeter()
        readMemory(MemoryPhase.BASELINE)
        val runtime = start()
        val inputs = LinkedHashMap<String, OnnxTensor>()
        try {
            for (input in request.inputs) {
                inputs[input.name] = createTensor(runtime.environment, input, readTensorFile(input, base))
            }
            readMemory(MemoryPhase.ENVIRONMENT)
            result.conditionsBefore = completeConditions(platform, null)
            runSession(runtime, inputs)
        } finally {
            inputs.values.forEach { it.close() }
        }
        if (request.purpose == Purpose.MEMORY) settle()
        result.conditionsAfter = completeConditions(platform, load.busyFraction())
    }

    private fun start(): OrtRuntime {
        val runtime = startRuntime(platform, sharesProcess)
        result.runtime = runtime.facts
        timing.environmentNs = runtime.startNs
        checkAvailable(request.providers, runtime.facts.availableProviders)
        return runtime
    }

    private fun runSession(
        runtime: OrtRuntime,
        inputs: Map<String, OnnxTensor>,
    ) {
        val open = createSession(runtime)
        var call: ModelCall? = null
        try {
            readMemory(MemoryPhase.LOADED)
            enter(Stage.FIRST_RUN)
            call = ModelCall(runtime.environment, open.session, inputs)
            firstRun(call, open.session)
            runPurpose(call, open.session)
            enter(Stage.CLOSE)
        } finally {
            call?.close()
            val startedNs = System.nanoTime()
            open.close()
            if (stage == Stage.CLOSE) timing.closeNs = System.nanoTime() - startedNs
        }
    }

    private fun createSession(runtime: OrtRuntime): OpenSession {
        enter(Stage.LOAD_MODEL)
        val loaded = loadModel(request.model, request.session, base)
        timing.loadModelNs = loaded.loadNs
        enter(Stage.CREATE_SESSION)
        val prefix = if (request.purpose == Purpose.PROFILE) File(directory, "ort") else null
        val open =
            openSession(runtime, request, loaded.source, base, prefix) { creationNs ->
                timing.sessionCreationNs = creationNs
            }
        result.registeredProviders = open.registeredProviders
        return open
    }

    private fun firstRun(
        call: ModelCall,
        session: OrtSession,
    ) {
        val startedNs = System.nanoTime()
        val outputs = call.runFirst()
        timing.firstRunNs = System.nanoTime() - startedNs
        outputs.use {
            readMemory(MemoryPhase.FIRST_RUN)
            if (request.purpose == Purpose.PARITY) {
                enter(Stage.READ_OUTPUT)
                result.outputs = writeOutputs(session, outputs)
            }
        }
    }

    private fun writeOutputs(
        session: OrtSession,
        outputs: OrtSession.Result,
    ): List<TensorFile> =
        session.outputNames.mapIndexed { index, name ->
            writeOutput(directory, index, name, outputs.get(name).orElse(null))
        }

    private fun runPurpose(
        call: ModelCall,
        session: OrtSession,
    ) {
        when (request.purpose) {
            Purpose.LATENCY -> measureLatency(call)
            Purpose.MEMORY -> measureMemory(call)
            Purpose.PROFILE -> recordProfile(call, session)
            Purpose.PARITY, Purpose.COLD_START -> Unit
        }
    }

    private fun measureMemory(call: ModelCall) {
        enter(Stage.MEASURE)
        val warm = minOf(request.warmUp.windowMinRuns, request.measuredRuns)
        countRuns(call, warm)
        readMemory(MemoryPhase.WARM)
        countRuns(call, request.measuredRuns - warm)
        readMemory(MemoryPhase.END)
    }

    private fun recordProfile(
        call: ModelCall,
        session: OrtSession,
    ) {
        enter(Stage.MEASURE)
        countRuns(call, request.measuredRuns - 1)
        enter(Stage.READ_OUTPUT)
        rename(File(session.endProfiling()), File(directory, PROFILE))
        result.profilePath = PROFILE
    }

    /** Garbage of ours is collected beforehand: collection itself cannot be switched off here. */
    private fun measureLatency(call: ModelCall) {
        System.gc()
        enter(Stage.WARM_UP)
        timing.warmUpConverged = false
        val rule = WarmUp(request.warmUp, timing.firstRunNs ?: 0)
        val warmUpSamples = Samples()
        try {
            timing.warmUpConverged = warmUp(call, rule, warmUpSamples, deadlineNs)
        } finally {
            timing.warmUpNs = warmUpSamples.toArray()
        }
        enter(Stage.MEASURE)
        val samples = Samples(capacityFor(request.stop, rule.lastMedianNs))
        try {
            timing.stopReason = measureRuns(call, request.stop, samples, deadlineNs)
        } finally {
            timing.measuredNs = samples.toArray()
        }
    }

    private fun countRuns(
        call: ModelCall,
        count: Long,
    ) {
        val samples = Samples()
        try {
            for (run in 0 until count) {
                val startedNs = System.nanoTime()
                val output = call.run()
                val endedNs = System.nanoTime()
                output.close()
                samples.add(endedNs - startedNs)
                checkDeadline()
            }
        } finally {
            timing.measuredNs += samples.toArray()
        }
    }

    /** What the session had outside the heap is given back when its garbage is collected. */
    private fun settle() {
        System.gc()
        val leftNs = deadlineNs - System.nanoTime()
        Thread.sleep(minOf(request.settleNs, leftNs).coerceAtLeast(0) / NS_PER_MS)
        readMemory(MemoryPhase.CLOSED)
    }

    private fun enter(next: Stage) {
        stage = next
        FileOutputStream(File(directory, "progress"), true).use { it.write("${next.wireName}\n".toByteArray()) }
        progress(next)
        checkDeadline()
    }

    private fun checkDeadline() {
        if (System.nanoTime() - deadlineNs >= 0) throw DeadlineException()
    }

    private fun readMemory(phase: MemoryPhase) {
        if (request.purpose == Purpose.MEMORY) memory.read(phase)
    }
}
