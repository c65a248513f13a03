package dev.ortlab.sdkdriver

import dev.ortlab.sdk.BufferTensor
import dev.ortlab.sdk.BusyException
import dev.ortlab.sdk.ClosedException
import dev.ortlab.sdk.CpuFallback
import dev.ortlab.sdk.Dimension
import dev.ortlab.sdk.ElementType
import dev.ortlab.sdk.ElementTypeMismatchException
import dev.ortlab.sdk.ExecutionProvider
import dev.ortlab.sdk.FallbackState
import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.IntTensor
import dev.ortlab.sdk.InvalidBufferException
import dev.ortlab.sdk.LongTensor
import dev.ortlab.sdk.MetricsEvent
import dev.ortlab.sdk.MetricsListener
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.ModelLoadException
import dev.ortlab.sdk.ModelNotFoundException
import dev.ortlab.sdk.ModelSource
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.ModelVariant
import dev.ortlab.sdk.ProviderNotAvailableException
import dev.ortlab.sdk.RunException
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.ShapeMismatchException
import dev.ortlab.sdk.SharedTensorException
import dev.ortlab.sdk.StringTensor
import dev.ortlab.sdk.Telemetry
import dev.ortlab.sdk.TelemetryState
import dev.ortlab.sdk.Tensor
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.image.Picture
import dev.ortlab.sdk.models.Counter
import dev.ortlab.sdk.models.Digits
import dev.ortlab.sdk.models.Models
import dev.ortlab.sdk.models.NoShape
import dev.ortlab.sdk.models.Nonzero
import dev.ortlab.sdk.models.Product
import dev.ortlab.sdk.models.Scalars
import dev.ortlab.sdk.models.TypeFloat
import dev.ortlab.sdk.models.TypeString
import dev.ortlab.sdk.models.Unsigned
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import kotlin.reflect.KClass

/**
 * Runs the generated SDK: `outputs ASSETS DIR`, `steps ASSETS`, `checks ASSETS`, `soak ASSETS COUNT`, or
 * `operators DIRECTORY FILE LIBRARY` for a model with operators of its own.
 */
internal fun main(arguments: Array<String>) {
    val source = FileModelSource(File(arguments[1]))
    when (arguments[0]) {
        "outputs" -> writeOutputs(source, File(arguments[2]))
        "steps" -> steps(source)
        "checks" -> Checks(source).run()
        "soak" -> soak(source, arguments[2].toInt())
        "operators" -> operators(source, arguments[2], arguments[3])
    }
}

private fun writeOutputs(
    source: ModelSource,
    directory: File,
) {
    directory.mkdirs()
    val index = StringBuilder()
    Models.all.forEachIndexed { number, descriptor ->
        if (descriptor.sample.size < descriptor.inputs.size) return@forEachIndexed
        val sample = descriptor.loadSample(source)
        val outputs = descriptor.styles.map { run(descriptor, source, it, sample) }
        outputs.drop(1).forEach { check(it == outputs[0]) { "${descriptor.name}: styles differ" } }
        for ((count, output) in outputs[0].withIndex()) {
            val file = "$number-$count.bin"
            File(directory, file).writeBytes(output.bytes.toByteArray())
            index.append("""{"model":${json(descriptor.name)},"name":${json(output.name)},""")
            index.append(""""type":"${output.type}","shape":${output.shape},"file":"$file"}""").append('\n')
        }
        sample.values.forEach { it.close() }
    }
    File(directory, "index.jsonl").writeText(index.toString())
}

private data class Answer(
    val name: String,
    val type: String,
    val shape: List<Long>,
    val bytes: List<Byte>,
)

private fun run(
    descriptor: ModelDescriptor,
    source: ModelSource,
    style: ModelStyle,
    sample: Map<String, Tensor>,
): List<Answer> =
    descriptor.open(source, SessionOptions(style = style)).use { session ->
        session.run(sample)
        session.run(sample).map { (name, tensor) ->
            Answer(name, tensor.elementType.onnxName, tensor.shape.toList(), bytesOf(tensor).toList())
        }
    }

