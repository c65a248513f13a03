package dev.ortlab.benchcore

import java.io.File
import java.io.IOException

/** Returns the file that a path of a request means. */
internal fun resolve(
    base: File,
    path: String,
): File = File(path).let { if (it.isAbsolute) it else File(base, path) }

/**
 * Makes a directory and those above it, unless it is there.
 *
 * @throws IOException it cannot be made.
 */
internal fun makeDirectory(directory: File) {
    if (!directory.mkdirs() && !directory.isDirectory) throw IOException("cannot make the directory $directory")
}

/**
 * Renames a file within its file system, replacing what has the new name.
 *
 * @throws IOException it cannot be renamed.
 */
internal fun rename(
    from: File,
    to: File,
) {
    if (!from.renameTo(to)) throw IOException("cannot rename $from to $to")
}
