package dev.ortlab.app

import dev.ortlab.sdk.CpuFallback
import dev.ortlab.sdk.ExecutionProvider
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.SessionOptions

/** Execution providers to choose from; which of them a phone really has shows when a model is opened. */
internal enum class ProviderChoice {
    CPU,
    XNNPACK,
    NNAPI,
    QNN,
}

/**
 * How the user wants a model to run.
 *
 * @property model index among the app's models.
 * @property style which of the packaged files; null takes the recommended one.
 * @property provider that takes the operators it can.
 * @property threads that calculate; null leaves it to the runtime.
 */
internal data class Choices(
    val model: Int = 0,
    val style: ModelStyle? = null,
    val provider: ProviderChoice = ProviderChoice.CPU,
    val threads: Int? = null,
) {
    /** The same for the SDK. A provider that is missing is refused; operators it lacks go to the CPU. */
    fun sessionOptions(): SessionOptions =
        when (provider) {
            ProviderChoice.CPU -> {
                SessionOptions(style = style, intraOpThreads = threads)
            }

            // XNNPACK has threads of its own; the runtime's would compete with them.
            ProviderChoice.XNNPACK -> {
                optionsFor(ExecutionProvider.Xnnpack(threads), intraOpThreads = 1)
            }

            ProviderChoice.NNAPI -> {
                optionsFor(ExecutionProvider.Nnapi(), threads)
            }

            ProviderChoice.QNN -> {
                optionsFor(ExecutionProvider.Qnn(), threads)
            }
        }

    private fun optionsFor(
        provider: ExecutionProvider,
        intraOpThreads: Int?,
    ) = SessionOptions(
        style = style,
        providers = listOf(provider),
        cpuFallback = CpuFallback.OPERATORS,
        intraOpThreads = intraOpThreads,
    )
}