private fun json(text: String): String = text.map { "\\u%04x".format(it.code) }.joinToString("", "\"", "\"")

private fun bytesOf(tensor: Tensor): ByteArray {
    if (tensor is BufferTensor) return ByteArray(tensor.bytes.remaining()).also { tensor.bytes.get(it) }
    val output = ByteArrayOutputStream()
    for (text in (tensor as StringTensor).toStringArray()) {
        val encoded = text.toByteArray()
        output.write(
            ByteBuffer
                .allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(encoded.size)
                .array(),
        )
        output.write(encoded)
    }
    return output.toByteArray()
}

private fun steps(source: ModelSource) {
    Counter.open(source).use { model ->
        Counter.Input.allocate().use { input ->
            fun step(number: Int): Float {
                for (index in 0 until 8) input.x[index] = (index - 3) * 0.125f * (number % 5)
                return model.run(input).y[0]
            }
            for (number in 0 until 100) println(step(number))
            model.reset()
            println(step(0))
        }
    }
}

private fun soak(
    source: ModelSource,
    count: Int,
) {
    repeat(count) { number ->
        Product.open(source, SessionOptions(intraOpThreads = 1)).use { model ->
            Product.Input.allocate(rows = 3, inner = 5).use { input ->
                input.left.write(FloatArray(15) { it.toFloat() })
                model.run(input)
            }
        }
        Digits.open(source, SessionOptions(intraOpThreads = 1)).use { it.run(Picture(3, 2, IntArray(6) { -1 })).labels() }
        if ((number + 1) % (count / 20) == 0) {
            System.gc()
            val line = File("/proc/self/status").readLines().first { it.startsWith("RssAnon") }
            println("RssAnon " + line.filter { it.isDigit() })
        }
    }
}

private fun operators(
    source: ModelSource,
    path: String,
    library: String,
) {
    val sizeBytes = source.open(path).remaining().toLong()
    val shape = listOf(Dimension.Fixed(4), Dimension.Fixed(32))
    val outputShape = listOf(Dimension.Fixed(4), Dimension.Fixed(40))
    val descriptor =
        ModelDescriptor(
            name = "operators",
            inputs = listOf(TensorDescriptor("x", ElementType.FLOAT, shape)),
            outputs = listOf(TensorDescriptor("y", ElementType.FLOAT, outputShape)),
            states = emptyList(),
            variants = listOf(ModelVariant("fixed", ModelStyle.FIXED, null, "fp32", path, "", sizeBytes)),
            sample = emptyList(),
            customOpLibraries = listOf(library),
        )
    repeat(20) {
        descriptor.open(source).use { session ->
            val inputs = descriptor.allocateInputs()
            (inputs.getValue("x") as FloatTensor).write(FloatArray(128) { (it - 64) / 8f })
            val output = session.run(inputs).getValue("y") as FloatTensor
            if (it == 19) println(output.toFloatArray().joinToString(" "))
        }
    }
}

