import Foundation
import Ort

/// Where packaged files are found.
public struct ModelSource: Sendable {
    /// Directory that relative paths start from; nil if there is none.
    public let directory: URL?

    /// The resources that were packaged with the SDK.
    public static var bundled: ModelSource {
        ModelSource(directory: ModelResources.directory)
    }

    /// Files in a directory.
    public init(directory: URL?) {
        self.directory = directory
    }

    /// Maps a file into memory.
    ///
    /// - Parameter path: Relative, with `/` between its parts.
    /// - Throws: ``SDKError/modelNotFound(_:)`` if there is no such file, or it cannot be read.
    func open(_ path: String) throws -> OrtMemory {
        guard let directory else {
            throw SDKError.modelNotFound(
                "Cannot find \(path): the app has no bundle with the SDK's resources")
        }
        do {
            return try OrtMemory(mappingFile: directory.appendingPathComponent(path).path)
        } catch let error as OrtError {
            throw SDKError.modelNotFound("There is no packaged file \(path): \(error.message)")
        }
    }
}

/// The files that were packaged with the SDK: in a resource bundle of the Swift package, or of the
/// pod.
public enum ModelResources {
    #if SWIFT_PACKAGE
        /// The bundle; nil if the app does not contain it.
        public static var bundle: Bundle? { Bundle.module }
    #else
        /// The bundle; nil if the app does not contain it.
        public static var bundle: Bundle? {
            let own = Bundle(for: BundleToken.self)
            let places = [own.resourceURL, Bundle.main.resourceURL, own.bundleURL]
            for case let place? in places {
                let url = place.appendingPathComponent("ModelSDK.bundle", isDirectory: true)
                if let bundle = Bundle(url: url) { return bundle }
            }
            return nil
        }
    #endif

    /// Directory that the paths of packaged files start from.
    static var directory: URL? { bundle?.resourceURL }
}

private final class BundleToken {}
