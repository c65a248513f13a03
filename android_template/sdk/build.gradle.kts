plugins {
    alias(libs.plugins.android.library)
}

val ort: Any by rootProject.extra
val generated = layout.projectDirectory.dir("src/generated")

android {
    namespace = "dev.ortlab.sdk"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        minSdk =
            libs.versions.minSdk
                .get()
                .toInt()
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // Models are mapped into memory where they lie in the installed package.
    androidResources {
        noCompress += listOf("ort", "onnx", "bin")
    }

    sourceSets.named("main") {
        kotlin.directories += generated.dir("kotlin").asFile.path
        assets.directories += generated.dir("assets").asFile.path
        jniLibs.directories +=
            rootProject.layout.buildDirectory
                .dir("customOps")
                .get()
                .asFile.path
    }

    publishing {
        singleVariant("release") {
            withSourcesJar()
        }
    }
}

kotlin {
    explicitApi()
    compilerOptions {
        allWarningsAsErrors = true
        extraWarnings = true
    }
}

tasks.named("preBuild") {
    dependsOn(":collectCustomOps")
}

dependencies {
    // An AAR cannot carry another: where ONNX Runtime is a file, who uses the SDK adds it, as :app does.
    add(if (ort is FileCollection) "compileOnly" else "api", ort)
}
