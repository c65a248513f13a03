package dev.ortlab.benchcore

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.OrtSession.SessionOptions
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

private const val BYTES_DIRECTLY = "session.use_ort_model_bytes_directly"
private const val BYTES_FOR_INITIALIZERS = "session.use_ort_model_bytes_for_initializers"
private val IN_PLACE_KEYS = setOf(BYTES_DIRECTLY, BYTES_FOR_INITIALIZERS)

/** In bytes 4 to 7 of a model in ORT format. */
private val ORT_FILE_IDENTIFIER = "ORTM".toByteArray()
private const val ORT_FILE_IDENTIFIER_START = 4

/** What a session is created from; its bytes must be kept until the session is closed. */
internal sealed interface ModelSource {
    /** Keys of the session's configuration that must be `1` for this way of loading. */
    val neededKeys: Set<String> get() = emptySet()

    /** Creates the session. */
    fun createSession(
        environment: OrtEnvironment,
        options: SessionOptions,
    ): OrtSession

    /** The file; the runtime opens it. */
    class Path(
        private val file: File,
    ) : ModelSource {
        override fun createSession(
            environment: OrtEnvironment,
            options: SessionOptions,
        ): OrtSession = environment.createSession(passable(file.path, "the model's path"), options)
    }

    /** The heap; the runtime copies the bytes. */
    class Heap(
        private val bytes: ByteArray,
    ) : ModelSource {
        override fun createSession(
            environment: OrtEnvironment,
            options: SessionOptions,
        ): OrtSession = environment.createSession(bytes, options)
    }

    /** A direct buffer or a mapped file, which the runtime uses where it lies. */
    class InPlace(
        private val buffer: ByteBuffer,
        override val neededKeys: Set<String>,
    ) : ModelSource {
        override fun createSession(
            environment: OrtEnvironment,
            options: SessionOptions,
        ): OrtSession = environment.createSession(buffer, options)
    }
}

/** A model ready for a session, and how long it took to read it; null where the runtime reads it. */
internal class LoadedModel(
    val source: ModelSource,
    val loadNs: Long?,
)

/**
 * Checks the model's hash and reads it as the load mode says.
 *
 * - `bytes` reads into the heap, and the runtime copies from there.
 * - `direct-bytes` reads into memory outside the heap, which the runtime parses in place.
 * - `initializers-from-bytes` maps the file; the runtime leaves the weights there too, so that they
 *   are clean pages of the file.
 *
 * @throws RefusedException it cannot be read, is another one, or cannot be loaded this way.
 */
internal fun loadModel(
    model: ModelReference,
    session: SessionSettings,
    base: File,
): LoadedModel {
    val file = resolve(base, model.path)
    return try {
        if (sha256(file) != model.sha256) {
            throw RefusedException(FailureKind.MODEL_CHANGED, "$file was changed since the request was made")
        }
        if (model.loadMode == LoadMode.PATH) return LoadedModel(ModelSource.Path(file), null)
        val startedNs = System.nanoTime()
        val source = readModel(file, model.loadMode, session)
        LoadedModel(source, System.nanoTime() - startedNs)
    } catch (error: IOException) {
        throw RefusedException(FailureKind.MODEL_MISSING, error.message ?: "$file cannot be read", cause = error)
    }
}

private fun readModel(
    file: File,
    mode: LoadMode,
    session: SessionSettings,
): ModelSource =
    when (mode) {
        LoadMode.PATH -> ModelSource.Path(file)
        LoadMode.BYTES -> readHeap(file, session)
        LoadMode.DIRECT_BYTES -> ModelSource.InPlace(ortFormat(readDirect(file)), setOf(BYTES_DIRECTLY))
        LoadMode.INITIALIZERS_FROM_BYTES -> ModelSource.InPlace(ortFormat(map(file)), IN_PLACE_KEYS)
    }

private fun readHeap(
    file: File,
    session: SessionSettings,
): ModelSource {
    val refused = IN_PLACE_KEYS.firstOrNull { session.configEntries[it] == "1" }
    if (refused != null) {
        // The runtime gets the address of an array only for as long as the session is created.
        val message = "with $refused set, the runtime would use memory of the heap that has moved"
        throw RefusedException(FailureKind.UNSUPPORTED, message)
    }
    bufferSize(file.length(), file)
    return ModelSource.Heap(file.readBytes())
}

private fun map(file: File): ByteBuffer =
    FileInputStream(file).use { stream ->
        val sizeBytes = bufferSize(stream.channel.size(), file)
        stream.channel.map(FileChannel.MapMode.READ_ONLY, 0, sizeBytes.toLong())
    }

private fun ortFormat(data: ByteBuffer): ByteBuffer {
    val start = ORT_FILE_IDENTIFIER_START
    val end = start + ORT_FILE_IDENTIFIER.size
    if (data.capacity() < end || ORT_FILE_IDENTIFIER.indices.any { data.get(start + it) != ORT_FILE_IDENTIFIER[it] }) {
        throw RefusedException(FailureKind.UNSUPPORTED, "only a model in ORT format can be used from its bytes")
    }
    return data
}
