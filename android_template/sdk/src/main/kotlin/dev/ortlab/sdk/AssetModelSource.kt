package dev.ortlab.sdk

import android.content.Context
import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel

/**
 * An app's assets. They are stored without compression and mapped into memory, so a model's weights
 * are used where they lie in the installed package.
 *
 * @property assets of the app that carries the models.
 */
public class AssetModelSource(
    public val assets: AssetManager,
) : ModelSource {
    /** The assets of the app that [context] belongs to. */
    public constructor(context: Context) : this(context.assets)

    override fun open(path: String): ByteBuffer =
        try {
            assets.openFd(path).use { asset ->
                FileInputStream(asset.fileDescriptor).use { stream ->
                    stream.channel
                        .map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
                        .order(ByteOrder.nativeOrder())
                }
            }
        } catch (error: IOException) {
            throw ModelNotFoundException("Cannot map the asset $path; is it stored without compression?", error)
        }
}
