import "./style.css";

import { models } from "../generated/models/index";
import type { ModelDescriptor, ModelStyle, ProviderName } from "../sdk/index";
import { SdkError } from "../sdk/index";
import { absentProviders, loadRuntime } from "../sdk/runtime";
import { wasmHeapBytes, watchWasmHeap } from "../sdk/wasm_heap";
import { choice, element, terms } from "./dom";
import type { Option } from "./dom";
import { Inputs } from "./inputs";
import { outputsSection } from "./outputs";
import { firstInputs, median, Tester } from "./tester";
import type { Outcome, Setting } from "./tester";
import { milliseconds, size } from "./words";

const measuredRuns = 20;
const styleWords: Readonly<Record<ModelStyle, string>> = {
  onnx: "ONNX, optimized when loaded",
  fixed: "Optimized beforehand",
  runtime: "Optimized beforehand, finished when loaded",
};
const providerWords: Readonly<Record<ProviderName, string>> = {
  wasm: "WebAssembly (CPU)",
  webgpu: "WebGPU",
  webnn: "WebNN",
};

/** The page: what is chosen, what goes in, what comes out, and what it costs. */
class Page {
  readonly #root: HTMLElement;
  readonly #status = element("p", { role: "status", class: "status" });
  readonly #alert = element("p", { role: "alert", class: "alert" });
  readonly #settings = element("section", { "aria-label": "Settings" });
  readonly #inputs = element("div");
  readonly #outputs = element("div");
  readonly #facts = element("div");
  readonly #run = element("button", { type: "button" }, "Run");
  readonly #measure = element("button", { type: "button" }, `Run ${measuredRuns} times`);
  readonly #tester: Tester;
  #given: Inputs | null = null;

  constructor(root: HTMLElement, model: ModelDescriptor) {
    this.#root = root;
    this.#tester = new Tester({ model, style: undefined, provider: undefined });
  }

  async show(): Promise<void> {
    const buttons = element("div", { class: "buttons" }, this.#run, this.#measure);
    this.#run.addEventListener("click", () => void this.#try(1));
    this.#measure.addEventListener("click", () => void this.#try(measuredRuns));
    this.#root.append(
      element("h1", {}, __APP_NAME__),
      this.#settings,
      this.#inputs,
      buttons,
      this.#status,
      this.#alert,
      this.#outputs,
      this.#facts,
    );
    await this.#showModel();
  }

  async #showModel(): Promise<void> {
    const { model } = this.#tester.setting;
    this.#outputs.replaceChildren();
    this.#facts.replaceChildren();
    this.#settings.replaceChildren(...(await this.#choices()));
    try {
      const tensors = await firstInputs(model);
      const again = (): void => void this.#try(1);
      this.#given = new Inputs(model, tensors, again, (error) => {
        this.#fail(error);
      });
      this.#inputs.replaceChildren(this.#given.section);
    } catch (error) {
      this.#fail(error);
      return;
    }
    await this.#try(1);
  }

  async #choices(): Promise<HTMLElement[]> {
    const { model } = this.#tester.setting;
    const made: HTMLElement[] = [];
    if (models.length > 1) {
      const options = models.map(({ name }) => ({ value: name, text: name }));
      const field = choice("model", "Model", options, (name) => {
        const chosen = models.find((item) => item.name === name) ?? model;
        void this.#choose({ model: chosen, style: undefined, provider: undefined }, true);
      });
      const select = field.querySelector("select");
      if (select) select.value = model.name;
      made.push(field);
    }
    const styles = [...new Set(model.variants.map(({ style }) => style))];
    if (styles.length > 1) {
      const options = styles.map((style) => ({ value: style, text: styleWords[style] }));
      made.push(
        choice("style", "File", options, (style) => {
          void this.#choose({ ...this.#tester.setting, style: style as ModelStyle }, false);
        }),
      );
    }
    const providers = await providerOptions();
    if (providers.length > 1) {
      made.push(
        choice("provider", "Runs on", providers, (provider) => {
          const chosen = provider as ProviderName;
          void this.#choose({ ...this.#tester.setting, provider: chosen }, false);
        }),
      );
    }
    return made;
  }

  async #choose(setting: Setting, isOtherModel: boolean): Promise<void> {
    await this.#tester.choose(setting);
    if (isOtherModel) await this.#showModel();
    else await this.#try(1);
  }

  async #try(count: number): Promise<void> {
    if (this.#given === null || this.#run.getAttribute("aria-disabled") === "true") return;
    this.#setBusy(true);
    this.#alert.textContent = "";
    this.#status.textContent = this.#tester.report ? "Running …" : "Loading the model …";
    try {
      const outcome = await this.#tester.run(this.#given.tensors, count);
      const { model } = this.#tester.setting;
      this.#outputs.replaceChildren(outputsSection(model, outcome.outputs));
      this.#facts.replaceChildren(this.#factsSection(outcome));
      this.#status.textContent = `Done in ${milliseconds(median(outcome.durationsMs))}.`;
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#setBusy(false);
    }
  }

  #factsSection({ durationsMs }: Outcome): HTMLElement {
    const report = this.#tester.report;
    const heading = element("h2", { id: "facts-title" }, "Cost");
    const latency = milliseconds(median(durationsMs));
    const facts: (readonly [string, string])[] = [
      ["Latency", durationsMs.length > 1 ? `${latency}, median of ${durationsMs.length}` : latency],
      ["Memory of WebAssembly", size(wasmHeapBytes())],
    ];
    if (report) {
      const { providers, threads, variant } = report;
      const words = providers.registered.map((name) => providerWords[name]).join(", then ");
      facts.push(
        ["Runs on", `${words}; ${threads} ${threads === 1 ? "thread" : "threads"}`],
        ["Model", `${variant.id}, ${size(variant.sizeBytes)}`],
        ["ONNX Runtime", report.runtimeVersion],
        ["Fetched in", milliseconds(report.fetchMs)],
        ["Runtime started in", milliseconds(report.startMs)],
        ["Session created in", milliseconds(report.createMs)],
      );
    }
    return element("section", { "aria-labelledby": "facts-title" }, heading, terms(facts));
  }

  #fail(error: unknown): void {
    this.#status.textContent = "";
    this.#outputs.replaceChildren();
    this.#facts.replaceChildren();
    const message = error instanceof Error ? error.message : String(error);
    this.#alert.textContent = error instanceof SdkError ? message : `Something failed: ${message}`;
  }

  /** Buttons keep the focus while the model runs: they are not taken out of the tab order. */
  #setBusy(isBusy: boolean): void {
    for (const button of [this.#run, this.#measure]) {
      button.setAttribute("aria-disabled", String(isBusy));
    }
  }
}

async function providerOptions(): Promise<Option[]> {
  const runtime = await loadRuntime();
  const absent = await absentProviders(runtime);
  return runtime.providers.map((name) => {
    const reason = absent.get(name);
    const text = providerWords[name];
    return reason === undefined
      ? { value: name, text }
      : { value: name, text: `${text}: ${reason}`, isDisabled: true };
  });
}

if (__SERVICE_WORKER__ && import.meta.env.PROD && "serviceWorker" in navigator) {
  // Without it the app works too, as long as there is a network.
  navigator.serviceWorker.register("service_worker.js").catch(() => undefined);
}

watchWasmHeap();
const [root, first] = [document.getElementById("app"), models[0]];
if (root && first) {
  new Page(root, first).show().catch((error: unknown) => {
    root.append(element("p", { role: "alert" }, String(error)));
  });
}
