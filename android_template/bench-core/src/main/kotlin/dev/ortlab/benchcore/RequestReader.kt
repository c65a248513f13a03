package dev.ortlab.benchcore

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.contentOrNull

private const val REQUEST_SCHEMA = "ortlab.block_request/1"
private const val BATCH_SCHEMA = "ortlab.batch_request/1"

/** Whole numbers of the protocol are below 2^62, so that sums of two of them are numbers too. */
private const val LARGEST = (1L shl 62) - 1
private const val SECONDS_LIMIT = 1e9

private val WHOLE_NUMBER = Regex("-?(0|[1-9][0-9]*)")
private val NUMBER = Regex("""-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?""")
private val SHA256 = Regex("[0-9a-f]{64}")

/** A field of the request is missing or has no meaning. */
internal class InvalidRequestException(
    message: String,
) : Exception(message)

/** Without these two nobody can be answered. */
internal data class Address(
    val blockId: String,
    val outputDirectory: String,
)

/** Returns whom to answer and where, or null where the request does not say. */
internal fun addressOf(request: JsonElement): Address? =
    try {
        val fields = Field("the request", request).fields()
        Address(fields["block_id"].name(), fields["output_directory"].name())
    } catch (_: InvalidRequestException) {
        null
    }

/** Returns the requests of a batch, or null when it is none. */
internal fun requestsOfBatch(request: JsonElement): List<JsonElement>? {
    val schema = (request as? JsonObject)?.get("schema") as? JsonPrimitive
    if (schema == null || !schema.isString || schema.content != BATCH_SCHEMA) return null
    return request["requests"] as? JsonArray ?: emptyList()
}

/**
 * Returns the request that JSON holds; fields that the schema does not know are ignored.
 *
 * @throws InvalidRequestException a field is missing or its value is none of those that
 *   `block_request.schema.json` allows.
 */
internal fun readBlockRequest(request: JsonElement): BlockRequest {
    val fields = Field("the request", request).fields()
    fields["schema"].oneOf(listOf(REQUEST_SCHEMA)) { it }
    return BlockRequest(
        blockId = fields["block_id"].name(),
        purpose = fields["purpose"].oneOf(Purpose.entries) { it.wireName },
        model = readModel(fields["model"].fields()),
        session = readSession(fields["session"].fields()),
        providers = readProviders(fields["providers"]),
        inputs = readInputs(fields["inputs"]),
        outputDirectory = fields["output_directory"].name(),
        warmUp = readWarmUp(fields["warm_up"].fields()),
        stop = readStop(fields["stop"].fields()),
        measuredRuns = fields["measured_runs"].wholeNumber(least = 1),
        settleNs = fields["settle_ns"].wholeNumber(),
        deadlineSeconds = fields["deadline_s"].number(),
    )
}

private fun readModel(fields: Fields) =
    ModelReference(
        path = fields["path"].name(),
        sha256 = fields["sha256"].sha256(),
        loadMode = fields["load_mode"].oneOf(LoadMode.entries) { it.wireName },
        customOpLibrary = fields["custom_op_library"].orNull { name() },
    )

private fun readSession(fields: Fields) =
    SessionSettings(
        optimizationLevel = fields["graph_optimization_level"].oneOf(OptimizationLevel.entries) { it.wireName },
        intraOpThreads = fields["intra_op_num_threads"].orNull { wholeNumber() },
        interOpThreads = fields["inter_op_num_threads"].orNull { wholeNumber() },
        executionMode = fields["execution_mode"].oneOf(SessionExecutionMode.entries) { it.wireName },
        usesCpuArena = fields["cpu_memory_arena"].orNull { boolean() },
        usesMemoryPattern = fields["memory_pattern"].orNull { boolean() },
        configEntries = fields["config_entries"].texts(),
    )

private fun readProviders(field: Field): List<ProviderRequest> {
    val providers =
        field.items().map {
            val fields = it.fields()
            ProviderRequest(fields["name"].name(), fields["options"].texts())
        }
    return providers.ifEmpty { field.refuse("is empty") }
}

