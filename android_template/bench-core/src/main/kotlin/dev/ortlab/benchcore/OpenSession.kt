package dev.ortlab.benchcore

import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.OrtSession.SessionOptions
import java.io.File

/**
 * A session and all that must live as long as it.
 *
 * @property source its bytes, which the runtime may use in place.
 * @property registeredProviders names, in order.
 */
internal class OpenSession(
    val session: OrtSession,
    private val options: SessionOptions,
    private val source: ModelSource,
    val registeredProviders: List<String>,
) : AutoCloseable {
    /** Closes the session, then the options, which hold its custom-op library; the bytes go last. */
    override fun close() {
        session.close()
        options.close()
        keepAlive(source)
    }
}

@Volatile
private var lastKept: Int = 0

/** Uses a reference, so that what it refers to is not collected before. */
private fun keepAlive(reference: Any) {
    lastKept = System.identityHashCode(reference)
}

/**
 * Creates a session as the request wants it; what that leaves open stays the runtime's default.
 *
 * @param profilePrefix where a profile begins its file name; null for no profile.
 * @param onCreated told the nanoseconds of the creation alone.
 * @throws RefusedException an option cannot be set, a provider or a custom-op library fails.
 * @throws OrtException the runtime refuses the model.
 */
internal fun openSession(
    runtime: OrtRuntime,
    request: BlockRequest,
    source: ModelSource,
    base: File,
    profilePrefix: File?,
    onCreated: (Long) -> Unit,
): OpenSession {
    val options = SessionOptions()
    try {
        applySettings(options, request.session, source.neededKeys)
        if (profilePrefix != null) options.enableProfiling(passable(profilePrefix.path, "the profile's path"))
        request.model.customOpLibrary?.let { registerCustomOps(options, resolve(base, it)) }
        val providers = addProviders(options, request.providers)
        val startedNs = System.nanoTime()
        val session = source.createSession(runtime.environment, options)
        onCreated(System.nanoTime() - startedNs)
        return OpenSession(session, options, source, providers)
    } catch (error: Throwable) {
        options.close()
        throw error
    }
}

private fun applySettings(
    options: SessionOptions,
    settings: SessionSettings,
    neededKeys: Set<String>,
) {
    options.setOptimizationLevel(levelOf(settings.optimizationLevel))
    options.setExecutionMode(
        when (settings.executionMode) {
            SessionExecutionMode.SEQUENTIAL -> SessionOptions.ExecutionMode.SEQUENTIAL
            SessionExecutionMode.PARALLEL -> SessionOptions.ExecutionMode.PARALLEL
        },
    )
    settings.intraOpThreads?.let { options.setIntraOpNumThreads(threads(it)) }
    settings.interOpThreads?.let { options.setInterOpNumThreads(threads(it)) }
    settings.usesCpuArena?.let { options.setCPUArenaAllocator(it) }
    settings.usesMemoryPattern?.let { options.setMemoryPatternOptimization(it) }
    for ((key, value) in settings.configEntries + neededKeys.associateWith { "1" }) addEntry(options, key, value)
}

/** Looked up by name: runtimes before 1.22 lack a level. */
private fun levelOf(level: OptimizationLevel): SessionOptions.OptLevel =
    SessionOptions.OptLevel.values().firstOrNull { it.name == level.runtimeName }
        ?: throw RefusedException(FailureKind.UNSUPPORTED, "this release of ONNX Runtime has no ${level.runtimeName}")

private fun threads(count: Long): Int {
    if (count > Int.MAX_VALUE) {
        throw RefusedException(FailureKind.UNSUPPORTED, "$count are more threads than the Java API takes")
    }
    return count.toInt()
}

private fun addEntry(
    options: SessionOptions,
    key: String,
    value: String,
) {
    passable(key + value, "a config entry")
    try {
        options.addConfigEntry(key, value)
    } catch (error: OrtException) {
        val message = "config entry $key: ${error.message}"
        throw RefusedException(FailureKind.INVALID_REQUEST, message, Stage.START, error)
    }
}

private fun registerCustomOps(
    options: SessionOptions,
    library: File,
) {
    val path = passable(library.path, "the path of the custom-op library")
    try {
        options.registerCustomOpLibrary(path)
    } catch (error: OrtException) {
        val message = error.message ?: "$library cannot be registered"
        throw RefusedException(FailureKind.CUSTOM_OPS_FAILED, message, cause = error)
    }
}
