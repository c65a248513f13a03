import java.util.Properties

plugins {
    base
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.jvm) apply false
    alias(libs.plugins.kotlin.serialization) apply false
}

// Every setting of the app stands in app.properties; the modules read it from here.
val appProperties = Properties()
providers
    .fileContents(layout.projectDirectory.file("app.properties"))
    .asText
    .get()
    .reader()
    .use(appProperties::load)
val app = appProperties.stringPropertyNames().associateWith(appProperties::getProperty)
extra["app"] = app

// ONNX Runtime for every module: the catalog's release, another one, or an AAR.
val ort = app["ort.android"]
extra["ort"] =
    when {
        ort == null -> libs.onnxruntime.android.get()
        ort.endsWith(".aar") -> files(ort)
        else -> "com.microsoft.onnxruntime:onnxruntime-android:$ort"
    }

// The packager takes native libraries from folders named after ABIs.
val customOpsKey = "ort.customOps."
tasks.register<Sync>("collectCustomOps") {
    into(layout.buildDirectory.dir("customOps"))
    app.filterKeys { it.startsWith(customOpsKey) }.forEach { (key, path) ->
        from(path) { into(key.removePrefix(customOpsKey)) }
    }
}
