package android.graphics

/** Named in a signature. */
class Rect
