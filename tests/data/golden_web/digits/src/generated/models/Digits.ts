// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { ModelSession, bestLabels, outputOf, pictureTensor, zeros } from "../../sdk/index";
import type {
  ClassLabel,
  Classification,
  ImageFormat,
  ModelDescriptor,
  Picture,
  SessionOptions,
  SessionReport,
  Tensor,
} from "../../sdk/index";

const pictureFormat: ImageFormat = {
  kind: "image",
  width: 8,
  height: 6,
  layout: "nchw",
  colorOrder: "bgr",
  channelType: "float",
  scale: 0.00392156862745098,
  mean: [0.5],
  std: [0.25, 0.5, 1],
  resize: "fit",
  padding: 0,
  antialias: true,
};

const scoresClassification: Classification = {
  kind: "classification",
  labels: [
    "zero",
    "o\"n$e",
    "two */",
    "three\u202e",
  ],
  topK: 2,
  applySoftmax: true,
};

const descriptor: ModelDescriptor = {
  name: "digits",
  inputs: [
    {
      name: "picture",
      identifier: "picture",
      elementType: "float",
      shape: [1, 3, 6, 8],
      kind: pictureFormat,
    },
  ],
  outputs: [
    {
      name: "scores",
      identifier: "scores",
      elementType: "float",
      shape: [1, 4],
      kind: scoresClassification,
    },
  ],
  states: [],
  variants: [
    {
      id: "fixed-arm",
      style: "fixed",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/digits/fixed-arm.ort", import.meta.url).href,
      sha256: "2bae149ace1a70895107c45873f134b900d925bc46b84f072c73a4461aa8ba57",
      sizeBytes: 4296,
    },
    {
      id: "runtime-arm",
      style: "runtime",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/digits/runtime-arm.ort", import.meta.url).href,
      sha256: "cd52dfd2b0dfd42d06d73b333bb5b010c2577f8e68244114c9801d81fd5610f2",
      sizeBytes: 4296,
    },
  ],
  sample: [
    {
      name: "picture",
      elementType: "float",
      shape: [1, 3, 6, 8],
      url: new URL("../assets/ortlab/digits/sample/input-0.bin", import.meta.url).href,
    },
  ],
};

/** What the model `digits` takes. */
export interface DigitsInput {
  /** Input `picture`, `float[1, 3, 6, 8]`. */
  readonly picture: Tensor<"float">;
}

/** What the model `digits` gives. */
export interface DigitsOutput {
  /** Output `scores`, `float[1, 4]`. */
  readonly scores: Tensor<"float">;
}

/**
 * The model `digits`.
 *
 * Create it once, run it often. It serves one run at a time; a second at the same moment is refused.
 */
export class Digits {
  /** The model for code that knows no generated class. */
  static readonly descriptor: ModelDescriptor = descriptor;

  readonly #session: ModelSession;

  private constructor(session: ModelSession) {
    this.#session = session;
  }

  /**
   * Fetches the model and loads it.
   *
   * @param options Which file, providers and threads.
   * @throws An `SdkError`: the file cannot be fetched, the runtime does not take it, a provider
   *   that is asked for is not there, or the options mean nothing here.
   */
  static async create(options: SessionOptions = {}): Promise<Digits> {
    return new Digits(await ModelSession.create(descriptor, options));
  }

  /** What is loaded by what, and how long that took. */
  get report(): SessionReport {
    return this.#session.report;
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#session.isClosed;
  }

  /** Makes tensors of zeros to write into. */
  static allocate(): DigitsInput {
    return { picture: zeros("float", [1, 3, 6, 8]) };
  }

  /** Makes the tensor `picture` of a picture of any size. */
  static pictureTensor(picture: Picture): Tensor<"float"> {
    return pictureTensor(picture, pictureFormat, "float");
  }

  /** The classes that `scores` scores best, best first. */
  static labels(output: DigitsOutput): ClassLabel[] {
    return bestLabels(output.scores, scoresClassification);
  }

  /**
   * Runs the model once.
   *
   * @throws An `SdkError`: a tensor does not fit or another run is under way, and then the runtime
   *   has seen nothing; or the runtime failed.
   */
  async run(input: DigitsInput): Promise<DigitsOutput> {
    const outputs = await this.#session.run([input.picture]);
    return { scores: outputOf(outputs, 0, "float") };
  }

  /** Runs the model on a picture of any size. */
  async runPicture(picture: Picture): Promise<DigitsOutput> {
    return this.run({ picture: Digits.pictureTensor(picture) });
  }

  /** Lets go of the model; a second call does nothing. A run under way ends first. */
  async close(): Promise<void> {
    await this.#session.close();
  }
}
