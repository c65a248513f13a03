package dev.ortlab.benchcore

private val isAndroid = System.getProperty("java.vm.name") == "Dalvik"

/**
 * Returns a text that the runtime's Java API hands over as the UTF-8 it is.
 *
 * JNI writes U+0000 as two bytes, and characters beyond U+FFFF as six on every machine but Android's:
 * the runtime would see another name, path or string.
 *
 * @param what it is, for the refusal.
 * @throws RefusedException the text cannot be passed.
 */
internal fun passable(
    text: String,
    what: String,
): String {
    if (!isPassable(text)) {
        throw RefusedException(FailureKind.UNSUPPORTED, "$what has characters that Java does not pass on: $text")
    }
    return text
}

private fun isPassable(text: String): Boolean =
    text.withIndex().all { (at, character) ->
        when {
            character == '\u0000' -> false
            !character.isSurrogate() -> true
            !isAndroid -> false
            character.isHighSurrogate() -> text.getOrNull(at + 1)?.isLowSurrogate() == true
            else -> text.getOrNull(at - 1)?.isHighSurrogate() == true
        }
    }
