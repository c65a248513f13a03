package dev.ortlab.sdk

import java.nio.FloatBuffer
import kotlin.math.exp
import kotlin.math.min

/**
 * A class that a model sees.
 *
 * @property index position among the model's classes, from 0
 * @property text name of the class
 * @property confidence the model's score of it; 0 to 1 where the model or softmax makes it so
 */
public data class Label(
    public val index: Int,
    public val text: String,
    public val confidence: Float,
)

/**
 * Makes labels of a model's scores; `docs/kinds.md` of ortlab defines the operations.
 *
 * @property labels names of the classes, in order
 * @property topK how many labels are answered
 * @property applySoftmax whether the scores are logits that softmax makes into confidences
 * @throws IllegalArgumentException if there are no labels or [topK] is not positive
 */
public class Classification(
    public val labels: List<String>,
    public val topK: Int = DEFAULT_TOP_K,
    public val applySoftmax: Boolean = false,
) {
    init {
        require(labels.isNotEmpty()) { "a classification without labels" }
        require(topK > 0) { "the best $topK labels were asked for" }
    }

    /**
     * Returns the best classes, best first; the first of equal ones first, NaN last.
     *
     * @param scores one a class
     * @throws IllegalArgumentException if there are more or fewer scores than labels
     */
    public fun of(scores: FloatArray): List<Label> {
        require(scores.size == labels.size) {
            "the model scores ${scores.size} classes, and there are ${labels.size} labels"
        }
        val confidences = if (applySoftmax) softmax(scores) else scores
        return topK(scores, topK).map { Label(it, labels[it], confidences[it]) }
    }

    /**
     * Returns the best classes, as for an array; the position of [scores] stays as it is.
     *
     * @param scores one a class, from its position to its limit
     * @throws IllegalArgumentException if there are more or fewer scores than labels
     */
    public fun of(scores: FloatBuffer): List<Label> {
        val first = scores.position()
        return of(FloatArray(scores.remaining()) { scores.get(first + it) })
    }

    /** The operations on plain numbers. */
    public companion object {
        /** Labels that are answered unless something else is asked for. */
        public const val DEFAULT_TOP_K: Int = 5

        /** Returns `exp(x - max) / sum` of logits, computed in double precision. */
        @JvmStatic
        public fun softmax(logits: FloatArray): FloatArray {
            val largest = logits.maxOrNull()?.toDouble() ?: return FloatArray(0)
            val powers = DoubleArray(logits.size) { exp(logits[it] - largest) }
            val sum = powers.sum()
            return FloatArray(logits.size) { (powers[it] / sum).toFloat() }
        }

        /** Returns the indices of the [count] largest scores: ties by index, NaN last. */
        @JvmStatic
        public fun topK(
            scores: FloatArray,
            count: Int,
        ): IntArray {
            val best = IntArray(min(count, scores.size))
            var known = 0
            for (index in scores.indices) {
                if (known == best.size && (known == 0 || !(scores[index] beats scores[best[known - 1]]))) continue
                if (known < best.size) known++
                var place = known - 1
                while (place > 0 && scores[index] beats scores[best[place - 1]]) {
                    best[place] = best[place - 1]
                    place--
                }
                best[place] = index
            }
            return best
        }

        private infix fun Float.beats(other: Float): Boolean = this > other || (other.isNaN() && !isNaN())
    }
}