private fun readInputs(field: Field): List<TensorFile> {
    val inputs =
        field.items().map {
            val fields = it.fields()
            TensorFile(
                name = fields["name"].text(),
                elementType = fields["element_type"].oneOf(ElementType.entries) { type -> type.wireName },
                shape = fields["shape"].items().map { size -> size.wholeNumber() },
                path = fields["path"].name(),
                sha256 = fields["sha256"].orNull { sha256() },
            )
        }
    if (inputs.distinctBy { it.name }.size != inputs.size) field.refuse("names a tensor twice")
    return inputs
}

private fun readWarmUp(fields: Fields) =
    WarmUpRule(
        windowMinRuns = fields["window_min_runs"].wholeNumber(least = 1),
        windowNs = fields["window_ns"].wholeNumber(),
        agreement = fields["agreement"].number(),
        minNs = fields["min_ns"].wholeNumber(),
        maxNs = fields["max_ns"].wholeNumber(),
        maxRuns = fields["max_runs"].wholeNumber(),
        hardLimitNs = fields["hard_limit_ns"].wholeNumber(),
    )

private fun readStop(fields: Fields) =
    StopRule(
        minRuns = fields["min_runs"].wholeNumber(least = 1),
        minNs = fields["min_ns"].wholeNumber(),
        maxNs = fields["max_ns"].wholeNumber(),
        floorRuns = fields["floor_runs"].wholeNumber(least = 1),
    )

/** The fields of an object, which know where they stand. */
private class Fields(
    private val place: String,
    private val values: JsonObject,
) {
    operator fun get(key: String): Field {
        val value = values[key] ?: throw InvalidRequestException("$place lacks $key")
        return Field(if (place == "the request") key else "$place.$key", value)
    }
}

/** A value and its place, for the sentence that refuses it. */
private class Field(
    private val place: String,
    private val value: JsonElement,
) {
    fun refuse(complaint: String): Nothing = throw InvalidRequestException("$place $complaint")

    fun fields(): Fields = Fields(place, value as? JsonObject ?: refuse("is no object"))

    fun items(): List<Field> {
        val items = value as? JsonArray ?: refuse("is no array")
        return items.mapIndexed { at, item -> Field("$place[$at]", item) }
    }

    fun <T : Any> orNull(read: Field.() -> T): T? = if (value === JsonNull) null else read()

    fun text(): String {
        val primitive = value as? JsonPrimitive
        return primitive?.takeIf { it.isString }?.content ?: refuse("cannot be $value")
    }

    fun name(): String = text().also { if (it.isEmpty() || '\u0000' in it) refuse("cannot be $value") }

    fun sha256(): String = text().also { if (!SHA256.matches(it)) refuse("cannot be $value") }

    fun <T> oneOf(
        values: List<T>,
        wireName: (T) -> String,
    ): T {
        val text = (value as? JsonPrimitive)?.takeIf { it.isString }?.content
        return values.firstOrNull { wireName(it) == text }
            ?: refuse("is $value, none of ${values.joinToString { wireName(it) }}")
    }

    fun texts(): Map<String, String> {
        val entries = value as? JsonObject ?: refuse("cannot be $value")
        return entries.mapValues { (key, text) -> Field("$place.$key", text).text() }
    }

    fun boolean(): Boolean =
        when (literal()) {
            "true" -> true
            "false" -> false
            else -> refuse("cannot be $value")
        }

    fun wholeNumber(least: Long = 0): Long {
        val number = literal()?.takeIf { WHOLE_NUMBER.matches(it) }?.toLongOrNull()
        return number?.takeIf { it in least..LARGEST } ?: refuse("cannot be $value")
    }

    fun number(): Double {
        val number = literal()?.takeIf { NUMBER.matches(it) }?.toDouble()
        return number?.takeIf { it >= 0 && it < SECONDS_LIMIT } ?: refuse("cannot be $value")
    }

    /** What stands there without quotes, or null. */
    private fun literal(): String? = (value as? JsonPrimitive)?.takeUnless { it.isString }?.contentOrNull
}
