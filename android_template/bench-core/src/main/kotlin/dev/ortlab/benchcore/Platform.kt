package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/**
 * What the core cannot know by itself: the platform that it runs on.
 *
 * [JvmPlatform] serves any Linux machine; an Android app brings its own.
 */
public interface Platform {
    /** Build type of the app, such as `release`; null where there is no app. */
    public val appBuild: String?

    /**
     * Called once before the first class of the runtime is touched: sets `ORT_DISABLE_TELEMETRY=1`
     * in this process's environment. Where a process cannot change its environment, it only had to
     * be started with it. The core goes on only when the variable is set.
     */
    public fun disableTelemetry()

    /** Whether a debugger is attached to this process; null where the platform does not tell. */
    public fun isDebuggerAttached(): Boolean?

    /**
     * The state of the device now.
     *
     * What is left null here is read from `/sys` where the system allows it, and is null in the
     * result otherwise. [Conditions.busyFraction] is the core's affair.
     */
    public fun conditions(): Conditions
}

/**
 * The state of the device at one moment; null is what it does not tell.
 *
 * @property batteryPercent charge, 0 to 100.
 * @property isCharging whether a charger is connected.
 * @property temperatureCelsius of the hottest CPU sensor, or of the battery.
 * @property thermalStatus as the platform names it, such as `none` or `severe`.
 * @property isLowPowerMode whether the system saves power.
 * @property isForeground whether the app is in front.
 * @property cpuGovernor frequency governors of the cores.
 * @property cpuFrequenciesKhz current frequency of each core.
 * @property busyFraction share of the machine's CPU time that went to others, 0 to 1.
 */
@Serializable
public data class Conditions(
    @SerialName("battery_percent") public val batteryPercent: Double? = null,
    @SerialName("charging") public val isCharging: Boolean? = null,
    @SerialName("temperature_c") public val temperatureCelsius: Double? = null,
    @SerialName("thermal_status") public val thermalStatus: String? = null,
    @SerialName("low_power_mode") public val isLowPowerMode: Boolean? = null,
    @SerialName("foreground") public val isForeground: Boolean? = null,
    @SerialName("cpu_governor") public val cpuGovernor: String? = null,
    @SerialName("cpu_frequency_khz") public val cpuFrequenciesKhz: List<Long> = emptyList(),
    @SerialName("busy_fraction") public val busyFraction: Double? = null,
)
