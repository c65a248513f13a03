package dev.ortlab.app

import java.io.File
import java.io.IOException

private const val BYTES_IN_KB = 1024L

/**
 * Memory of this process that is in RAM, in bytes.
 *
 * @property current now.
 * @property peak most so far.
 */
internal data class ProcessMemory(
    val current: Long,
    val peak: Long,
) {
    companion object {
        /** Reads what the kernel says of this process (proc(5), status); null where it says nothing. */
        fun read(status: File = File("/proc/self/status")): ProcessMemory? {
            val lines =
                try {
                    status.readLines()
                } catch (_: IOException) {
                    return null
                }
            val current = lines.kilobytes("VmRSS:") ?: return null
            val peak = lines.kilobytes("VmHWM:") ?: return null
            return ProcessMemory(current * BYTES_IN_KB, peak * BYTES_IN_KB)
        }

        private fun List<String>.kilobytes(key: String): Long? = firstOrNull { it.startsWith(key) }?.filter(Char::isDigit)?.toLongOrNull()
    }
}
