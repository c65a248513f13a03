package dev.ortlab.benchcore

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** Tensor files are read and written as the protocol's vectors say. */
internal class TensorFilesTest {
    @TestFactory
    fun `the bytes of each vector are those of its type and shape`() =
        Vectors.tests("tensor_files/tensors.json", "valid") { case ->
            val data = case.bytes("hex")
            assertEquals(case.text("sha256"), sha256(data))
            if (typeOf(case) == ElementType.STRING) {
                val texts = decodeStrings(data, case.longs("shape")).toList()
                assertEquals(case.getValue("values").jsonArray.map { it.jsonPrimitive.content }, texts)
                assertEquals(case.text("hex"), encodeStrings(texts).hexadecimal())
            } else {
                checkElements(data, typeOf(case), case.longs("shape"))
                assertEquals(case.text("hex"), data.hexadecimal())
            }
        }

    @TestFactory
    fun `bytes that are not those of the type and shape are refused`() =
        Vectors.tests("tensor_files/tensors.json", "invalid") { case ->
            assertThrows(InvalidTensorException::class.java) {
                if (typeOf(case) == ElementType.STRING) {
                    decodeStrings(case.bytes("hex"), case.longs("shape"))
                } else {
                    checkElements(case.bytes("hex"), typeOf(case), case.longs("shape"))
                }
            }
        }

    @Test
    fun `a shape without elements has none, however large its other sizes are`() {
        assertEquals(0, elementCount(listOf(1L shl 40, 1L shl 40, 0)))
        assertEquals(1, elementCount(emptyList()))
        assertThrows(InvalidTensorException::class.java) { elementCount(listOf(1L shl 40, 1L shl 40)) }
    }

    @Test
    fun `half a surrogate pair has no UTF-8`() {
        assertThrows(InvalidTensorException::class.java) { encodeStrings(listOf("a\ud800")) }
    }

    private fun typeOf(case: JsonObject) = ElementType.entries.first { it.wireName == case.text("element_type") }
}
