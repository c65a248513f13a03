package dev.ortlab.benchcore

/** A Linux machine with a JVM and no app; its process was started with the environment it needs. */
public class JvmPlatform : Platform {
    override val appBuild: String? get() = null

    override fun disableTelemetry() {
        // A JVM cannot change the environment that native code reads.
    }

    override fun isDebuggerAttached(): Boolean? = isTraced()

    override fun conditions(): Conditions {
        val battery = battery()
        return Conditions(
            batteryPercent = battery.percent,
            isCharging = battery.isCharging,
            temperatureCelsius = cpuTemperatureCelsius(),
        )
    }
}
