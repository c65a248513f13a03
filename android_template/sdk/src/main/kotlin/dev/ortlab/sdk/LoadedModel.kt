package dev.ortlab.sdk

import ai.onnxruntime.NodeInfo
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo
import java.nio.ByteBuffer

/** The runtime's session with what must outlive it. */
internal class LoadedModel private constructor(
    val session: OrtSession,
    val providers: ProviderReport,
    private val options: OrtSession.SessionOptions,
    private var bytes: ByteBuffer?,
) : AutoCloseable {
    override fun close() {
        try {
            session.close()
        } catch (error: OrtException) {
            throw RunException("Cannot close the model: ${error.message}", error)
        } finally {
            // After the session: it may run code of a custom operator library that the options hold.
            options.close()
            bytes = null
        }
    }

    companion object {
        fun load(
            descriptor: ModelDescriptor,
            variant: ModelVariant,
            source: ModelSource,
            options: SessionOptions,
        ): LoadedModel {
            val bytes = read(descriptor, variant, source)
            val environment = OrtRuntime.environment
            val settings = OrtSession.SessionOptions()
            var session: OrtSession? = null
            var loaded: LoadedModel? = null
            try {
                val providers = ProviderSetup.apply(settings, options)
                descriptor.customOpLibraries.forEach(settings::registerCustomOpLibrary)
                Settings.apply(settings, options, isOrtFormat(variant))
                session = environment.createSession(bytes, settings)
                checkSignature(descriptor, session)
                loaded = LoadedModel(session, providers, settings, bytes)
                return loaded
            } catch (error: OrtException) {
                throw refusal(descriptor, options, error)
            } finally {
                if (loaded == null) {
                    session?.close()
                    settings.close()
                }
            }
        }

        private fun read(
            descriptor: ModelDescriptor,
            variant: ModelVariant,
            source: ModelSource,
        ): ByteBuffer {
            val bytes = source.open(variant.assetPath)
            if (!bytes.isDirect) throw ModelLoadException("The source of ${variant.assetPath} gave a buffer that is not direct")
            if (bytes.remaining().toLong() != variant.sizeBytes) {
                throw ModelLoadException(
                    "The model file ${variant.assetPath} has ${bytes.remaining()} bytes instead of ${variant.sizeBytes}: " +
                        "it is not the one this code was generated for",
                )
            }
            val names = (descriptor.inputs + descriptor.outputs).map { it.name }
            val carried = descriptor.states.flatMap { listOf(it.inputName, it.outputName) }
            return RuntimeNames.prepare(bytes, names + carried, isOrtFormat(variant))
        }

        private fun isOrtFormat(variant: ModelVariant) = variant.assetPath.endsWith(".ort")

        private fun checkSignature(
            descriptor: ModelDescriptor,
            session: OrtSession,
        ) {
            val states = descriptor.states
            val inputs = typesOf(descriptor.inputs) + states.associate { it.inputName to it.elementType }
            val outputs = typesOf(descriptor.outputs) + states.associate { it.outputName to it.elementType }
            check(descriptor.name, "inputs", inputs, session.inputInfo)
            check(descriptor.name, "outputs", outputs, session.outputInfo)
        }

        private fun typesOf(tensors: List<TensorDescriptor>) = tensors.associate { it.name to it.elementType }

        private fun check(
            model: String,
            what: String,
            expected: Map<String, ElementType>,
            found: Map<String, NodeInfo>,
        ) {
            val expectedTypes = expected.entries.associate { RuntimeNames.of(it.key) to it.value.runtimeType }
            val foundTypes = found.mapValues { (it.value.info as? TensorInfo)?.onnxType }
            if (expectedTypes != foundTypes) {
                throw ModelLoadException(
                    "The model $model has the $what $foundTypes instead of $expectedTypes: " +
                        "it is not the one this code was generated for",
                )
            }
        }

        private fun refusal(
            descriptor: ModelDescriptor,
            options: SessionOptions,
            error: OrtException,
        ): SdkException {
            val message = error.message.orEmpty()
            if (FALLBACK_REFUSED in message) {
                return ProviderNotAvailableException(
                    "The model ${descriptor.name} has operators that only the CPU can run, and cpuFallback does not allow it: " +
                        "CpuFallback.OPERATORS would",
                    options.providers.first().name,
                    ProviderSetup.available(),
                    error,
                )
            }
            return ModelLoadException("Cannot load the model ${descriptor.name}: $message", error)
        }

        private const val FALLBACK_REFUSED = "fallback to CPU EP has been explicitly disabled"
    }
}

/** Session settings other than execution providers. */
private object Settings {
    fun apply(
        settings: OrtSession.SessionOptions,
        options: SessionOptions,
        isOrtFormat: Boolean,
    ) {
        options.intraOpThreads?.let(settings::setIntraOpNumThreads)
        options.interOpThreads?.let {
            settings.setInterOpNumThreads(it)
            settings.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.PARALLEL)
        }
        options.customOpLibraries.forEach(settings::registerCustomOpLibrary)
        if (isOrtFormat) {
            settings.addConfigEntry(SessionOptions.USE_BYTES, "1")
            settings.addConfigEntry(SessionOptions.USE_BYTES_FOR_INITIALIZERS, "1")
        }
        options.configEntries.forEach(settings::addConfigEntry)
    }
}
