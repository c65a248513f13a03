/// Writes pictures into one tensor.
///
/// The preprocessor's working memory is only touched while the tensor is borrowed, so that threads
/// exclude each other.
final class PictureWriter: @unchecked Sendable {
    private let preprocessor: ImagePreprocessor
    private let tensor: AnyTensor

    init(_ format: ImageFormat, _ tensor: AnyTensor) {
        preprocessor = ImagePreprocessor(format: format)
        self.tensor = tensor
    }

    func write(_ picture: Picture) throws {
        try preprocessor.write(picture, to: tensor)
    }
}
