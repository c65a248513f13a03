package dev.ortlab.sdk

import android.system.Os

/** What only Android can do; never loaded elsewhere. */
internal object AndroidProcess {
    fun setVariable(
        name: String,
        value: String,
    ) {
        Os.setenv(name, value, true)
    }
}
