package dev.ortlab.app

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.view.View
import android.view.WindowInsets
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.Spinner
import android.widget.TextView
import dev.ortlab.sdk.CpuFallback
import dev.ortlab.sdk.ExecutionProvider
import dev.ortlab.sdk.FallbackState
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.SessionOptions
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.image.readPicture
import dev.ortlab.sdk.models.Models
import java.io.FileNotFoundException

/** Shows what a packaged model takes and gives, and runs it as the user chooses. */
class MainActivity : Activity() {
    private lateinit var models: Spinner
    private lateinit var styles: Spinner
    private lateinit var providers: Spinner
    private lateinit var threads: Spinner
    private lateinit var result: TextView

    private val model: ModelDescriptor
        get() = Models.all[models.selectedItemPosition]

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        keepClearOfSystemBars(findViewById(R.id.root))
        models = findViewById(R.id.model)
        styles = findViewById(R.id.style)
        providers = findViewById(R.id.provider)
        threads = findViewById(R.id.threads)
        result = findViewById(R.id.result)
        offer(models, Models.all.map { it.name })
        offer(providers, PROVIDERS.map { it.name })
        offer(threads, listOf(getString(R.string.threads_default)) + THREADS.map(Int::toString))
        models.visibility = if (Models.all.size > 1) View.VISIBLE else View.GONE
        models.onItemSelectedListener = Selected(::showModel)
        showModel()
        findViewById<Button>(R.id.run_sample).setOnClickListener { Workbench.runSample(this, model, options()) }
        findViewById<Button>(R.id.pick_picture).setOnClickListener { pickPicture() }
    }

    override fun onStart() {
        super.onStart()
        Workbench.listener = ::showOutcome
        showOutcome()
    }

    override fun onStop() {
        Workbench.listener = null
        super.onStop()
    }

    @Deprecated("The framework alone has no other way to get an answer")
    override fun onActivityResult(
        requestCode: Int,
        resultCode: Int,
        data: Intent?,
    ) {
        val picked = data?.data
        if (requestCode == PICK_PICTURE && resultCode == RESULT_OK && picked != null) runOn(picked)
    }

    private fun runOn(picked: Uri) {
        val resolver = applicationContext.contentResolver
        Workbench.runPicture(this, model, options()) {
            readPicture { resolver.openInputStream(picked) ?: throw FileNotFoundException(picked.toString()) }
        }
    }

    @Suppress("DEPRECATION")
    private fun pickPicture() {
        val intent =
            Intent(Intent.ACTION_OPEN_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType("image/*")
        startActivityForResult(intent, PICK_PICTURE)
    }

    private fun options(): SessionOptions {
        val provider = PROVIDERS[providers.selectedItemPosition]
        val isCpu = provider == ExecutionProvider.Cpu
        return SessionOptions(
            style = model.styles[styles.selectedItemPosition],
            providers = if (isCpu) emptyList() else listOf(provider),
            // A provider that is missing is an error here; operators that it leaves are not.
            cpuFallback = if (isCpu) CpuFallback.NONE else CpuFallback.OPERATORS,
            intraOpThreads = THREADS.getOrNull(threads.selectedItemPosition - 1),
        )
    }

    private fun showModel() {
        offer(styles, model.styles.map { it.name.lowercase() })
        val inputs = model.inputs.joinToString("\n", transform = ::described)
        val outputs = model.outputs.joinToString("\n", transform = ::described)
        findViewById<TextView>(R.id.signature).text =
            listOf(model.name, "", getString(R.string.inputs), inputs, "", getString(R.string.outputs), outputs)
                .joinToString("\n")
        val takesPicture = model.inputs.any { it.kind is TensorKind.Image }
        findViewById<Button>(R.id.pick_picture).visibility = if (takesPicture) View.VISIBLE else View.GONE
        findViewById<Button>(R.id.run_sample).isEnabled = model.sample.isNotEmpty()
    }

    private fun described(tensor: TensorDescriptor): String =
        when (val kind = tensor.kind) {
            is TensorKind.Image -> getString(R.string.tensor_picture, tensor.name, kind.format.width, kind.format.height)
            is TensorKind.Scores -> getString(R.string.tensor_labels, tensor.name, kind.classification.labels.size)
            TensorKind.Raw -> getString(R.string.tensor, tensor.name, tensor.toString())
        }

    private fun showOutcome() {
        result.text =
            when (val outcome = Workbench.outcome.takeUnless { Workbench.isBusy }) {
                is Outcome.Ran -> told(outcome)
                is Outcome.Failed -> getString(R.string.failed, outcome.reason)
                null -> getString(if (Workbench.isBusy) R.string.running else R.string.no_result)
            }
    }

    private fun told(outcome: Outcome.Ran): String {
        val lines = mutableListOf<String>()
        for (output in outcome.outputs) {
            lines += output.name
            val labels = output.labels
            if (labels == null) lines += output.text
            labels?.mapTo(lines) { getString(R.string.label, it.text, shareText(it.confidence)) }
            lines += ""
        }
        val runs = outcome.runsNs
        lines += getString(R.string.latency, durationText(outcome.firstRunNs), durationText(medianOf(runs)), runs.size)
        lines += getString(R.string.loaded, durationText(outcome.loadNs), outcome.variant)
        lines += getString(R.string.providers, outcome.providers.registered.joinToString())
        when (outcome.providers.cpuFallback) {
            FallbackState.NOTHING -> Unit
            FallbackState.OPERATORS -> lines += getString(R.string.cpu_helps)
            FallbackState.WHOLE_MODEL -> lines += getString(R.string.cpu_instead)
        }
        outcome.memory?.let {
            lines += getString(R.string.memory, sizeText(it.currentBytes), sizeText(it.peakBytes))
        }
        return lines.joinToString("\n")
    }

    private fun offer(
        spinner: Spinner,
        choices: List<String>,
    ) {
        val adapter = ArrayAdapter(this, android.R.layout.simple_spinner_item, choices)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.adapter = adapter
    }

    /** From Android 15 on an app draws behind the system's bars; older ones keep clear by themselves. */
    private fun keepClearOfSystemBars(root: View) {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.R) return
        root.fitsSystemWindows = false
        root.setOnApplyWindowInsetsListener { view, insets ->
            val bars = insets.getInsets(WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout())
            view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
            insets
        }
    }

    private class Selected(
        private val act: () -> Unit,
    ) : AdapterView.OnItemSelectedListener {
        override fun onItemSelected(
            parent: AdapterView<*>?,
            view: View?,
            position: Int,
            id: Long,
        ) = act()

        override fun onNothingSelected(parent: AdapterView<*>?) = Unit
    }

    private companion object {
        const val PICK_PICTURE = 1
        val THREADS = listOf(1, 2, 3, 4, 6, 8)
        val PROVIDERS =
            listOf(
                ExecutionProvider.Cpu,
                ExecutionProvider.Xnnpack(),
                ExecutionProvider.Nnapi(),
                ExecutionProvider.Qnn(),
            )
    }
}
