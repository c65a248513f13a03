package dev.ortlab.sdk

import dev.ortlab.sdk.image.ImageFormat

/** What a tensor's numbers mean to people. */
public sealed interface TensorKind {
    /** Nothing is known: numbers. */
    public data object Raw : TensorKind

    /**
     * An input that is a picture: an `ImagePreprocessor` of [format] writes it into the tensor.
     *
     * @property format what the model wants its pictures to be.
     */
    public class Image(
        public val format: ImageFormat,
    ) : TensorKind

    /**
     * An output that scores classes.
     *
     * @property classification makes labels of the scores.
     */
    public class Scores(
        public val classification: Classification,
    ) : TensorKind
}
