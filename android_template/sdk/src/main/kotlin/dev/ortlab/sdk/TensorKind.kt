package dev.ortlab.sdk

/** What a tensor's numbers mean to people. */
public sealed interface TensorKind {
    /** Nothing is known: numbers. */
    public data object Raw : TensorKind

    /**
     * An output that is the next run's input; the session carries it over.
     *
     * @property inputName that input.
     */
    public data class State(
        public val inputName: String,
    ) : TensorKind
}
