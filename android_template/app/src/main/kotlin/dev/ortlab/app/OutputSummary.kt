package dev.ortlab.app

import dev.ortlab.sdk.BFloat16Tensor
import dev.ortlab.sdk.BooleanTensor
import dev.ortlab.sdk.ByteTensor
import dev.ortlab.sdk.DoubleTensor
import dev.ortlab.sdk.Float16Tensor
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.IntTensor
import dev.ortlab.sdk.Label
import dev.ortlab.sdk.LongTensor
import dev.ortlab.sdk.ShortTensor
import dev.ortlab.sdk.StringTensor
import dev.ortlab.sdk.Tensor
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.UByteTensor
import dev.ortlab.sdk.UIntTensor
import dev.ortlab.sdk.ULongTensor
import dev.ortlab.sdk.UShortTensor

private const val SHOWN_VALUES = 8

/**
 * An output in a form that outlives the next run.
 *
 * @property name of the output.
 * @property description type and shape of its tensor in words.
 * @property labels what a classification makes of it; empty where it is none.
 * @property firstValues its first elements.
 * @property elementCount all of its elements.
 * @property range of its numbers; null where it has none.
 */
internal data class OutputSummary(
    val name: String,
    val description: String,
    val labels: List<Label>,
    val firstValues: List<String>,
    val elementCount: Int,
    val range: Range?,
) {
    /**
     * Smallest, largest and average of the numbers that are finite.
     *
     * @property notFinite how many others there are.
     */
    data class Range(
        val minimum: Double,
        val maximum: Double,
        val mean: Double,
        val notFinite: Int,
    )

    companion object {
        /** Reads a tensor. */
        fun of(
            descriptor: TensorDescriptor,
            tensor: Tensor,
        ): OutputSummary =
            OutputSummary(
                name = descriptor.name,
                description = tensor.toString(),
                labels = labels(descriptor.kind, tensor),
                firstValues = List(minOf(SHOWN_VALUES, tensor.elementCount)) { text(tensor, it) },
                elementCount = tensor.elementCount,
                range = range(tensor),
            )

        private fun labels(
            kind: TensorKind,
            tensor: Tensor,
        ): List<Label> {
            val classification = (kind as? TensorKind.Scores)?.classification ?: return emptyList()
            if (tensor.elementCount != classification.labels.size || number(tensor, 0) == null) return emptyList()
            val scores = FloatArray(tensor.elementCount) { number(tensor, it)?.toFloat() ?: Float.NaN }
            return classification.of(scores)
        }

        private fun range(tensor: Tensor): Range? {
            var minimum = Double.POSITIVE_INFINITY
            var maximum = Double.NEGATIVE_INFINITY
            var sum = 0.0
            var finite = 0
            for (index in 0 until tensor.elementCount) {
                val value = number(tensor, index) ?: return null
                if (value.isNaN() || value.isInfinite()) continue
                minimum = minOf(minimum, value)
                maximum = maxOf(maximum, value)
                sum += value
                finite++
            }
            if (finite == 0) return null
            return Range(minimum, maximum, sum / finite, tensor.elementCount - finite)
        }

        private fun text(
            tensor: Tensor,
            index: Int,
        ): String =
            when (tensor) {
                is StringTensor -> "“${tensor[index]}”"
                is BooleanTensor -> tensor[index].toString()
                is FloatTensor -> tensor[index].toString()
                is Float16Tensor -> tensor[index].toString()
                is BFloat16Tensor -> tensor[index].toString()
                is DoubleTensor -> tensor[index].toString()
                is ByteTensor -> tensor[index].toString()
                is ShortTensor -> tensor[index].toString()
                is IntTensor -> tensor[index].toString()
                is LongTensor -> tensor[index].toString()
                is UByteTensor -> tensor[index].toString()
                is UShortTensor -> tensor[index].toString()
                is UIntTensor -> tensor[index].toString()
                is ULongTensor -> tensor[index].toString()
            }

        private fun number(
            tensor: Tensor,
            index: Int,
        ): Double? =
            when (tensor) {
                is StringTensor, is BooleanTensor -> null
                is FloatTensor -> tensor[index].toDouble()
                is Float16Tensor -> tensor[index].toDouble()
                is BFloat16Tensor -> tensor[index].toDouble()
                is DoubleTensor -> tensor[index]
                is ByteTensor -> tensor[index].toDouble()
                is ShortTensor -> tensor[index].toDouble()
                is IntTensor -> tensor[index].toDouble()
                is LongTensor -> tensor[index].toDouble()
                is UByteTensor -> tensor[index].toDouble()
                is UShortTensor -> tensor[index].toDouble()
                is UIntTensor -> tensor[index].toDouble()
                is ULongTensor -> tensor[index].toDouble()
            }
    }
}