private class Checks(
    private val source: ModelSource,
) {
    private fun check(
        name: String,
        body: () -> Unit,
    ) {
        try {
            body()
            println("ok: $name")
        } catch (error: Throwable) {
            println("FAILED: $name: ${error.stackTraceToString()}")
        }
    }

    private fun <E : Throwable> refused(
        type: KClass<E>,
        vararg words: String,
        body: () -> Unit,
    ): E {
        try {
            body()
        } catch (error: Throwable) {
            if (!type.java.isInstance(error)) throw AssertionError("expected $type", error)
            for (word in words) if (word !in error.message.orEmpty()) throw AssertionError("'$word' is not in: ${error.message}")
            return type.java.cast(error)
        }
        throw AssertionError("nothing was thrown, expected $type")
    }

    private fun same(
        expected: Any?,
        actual: Any?,
    ) {
        if (expected != actual) throw AssertionError("expected $expected, not $actual")
    }

    fun run() {
        shapes()
        buffers()
        lifetimes()
        concurrency()
        typedCalls()
        providers()
        loading()
        println("end of checks")
    }

    private fun product(body: (Product, Product.Input) -> Unit) {
        Product.open(source).use { model -> Product.Input.allocate(2, 3).use { input -> body(model, input) } }
    }

    private fun shapes() {
        check("two inputs that contradict each other") {
            refused(ShapeMismatchException::class, "'inner' is 4, but 3 in input 'left'", "'right'") {
                Product.Input(FloatTensor.allocate(2, 3), FloatTensor.allocate(4, 4), FloatTensor.allocate(4))
            }
        }
        check("a wrong size and a wrong rank") {
            refused(ShapeMismatchException::class, "dimension 0 is 5 instead of 4", "'bias'") {
                Product.Input(FloatTensor.allocate(2, 3), FloatTensor.allocate(3, 4), FloatTensor.allocate(5))
            }
            refused(ShapeMismatchException::class, "1 dimensions instead of 2") {
                Product.Input(FloatTensor.allocate(2), FloatTensor.allocate(3, 4), FloatTensor.allocate(4))
            }
        }
        check("a wrong element type") {
            Product.descriptor.open(source).use { session ->
                val tensors =
                    mapOf(
                        "left" to IntTensor.allocate(2, 3),
                        "right" to FloatTensor.allocate(3, 4),
                        "bias" to FloatTensor.allocate(4),
                    )
                refused(ElementTypeMismatchException::class, "'left' takes float, not int32") { session.run(tensors) }
            }
        }
        check("missing and unknown inputs") {
            Product.descriptor.open(source).use { session ->
                refused(IllegalArgumentException::class, "'left' is missing") { session.run(emptyMap()) }
                val tensors = Product.descriptor.allocateInputs(mapOf("rows" to 1, "inner" to 1))
                refused(IllegalArgumentException::class, "no input [more]") { session.run(tensors + ("more" to FloatTensor.allocate())) }
                refused(ShapeMismatchException::class, "'inner' is not given") { Product.descriptor.allocateInputs(mapOf("rows" to 1)) }
            }
        }
        check("sizes that cannot be") {
            refused(ShapeMismatchException::class, "negative") { FloatTensor.allocate(2, -1) }
            refused(ShapeMismatchException::class, "2 GiB") { FloatTensor.allocate(1L shl 30) }
            refused(ShapeMismatchException::class, "2 GiB") { LongTensor.allocate(Long.MAX_VALUE, Long.MAX_VALUE, 2) }
            refused(ShapeMismatchException::class, "negative") { StringTensor.allocate(-1) }
        }
        check("one tensor for two inputs") {
            val square = FloatTensor.allocate(4, 4)
            refused(SharedTensorException::class, "'left'", "'right'") { Product.Input(square, square, FloatTensor.allocate(4)) }
        }
    }

    private fun buffers() {
        check("buffers that are not direct, of foreign order, of another size, read-only, misaligned") {
            val heap = ByteBuffer.allocate(24).order(ByteOrder.nativeOrder())
            refused(InvalidBufferException::class, "not direct") { FloatTensor.wrap(heap, 2, 3) }
            refused(InvalidBufferException::class, "byte order") { FloatTensor.wrap(ByteBuffer.allocateDirect(24), 2, 3) }
            val good = ByteBuffer.allocateDirect(28).order(ByteOrder.nativeOrder())
            refused(InvalidBufferException::class, "28 bytes", "not 24") { FloatTensor.wrap(good, 2, 3) }
            good.position(2).limit(26)
            refused(InvalidBufferException::class, "inside an element") { FloatTensor.wrap(good, 2, 3) }
            good.position(4).limit(28)
            refused(
                InvalidBufferException::class,
                "read-only",
            ) { FloatTensor.wrap(good.asReadOnlyBuffer().order(ByteOrder.nativeOrder()), 2, 3) }
            refused(InvalidBufferException::class, "5 elements", "6") { FloatTensor.of(FloatArray(5), 2, 3) }
            refused(InvalidBufferException::class, "2 texts") { StringTensor.of(arrayOf("a", "b"), 3) }
        }
        check("memory of the caller's is used in place") {
            val memory = ByteBuffer.allocateDirect(28).order(ByteOrder.nativeOrder())
            memory.position(4)
            TypeFloat.open(source).use { model ->
                TypeFloat.Input(FloatTensor.wrap(memory, 2, 3)).use { input ->
                    for (index in 0 until 6) memory.putFloat(4 + 4 * index, index + 0.5f)
                    same(
                        listOf(0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f),
                        model
                            .run(input)
                            .y
                            .toFloatArray()
                            .toList(),
                    )
                }
            }
        }
        check("text that JNI would garble") {
            refused(InvalidBufferException::class, "U+0000") { StringTensor.of(arrayOf("a\u0000b")) }
            refused(InvalidBufferException::class, "U+FFFF") { StringTensor.of(arrayOf("\uD83D\uDE00")) }
            val tensor = StringTensor.allocate(1)
            refused(InvalidBufferException::class, "surrogate") { tensor[0] = "\uD83D" }
            same("", tensor[0])
        }
    }

    private fun lifetimes() {
        check("a closed tensor never reaches a run") {
            product { model, input ->
                model.run(input)
                input.left.close()
                input.left.close()
                refused(ClosedException::class, "closed before") { model.run(input) }
                refused(ClosedException::class) { input.left[0] }
                refused(ClosedException::class) { input.left.buffer }
                refused(ClosedException::class) { input.left.write(FloatArray(6)) }
                refused(ClosedException::class) { Product.Input(input.left, FloatTensor.allocate(3, 4), FloatTensor.allocate(4)) }
                // The others were given back.
                Product.Input(FloatTensor.allocate(2, 3), input.right, input.bias).use { model.run(it) }
            }
        }
        check("a closed model never runs, and a second close does nothing") {
            val model = Product.open(source)
            Product.Input.allocate(2, 3).use { input ->
                val output = model.run(input)
                model.close()
                model.close()
                same(true, model.isClosed)
                refused(ClosedException::class, "product") { model.run(input) }
                same(8, output.sum.toFloatArray().size)
            }
            val counter = Counter.open(source)
            counter.close()
            counter.close()
            refused(ClosedException::class) { counter.reset() }
        }
        check("memory of a closed model cannot be read through it") {
            val model = TypeFloat.open(source)
            val output = TypeFloat.Input.allocate().use { model.run(it) }
            same(0f, output.y[0])
            model.close()
            refused(ClosedException::class) { output.y[0] }
        }
        check("an output is not an input of its own model") {
            TypeFloat.open(source).use { model ->
                val output = TypeFloat.Input.allocate().use { model.run(it) }
                refused(SharedTensorException::class, "'y'") { model.run(TypeFloat.Input(output.y)) }
            }
        }
        check("an output of one model is an input of another") {
            TypeFloat.open(source).use { first ->
                TypeFloat.open(source).use { second ->
                    TypeFloat.Input(FloatTensor.of(FloatArray(6) { it + 1f }, 2, 3)).use { input ->
                        val passed = first.run(input)
                        same(6f, second.run(TypeFloat.Input(passed.y)).y[5])
                    }
                }
            }
        }
        check("an output that the caller closes is made anew") {
            TypeFloat.open(source).use { model ->
                TypeFloat.Input.allocate().use { input ->
                    val first = model.run(input)
                    same(true, first === model.run(input))
                    first.y.close()
                    input.x[0] = 7f
                    val second = model.run(input)
                    same(7f, second.y[0])
                    refused(ClosedException::class) { first.y[0] }
                }
            }
        }
    }

    private fun concurrency() {
        check("a second run, a reset and a close during a run") {
            val inside = CountDownLatch(1)
            val leave = CountDownLatch(1)
            val model = Digits.open(source)
            val finished = AtomicInteger()
            val slow =
                thread {
                    try {
                        // The picture is read inside the run: its size is what holds it up.
                        val picture = Picture(4000, 3000, IntArray(12_000_000))
                        inside.countDown()
                        while (finished.get() == 0) {
                            try {
                                finished.set(model.run(picture).scores.elementCount)
                            } catch (_: BusyException) {
                                // The other thread's small picture came first.
                            }
                        }
                    } finally {
                        leave.countDown()
                    }
                }
            inside.await()
            var busy = 0
            while (leave.count > 0) {
                try {
                    model.run(Picture(1, 1, IntArray(1)))
                } catch (_: BusyException) {
                    busy++
                    if (busy == 1) model.close()
                } catch (_: ClosedException) {
                    // After the close.
                }
            }
            slow.join()
            same(4, finished.get())
            same(true, busy > 0)
            same(true, model.isClosed)
        }
        check("many threads: every run is right or refused, tensors too") {
            val right = AtomicInteger()
            val refusals = AtomicInteger()
            val wrong = AtomicInteger()
            TypeFloat.open(source).use { model ->
                val shared = FloatTensor.allocate(2, 3)
                val workers =
                    List(4) { number ->
                        thread {
                            val own = TypeFloat.Input(if (number % 2 == 0) shared else FloatTensor.allocate(2, 3))
                            repeat(2000) {
                                try {
                                    model.run(own)
                                    right.incrementAndGet()
                                } catch (_: BusyException) {
                                    refusals.incrementAndGet()
                                } catch (_: Throwable) {
                                    wrong.incrementAndGet()
                                }
                            }
                        }
                    }
                workers.forEach { it.join() }
            }
            same(0, wrong.get())
            same(8000, right.get() + refusals.get())
        }
        check("closing tensors and models while they run") {
            repeat(200) {
                val model = TypeFloat.open(source)
                val input = TypeFloat.Input.allocate()
                val runner =
                    thread {
                        try {
                            repeat(1000) { model.run(input) }
                        } catch (_: ClosedException) {
                            // What is expected sooner or later.
                        }
                    }
                if (it % 2 == 0) input.close() else model.close()
                runner.join()
                input.close()
                model.close()
            }
        }
    }

    private fun typedCalls() {
        check("symbolic dimensions as parameters") {
            product { model, input ->
                same(listOf(2L, 3L), input.left.shape.toList())
                input.left.write(floatArrayOf(1f, 2f, 3f, 4f, 5f, 6f))
                input.right.write(FloatArray(12) { 1f })
                input.bias.buffer.put(floatArrayOf(0f, 10f, 20f, 30f))
                val output = model.run(input)
                same(listOf(6f, 16f, 26f, 36f, 15f, 25f, 35f, 45f), output.sum.toFloatArray().toList())
                same(204f, output.total[0])
                same(emptyList<Long>(), output.total.shape.toList())
            }
        }
        check("empty tensors") {
            Product.open(source).use { model ->
                Product.Input.allocate(rows = 0, inner = 3).use { input ->
                    val output = model.run(input)
                    same(listOf(0L, 4L), output.sum.shape.toList())
                    same(0f, output.total[0])
                }
            }
        }
        check("no shape, several ranks") {
            NoShape.open(source).use { model ->
                for (shape in listOf(longArrayOf(), longArrayOf(3), longArrayOf(2, 1, 2))) {
                    NoShape.Input.allocate(shape).use { input ->
                        input.x[0] = 2f
                        val output = model.run(input)
                        same(shape.toList(), output.y.shape.toList())
                        same(-2f, output.y[0])
                    }
                }
            }
        }
        check("scalars and text that changes") {
            Scalars.open(source).use { model ->
                Scalars.Input.allocate().use { input ->
                    input.a[0] = -5
                    input.b[0] = 7
                    for (text in listOf("caf\u00e9 \u4e2d", "", "two")) {
                        input.text[0] = text
                        val output = model.run(input)
                        same(2L, output.sum[0])
                        same(true, output.less[0])
                        same(text, output.same[0])
                    }
                }
            }
            TypeString.open(source).use { model ->
                TypeString.Input.allocate().use { input ->
                    input.x.write(Array(6) { "t$it" })
                    same(
                        List(12) { "t${it % 6}" },
                        model
                            .run(input)
                            .twice
                            .toStringArray()
                            .toList(),
                    )
                    input.x.clear()
                    same(
                        List(6) { "" },
                        model
                            .run(input)
                            .y
                            .toStringArray()
                            .toList(),
                    )
                }
            }
        }
        check("unsigned outputs") {
            Unsigned.open(source).use { model ->
                Unsigned.Input(LongTensor.of(longArrayOf(0, 1, 65_535, 4_294_967_295, Long.MAX_VALUE), 5)).use { input ->
                    val output = model.run(input)
                    same(65_535.toUShort(), output.uint16[2])
                    same((-1).toShort(), output.uint16.toShortArray()[2])
                    same(4_294_967_295u, output.uint32[3])
                    same(Long.MAX_VALUE.toULong(), output.uint64[4])
                }
            }
        }
        check("a size that depends on the numbers") {
            Nonzero.open(source).use { model ->
                Nonzero.Input.allocate().use { input ->
                    same(
                        listOf(2L, 0L),
                        model
                            .run(input)
                            .y.shape
                            .toList(),
                    )
                    input.x[7] = 1f
                    same(
                        listOf(1L, 2L),
                        model
                            .run(input)
                            .y
                            .toLongArray()
                            .toList(),
                    )
                }
            }
        }
        check("a picture in, labels out") {
            Digits.open(source).use { model ->
                val picture = Picture(16, 12, IntArray(192) { -0x1000000 or (it * 5000) })
                val labels = model.run(picture).labels()
                same(2, labels.size)
                val input = Digits.Input.allocate()
                input.writePicture(picture)
                val again = model.run(input)
                same(labels, again.labels())
                val names = listOf("zero", "o\"n\$e", "two */", "three\u202e")
                val scores = again.scores.toFloatArray()
                same(names[scores.indices.maxByOrNull { scores[it] } ?: -1], labels[0].text)
                same(true, labels[0].confidence >= labels[1].confidence)
            }
        }
        check("metrics of load, runs and failures") {
            val events = ArrayList<MetricsEvent>()
            TypeFloat.open(source, SessionOptions(metrics = { events += it })).use { model ->
                TypeFloat.Input.allocate().use { repeat(3) { _ -> model.run(it) } }
                same(model.loadDurationNanos, (events[0] as MetricsEvent.SessionLoaded).durationNanos)
            }
            same(4, events.size)
            same(true, events.drop(1).all { it is MetricsEvent.RunCompleted && it.durationNanos > 0 })
            events.clear()
            val listener = MetricsListener { events += it }
            refused(ModelNotFoundException::class) { TypeFloat.open(FileModelSource(File("/nowhere")), SessionOptions(metrics = listener)) }
            same(MetricsEvent.Stage.LOAD, (events.single() as MetricsEvent.Failed).stage)
        }
    }

    private fun providers() {
        val others = listOf(ExecutionProvider.Nnapi(), ExecutionProvider.Xnnpack(threads = 2), ExecutionProvider.Qnn())
        check("providers that the runtime lacks are refused") {
            for (provider in others) {
                for (fallback in listOf(CpuFallback.NONE, CpuFallback.OPERATORS)) {
                    val options = SessionOptions(providers = listOf(provider), cpuFallback = fallback)
                    val error =
                        refused(ProviderNotAvailableException::class, provider.name, "not available") { TypeFloat.open(source, options) }
                    same(provider.name, error.provider)
                    same(setOf("CPU"), error.available)
                }
            }
        }
        check("the CPU steps in only when asked, and says so") {
            for (provider in others) {
                val options = SessionOptions(providers = listOf(provider), cpuFallback = CpuFallback.WHOLE_MODEL)
                TypeFloat.open(source, options).use { model ->
                    same(FallbackState.WHOLE_MODEL, model.providers.cpuFallback)
                    same(listOf(provider.name), model.providers.requested)
                    same(listOf("CPU"), model.providers.registered)
                    same(setOf(provider.name), model.providers.missing.keys)
                    TypeFloat.Input.allocate().use { model.run(it) }
                }
            }
            TypeFloat.open(source).use { same(FallbackState.NOTHING, it.providers.cpuFallback) }
            TypeFloat.open(source, SessionOptions(providers = listOf(ExecutionProvider.Cpu))).use {
                same(FallbackState.NOTHING, it.providers.cpuFallback)
                same(listOf("CPU"), it.providers.registered)
            }
        }
        check("options that mean nothing") {
            refused(IllegalArgumentException::class, "positive") { SessionOptions(intraOpThreads = 0) }
            refused(IllegalArgumentException::class, "positive") { ExecutionProvider.Xnnpack(0) }
            refused(IllegalArgumentException::class, "more than once") { SessionOptions(providers = listOf(others[0], others[0])) }
            refused(IllegalArgumentException::class, "the SDK sets them") {
                SessionOptions(configEntries = mapOf("session.disable_cpu_ep_fallback" to "0"))
            }
            refused(ModelLoadException::class) { TypeFloat.open(source, SessionOptions(customOpLibraries = listOf("/nowhere/libnone.so"))) }
        }
    }

    private fun loading() {
        check("styles") {
            same(listOf(ModelStyle.FIXED, ModelStyle.RUNTIME), TypeFloat.descriptor.styles)
            for (style in TypeFloat.descriptor.styles) {
                TypeFloat.open(source, SessionOptions(style = style, intraOpThreads = 1, interOpThreads = 2)).use {
                    same(style, it.variant.style)
                    TypeFloat.Input.allocate().use { input -> it.run(input) }
                }
            }
            refused(IllegalArgumentException::class, "ONNX", "FIXED") { TypeFloat.open(source, SessionOptions(style = ModelStyle.ONNX)) }
        }
        check("files that are missing, cut, garbled or another model's") {
            refused(ModelNotFoundException::class, "nowhere") { TypeFloat.open(FileModelSource(File("/nowhere"))) }

            fun with(change: (ByteBuffer) -> ByteBuffer) = ModelSource { path -> change(source.open(path)) }
            refused(ModelLoadException::class, "bytes instead of") { TypeFloat.open(with { it.limit(100) as ByteBuffer }) }
            refused(ModelLoadException::class, "not direct") { TypeFloat.open(with { ByteBuffer.allocate(it.remaining()) }) }
            refused(ModelLoadException::class, "Cannot load") { TypeFloat.open(with { ByteBuffer.allocateDirect(it.remaining()) }) }
        }
        check("names of models are those of the files") {
            same(true, Models.all.map { it.name }.containsAll(listOf("product", "digits", "hostile")))
        }
        check("usage data is off") {
            same(TelemetryState.OFF, Telemetry.state)
            refused(IllegalStateException::class, "before") { Telemetry.allow() }
        }
        check("a failing run is the SDK's exception, with the runtime's as cause") {
            // Not reachable through checked tensors: the class is only held to its contract here.
            same(true, RunException("x", IllegalStateException()).cause is IllegalStateException)
        }
    }
}
