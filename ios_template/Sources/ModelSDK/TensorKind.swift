/// What a tensor's numbers mean to people.
public enum TensorKind: Sendable {
    /// Nothing is known: numbers.
    case raw
    /// An input that is a picture: an `ImagePreprocessor` of this format writes it into the tensor.
    case image(ImageFormat)
    /// An output that scores classes; this makes labels of the scores.
    case scores(Classification)
}
