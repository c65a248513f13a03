package dev.ortlab.benchcore

import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtProvider
import ai.onnxruntime.OrtSession.SessionOptions
import ai.onnxruntime.providers.NNAPIFlags
import java.util.EnumSet

private const val CPU = "CPUExecutionProvider"
private const val ARENA = "use_arena"

/**
 * Refuses providers that the runtime lacks: it would go on without them.
 *
 * @throws RefusedException the runtime does not list one of them.
 */
internal fun checkAvailable(
    providers: List<ProviderRequest>,
    available: List<String>,
) {
    val missing = providers.firstOrNull { it.name !in available } ?: return
    val message = "this runtime has no ${missing.name}; it has ${available.joinToString()}"
    throw RefusedException(FailureKind.PROVIDER_UNAVAILABLE, message, Stage.CREATE_SESSION)
}

/**
 * Registers providers in order with their options.
 *
 * The Java API does not tell which providers a session has; but it refuses one that was not built
 * in, and the session is not created when one does not start. So what was added is registered, and
 * the CPU behind it, which every session has.
 *
 * @return names of the providers that the session will have, in order.
 * @throws RefusedException one refused its options, or cannot be registered through the Java API.
 */
internal fun addProviders(
    options: SessionOptions,
    providers: List<ProviderRequest>,
): List<String> {
    for ((at, provider) in providers.withIndex()) {
        for ((key, value) in provider.options) passable(key + value, "an option of ${provider.name}")
        try {
            addProvider(options, provider, isLast = at == providers.lastIndex)
        } catch (error: OrtException) {
            val message = "${provider.name}: ${error.message}"
            throw RefusedException(FailureKind.PROVIDER_FAILED, message, cause = error)
        }
    }
    return (providers.map { it.name } + CPU).distinct()
}

private fun addProvider(
    options: SessionOptions,
    provider: ProviderRequest,
    isLast: Boolean,
) {
    when (provider.name) {
        CPU -> addCpu(options, provider, isLast)
        OrtProvider.NNAPI.getName() -> options.addNnapi(nnapiFlags(provider))
        OrtProvider.XNNPACK.getName() -> options.addXnnpack(provider.options)
        OrtProvider.QNN.getName() -> options.addQnn(provider.options)
        OrtProvider.CORE_ML.getName() -> options.addCoreML(provider.options)
        OrtProvider.WEBGPU.getName() -> options.addWebGPU(provider.options)
        else -> throw RefusedException(FailureKind.PROVIDER_UNAVAILABLE, "this runner cannot register ${provider.name}")
    }
}

/** Every session has the CPU last; it is added where it stands before others or has options. */
private fun addCpu(
    options: SessionOptions,
    provider: ProviderRequest,
    isLast: Boolean,
) {
    val usesArena = flags(provider, listOf(ARENA))[ARENA]
    if (!isLast || usesArena != null) options.addCPU(usesArena ?: true)
}

private fun nnapiFlags(provider: ProviderRequest): EnumSet<NNAPIFlags> {
    val known = NNAPIFlags.values().associateBy { it.name.lowercase() }
    val told = flags(provider, known.keys)
    val chosen = EnumSet.noneOf(NNAPIFlags::class.java)
    for ((key, flag) in known) if (told[key] == true) chosen += flag
    return chosen
}

/** Returns options that are flags, written as `0` or `1`. */
private fun flags(
    provider: ProviderRequest,
    known: Collection<String>,
): Map<String, Boolean> =
    provider.options.mapValues { (key, value) ->
        if (key !in known) refuse("${provider.name} has no option $key; it has ${known.joinToString()}")
        when (value) {
            "0" -> false
            "1" -> true
            else -> refuse("option $key of ${provider.name} is 0 or 1, not $value")
        }
    }

private fun refuse(message: String): Nothing = throw RefusedException(FailureKind.PROVIDER_FAILED, message)
