/// Where a resized picture lies in the tensor.
struct Placement: Equatable {
    /// Columns of the whole resized picture.
    var width: Int
    /// Rows of it.
    var height: Int
    /// Column of the tensor where it begins; negative if it sticks out.
    var left = 0
    /// Row likewise.
    var top = 0

    /// Applies the resize rule of a format to a picture.
    init(of picture: Picture, in format: ImageFormat) {
        let (w, h) = (picture.width, picture.height)
        let widthLimits = format.width * h <= format.height * w
        let widthForHeight = roundedDivision(w * format.height, h)
        let heightForWidth = roundedDivision(h * format.width, w)
        switch format.resize {
        case .stretch:
            self.init(width: format.width, height: format.height)
        case .fitHeight:
            let wanted = (w * format.height + h - 1) / h
            self.init(width: min(format.width, wanted), height: format.height)
        case .fit, .fitTopLeft:
            self.init(
                width: widthLimits ? format.width : max(1, widthForHeight),
                height: widthLimits ? max(1, heightForWidth) : format.height)
        case .crop:
            self.init(
                width: widthLimits ? widthForHeight : format.width,
                height: widthLimits ? format.height : heightForWidth)
        }
        if format.resize == .fit || format.resize == .crop {
            left = (format.width - width) / 2
            top = (format.height - height) / 2
        }
    }

    private init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }
}

private func roundedDivision(_ dividend: Int, _ divisor: Int) -> Int {
    (2 * dividend + divisor) / (2 * divisor)
}
