package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import java.io.File

private const val CPU_DIRECTORY = "/sys/devices/system/cpu"
private const val CLOCK_READINGS = 1000

/** proc(5): the fields of `/proc/stat` after these two count time of guests, which others hold already. */
private const val COUNTED_FIELDS = 8
private val IDLE_FIELDS = setOf(3, 4)

/** proc(5), `/proc/[pid]/stat`: user and system time, counted from behind the program's name. */
private const val USER_TICKS_FIELD = 11
private const val SYSTEM_TICKS_FIELD = 12
private const val MILLI = 1000.0
private val CPU_ZONES = listOf("cpu", "pkg", "core", "soc", "acpitz")
private val CHARGING = setOf("Charging", "Full", "Not charging")

/** Returns name and measured resolution of the clock behind [System.nanoTime]. */
internal fun measureClock(): Clock {
    var leastNs = Long.MAX_VALUE
    var last = System.nanoTime()
    repeat(CLOCK_READINGS) {
        val now = System.nanoTime()
        if (now > last) leastNs = minOf(leastNs, now - last)
        last = now
    }
    return Clock("System.nanoTime", if (leastNs == Long.MAX_VALUE) 1 else leastNs)
}

/** Tells which share of the machine's CPU time others used since it was made. */
internal class LoadMeter {
    private val before = machineTicks()
    private val ownBefore = ownTicks()

    /** Returns the share, 0 to 1, or null where the system does not tell, as on phones. */
    fun busyFraction(): Double? {
        val now = machineTicks()
        val own = ownTicks()
        if (before == null || now == null || ownBefore == null || own == null) return null
        val total = now.total - before.total
        if (total <= 0) return null
        return ((now.busy - before.busy - (own - ownBefore)).toDouble() / total).coerceIn(0.0, 1.0)
    }
}

private class Ticks(
    val busy: Long,
    val total: Long,
)

private fun machineTicks(): Ticks? {
    val words = systemText("/proc/stat")?.lineSequence()?.first()?.split(Regex("\\s+")) ?: return null
    if (words.first() != "cpu") return null
    val ticks = words.drop(1).take(COUNTED_FIELDS).mapNotNull { it.toLongOrNull() }
    return Ticks(ticks.filterIndexed { field, _ -> field !in IDLE_FIELDS }.sum(), ticks.sum())
}

private fun ownTicks(): Long? {
    val words = systemText("/proc/self/stat")?.substringAfterLast(')')?.trim()?.split(' ') ?: return null
    val user = words.getOrNull(USER_TICKS_FIELD)?.toLongOrNull() ?: return null
    return words.getOrNull(SYSTEM_TICKS_FIELD)?.toLongOrNull()?.let { user + it }
}

/** Returns the platform's conditions, completed by what `/sys` tells. */
internal fun completeConditions(
    platform: Platform,
    busyFraction: Double?,
): Conditions {
    val told = platform.conditions()
    return told.copy(
        cpuGovernor = told.cpuGovernor ?: cpuGovernor(),
        cpuFrequenciesKhz = told.cpuFrequenciesKhz.ifEmpty { cpuFrequenciesKhz() },
        busyFraction = busyFraction,
    )
}

private fun cpuGovernor(): String? =
    cores()
        .mapNotNull { systemText("$it/cpufreq/scaling_governor")?.trim() }
        .filter { it.isNotEmpty() }
        .distinct()
        .sorted()
        .joinToString(", ")
        .ifEmpty { null }

private fun cpuFrequenciesKhz(): List<Long> =
    cores().mapNotNull { systemNumber("$it/cpufreq/scaling_cur_freq")?.toLong()?.takeIf { khz -> khz >= 0 } }

private fun cores(): List<File> =
    File(CPU_DIRECTORY)
        .listFiles { file -> Regex("cpu[0-9]+").matches(file.name) }
        .orEmpty()
        .sortedBy { it.name.removePrefix("cpu").toInt() }

/** Returns the temperature of the hottest CPU sensor that can be read, in degrees Celsius, or null. */
internal fun cpuTemperatureCelsius(): Double? =
    File("/sys/class/thermal")
        .listFiles { file -> file.name.startsWith("thermal_zone") }
        .orEmpty()
        .filter { zone -> systemText("$zone/type")?.lowercase().orEmpty().let { kind -> CPU_ZONES.any { it in kind } } }
        .mapNotNull { systemNumber("$it/temp") }
        .maxOrNull()
        ?.div(MILLI)

/** What a machine's battery tells; both null where there is none. */
internal data class Battery(
    val percent: Double?,
    val isCharging: Boolean?,
)

/** Returns the machine's battery; batteries of mice and the like do not count. */
internal fun battery(): Battery {
    val supply =
        File("/sys/class/power_supply").listFiles().orEmpty().firstOrNull {
            systemText("$it/type")?.trim() == "Battery" && systemText("$it/scope")?.trim() != "Device"
        } ?: return Battery(null, null)
    val status = systemText("$supply/status")?.trim().orEmpty()
    return Battery(systemNumber("$supply/capacity"), if (status.isEmpty()) null else status in CHARGING)
}

/** Whether another process traces this one, where the system tells. */
internal fun isTraced(): Boolean? =
    systemText("/proc/self/status")
        ?.lineSequence()
        ?.firstOrNull { it.startsWith("TracerPid:") }
        ?.let { it.substringAfter(':').trim() != "0" }

/** System, processor and memory of the machine, and the runtime. */
@Serializable
internal data class Machine(
    val name: String,
    @SerialName("os_version") val osVersion: String,
    val architecture: String,
    val cpu: String,
    @SerialName("memory_bytes") val memoryBytes: Long,
    val runtime: RuntimeFacts,
)

/** Returns what `/proc` and `/etc` tell of the machine. */
internal fun describeMachine(runtime: RuntimeFacts): Machine {
    val architecture = System.getProperty("os.arch").orEmpty().let { if (it == "amd64") "x86_64" else it }
    return Machine(
        name = systemText("/proc/sys/kernel/hostname")?.trim().orEmpty(),
        osVersion = osVersion(),
        architecture = architecture,
        cpu = "${cpuModel() ?: architecture}, ${Runtime.getRuntime().availableProcessors()} cores",
        memoryBytes = kilobyteFields("/proc/meminfo")["MemTotal"] ?: 0,
        runtime = runtime,
    )
}

private fun osVersion(): String {
    val kernel = "${System.getProperty("os.name")} ${System.getProperty("os.version")}"
    val line = systemText("/etc/os-release")?.lineSequence()?.firstOrNull { it.startsWith("PRETTY_NAME=") }
    val name = line?.substringAfter('=')?.trim('"', '\'', ' ')
    return if (name.isNullOrEmpty()) kernel else "$name, $kernel"
}

private fun cpuModel(): String? {
    val lines = systemText("/proc/cpuinfo").orEmpty().lineSequence()
    val named = lines.firstOrNull { it.substringBefore(':').trim().lowercase() in setOf("model name", "hardware") }
    val model = named?.substringAfter(':') ?: systemText("/proc/device-tree/model")
    return model?.trim('\u0000', ' ', '\n')?.ifEmpty { null }
}
