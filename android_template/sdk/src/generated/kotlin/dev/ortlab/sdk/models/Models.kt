// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

package dev.ortlab.sdk.models

import dev.ortlab.sdk.ModelDescriptor

/** The models that this app carries. */
public object Models {
    /** All of them, by the names of their classes. */
    public val all: List<ModelDescriptor> =
        listOf(
            Sample.descriptor,
        )
}
