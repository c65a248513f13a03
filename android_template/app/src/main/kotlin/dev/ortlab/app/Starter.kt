package dev.ortlab.app

import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.ModelSource
import dev.ortlab.sdk.image.Picture
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

/** What is being done. */
internal enum class Work {
    NOTHING,
    READING_PICTURE,
    RUNNING,
}

/**
 * A picture that the user chose.
 *
 * @property address where it is, to find it again.
 * @property picture its pixels.
 */
internal class ChosenPicture(
    val address: String,
    val picture: Picture,
)

/**
 * Why something failed.
 *
 * @property work that was being done.
 * @property cause what it failed with.
 */
internal class Problem(
    val work: Work,
    val cause: Throwable,
)

/**
 * All that the screen shows.
 *
 * @property choices how to run.
 * @property pictures for inputs of the chosen model, by name.
 * @property work that is being done.
 * @property answer of the last run that ended well.
 * @property problem why the last work failed; null when it did not.
 */
internal data class ScreenState(
    val choices: Choices = Choices(),
    val pictures: Map<String, ChosenPicture> = emptyMap(),
    val work: Work = Work.NOTHING,
    val answer: RunAnswer? = null,
    val problem: Problem? = null,
)

/**
 * The app behind its screen: it lives on while the phone is turned, and works off the main thread.
 *
 * Everything public is for the main thread, and [observer] is called on it.
 *
 * @property models that the app carries.
 * @param source where their files are.
 * @param mainThread runs what it is given on the main thread.
 */
internal class Starter(
    val models: List<ModelDescriptor>,
    source: ModelSource,
    private val mainThread: Executor,
) : AutoCloseable {
    private val tester = ModelTester(source)
    private val worker: ExecutorService = Executors.newSingleThreadExecutor { Thread(it, "model") }

    /** Works that were begun and have not ended. */
    private var pending = 0

    /** What the screen shows now. */
    var state: ScreenState = ScreenState()
        private set(value) {
            field = value
            observer?.invoke(value)
        }

    /** Told each new state. */
    var observer: ((ScreenState) -> Unit)? = null

    /** The chosen model; null where the app carries none. */
    val model: ModelDescriptor?
        get() = models.getOrNull(state.choices.model)

    /** Takes choices; they hold from the next run on. Another model starts afresh. */
    fun choose(choices: Choices) {
        if (choices == state.choices) return
        state = if (choices.model == state.choices.model) state.copy(choices = choices) else ScreenState(choices, work = state.work)
    }

    /** Takes back the picture for an input: the packaged sample stands in again. */
    fun dropPicture(input: String) {
        state = state.copy(pictures = state.pictures - input)
    }

    /**
     * Reads a picture for an input.
     *
     * @param address where it is.
     * @param read reads it; called off the main thread.
     */
    fun readPicture(
        input: String,
        address: String,
        read: () -> Picture,
    ) {
        val chosen = state.choices.model
        work(Work.READING_PICTURE, read) { before, picture ->
            if (before.choices.model == chosen) {
                before.copy(pictures = before.pictures + (input to ChosenPicture(address, picture)))
            } else {
                before
            }
        }
    }

    /** Runs the chosen model as chosen; does nothing while other work is under way. */
    fun run() {
        val model = this.model ?: return
        if (state.work != Work.NOTHING) return
        val choices = state.choices
        val pictures = state.pictures.mapValues { it.value.picture }
        work(Work.RUNNING, { tester.run(model, choices.sessionOptions(), pictures) }) { before, answer ->
            if (before.choices.model == choices.model) before.copy(answer = answer) else before
        }
    }

    /** Lets go of the model's memory until the next run. */
    fun release() {
        if (!worker.isShutdown) worker.execute(tester::close)
    }

    /** Ends the work; what is under way ends first. A second call does nothing. */
    override fun close() {
        observer = null
        release()
        worker.shutdown()
    }

    private fun <T> work(
        work: Work,
        action: () -> T,
        finish: (ScreenState, T) -> ScreenState,
    ) {
        pending++
        state = state.copy(work = work, problem = null)
        worker.execute {
            val end: (ScreenState) -> ScreenState =
                try {
                    val result = action()
                    ({ finish(it, result) })
                } catch (problem: IOException) {
                    failed(work, problem)
                } catch (problem: RuntimeException) {
                    failed(work, problem)
                } catch (problem: OutOfMemoryError) {
                    failed(work, problem)
                } catch (problem: LinkageError) {
                    // The native library is missing for this phone's processor.
                    failed(work, problem)
                }
            mainThread.execute {
                pending--
                state = end(state).copy(work = if (pending == 0) Work.NOTHING else state.work)
            }
        }
    }

    private fun failed(
        work: Work,
        cause: Throwable,
    ): (ScreenState) -> ScreenState = { it.copy(problem = Problem(work, cause), answer = if (work == Work.RUNNING) null else it.answer) }
}
