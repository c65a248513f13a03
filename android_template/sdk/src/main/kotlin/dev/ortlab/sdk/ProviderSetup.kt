package dev.ortlab.sdk

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtProvider
import ai.onnxruntime.OrtSession
import ai.onnxruntime.providers.NNAPIFlags
import java.util.EnumSet

/** Registers the execution providers that were asked for, and says which are there. */
internal object ProviderSetup {
    fun available(): Set<String> = OrtEnvironment.getAvailableProviders().mapTo(LinkedHashSet()) { it.name }

    fun apply(
        settings: OrtSession.SessionOptions,
        options: SessionOptions,
    ): ProviderReport {
        val registered = ArrayList<String>()
        val missing = LinkedHashMap<String, String>()
        for (provider in options.providers) {
            val failure = if (provider is ExecutionProvider.Cpu) null else register(settings, provider)
            when {
                failure == null -> registered += provider.name
                options.cpuFallback == CpuFallback.WHOLE_MODEL -> missing[provider.name] = failure.message.orEmpty()
                else -> throw failure
            }
        }
        val isCpuWanted = options.providers.isEmpty() || ExecutionProvider.Cpu in options.providers
        if (!isCpuWanted && options.cpuFallback == CpuFallback.NONE) {
            settings.addConfigEntry(SessionOptions.DISABLE_CPU_FALLBACK, "1")
        }
        val others = registered - ExecutionProvider.Cpu.name
        return ProviderReport(
            requested = options.providers.map { it.name },
            registered = others + ExecutionProvider.Cpu.name,
            missing = missing,
            cpuFallback =
                when {
                    missing.isNotEmpty() && others.isEmpty() -> FallbackState.WHOLE_MODEL
                    isCpuWanted || options.cpuFallback == CpuFallback.NONE -> FallbackState.NOTHING
                    else -> FallbackState.OPERATORS
                },
        )
    }

    private fun register(
        settings: OrtSession.SessionOptions,
        provider: ExecutionProvider,
    ): ProviderNotAvailableException? {
        val available = OrtEnvironment.getAvailableProviders()
        if (runtimeProvider(provider) !in available) return notAvailable(provider, "this runtime was built without it", null)
        return try {
            add(settings, provider)
            null
        } catch (error: OrtException) {
            notAvailable(provider, error.message.orEmpty(), error)
        }
    }

    private fun runtimeProvider(provider: ExecutionProvider): OrtProvider =
        when (provider) {
            ExecutionProvider.Cpu -> OrtProvider.CPU
            is ExecutionProvider.Nnapi -> OrtProvider.NNAPI
            is ExecutionProvider.Xnnpack -> OrtProvider.XNNPACK
            is ExecutionProvider.Qnn -> OrtProvider.QNN
        }

    private fun add(
        settings: OrtSession.SessionOptions,
        provider: ExecutionProvider,
    ) {
        when (provider) {
            ExecutionProvider.Cpu -> {
                // Every session has it.
            }

            is ExecutionProvider.Nnapi -> {
                val flags = EnumSet.noneOf(NNAPIFlags::class.java)
                provider.flags.mapTo(flags) { NNAPIFlags.valueOf(it.name) }
                settings.addNnapi(flags)
            }

            is ExecutionProvider.Xnnpack -> {
                val threads = provider.threads
                settings.addXnnpack(if (threads == null) emptyMap() else mapOf("intra_op_num_threads" to "$threads"))
            }

            is ExecutionProvider.Qnn -> {
                settings.addQnn(provider.options)
            }
        }
    }

    private fun notAvailable(
        provider: ExecutionProvider,
        why: String,
        cause: OrtException?,
    ): ProviderNotAvailableException {
        val names = available()
        return ProviderNotAvailableException("${provider.name} is not available: $why; available are $names", provider.name, names, cause)
    }
}
