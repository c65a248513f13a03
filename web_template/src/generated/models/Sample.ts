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
  width: 32,
  height: 32,
  layout: "nchw",
  colorOrder: "rgb",
  channelType: "float",
  scale: 0.00392156862745098,
  mean: [0],
  std: [1],
  resize: "crop",
  padding: 0,
  antialias: true,
};

const colourClassification: Classification = {
  kind: "classification",
  labels: [
    "red",
    "green",
    "blue",
    "grey",
  ],
  topK: 3,
  applySoftmax: false,
};

const descriptor: ModelDescriptor = {
  name: "sample",
  inputs: [
    {
      name: "picture",
      identifier: "picture",
      elementType: "float",
      shape: [1, 3, 32, 32],
      kind: pictureFormat,
    },
  ],
  outputs: [
    {
      name: "colour",
      identifier: "colour",
      elementType: "float",
      shape: [1, 4],
      kind: colourClassification,
    },
  ],
  states: [],
  variants: [
    {
      id: "fixed-arm",
      style: "fixed",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/sample/fixed-arm.ort", import.meta.url).href,
      sha256: "efc0e00eb511c86cdbcb361b2ddfeb1a001b3bf3618830686a892e70fda1b125",
      sizeBytes: 4672,
    },
    {
      id: "runtime-arm",
      style: "runtime",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/sample/runtime-arm.ort", import.meta.url).href,
      sha256: "042ae99fce5fcf092cef7dd28c990c891cccd9ea6f769d8be3b6bea8bee43254",
      sizeBytes: 5152,
    },
  ],
  sample: [
    {
      name: "picture",
      elementType: "float",
      shape: [1, 3, 32, 32],
      url: new URL("../assets/ortlab/sample/sample/input-0.bin", import.meta.url).href,
    },
  ],
};

/** What the model `sample` takes. */
export interface SampleInput {
  /** Input `picture`, `float[1, 3, 32, 32]`. */
  readonly picture: Tensor<"float">;
}

/** What the model `sample` gives. */
export interface SampleOutput {
  /** Output `colour`, `float[1, 4]`. */
  readonly colour: Tensor<"float">;
}

/**
 * The model `sample`.
 *
 * Create it once, run it often. It serves one run at a time; a second at the same moment is refused.
 */
export class Sample {
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
  static async create(options: SessionOptions = {}): Promise<Sample> {
    return new Sample(await ModelSession.create(descriptor, options));
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
  static allocate(): SampleInput {
    return { picture: zeros("float", [1, 3, 32, 32]) };
  }

  /** Makes the tensor `picture` of a picture of any size. */
  static pictureTensor(picture: Picture): Tensor<"float"> {
    return pictureTensor(picture, pictureFormat, "float");
  }

  /** The classes that `colour` scores best, best first. */
  static labels(output: SampleOutput): ClassLabel[] {
    return bestLabels(output.colour, colourClassification);
  }

  /**
   * Runs the model once.
   *
   * @throws An `SdkError`: a tensor does not fit or another run is under way, and then the runtime
   *   has seen nothing; or the runtime failed.
   */
  async run(input: SampleInput): Promise<SampleOutput> {
    const outputs = await this.#session.run([input.picture]);
    return { colour: outputOf(outputs, 0, "float") };
  }

  /** Runs the model on a picture of any size. */
  async runPicture(picture: Picture): Promise<SampleOutput> {
    return this.run({ picture: Sample.pictureTensor(picture) });
  }

  /** Lets go of the model; a second call does nothing. A run under way ends first. */
  async close(): Promise<void> {
    await this.#session.close();
  }
}
