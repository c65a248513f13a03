import ModelSDK

/// A picture that the user chose.
struct ChosenPicture: Hashable, Sendable {
    private static let longestSide = 512

    /// Its pixels.
    let picture: Picture
    /// A smaller one for the screen.
    let thumbnail: Picture

    /// Keeps every n-th pixel for the screen.
    ///
    /// - Throws: Nothing but what ``Picture`` refuses, which these sizes are not.
    init(_ picture: Picture) throws {
        self.picture = picture
        let side = max(picture.width, picture.height)
        let step = (side + Self.longestSide - 1) / Self.longestSide
        let columns = Array(stride(from: 0, to: picture.width, by: step))
        let rows = Array(stride(from: 0, to: picture.height, by: step))
        let pixelBytes = picture.rgba.count / picture.width / picture.height
        var rgba: [UInt8] = []
        rgba.reserveCapacity(rows.count * columns.count * pixelBytes)
        for row in rows {
            for column in columns {
                let first = (row * picture.width + column) * pixelBytes
                rgba += picture.rgba[first..<first + pixelBytes]
            }
        }
        thumbnail = try Picture(width: columns.count, height: rows.count, rgba: rgba)
    }
}
