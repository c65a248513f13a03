import { Refused } from "./failures";

type Log = (...items: unknown[]) => void;

let kept: string[] | null = null;

/**
 * Lets profiles be collected from the console, which is where the runtime prints them. It must be
 * called before the runtime is imported: that may keep the console's function for itself.
 */
export function watchConsole(): void {
  const original: Log = console.log.bind(console);
  console.log = (...items: unknown[]) => {
    if (kept === null) original(...items);
    else kept.push(items.map(String).join(" "));
  };
}

/**
 * Ends a session's profiling and returns the profile that it prints.
 *
 * @throws Refused `runtime_error`: what was printed is no profile.
 */
export async function takeProfile(session: { endProfiling(): unknown }): Promise<string> {
  kept = [];
  try {
    await session.endProfiling();
    const text = kept.join("\n");
    JSON.parse(text);
    return text;
  } catch (error) {
    const message = `the runtime printed no profile: ${String(error)}`;
    throw new Refused("runtime_error", message);
  } finally {
    kept = null;
  }
}
