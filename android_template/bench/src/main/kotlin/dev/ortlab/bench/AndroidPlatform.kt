package dev.ortlab.bench

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.content.pm.ApplicationInfo
import android.os.BatteryManager
import android.os.Build
import android.os.Debug
import android.os.PowerManager
import android.system.Os
import dev.ortlab.benchcore.Conditions
import dev.ortlab.benchcore.Platform

/** What the benchmark core asks of Android. */
internal class AndroidPlatform(
    private val context: Context,
) : Platform {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager

    override val appBuild: String =
        if (context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0) "debug" else "release"

    override fun disableTelemetry() {
        Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)
    }

    override fun isDebuggerAttached(): Boolean = Debug.isDebuggerConnected()

    override fun conditions(): Conditions {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        return Conditions(
            batteryPercent = battery?.let(::percent),
            isCharging = battery?.extra(BatteryManager.EXTRA_PLUGGED)?.let { it != 0 },
            temperatureCelsius = battery?.extra(BatteryManager.EXTRA_TEMPERATURE)?.let { it / TENTHS },
            thermalStatus = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) thermalStatus() else null,
            isLowPowerMode = power.isPowerSaveMode,
            isForeground = BenchActivity.isInFront && power.isInteractive,
        )
    }

    private fun percent(battery: Intent): Double? {
        val level = battery.extra(BatteryManager.EXTRA_LEVEL) ?: return null
        val scale = battery.extra(BatteryManager.EXTRA_SCALE) ?: return null
        return if (scale > 0) PERCENT * level / scale else null
    }

    private fun Intent.extra(name: String): Int? = getIntExtra(name, ABSENT).takeIf { it != ABSENT }

    private fun thermalStatus(): String? = THERMAL_WORDS.getOrNull(power.currentThermalStatus)

    private companion object {
        const val ABSENT = Int.MIN_VALUE
        const val TENTHS = 10.0
        const val PERCENT = 100.0

        /** Words for `PowerManager.THERMAL_STATUS_*`, in order. */
        val THERMAL_WORDS = listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
    }
}
