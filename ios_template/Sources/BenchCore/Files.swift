#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A file or directory could not be read, written or made.
struct FileError: Error {
    let message: String

    /// Describes what the system's last call refused.
    init(_ verb: String, _ path: String) {
        message = "cannot \(verb) \(path): \(String(cString: strerror(errno)))"
    }
}

/// Returns a path below a directory.
func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
}

/// Returns the path that a path of a request means.
func resolve(_ path: String, from base: String) -> String {
    path.hasPrefix("/") ? path : join(base, path)
}

/// Returns the directory of a file, absolute.
func directory(of path: String) -> String {
    let whole = resolve(path, from: workingDirectory())
    guard let slash = whole.lastIndex(of: "/") else { return "." }
    return slash == whole.startIndex ? "/" : String(whole[..<slash])
}

private func workingDirectory() -> String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
}

/// Makes a directory and those above it, unless it is there.
///
/// - Throws: ``FileError``.
func makeDirectory(_ path: String) throws {
    if mkdir(path, 0o777) == 0 || isDirectory(path) { return }
    if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex {
        try makeDirectory(String(path[..<slash]))
        if mkdir(path, 0o777) == 0 || isDirectory(path) { return }
    }
    throw FileError("make the directory", path)
}

private func isDirectory(_ path: String) -> Bool {
    let before = errno
    defer { errno = before }
    var facts = stat()
    return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
}

/// Renames a file within its file system, replacing what has the new name.
///
/// - Throws: ``FileError``.
func renameFile(_ from: String, to: String) throws {
    if rename(from, to) != 0 { throw FileError("rename \(from) to", to) }
}

/// Writes a file anew.
///
/// - Throws: ``FileError``.
func writeFile(_ path: String, _ bytes: [UInt8], isSynchronized: Bool = false) throws {
    try bytes.withUnsafeBytes { try writeFile(path, $0, isSynchronized: isSynchronized) }
}

/// Writes a file anew.
///
/// - Throws: ``FileError``.
func writeFile(
    _ path: String, _ bytes: UnsafeRawBufferPointer, isSynchronized: Bool = false
) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    if file < 0 { throw FileError("write", path) }
    defer { close(file) }
    guard writeAll(bytes, to: file) else { throw FileError("write", path) }
    if isSynchronized && fsync(file) != 0 { throw FileError("write", path) }
}

/// Adds a line to a file.
///
/// - Throws: ``FileError``.
func appendLine(_ line: String, to path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    if file < 0 { throw FileError("write", path) }
    defer { close(file) }
    let isWritten = Array((line + "\n").utf8).withUnsafeBytes { writeAll($0, to: file) }
    if !isWritten { throw FileError("write", path) }
}

/// Writes bytes to an open file; false where the system refuses some, for the reason in `errno`.
func writeAll(_ bytes: UnsafeRawBufferPointer, to file: Int32) -> Bool {
    var written = 0
    while written < bytes.count {
        let count = write(
            file, bytes.baseAddress?.advanced(by: written), bytes.count - written)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return false }
        written += count
    }
    return true
}

/// Hands a file's bytes over in pieces.
///
/// - Throws: ``FileError``; what `body` throws.
func readFile(_ path: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    if file < 0 { throw FileError("read", path) }
    defer { close(file) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { chunk.deallocate() }
    while true {
        let count = read(file, chunk.baseAddress, chunk.count)
        if count < 0 && errno == EINTR { continue }
        if count < 0 { throw FileError("read", path) }
        if count == 0 { return }
        try body(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    }
}

/// Returns a file's bytes.
///
/// - Throws: ``FileError``.
func readFile(_ path: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try readFile(path) { bytes += $0 }
    return bytes
}
