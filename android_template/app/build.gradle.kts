plugins {
    alias(libs.plugins.android.application)
}

val app: Map<String, String> by rootProject.extra
val ort: Any by rootProject.extra

// A string resource takes quotes, backslashes, @ and ? for its own signs unless it is quoted whole.
fun quoted(text: String): String = "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\""

android {
    namespace = "dev.ortlab.app"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        applicationId = app.getValue("app.id")
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
        resValue("string", "app_name", quoted(app.getValue("app.name")))
    }

    buildFeatures {
        resValues = true
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
            // So that a lab installs it unattended. For a store, name a signing config of your own.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // Models are mapped into memory where they lie in the installed package.
    androidResources {
        noCompress += listOf("ort", "onnx", "bin")
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

dependencies {
    implementation(project(":sdk"))
    add("implementation", ort)
}
