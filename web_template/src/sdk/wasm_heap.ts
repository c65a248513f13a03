const memories = new Set<WebAssembly.Memory>();

/**
 * Keeps an eye on the memory of WebAssembly that is made from now on. It must be called before the
 * runtime is imported; a second call does nothing.
 */
export function watchWasmHeap(): void {
  if (Object.hasOwn(WebAssembly.Memory, "isWatched")) return;
  class WatchedMemory extends WebAssembly.Memory {
    static readonly isWatched = true;

    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      // The runtime makes one without room too, only to find out what its buffer is.
      if (descriptor.maximum !== 0) memories.add(this);
    }
  }
  WebAssembly.Memory = WatchedMemory;
}

/** Returns the size of the heaps in bytes. They never shrink, so it is the largest they had. */
export function wasmHeapBytes(): number {
  let size = 0;
  for (const memory of memories) size += memory.buffer.byteLength;
  return size;
}
