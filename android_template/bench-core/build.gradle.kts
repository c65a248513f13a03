plugins {
    alias(libs.plugins.kotlin.jvm)
    alias(libs.plugins.kotlin.serialization)
}

kotlin {
    jvmToolchain(17)
    explicitApi()
    compilerOptions {
        allWarningsAsErrors = true
        extraWarnings = true
    }
}

dependencies {
    // The app brings the runtime for its platform; both packages have the same classes.
    compileOnly(libs.onnxruntime.jvm)
    implementation(libs.kotlinx.serialization.json)

    testImplementation(libs.onnxruntime.jvm)
    testImplementation(libs.junit.jupiter)
    testRuntimeOnly(libs.junit.platform.launcher)
}

tasks.test {
    useJUnitPlatform()
    environment("ORT_DISABLE_TELEMETRY", "1")
    // Where the vectors of the benchmark protocol are: -PbenchProtocol=DIRECTORY
    systemProperty("ortlab.bench_protocol", providers.gradleProperty("benchProtocol").getOrElse(""))
}
