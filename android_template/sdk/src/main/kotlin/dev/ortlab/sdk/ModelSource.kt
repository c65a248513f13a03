package dev.ortlab.sdk

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel

/** Where packaged files are found. `AssetModelSource` reads an app's assets, [FileModelSource] a directory. */
public fun interface ModelSource {
    /**
     * Gives a file's bytes, in a direct buffer of native byte order that starts at position 0.
     *
     * The memory must stay as it is while the buffer can be reached: models are used in place.
     *
     * @param path relative, with `/` between its parts.
     * @throws ModelNotFoundException there is no such file, or it cannot be read.
     */
    public fun open(path: String): ByteBuffer
}

/**
 * Packaged files in a directory, mapped into memory.
 *
 * @property directory that relative paths start from.
 */
public class FileModelSource(
    public val directory: File,
) : ModelSource {
    override fun open(path: String): ByteBuffer {
        val file = File(directory, path)
        try {
            RandomAccessFile(file, "r").use { opened ->
                return opened.channel
                    .map(FileChannel.MapMode.READ_ONLY, 0, opened.length())
                    .order(ByteOrder.nativeOrder())
            }
        } catch (error: IOException) {
            throw ModelNotFoundException("Cannot read $file: ${error.message}", error)
        }
    }
}
