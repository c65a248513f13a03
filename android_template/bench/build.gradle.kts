plugins {
    alias(libs.plugins.android.application)
}

val app: Map<String, String> by rootProject.extra
val ort: Any by rootProject.extra

android {
    namespace = "dev.ortlab.bench"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        applicationId = app.getValue("app.id") + ".bench"
        minSdk =
            libs.versions.minSdk
                .get()
                .toInt()
        targetSdk =
            libs.versions.targetSdk
                .get()
                .toInt()
        versionCode = app.getValue("app.versionCode").toInt()
        versionName = app.getValue("app.versionName")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
            // A lab installs release builds unattended; this app never goes to a store.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    sourceSets.named("main") {
        jniLibs.directories +=
            rootProject.layout.buildDirectory
                .dir("customOps")
                .get()
                .asFile.path
    }

    // Uncompressed and aligned to 16 KB pages; the system maps the libraries where they lie.
    packaging {
        jniLibs.useLegacyPackaging = false
    }
}

kotlin {
    compilerOptions {
        allWarningsAsErrors = true
        extraWarnings = true
    }
}

tasks.named("preBuild") {
    dependsOn(":collectCustomOps")
}

dependencies {
    implementation(project(":bench-core"))
    // Models are sent to the phone, so this app needs the runtime and not the SDK that carries them.
    add("implementation", ort)
}
