#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Bytes outside Swift's own values, which tensors and sessions use where they lie.
///
/// Whoever uses the bytes keeps this alive. It is not `Sendable`: two threads that write see each
/// other's bytes.
public final class OrtMemory {
    /// The bytes; valid as long as this lives. Of a mapped file they must not be written.
    public let bytes: UnsafeMutableRawBufferPointer

    private let release: (UnsafeMutableRawBufferPointer) -> Void

    /// Allocates bytes, aligned for every kernel; what they hold is undefined until it is written.
    public init(byteCount: Int) {
        bytes = .allocate(byteCount: byteCount, alignment: 64)
        release = { $0.deallocate() }
    }

    /// Uses bytes of somebody else.
    ///
    /// - Parameter release: Called with the bytes when they are no longer used.
    public init(
        using bytes: UnsafeMutableRawBufferPointer,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
    }

    /// Copies bytes.
    public convenience init(copying source: UnsafeRawBufferPointer) {
        self.init(byteCount: source.count)
        bytes.copyMemory(from: source)
    }

    /// Copies the elements of an array.
    public convenience init<Element: OrtElement>(copying elements: [Element]) {
        self.init(byteCount: elements.count * MemoryLayout<Element>.stride)
        elements.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }

    /// Reads a file whole.
    ///
    /// - Throws: ``OrtError`` with the system's reason.
    public convenience init(contentsOfFile path: String) throws {
        let file = try OpenFile(path)
        self.init(byteCount: file.byteCount)
        var filled = 0
        while filled < bytes.count {
            let count = read(
                file.descriptor, bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw fileError("read", path) }
            if count == 0 {
                let message = "\(path) is shorter than it was a moment ago"
                throw OrtError(code: .noSuchFile, message: message)
            }
            filled += count
        }
    }

    /// Maps a file, so that its pages need no memory of their own; they are for reading only.
    ///
    /// - Throws: ``OrtError`` with the system's reason.
    public convenience init(mappingFile path: String) throws {
        let file = try OpenFile(path)
        if file.byteCount == 0 {
            self.init(byteCount: 0)
            return
        }
        let mapped = mmap(nil, file.byteCount, PROT_READ, MAP_PRIVATE, file.descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { throw fileError("map", path) }
        let bytes = UnsafeMutableRawBufferPointer(start: mapped, count: file.byteCount)
        self.init(using: bytes) { munmap($0.baseAddress, $0.count) }
    }

    deinit { release(bytes) }
}

private func fileError(_ verb: String, _ path: String) -> OrtError {
    OrtError(
        code: .noSuchFile, message: "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
}

/// A file that is open for reading until this goes away.
private final class OpenFile {
    let descriptor: Int32
    let byteCount: Int

    init(_ path: String) throws {
        descriptor = open(try passable(path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fileError("read", path) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else {
            let error = fileError("read", path)
            close(descriptor)
            throw error
        }
        if facts.st_mode & S_IFMT == S_IFDIR {
            close(descriptor)
            throw OrtError(code: .noSuchFile, message: "\(path) is a directory")
        }
        byteCount = Int(facts.st_size)
    }

    deinit { close(descriptor) }
}
