import CoreGraphics
import ModelSDK

extension InputRow {
    /// The chosen picture in a size for the screen; nil where none was chosen.
    var thumbnail: CGImage? { picture?.thumbnail.makeCGImage() }
}
