package dev.ortlab.benchcore

import java.io.File
import java.io.IOException

private const val KIB = 1024L
private const val KILOBYTE_FIELD_WORDS = 3

/** Returns the text of a file of `/proc` or `/sys`, or null where the system does not give it. */
internal fun systemText(path: String): String? =
    try {
        File(path).readText()
    } catch (_: IOException) {
        null
    }

/** Returns the number that such a file holds, or null. */
internal fun systemNumber(path: String): Double? = systemText(path)?.trim()?.toDoubleOrNull()

/** Returns the fields of a `/proc` file that are given in kB, in bytes. */
internal fun kilobyteFields(path: String): Map<String, Long> =
    systemText(path)
        .orEmpty()
        .lineSequence()
        .map { it.trim().split(Regex("\\s+")) }
        .filter { it.size == KILOBYTE_FIELD_WORDS && it[2] == "kB" }
        .mapNotNull { words -> words[1].toLongOrNull()?.let { words[0].removeSuffix(":") to it * KIB } }
        .toMap()
