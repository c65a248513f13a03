package dev.ortlab.benchcore

import java.io.File
import kotlin.system.exitProcess

private const val LIBRARY_PATH = "onnxruntime.native.path"
private const val NO_ANSWER = 2
private const val USAGE =
    "Runs one block and writes its result: REQUEST.json\n" +
        "--probe prints machine and runtime as JSON, --conditions the machine's state.\n" +
        "Exit code 0 when every result was written, also that of a failed block; 2 otherwise."

/** Runs the benchmark core as a program on a Linux machine; see [USAGE]. */
public fun main(arguments: Array<String>) {
    val startedNs = System.nanoTime()
    useLibrariesBesideJar()
    exitProcess(carryOut(arguments.toList(), startedNs))
}

/**
 * Lets the runtime take its libraries from the directory `native` beside this program's jar, if there
 * is one. Otherwise it unpacks them at each start into a temporary directory, which stays behind when
 * the process is killed.
 */
private fun useLibrariesBesideJar() {
    val jar =
        File(
            JvmPlatform::class.java.protectionDomain.codeSource.location
                .toURI(),
        )
    val libraries = File(jar.parentFile, "native")
    if (System.getProperty(LIBRARY_PATH) == null && libraries.isDirectory) {
        System.setProperty(LIBRARY_PATH, libraries.path)
    }
}

private fun carryOut(
    arguments: List<String>,
    startedNs: Long,
): Int {
    val runner = BlockRunner(JvmPlatform())
    return when (val argument = arguments.singleOrNull()) {
        null -> complain(listOf(USAGE))
        "--probe" -> say(runner::probe)
        "--conditions" -> say(runner::conditions)
        else -> complain(runner.run(File(argument), startedNs).mapNotNull { it.problem })
    }
}

private fun say(ask: () -> String): Int =
    try {
        // As UTF-8, whatever the locale says.
        System.out.write("${ask()}\n".toByteArray())
        System.out.flush()
        0
    } catch (error: IllegalStateException) {
        complain(listOfNotNull(error.message))
    }

private fun complain(lines: List<String>): Int {
    lines.forEach(System.err::println)
    return if (lines.isEmpty()) 0 else NO_ANSWER
}
