package dev.ortlab.app

import android.content.res.Resources
import dev.ortlab.sdk.FallbackState
import dev.ortlab.sdk.InvalidTensorException
import dev.ortlab.sdk.ModelLoadException
import dev.ortlab.sdk.ModelNotFoundException
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.ProviderNotAvailableException
import dev.ortlab.sdk.RunException
import dev.ortlab.sdk.Telemetry
import dev.ortlab.sdk.TelemetryState
import java.util.Locale

private const val NANOS_IN_MS = 1e6
private const val BYTES_IN_MB = 1e6

/** Says in the user's language what the app knows. */
internal class Words(
    private val resources: Resources,
) {
    fun style(style: ModelStyle): String =
        resources.getString(
            when (style) {
                ModelStyle.ONNX -> R.string.style_onnx
                ModelStyle.FIXED -> R.string.style_fixed
                ModelStyle.RUNTIME -> R.string.style_runtime
            },
        )

    fun provider(provider: ProviderChoice): String =
        resources.getString(
            when (provider) {
                ProviderChoice.CPU -> R.string.provider_cpu
                ProviderChoice.XNNPACK -> R.string.provider_xnnpack
                ProviderChoice.NNAPI -> R.string.provider_nnapi
                ProviderChoice.QNN -> R.string.provider_qnn
            },
        )

    fun status(state: ScreenState): String {
        val problem = state.problem
        return when {
            state.work == Work.RUNNING -> resources.getString(R.string.running)
            state.work == Work.READING_PICTURE -> resources.getString(R.string.reading_picture)
            problem != null -> problem(problem)
            state.answer == null -> resources.getString(R.string.not_run)
            else -> latency(state.answer)
        }
    }

    fun latency(answer: RunAnswer): String {
        val sorted = answer.runNanos.ifEmpty { listOf(answer.firstRunNanos) }.sorted()
        val median = (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2
        return resources.getQuantityString(
            R.plurals.figure_latency,
            sorted.size,
            sorted.size,
            median / NANOS_IN_MS,
            sorted.first() / NANOS_IN_MS,
        )
    }

    fun figures(answer: RunAnswer): String {
        val providers = answer.providers
        return listOfNotNull(
            latency(answer),
            resources.getString(R.string.figure_first, answer.firstRunNanos / NANOS_IN_MS),
            resources.getString(R.string.figure_load, answer.loadDurationNanos / NANOS_IN_MS),
            resources.getString(R.string.figure_providers, providers.registered.joinToString()),
            resources.getString(R.string.figure_fallback).takeIf { providers.cpuFallback != FallbackState.NOTHING },
            answer.memory?.let { resources.getString(R.string.figure_memory, it.current / BYTES_IN_MB, it.peak / BYTES_IN_MB) },
            resources.getString(R.string.figure_file, answer.variant.id),
            resources.getString(
                if (Telemetry.state == TelemetryState.ALLOWED) R.string.figure_usage_on else R.string.figure_usage_off,
            ),
        ).joinToString("\n")
    }

    fun values(output: OutputSummary): String {
        if (output.elementCount == 0) return resources.getString(R.string.no_values)
        val first = output.firstValues.joinToString()
        val more = output.firstValues.size < output.elementCount
        val values = if (more) resources.getString(R.string.values_more, first, output.elementCount) else first
        val range = output.range ?: return values
        val words = resources.getString(R.string.range, number(range.minimum), number(range.maximum), number(range.mean))
        val partly = if (range.notFinite > 0) resources.getString(R.string.range_partly, words, range.notFinite) else words
        return "$values\n$partly"
    }

    private fun problem(problem: Problem): String {
        val cause = problem.cause
        val why = cause.message ?: cause.javaClass.simpleName
        if (cause is OutOfMemoryError) return resources.getString(R.string.problem_memory)
        if (problem.work == Work.READING_PICTURE) return resources.getString(R.string.problem_picture, why)
        return when (cause) {
            is ProviderNotAvailableException -> resources.getString(R.string.problem_provider, cause.provider, why)
            is ModelNotFoundException -> resources.getString(R.string.problem_file, why)
            is ModelLoadException -> resources.getString(R.string.problem_load, why)
            is RunException -> resources.getString(R.string.problem_run, why)
            is InvalidTensorException -> resources.getString(R.string.problem_input, why)
            is LinkageError -> resources.getString(R.string.problem_library, why)
            else -> resources.getString(R.string.problem_other, why)
        }
    }

    private fun number(value: Double): String = String.format(Locale.getDefault(), "%.4g", value)
}
