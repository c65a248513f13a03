package dev.ortlab.bench

import android.content.Context
import dev.ortlab.benchcore.BlockAnswer
import dev.ortlab.benchcore.BlockRunner
import org.json.JSONArray
import org.json.JSONObject
import java.io.File

/** What the app does for a measurement, whoever starts it. */
internal class BenchWork(
    context: Context,
) {
    private val runner = BlockRunner(AndroidPlatform(context.applicationContext))

    init {
        makeMediaDirectory(context)
    }

    /** Tells machine and runtime, as one line of JSON. */
    fun probe(): String = runner.probe()

    /**
     * Runs the block, or the batch of blocks, that a file asks for, on the calling thread.
     *
     * @param request path of the request.
     * @param startedNs [System.nanoTime] when the process started.
     * @param tell told the name of each stage when it is entered.
     * @return the block's id and the path of its result, or the problem; of a batch, one for each.
     */
    fun run(
        request: String,
        startedNs: Long,
        tell: (String) -> Unit,
    ): JSONObject {
        val answers = runner.run(File(request), startedNs) { stage -> tell(stage.wireName) }.map(::told)
        return answers.singleOrNull() ?: JSONObject().put("blocks", JSONArray(answers))
    }

    /**
     * Has the system make `Android/media/PACKAGE`, where requests want their results: before Android 11
     * no app may make it itself, and the computer can read it without any permission of the app.
     */
    @Suppress("DEPRECATION")
    private fun makeMediaDirectory(context: Context) {
        context.externalMediaDirs
    }

    private fun told(answer: BlockAnswer): JSONObject =
        JSONObject()
            .put("block_id", answer.blockId)
            .put("result", answer.result?.path)
            .put("problem", answer.problem)
}
