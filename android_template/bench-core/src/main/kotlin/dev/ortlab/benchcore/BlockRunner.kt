package dev.ortlab.benchcore

import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import java.io.File
import java.io.IOException

/**
 * What became of one block request.
 *
 * @property blockId of the request; null where it has none.
 * @property result the written `result.json`, also of a block that failed; null where none could be
 *   written.
 * @property problem why there is no result; null where there is one.
 */
public data class BlockAnswer(
    public val blockId: String?,
    public val result: File?,
    public val problem: String?,
)

/**
 * Runs benchmark blocks as `bench_protocol/README.md` defines them.
 *
 * One block belongs into one fresh process; only a batch request shares it.
 *
 * @param platform what the core cannot know by itself.
 */
public class BlockRunner(
    private val platform: Platform,
) {
    /**
     * Runs the block, or the batch of blocks, that a file asks for, on the calling thread.
     *
     * @param requestFile a block or batch request, in JSON; relative paths in it start from its
     *   directory.
     * @param startedNs [System.nanoTime] when the program started; the deadline of the block counts
     *   from there (that of a batch's block from its own start).
     * @param progress told of each stage when it is entered, never inside of a timed section.
     * @return one answer for each block, in order; it throws nothing that a request can cause.
     */
    public fun run(
        requestFile: File,
        startedNs: Long = System.nanoTime(),
        progress: (Stage) -> Unit = {},
    ): List<BlockAnswer> {
        val base = requestFile.absoluteFile.parentFile ?: File("/")
        val request =
            try {
                Json.parseToJsonElement(requestFile.readText())
            } catch (error: IOException) {
                return listOf(unreadable(requestFile, error))
            } catch (error: SerializationException) {
                return listOf(unreadable(requestFile, error))
            }
        val batch = requestsOfBatch(request) ?: return listOf(answer(request, base, startedNs, false, progress))
        return batch.map { answer(it, base, System.nanoTime(), true, progress) }
    }

    /**
     * Describes machine and runtime as one line of JSON; the runtime's facts stand in `runtime`.
     *
     * @throws IllegalStateException the runtime may not be started, because its telemetry is on.
     */
    public fun probe(): String = probeJson(platform)

    /** The state of the device as one line of JSON; takes a tenth of a second to see how busy it is. */
    public fun conditions(): String = conditionsJson(platform)

    private fun unreadable(
        file: File,
        error: Exception,
    ) = BlockAnswer(null, null, "cannot read the request $file: ${error.message}")

    private fun answer(
        request: JsonElement,
        base: File,
        startedNs: Long,
        sharesProcess: Boolean,
        progress: (Stage) -> Unit,
    ): BlockAnswer {
        val address =
            addressOf(request)
                ?: return BlockAnswer(null, null, "the request has no block_id and output_directory to answer to")
        val directory = resolve(base, address.outputDirectory)
        return try {
            makeDirectory(directory)
            val result =
                try {
                    val checked = readBlockRequest(request)
                    Block(checked, platform, base, directory, startedNs, sharesProcess, progress).run()
                } catch (error: InvalidRequestException) {
                    refusedResult(address.blockId, error)
                }
            BlockAnswer(address.blockId, writeResult(directory, result), null)
        } catch (error: IOException) {
            BlockAnswer(address.blockId, null, "the result cannot be written: ${error.message}")
        }
    }
}
