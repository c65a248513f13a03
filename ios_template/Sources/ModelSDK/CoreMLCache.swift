import Foundation

/// What Core ML's compiled partitions take up on the device, and where.
///
/// The runtime looks a compiled partition up by names alone, not by content, so every packaged file,
/// set of options and version of the runtime has a folder of its own. Folders of files and runtimes
/// that a model no longer has are removed when it is opened with the managed cache.
public enum CoreMLCache {
    private static let folder = "ortlab-coreml"

    /// What a session's cache holds.
    public struct Report: Hashable, Sendable {
        /// Where it is.
        public let directory: URL
        /// Bytes in it before the model was loaded; 0 means that partitions had to be compiled.
        public let sizeBytesBefore: Int
        /// Bytes in it once the model was loaded.
        public let sizeBytes: Int

        /// Whether partitions were found there, so that the load was quick.
        public var wasWarm: Bool { sizeBytesBefore > 0 }
    }

    /// The directory with all managed caches, among the app's caches: the system may empty it.
    public static var directory: URL {
        let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
        return (caches ?? FileManager.default.temporaryDirectory)
            .appendingPathComponent(folder, isDirectory: true)
    }

    /// Bytes of all managed caches together.
    public static func sizeBytes() -> Int { sizeBytes(of: directory) }

    /// Removes all managed caches; the next load of each model compiles anew. Sessions that are
    /// open are to be closed first.
    ///
    /// - Throws: What the file system refuses with.
    public static func removeAll() throws {
        guard FileManager.default.fileExists(atPath: directory.path) else { return }
        try FileManager.default.removeItem(at: directory)
    }

    /// Bytes of all files below a directory; 0 if there is none.
    static func sizeBytes(of directory: URL) -> Int {
        let keys: Set<URLResourceKey> = [.isRegularFileKey, .fileSizeKey]
        let found = FileManager.default.enumerator(
            at: directory, includingPropertiesForKeys: Array(keys))
        var total = 0
        while let url = found?.nextObject() as? URL {
            guard let values = try? url.resourceValues(forKeys: keys),
                values.isRegularFile == true
            else { continue }
            total += values.fileSize ?? 0
        }
        return total
    }

    /// Returns the directory for a file of a model, made if it is not there, without what is stale.
    static func prepare(
        _ cache: CoreMLOptions.Cache,
        options: [String: String],
        model: ModelDescriptor,
        variant: ModelVariant,
        runtimeVersion: String,
        below root: URL = CoreMLCache.directory
    ) throws -> URL? {
        switch cache {
        case .none: return nil
        case .directory(let url):
            try make(url)
            return url
        case .managed:
            let own = root.appendingPathComponent(folderName(model.name), isDirectory: true)
            let version = folderName(runtimeVersion)
            remove(below: own, but: [version])
            let files = own.appendingPathComponent(version, isDirectory: true)
            remove(below: files, but: Set(model.variants.map { folderName($0.sha256) }))
            let choices = options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let url =
                files
                .appendingPathComponent(folderName(variant.sha256), isDirectory: true)
                .appendingPathComponent(
                    folderName(choices.joined(separator: "-")), isDirectory: true)
            try make(url)
            return url
        }
    }

    /// A name of letters and digits for any text; different texts have different ones.
    private static func folderName(_ text: String) -> String {
        let plain = text.unicodeScalars.filter {
            $0.isASCII && CharacterSet.alphanumerics.contains($0)
        }
        // FNV-1a; source: the algorithm's own page at isthe.com.
        let digest = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3
        }
        return String(String.UnicodeScalarView(plain.prefix(40))) + "-" + String(digest, radix: 16)
    }

    private static func make(_ url: URL) throws {
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw SDKError.modelLoadFailed(
                "Cannot make the cache of Core ML at \(url.path): \(error.localizedDescription)")
        }
    }

    private static func remove(below directory: URL, but kept: Set<String>) {
        let found = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
        for name in found ?? [] where !kept.contains(name) {
            // A cache that cannot be removed costs space and harms nothing.
            try? FileManager.default.removeItem(at: directory.appendingPathComponent(name))
        }
    }
}
