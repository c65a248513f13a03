package dev.ortlab.sdk

/**
 * Told what a session does; nothing leaves the app by itself.
 *
 * Called on the thread that opens or runs the session, after the work is done. What a listener
 * throws reaches that caller; the session stays usable.
 */
public fun interface MetricsListener {
    /** Something was done, or failed. */
    public fun onEvent(event: MetricsEvent)
}

/** What a session did. Durations are nanoseconds of `System.nanoTime`. */
public sealed interface MetricsEvent {
    /** Name of the model. */
    public val model: String

    /**
     * A session was opened.
     *
     * @property durationNanos from finding the file to the session being ready, in nanoseconds.
     * @property variant which of the packaged files.
     * @property providers which execution providers it has.
     */
    public data class SessionLoaded(
        override val model: String,
        public val durationNanos: Long,
        public val variant: ModelVariant,
        public val providers: ProviderReport,
    ) : MetricsEvent

    /**
     * A run ended well.
     *
     * @property durationNanos of the run with its checks, in nanoseconds.
     */
    public data class RunCompleted(
        override val model: String,
        public val durationNanos: Long,
    ) : MetricsEvent

    /**
     * The runtime or the device failed.
     *
     * @property stage what was being done.
     * @property error what the caller gets.
     */
    public data class Failed(
        override val model: String,
        public val stage: Stage,
        public val error: SdkException,
    ) : MetricsEvent

    /** What was being done. */
    public enum class Stage {
        /** A session was being opened. */
        LOAD,

        /** A model was being run. */
        RUN,
    }
}
