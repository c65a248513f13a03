import Foundation
import ModelSDK
import PhotosUI
import UniformTypeIdentifiers

/// A photo that the user picked; its file is read when it is asked for.
struct PickedPhoto: @unchecked Sendable {
    // An item provider may be used from any thread.
    private let provider: NSItemProvider

    /// - Returns: nil if nothing was picked.
    init?(_ results: [PHPickerResult]) {
        guard let result = results.first else { return nil }
        provider = result.itemProvider
    }

    /// Reads the photo as it should be seen.
    ///
    /// - Throws: What the system refuses with, or ``SDKError`` if the file is no picture.
    func picture() async throws -> Picture {
        try Picture(decoding: await data())
    }

    private func data() async throws -> Data {
        let type = UTType.image.identifier
        return try await withCheckedThrowingContinuation { continuation in
            provider.loadDataRepresentation(forTypeIdentifier: type) { data, error in
                if let data {
                    continuation.resume(returning: data)
                } else {
                    continuation.resume(throwing: error ?? CocoaError(.fileReadUnknown))
                }
            }
        }
    }
}
