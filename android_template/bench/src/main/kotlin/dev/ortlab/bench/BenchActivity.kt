package dev.ortlab.bench

import android.app.Activity
import android.os.Build
import android.os.Bundle
import android.view.Gravity
import android.view.WindowManager
import android.widget.TextView
import kotlin.concurrent.thread
import kotlin.system.exitProcess

/**
 * Keeps the screen on and the app in front while a block runs.
 *
 * Where a phone refuses instrumentation, `am start` with the extra `request` runs a block too: the
 * process ends with the block.
 */
class BenchActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        showOverLockScreen()
        val request = intent.getStringExtra(EXTRA_REQUEST)
        val title = intent.getStringExtra(EXTRA_TITLE) ?: request?.substringAfterLast('/')
        setContentView(message(title))
        if (request != null && savedInstanceState == null) runAlone(request)
    }

    override fun onResume() {
        super.onResume()
        isInFront = true
    }

    override fun onPause() {
        isInFront = false
        super.onPause()
    }

    private fun message(title: String?) =
        TextView(this).apply {
            gravity = Gravity.CENTER
            val block = title?.let { getString(R.string.bench_block, it) + "\n\n" }.orEmpty()
            text = block + getString(if (title == null) R.string.bench_idle else R.string.bench_running)
        }

    private fun runAlone(request: String) {
        val work = BenchWork(this)
        val startedNs = System.nanoTime()
        thread(name = "block") {
            val answer = work.run(request, startedNs) {}
            exitProcess(if (answer.has("problem")) 1 else 0)
        }
    }

    @Suppress("DEPRECATION")
    private fun showOverLockScreen() {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O_MR1) {
            setShowWhenLocked(true)
            setTurnScreenOn(true)
        } else {
            window.addFlags(
                WindowManager.LayoutParams.FLAG_SHOW_WHEN_LOCKED or WindowManager.LayoutParams.FLAG_TURN_SCREEN_ON,
            )
        }
    }

    companion object {
        /** Path of a block request, for runs without instrumentation. */
        const val EXTRA_REQUEST: String = "request"

        /** What is shown while a block runs. */
        const val EXTRA_TITLE: String = "title"

        /** Whether the activity is in front. */
        @Volatile
        internal var isInFront: Boolean = false
            private set
    }
}
