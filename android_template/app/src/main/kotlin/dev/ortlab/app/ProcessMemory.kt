package dev.ortlab.app

import java.io.File
import java.io.IOException

private const val BYTES_PER_KIBIBYTE = 1024L

/**
 * Memory of this process.
 *
 * @property currentBytes resident now.
 * @property peakBytes most that was ever resident.
 */
internal data class ProcessMemory(
    val currentBytes: Long,
    val peakBytes: Long,
) {
    companion object {
        /** Reads it; null where the system does not tell. */
        fun read(): ProcessMemory? =
            try {
                parse(File("/proc/self/status").readLines())
            } catch (_: IOException) {
                null
            }

        private fun parse(lines: List<String>): ProcessMemory? {
            val current = kibibytes(lines, "VmRSS:") ?: return null
            val peak = kibibytes(lines, "VmHWM:") ?: return null
            return ProcessMemory(current * BYTES_PER_KIBIBYTE, peak * BYTES_PER_KIBIBYTE)
        }

        private fun kibibytes(
            lines: List<String>,
            key: String,
        ): Long? =
            lines
                .firstOrNull { it.startsWith(key) }
                ?.removePrefix(key)
                ?.removeSuffix("kB")
                ?.trim()
                ?.toLongOrNull()
    }
}
