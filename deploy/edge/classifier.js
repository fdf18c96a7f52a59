// An image to the probabilities of its labels, with the pixels that `lowtide predict` would see.
import * as ort from "./ort.wasm.bundle.min.mjs";

const GREY = [19595, 38470, 7471]; // ITU-R 601, in units of 2**-16
const ROUNDING = 22; // bits behind the point of a weight, as Pillow has them
const BLOCKS = 5; // of inferences, timed together: the clock of a browser is coarse
const BLOCK_MS = 10;

ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send

/** The model and what model.json says of it; throws one line where either cannot be had. */
export async function openModel() {
  const about = await (await got("model.json")).json();
  const bytes = await (await got("model.onnx")).arrayBuffer();
  await verify(bytes, about.sha256);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  return new Classifier(about, session);
}

async function got(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is not at this server (${response.status})`);
  return response;
}

async function verify(bytes, expected) {
  if (!globalThis.crypto?.subtle) return; // without https there is none
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== expected) throw new Error("model.onnx is not the file that model.json describes");
}

class Classifier {
  constructor(about, session) {
    this.about = about;
    this.session = session;
  }

  /** {pixels: planes of the model's size, probabilities, ms of one inference, runs} of ImageData. */
  async classify(image) {
    const [channels, height, width] = this.about.shape;
    const pixels = planes(image, channels).map((one) => resized(one, width, height).values);
    const tensor = this.tensor(pixels);
    const logits = await this.logits(tensor); // warms up
    const blocks = [];
    while (blocks.length < BLOCKS) blocks.push(await timed(() => this.logits(tensor)));
    const runs = blocks.reduce((sum, block) => sum + block.runs, 0);
    const { ms } = blocks.sort((a, b) => a.ms - b.ms)[BLOCKS >> 1]; // the median
    return { pixels, probabilities: softmax(logits), ms, runs };
  }

  tensor(pixels) {
    const { type, mean, std, shape } = this.about;
    const values = new (type === "uint8" ? Uint8Array : Float32Array)(shape.reduce((a, b) => a * b));
    const [, height, width] = shape;
    pixels.forEach((plane, channel) => {
      const ready = mean ? Float32Array.from(plane, (v) => (v - mean[channel]) / std[channel]) : plane;
      values.set(ready, channel * height * width);
    });
    return new ort.Tensor(type, values, [1, ...shape]);
  }

  async logits(tensor) {
    const answers = await this.session.run({ [this.about.input]: tensor });
    return answers[this.session.outputNames[0]].data;
  }
}

/** Milliseconds of one run, as a mean over those of a block. */
async function timed(action) {
  const start = performance.now();
  let runs = 0;
  do {
    await action();
    runs += 1;
  } while (performance.now() - start < BLOCK_MS);
  return { ms: (performance.now() - start) / runs, runs };
}

/** One plane of 8 bits for each channel, without alpha; grey as Pillow makes it. */
function planes(image, channels) {
  const { width, height, data } = image;
  const made = Array.from({ length: channels }, () => new Uint8Array(width * height));
  for (let at = 0; at < width * height; at += 1) {
    const [red, green, blue] = [data[4 * at], data[4 * at + 1], data[4 * at + 2]];
    if (channels === 1) {
      made[0][at] = (red * GREY[0] + green * GREY[1] + blue * GREY[2] + 32768) >> 16;
    } else {
      [made[0][at], made[1][at], made[2][at]] = [red, green, blue];
    }
  }
  return made.map((values) => ({ values, width, height }));
}

/** Pillow's BILINEAR in its integers: a triangle as wide as what it shrinks, rows before columns. */
function resized(plane, width, height) {
  return along(along(plane, width, true), height, false);
}

function along({ values, width, height }, size, acrossRows) {
  if (size === (acrossRows ? width : height)) return { values, width, height };
  const [newWidth, newHeight] = acrossRows ? [size, height] : [width, size];
  const [step, lineStep, numLines] = acrossRows ? [1, width, height] : [width, 1, width];
  const [newStep, newLineStep] = acrossRows ? [1, newWidth] : [newWidth, 1];
  const made = new Uint8Array(newWidth * newHeight);
  triangles(acrossRows ? width : height, size).forEach(({ low, weights }, index) => {
    for (let line = 0; line < numLines; line += 1) {
      let total = 1 << (ROUNDING - 1);
      for (let near = 0; near < weights.length; near += 1) {
        total += weights[near] * values[line * lineStep + (low + near) * step];
      }
      made[line * newLineStep + index * newStep] = total >> ROUNDING;
    }
  });
  return { values: made, width: newWidth, height: newHeight };
}

/** For each of `size` pixels the first of `length` that it is made of, and their weights. */
function triangles(length, size) {
  const scale = length / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const low = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const high = Math.min(Math.trunc(centre + reach + 0.5), length);
    const heights = Array.from({ length: high - low }, (_, near) =>
      Math.max(1 - Math.abs((near + low - centre + 0.5) / reach), 0));
    const sum = heights.reduce((a, b) => a + b);
    return { low, weights: heights.map((v) => Math.trunc((v / sum) * 2 ** ROUNDING + 0.5)) };
  });
}

function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const shares = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = shares.reduce((a, b) => a + b);
  return shares.map((share) => share / sum);
}
