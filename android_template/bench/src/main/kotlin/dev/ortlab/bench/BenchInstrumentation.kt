package dev.ortlab.bench

import android.app.Activity
import android.app.Instrumentation
import android.content.Intent
import android.os.Bundle
import org.json.JSONObject

/**
 * Runs one block of a measurement: `am instrument -w -r -e request FILE PACKAGE/CLASS`.
 *
 * The app instruments itself, so a release build needs no second package. Each stage is told as a
 * status when it is entered; the result names the file with the block's answer.
 *
 * | argument | meaning |
 * |---|---|
 * | `request` | path of a block request |
 * | `probe` | `true`: tell which runtime the app has instead |
 */
class BenchInstrumentation : Instrumentation() {
    private val startedNs = System.nanoTime()
    private lateinit var arguments: Bundle

    override fun onCreate(arguments: Bundle?) {
        super.onCreate(arguments)
        this.arguments = arguments ?: Bundle.EMPTY
        start()
    }

    override fun onStart() {
        super.onStart()
        val answer =
            try {
                answer()
            } catch (problem: RuntimeException) {
                JSONObject().put(PROBLEM, problem.toString())
            } catch (problem: LinkageError) {
                // Such as no native library for this phone's processor.
                JSONObject().put(PROBLEM, problem.toString())
            }
        finish(Activity.RESULT_OK, Bundle().apply { putString(ANSWER, answer.toString()) })
    }

    private fun answer(): JSONObject {
        val work = BenchWork(targetContext)
        val request = arguments.getString(REQUEST)
        return when {
            request != null -> runBlock(work, request)
            arguments.getString(PROBE).toBoolean() -> JSONObject(work.probe())
            else -> JSONObject().put(PROBLEM, "give -e $REQUEST FILE or -e $PROBE true")
        }
    }

    /** Runs a block in front of everything else: behind it the system may keep to the small cores. */
    private fun runBlock(
        work: BenchWork,
        request: String,
    ): JSONObject {
        val intent =
            Intent(targetContext, BenchActivity::class.java)
                .addFlags(Intent.FLAG_ACTIVITY_NEW_TASK)
                .putExtra(BenchActivity.EXTRA_TITLE, request.substringAfterLast('/'))
        val activity = startActivitySync(intent)
        val answer = work.run(request, startedNs) { stage -> tell(stage) }
        runOnMainSync(activity::finish)
        return answer
    }

    private fun tell(stage: String) {
        sendStatus(STATUS_IN_PROGRESS, Bundle().apply { putString(STAGE, stage) })
    }

    private companion object {
        const val REQUEST = "request"
        const val PROBE = "probe"
        const val STAGE = "stage"
        const val ANSWER = "ortlab"
        const val PROBLEM = "problem"
        const val STATUS_IN_PROGRESS = 1
    }
}
