package dev.ortlab.app

import android.app.Activity
import android.graphics.Bitmap
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import dev.ortlab.sdk.Label
import dev.ortlab.sdk.ModelDescriptor
import dev.ortlab.sdk.TensorDescriptor
import dev.ortlab.sdk.TensorKind
import dev.ortlab.sdk.image.Picture
import kotlin.math.max
import kotlin.math.roundToInt

private const val PREVIEW_SIDE = 512
private const val BAR_STEPS = 1000
private val THREADS = listOf(1, 2, 3, 4, 6, 8)

/**
 * The views: shows a state, and tells what the user does.
 *
 * @param activity whose content view is the layout `main`.
 */
internal class Screen(
    private val activity: Activity,
    private val starter: Starter,
    private val pickPicture: (input: String) -> Unit,
) {
    private val words = Words(activity.resources)
    private val inflater = LayoutInflater.from(activity)
    private val inputs: LinearLayout = activity.findViewById(R.id.inputs)
    private val outputs: LinearLayout = activity.findViewById(R.id.outputs)
    private val run: Button = activity.findViewById(R.id.run)
    private val progress: View = activity.findViewById(R.id.progress)
    private val status: TextView = activity.findViewById(R.id.status)
    private val figures: TextView = activity.findViewById(R.id.figures)
    private val figuresCard: View = activity.findViewById(R.id.figures_card)
    private val statusColors = status.textColors
    private var shown: ScreenState? = null

    init {
        activity.findViewById<View>(R.id.model_choice).visibility = visibleIf(starter.models.size > 1)
        choice(R.id.model, starter.models.map { it to it.name }, { it.model }) { index, _ -> Choices(model = index) }
        val threads = listOf(null) + THREADS.filter { it <= Runtime.getRuntime().availableProcessors() }
        choice(
            R.id.threads,
            threads.map { it to (it?.toString() ?: activity.getString(R.string.threads_default)) },
            { threads.indexOf(it.threads) },
        ) { _, value -> starter.state.choices.copy(threads = value) }
        val providers = ProviderChoice.entries
        choice(R.id.provider, providers.map { it to words.provider(it) }, { it.provider.ordinal }) { _, value ->
            starter.state.choices.copy(provider = value)
        }
        run.setOnClickListener { starter.run() }
    }

    /** Shows what has changed since the last time. */
    fun show(state: ScreenState) {
        val before = shown
        shown = state
        val model = starter.model
        if (before == null || before.choices.model != state.choices.model) model?.let { showStyles(it, state.choices) }
        if (before == null || before.choices.model != state.choices.model || before.pictures != state.pictures) {
            showInputs(model, state)
        }
        if (before == null || before.answer !== state.answer) showAnswer(model, state.answer)
        showStatus(model, state)
    }

    private fun showStatus(
        model: ModelDescriptor?,
        state: ScreenState,
    ) {
        val text = if (model == null) activity.getString(R.string.no_model) else words.status(state)
        // Setting the same text again would have a screen reader say it again.
        if (status.text.toString() != text) status.text = text
        if (state.problem == null) status.setTextColor(statusColors) else status.setTextColor(activity.getColor(R.color.problem))
        run.isEnabled = model != null && state.work == Work.NOTHING
        progress.visibility = if (state.work == Work.NOTHING) View.INVISIBLE else View.VISIBLE
    }

    private fun showStyles(
        model: ModelDescriptor,
        choices: Choices,
    ) {
        val recommended = model.styles.firstOrNull()?.let { activity.getString(R.string.style_recommended, it.name) }
        val styles = listOf(null) + model.styles
        choice(
            R.id.style,
            styles.map { it to (it?.let(words::style) ?: recommended.orEmpty()) },
            { styles.indexOf(choices.style) },
        ) { _, value -> starter.state.choices.copy(style = value) }
    }

    private fun showInputs(
        model: ModelDescriptor?,
        state: ScreenState,
    ) {
        inputs.removeAllViews()
        val sampled =
            model
                ?.sample
                .orEmpty()
                .map { it.name }
                .toSet()
        for (input in model?.inputs.orEmpty()) {
            val row = inflate(R.layout.input, inputs)
            val chosen = state.pictures[input.name]
            row.text(R.id.name, activity.getString(R.string.described, input.name, input.toString()))
            row.text(R.id.source, sourceOf(chosen?.picture, input.name in sampled))
            showPicture(row, input, chosen?.picture)
        }
    }

    private fun sourceOf(
        picture: Picture?,
        isSampled: Boolean,
    ): String =
        when {
            picture != null -> activity.getString(R.string.from_picture, picture.width, picture.height)
            isSampled -> activity.getString(R.string.from_sample)
            else -> activity.getString(R.string.from_zeros)
        }

    private fun showPicture(
        row: View,
        input: TensorDescriptor,
        picture: Picture?,
    ) {
        val view: ImageView = row.findViewById(R.id.picture)
        view.visibility = visibleIf(picture != null)
        if (picture != null) {
            view.setImageBitmap(preview(picture))
            view.contentDescription = activity.getString(R.string.picture_for, input.name)
        }
        val pick: Button = row.findViewById(R.id.pick)
        pick.visibility = visibleIf(input.kind is TensorKind.Image)
        pick.setOnClickListener { pickPicture(input.name) }
        val drop: Button = row.findViewById(R.id.use_sample)
        drop.visibility = visibleIf(picture != null)
        drop.setOnClickListener { starter.dropPicture(input.name) }
    }

    private fun showAnswer(
        model: ModelDescriptor?,
        answer: RunAnswer?,
    ) {
        outputs.removeAllViews()
        figuresCard.visibility = visibleIf(answer != null)
        if (answer == null) {
            for (output in model?.outputs.orEmpty()) {
                inflate(R.layout.output, outputs).text(
                    R.id.name,
                    activity.getString(R.string.described, output.name, output.toString()),
                )
            }
            return
        }
        figures.text = words.figures(answer)
        for (output in answer.outputs) {
            val row = inflate(R.layout.output, outputs)
            row.text(R.id.name, activity.getString(R.string.described, output.name, output.description))
            row.text(R.id.values, words.values(output))
            output.labels.forEach { showLabel(it, row.findViewById(R.id.labels)) }
        }
    }

    private fun showLabel(
        label: Label,
        parent: ViewGroup,
    ) {
        val row = inflate(R.layout.label, parent)
        row.text(R.id.text, activity.getString(R.string.label, label.text, label.confidence))
        val bar: ProgressBar = row.findViewById(R.id.bar)
        bar.visibility = visibleIf(label.confidence in 0f..1f)
        bar.max = BAR_STEPS
        if (label.confidence in 0f..1f) bar.progress = (label.confidence * BAR_STEPS).roundToInt()
    }

    /** Fills a list to choose from and has [starter] told what [choose] makes of a choice. */
    private fun <T> choice(
        id: Int,
        entries: List<Pair<T, String>>,
        selected: (Choices) -> Int,
        choose: (Int, T) -> Choices,
    ) {
        val spinner: Spinner = activity.findViewById(id)
        // The app's state says what is chosen; the view keeps none of its own.
        spinner.isSaveEnabled = false
        val adapter = ArrayAdapter(activity, android.R.layout.simple_spinner_item, entries.map { it.second })
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.onItemSelectedListener = null
        spinner.adapter = adapter
        if (entries.isNotEmpty()) spinner.setSelection(selected(starter.state.choices).coerceIn(entries.indices), false)
        spinner.onItemSelectedListener =
            object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(
                    parent: AdapterView<*>?,
                    view: View?,
                    position: Int,
                    id: Long,
                ) {
                    if (position != selected(starter.state.choices)) starter.choose(choose(position, entries[position].first))
                }

                override fun onNothingSelected(parent: AdapterView<*>?) = Unit
            }
    }

    private fun preview(picture: Picture): Bitmap {
        val shrink = max(1, max(picture.width, picture.height) / PREVIEW_SIDE)
        val width = max(1, picture.width / shrink)
        val height = max(1, picture.height / shrink)
        val pixels = IntArray(width * height) { picture.argb[it / width * shrink * picture.width + it % width * shrink] }
        return Bitmap.createBitmap(pixels, width, height, Bitmap.Config.ARGB_8888)
    }

    private fun inflate(
        layout: Int,
        parent: ViewGroup,
    ): View = inflater.inflate(layout, parent, false).also(parent::addView)

    private fun View.text(
        id: Int,
        text: String,
    ) {
        findViewById<TextView>(id).text = text
    }

    private fun visibleIf(condition: Boolean) = if (condition) View.VISIBLE else View.GONE
}
