package dev.ortlab.app

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.ComponentCallbacks2
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.widget.Toast
import android.widget.Toolbar
import dev.ortlab.sdk.AssetModelSource
import dev.ortlab.sdk.ModelStyle
import dev.ortlab.sdk.image.readPicture
import dev.ortlab.sdk.models.Models
import java.io.IOException

/** Tries the packaged models: on the packaged sample, or on a picture. */
class MainActivity : Activity() {
    private lateinit var starter: Starter
    private lateinit var screen: Screen
    private var inputOfPicker: String? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        setActionBar(findViewById<Toolbar>(R.id.toolbar))
        // A turned phone keeps its work; a process that the system ended starts from what was saved.
        starter = lastNonConfigurationInstance as? Starter ?: newStarter().also { restore(it, savedInstanceState) }
        inputOfPicker = savedInstanceState?.getString(PICKER)
        screen = Screen(this, starter, ::pickPicture)
    }

    override fun onStart() {
        super.onStart()
        starter.observer = screen::show
        screen.show(starter.state)
    }

    override fun onStop() {
        starter.observer = null
        super.onStop()
    }

    override fun onDestroy() {
        if (!isChangingConfigurations) starter.close()
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any = starter

    override fun onTrimMemory(level: Int) {
        super.onTrimMemory(level)
        if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) starter.release()
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        val state = starter.state
        outState.putInt(MODEL, state.choices.model)
        outState.putString(STYLE, state.choices.style?.name)
        outState.putString(PROVIDER, state.choices.provider.name)
        state.choices.threads?.let { outState.putInt(THREADS, it) }
        outState.putStringArrayList(PICTURE_INPUTS, ArrayList(state.pictures.keys))
        outState.putStringArrayList(PICTURES, ArrayList(state.pictures.values.map { it.address }))
        outState.putString(PICKER, inputOfPicker)
    }

    override fun onActivityResult(
        requestCode: Int,
        resultCode: Int,
        data: Intent?,
    ) {
        super.onActivityResult(requestCode, resultCode, data)
        val input = inputOfPicker
        val picture = data?.data
        if (requestCode != PICK || resultCode != RESULT_OK || input == null || picture == null) return
        inputOfPicker = null
        read(starter, input, picture)
    }

    private fun newStarter(): Starter {
        val handler = Handler(Looper.getMainLooper())
        return Starter(Models.all, AssetModelSource(applicationContext)) { handler.post(it) }
    }

    private fun restore(
        starter: Starter,
        saved: Bundle?,
    ) {
        if (saved == null) return
        val style = saved.getString(STYLE)
        val provider = saved.getString(PROVIDER)
        starter.choose(
            Choices(
                model = saved.getInt(MODEL),
                style = ModelStyle.entries.firstOrNull { it.name == style },
                provider = ProviderChoice.entries.firstOrNull { it.name == provider } ?: ProviderChoice.CPU,
                threads = saved.getInt(THREADS).takeIf { it > 0 },
            ),
        )
        val inputs = saved.getStringArrayList(PICTURE_INPUTS).orEmpty()
        val pictures = saved.getStringArrayList(PICTURES).orEmpty()
        for ((input, picture) in inputs.zip(pictures)) read(starter, input, Uri.parse(picture))
    }

    private fun read(
        starter: Starter,
        input: String,
        picture: Uri,
    ) {
        val resolver = applicationContext.contentResolver
        starter.readPicture(input, picture.toString()) {
            readPicture { resolver.openInputStream(picture) ?: throw IOException("$picture cannot be opened") }
        }
    }

    /** The system's picker hands out one picture; no permission is needed for that. */
    private fun pickPicture(input: String) {
        inputOfPicker = input
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        try {
            startActivityForResult(intent, PICK)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.problem_picker, Toast.LENGTH_LONG).show()
        }
    }

    private companion object {
        const val PICK = 1
        const val MODEL = "model"
        const val STYLE = "style"
        const val PROVIDER = "provider"
        const val THREADS = "threads"
        const val PICTURES = "pictures"
        const val PICTURE_INPUTS = "picture inputs"
        const val PICKER = "picker"
    }
}
