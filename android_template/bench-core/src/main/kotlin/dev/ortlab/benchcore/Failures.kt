package dev.ortlab.benchcore

import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtException.OrtErrorCode
import java.io.IOException

private const val LONGEST_MESSAGE = 4000

private val RUNNING_STAGES = setOf(Stage.FIRST_RUN, Stage.WARM_UP, Stage.MEASURE)

private val MEMORY_WORDS =
    listOf(
        "bad_alloc",
        "failed to allocate memory",
        "cannot allocate memory",
        "failed to map segment",
        "map failed",
        "out of memory",
        "bfcarena",
    )

private val UNSUPPORTED_WORDS =
    listOf(
        "is not supported",
        "unsupported model ir version",
        "no op registered",
        "is under development",
        "not a registered function/op",
        "failed to find kernel",
        "could not find an implementation",
        "unknown model file format version",
    )

private val PROVIDER_WORDS = listOf("executionprovider", "execution provider", "provider option")

/**
 * A failure that the core found itself.
 *
 * @property kind of the protocol's failure kinds.
 * @property stage where it belongs; null for the stage the block is in.
 */
internal class RefusedException(
    val kind: FailureKind,
    message: String,
    val stage: Stage? = null,
    cause: Throwable? = null,
) : Exception(message, cause)

/** The block's deadline passed between two runs or stages. */
internal class DeadlineException : Exception("the deadline passed")

/** Returns the protocol's failure for what was thrown in a stage. */
internal fun describeFailure(
    error: Throwable,
    stage: Stage,
): Failure {
    val place = (error as? RefusedException)?.stage ?: stage
    val words = error.message?.takeIf { it.isNotEmpty() } ?: error.javaClass.simpleName
    return Failure(place, kindOf(error, place), words.take(LONGEST_MESSAGE))
}

private fun kindOf(
    error: Throwable,
    stage: Stage,
): FailureKind {
    val words = error.message.orEmpty().lowercase()
    return when {
        error is InvalidRequestException -> FailureKind.INVALID_REQUEST
        error is RefusedException -> error.kind
        error is DeadlineException -> FailureKind.DEADLINE
        error is OutOfMemoryError || MEMORY_WORDS.any { it in words } -> FailureKind.OUT_OF_MEMORY
        error is IOException -> FailureKind.STORAGE
        error !is OrtException -> FailureKind.RUNTIME_ERROR
        stage in RUNNING_STAGES -> kindWhenRunning(error.code)
        stage == Stage.CREATE_SESSION -> kindWhenCreating(error.code, words)
        else -> FailureKind.RUNTIME_ERROR
    }
}

private fun kindWhenRunning(code: OrtErrorCode): FailureKind =
    when (code) {
        // The Java API has no code of its own for names and numbers of inputs that it refuses.
        OrtErrorCode.ORT_JAVA_UNKNOWN, OrtErrorCode.ORT_INVALID_ARGUMENT -> FailureKind.INVALID_INPUT

        OrtErrorCode.ORT_NOT_IMPLEMENTED -> FailureKind.UNSUPPORTED

        OrtErrorCode.ORT_EP_FAIL -> FailureKind.PROVIDER_FAILED

        else -> FailureKind.RUNTIME_ERROR
    }

private fun kindWhenCreating(
    code: OrtErrorCode,
    words: String,
): FailureKind =
    when {
        UNSUPPORTED_WORDS.any { it in words } -> FailureKind.UNSUPPORTED
        code == OrtErrorCode.ORT_FAIL && "load model from" in words -> FailureKind.INVALID_MODEL
        code == OrtErrorCode.ORT_NO_SUCHFILE -> FailureKind.MODEL_MISSING
        code == OrtErrorCode.ORT_INVALID_PROTOBUF -> FailureKind.INVALID_MODEL
        code == OrtErrorCode.ORT_INVALID_GRAPH -> FailureKind.INVALID_MODEL
        code == OrtErrorCode.ORT_NO_MODEL -> FailureKind.INVALID_MODEL
        code == OrtErrorCode.ORT_INVALID_ARGUMENT -> FailureKind.INVALID_MODEL
        code == OrtErrorCode.ORT_NOT_IMPLEMENTED -> FailureKind.UNSUPPORTED
        code == OrtErrorCode.ORT_EP_FAIL -> FailureKind.PROVIDER_FAILED
        PROVIDER_WORDS.any { it in words } -> FailureKind.PROVIDER_FAILED
        else -> FailureKind.RUNTIME_ERROR
    }
