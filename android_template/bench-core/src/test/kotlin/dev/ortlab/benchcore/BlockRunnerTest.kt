package dev.ortlab.benchcore

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** What an app gets from the core. */
internal class BlockRunnerTest {
    @TempDir
    lateinit var directory: File

    private val request: JsonObject by lazy { Vectors.json("failures.json").inner("request") }

    /** A phone's platform, as an app would bring it. */
    private class Phone(
        private val told: Conditions,
    ) : Platform {
        override val appBuild: String = "release"

        override fun disableTelemetry() = Unit

        override fun isDebuggerAttached(): Boolean = true

        override fun conditions(): Conditions = told
    }

    private val phone = Phone(Conditions(batteryPercent = 81.5, thermalStatus = "none", cpuFrequenciesKhz = listOf(5)))

    @Test
    fun `an app is told of each stage and finds the result`() {
        val stages = mutableListOf<Stage>()
        val (answer) = BlockRunner(phone).run(write("request.json", request), progress = stages::add)
        assertEquals(BlockAnswer("vector", File(directory, "out/result.json"), null), answer)
        assertEquals(File(directory, "out/progress").readLines(), stages.map { it.wireName })
        assertEquals(Stage.entries - Stage.WARM_UP - Stage.MEASURE, stages)
    }

    @Test
    fun `what the platform tells stands in the result`() {
        val (answer) = BlockRunner(phone).run(write("request.json", request))
        val result = read(answer)
        assertEquals(JsonNull, result["failure"])
        assertEquals("release", result.inner("runtime").text("app_build"))
        assertTrue(result.inner("runtime").boolean("debugger_attached"))
        val conditions = result.inner("conditions_before")
        assertEquals(81.5, conditions.double("battery_percent"))
        assertEquals("none", conditions.text("thermal_status"))
        assertEquals(listOf(5L), conditions.longs("cpu_frequency_khz"))
        assertEquals(JsonNull, conditions["charging"])
    }

    @Test
    fun `a batch gives an answer for each block, also for those that nobody can answer`() {
        val nobody = JsonObject(request - "block_id")
        val wrong = request.with("purpose", JsonPrimitive("speed")).with("output_directory", JsonPrimitive("wrong"))
        val batch =
            JsonObject(
                mapOf(
                    "schema" to JsonPrimitive("ortlab.batch_request/1"),
                    "batch_id" to JsonPrimitive("b"),
                    "requests" to JsonArray(listOf(nobody, wrong, request)),
                ),
            )
        val answers = BlockRunner(phone).run(write("batch.json", batch))
        assertEquals(3, answers.size)
        assertNull(answers[0].result)
        assertNotNull(answers[0].problem)
        assertEquals("invalid_request", read(answers[1]).inner("failure").text("kind"))
        assertEquals(JsonNull, read(answers[2])["failure"])
        assertTrue(read(answers[2]).inner("runtime").boolean("shared_process"))
    }

    @Test
    fun `a file that is no request is a problem and no exception`() {
        val text = File(directory, "text").apply { writeText("{") }
        for (file in listOf(text, directory, File(directory, "none"))) {
            val (answer) = BlockRunner(phone).run(file)
            assertNull(answer.result)
            assertTrue("cannot read the request" in answer.problem.orEmpty())
        }
    }

    @Test
    fun `a result that cannot be written is a problem`() {
        File(directory, "out").writeText("in the way")
        val (answer) = BlockRunner(phone).run(write("request.json", request))
        assertEquals("vector", answer.blockId)
        assertNull(answer.result)
        assertTrue("cannot be written" in answer.problem.orEmpty())
    }

    @Test
    fun `a block that nobody can measure in time fails at its start`() {
        val (answer) = BlockRunner(phone).run(write("request.json", request), System.nanoTime() - 3_600_000_000_000)
        val failure = read(answer).inner("failure")
        assertEquals("start" to "deadline", failure.text("stage") to failure.text("kind"))
    }

    @Test
    fun `names survive, and what is no UTF-8 leaves a result that can be read`() {
        val whole = "\ud83d\ude00 \" \u0001 \u00e9"
        for ((name, told) in mapOf(whole to whole, "a\ud800b" to "a?b")) {
            val (answer) = BlockRunner(phone).run(write("request.json", request.with("block_id", JsonPrimitive(name))))
            assertEquals(told, read(answer).text("block_id"))
        }
    }

    private fun write(
        name: String,
        content: JsonObject,
    ): File {
        Vectors.file("models").copyRecursively(directory, overwrite = true)
        return File(directory, name).apply { writeText(escaped(content.toString())) }
    }

    private fun read(answer: BlockAnswer): JsonObject {
        val result = checkNotNull(answer.result) { answer.problem.orEmpty() }
        return Json.parseToJsonElement(result.readText()).jsonObject
    }

    /** JSON in ASCII, which can hold half a surrogate pair. */
    private fun escaped(json: String): String =
        buildString {
            for (character in json) {
                if (character < '\u007f') append(character) else append("\\u%04x".format(character.code))
            }
        }
}
