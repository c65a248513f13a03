package dev.ortlab.sdk

/** Which packaged file fits the options and this machine's CPU. */
internal object VariantChoice {
    private const val ARM = "arm"
    private const val AMD64 = "amd64"

    fun choose(
        descriptor: ModelDescriptor,
        style: ModelStyle?,
        architecture: String = System.getProperty("os.arch").orEmpty(),
    ): ModelVariant {
        val candidates = descriptor.variants.filter { style == null || it.style == style }
        require(candidates.isNotEmpty()) {
            "The model ${descriptor.name} is not packaged as $style, only as ${descriptor.styles}"
        }
        val preferred = candidates.filter { it.style == candidates.first().style }
        val target = targetOf(architecture)
        return preferred.firstOrNull { it.target == target } ?: preferred.firstOrNull { it.target == null } ?: preferred.first()
    }

    private fun targetOf(architecture: String): String =
        if (architecture.startsWith("aarch64") || architecture.startsWith(ARM)) ARM else AMD64
}
