package dev.ortlab.tests

import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.Label
import dev.ortlab.sdk.image.Picture
import dev.ortlab.sdk.models.Direction
import dev.ortlab.sdk.models.Mixed
import dev.ortlab.sdk.models.Sums
import java.io.File

/** Runs generated classes as an app does: `ASSETS PICTURES`, one answer a line. */
fun main(arguments: Array<String>) {
    val (assets, pictures) = arguments
    val source = FileModelSource(File(assets))
    Direction.open(source).use { model ->
        for (line in File(pictures, "pictures.tsv").readLines()) {
            val (name, width, height) = line.split('\t')
            val bytes = File(pictures, "pictures/$name.rgba").readBytes()
            val labels = model.run(Picture.fromRgba(width.toInt(), height.toInt(), bytes)).labels()
            println("picture\t$name\t" + labels.joinToString("\t", transform = ::said))
        }
    }
    mixed(source, Picture(2, 3, IntArray(6) { (0xFF shl 24) + it * 1_234_567 }))
    Sums.open(source).use { model ->
        Sums.Input.allocate().use { input ->
            repeat(STEPS) { step ->
                if (step == RESET_AT) model.reset()
                for (index in 0 until input.x.elementCount) input.x[index] = (step - 7f * index) / 64f
                val output = model.run(input)
                println("step\t" + output.y.toFloatArray().joinToString("\t"))
            }
        }
    }
}

/** Fills one input with a picture and another with numbers; two outputs have labels, one thousands. */
private fun mixed(
    source: FileModelSource,
    picture: Picture,
) {
    Mixed.open(source).use { model ->
        Mixed.Input.allocate().use { input ->
            input.writePhoto(picture)
            input.bias.write(floatArrayOf(0.5f, -1f, 2f))
            val output = model.run(input)
            println("few\t" + output.fewLabels().joinToString("\t", transform = ::said))
            println("many\t" + output.manyLabels().joinToString("\t", transform = ::said))
        }
    }
}

private const val STEPS = 100
private const val RESET_AT = 60

private fun said(label: Label): String = "${label.index}\t${hexadecimal(label.text)}\t${label.confidence}"

private fun hexadecimal(text: String): String = text.toByteArray().joinToString("") { "%02x".format(it) }
