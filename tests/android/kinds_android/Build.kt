package android.os

/** Says which Android this is. */
class Build {
    /** Its version. */
    object VERSION {
        @Suppress("ktlint:standard:property-naming")
        @JvmField
        var SDK_INT = 36
    }
}
