package dev.ortlab.sdk

/*
 * What can go wrong:
 *
 *     IllegalArgumentException
 *     └── InvalidTensorException         what is given does not fit the model; the runtime never sees it
 *         ├── ShapeMismatchException
 *         ├── ElementTypeMismatchException
 *         ├── InvalidBufferException
 *         └── SharedTensorException
 *     IllegalStateException
 *     └── UnusableException              the thing cannot be used now
 *         ├── ClosedException
 *         └── BusyException
 *     RuntimeException
 *     └── SdkException                   the runtime, or the device, cannot do it
 *         ├── ModelNotFoundException
 *         ├── ModelLoadException
 *         ├── ProviderNotAvailableException
 *         └── RunException
 */

/** A tensor that does not fit the model; nothing was run. */
public sealed class InvalidTensorException(
    message: String,
) : IllegalArgumentException(message)

/** A shape that the model does not take, or that contradicts another input's. */
public class ShapeMismatchException(
    message: String,
) : InvalidTensorException(message)

/** An element type other than the model's. */
public class ElementTypeMismatchException(
    message: String,
) : InvalidTensorException(message)

/** A buffer or array that cannot hold the tensor: size, byte order, or not a direct buffer. */
public class InvalidBufferException(
    message: String,
) : InvalidTensorException(message)

/** One tensor given where two are needed. */
public class SharedTensorException(
    message: String,
) : InvalidTensorException(message)

/** Something that cannot be used at this moment. */
public sealed class UnusableException(
    message: String,
) : IllegalStateException(message)

/** A tensor or session that was closed before. */
public class ClosedException(
    message: String,
) : UnusableException(message)

/** A tensor or session that another run is using; a session serves one run at a time. */
public class BusyException(
    message: String,
) : UnusableException(message)

/** Something that the runtime or the device cannot do; the cause is the runtime's own exception. */
public sealed class SdkException(
    message: String,
    cause: Throwable?,
) : RuntimeException(message, cause)

/** The model's file is not where it should be. */
public class ModelNotFoundException(
    message: String,
    cause: Throwable? = null,
) : SdkException(message, cause)

/** The runtime does not take the model, or it is not the one this code was generated for. */
public class ModelLoadException(
    message: String,
    cause: Throwable? = null,
) : SdkException(message, cause)

/**
 * An execution provider that this runtime or device lacks, or that leaves work to the CPU although
 * [CpuFallback] forbids it.
 *
 * @property provider name of the provider that was asked for.
 * @property available names of the providers that the runtime has.
 */
public class ProviderNotAvailableException(
    message: String,
    public val provider: String,
    public val available: Set<String>,
    cause: Throwable? = null,
) : SdkException(message, cause)

/** The runtime failed while it ran the model. */
public class RunException(
    message: String,
    cause: Throwable? = null,
) : SdkException(message, cause)
