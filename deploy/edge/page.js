// The page: an image, a pasted one or the camera in; label, time and estimated energy out.
import { Camera } from "./camera.js";
import { openModel } from "./classifier.js";
import { DEVICE_W, NETWORK_J_PER_MB, bytes, compared, estimate, joules, threeDigits } from "./energy.js";

const SHOWN = 5; // labels
const SMALL = 128; // pixels of a side: below it they are shown as squares
const AS_IT_IS = { premultiplyAlpha: "none", colorSpaceConversion: "none" };

const at = (id) => document.getElementById(id);
const canvas = at("preview");
const context = canvas.getContext("2d", { willReadFrequently: true });
let classifier = null;
let turn = Promise.resolve(); // the last answer that was asked for
let last = null; // {ms, bytes} of the last answer
let camera = null; // while it is on

function complain(message) {
  at("error").textContent = message;
  at("error").hidden = !message;
}

/** Of an ImageBitmap, which is used up. */
function show(bitmap) {
  const { width, height } = bitmap;
  canvas.width = width;
  canvas.height = height;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.classList.toggle("small", Math.max(width, height) < SMALL);
  canvas.hidden = false;
  at("prompt").hidden = true;
}

/** Of what the canvas shows now; one after the other, so that none is timed beside another. */
function answer(bytes) {
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  turn = turn.then(async () => {
    const found = await classifier.classify(image);
    last = { ms: found.ms, bytes };
    showAnswer(found);
    showPixels(found.pixels);
    showEnergy();
  }).catch((error) => complain(`The model cannot answer in this browser: ${error.message}`));
  return turn;
}

async function open(file) {
  stopCamera();
  complain("");
  const bitmap = await createImageBitmap(file, AS_IT_IS).catch(() => null);
  if (!bitmap) return complain(`${file.name} is no image that this browser can read: choose a .png or .jpg file`);
  show(bitmap);
  await answer(file.size);
}

function showAnswer({ probabilities, ms, runs }) {
  const { labels } = classifier.about;
  const order = probabilities.map((_, index) => index)
    .sort((a, b) => probabilities[b] - probabilities[a]).slice(0, SHOWN);
  at("label").textContent = labels[order[0]];
  at("bars").replaceChildren(...order.map((index) => bar(labels[index], probabilities[index])));
  at("time").textContent = `${threeDigits(ms)} ms an inference, from ${runs} of them`;
}

function bar(label, probability) {
  const [line, name, share] = ["li", "span", "span"].map((tag) => document.createElement(tag));
  name.textContent = label;
  share.textContent = `${(100 * probability).toFixed(1)} %`;
  line.style.setProperty("--share", probability);
  line.append(name, share);
  return line;
}

function showPixels(planes) {
  const [, height, width] = classifier.about.shape;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      image.data[4 * pixel + channel] = planes[channel % planes.length][pixel];
    }
    image.data[4 * pixel + 3] = 255;
  }
  at("pixels").width = width;
  at("pixels").height = height;
  at("pixels").getContext("2d").putImageData(image, 0, 0);
  at("pixels-said").textContent = `the model sees ${height} × ${width}`;
  at("seen").hidden = false;
}

function showEnergy() {
  if (!last) return;
  const [watts, joulesPerMb, serverJ] = ["watts", "joules-per-mb", "server-joules"].map((id) => at(id).valueAsNumber);
  if (!(watts > 0) || !(joulesPerMb >= 0)) return;
  const found = estimate({ seconds: last.ms / 1000, bytes: last.bytes, watts, joulesPerMb, serverJ });
  const largest = Math.max(found.here, found.roundTrip);
  for (const name of ["here", "network", "server"]) {
    at(`${name}-bar`).style.setProperty("--share", found[name] / largest);
  }
  at("here").textContent = joules(found.here);
  at("round-trip").textContent = joules(found.roundTrip);
  const pageBytes = classifier.about.page_bytes;
  at("comparison").textContent = compared(found, { ...last, pageBytes, joulesPerMb, serverJ });
}

async function startCamera() {
  at("camera").disabled = true;
  try {
    camera = await Camera.open();
    complain("");
  } catch (error) {
    complain(`The camera cannot be used (${error.message}): allow it for this page, or choose an image`);
  }
  at("camera").disabled = false;
  sayCamera();
  if (camera) await watch(camera);
}

async function watch(current) {
  for await (const square of current.squares()) {
    if (camera !== current) return;
    show(square);
    const encoded = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.8));
    if (camera !== current) return;
    await answer(encoded.size);
  }
  if (camera === current) stopCamera(); // it was unplugged
}

function stopCamera() {
  camera?.stop();
  camera = null;
  sayCamera();
}

function sayCamera() {
  at("camera").setAttribute("aria-pressed", String(camera !== null));
  at("camera").textContent = camera ? "Stop the camera" : "Use the camera";
}

function listen() {
  at("file").addEventListener("change", ({ target }) => {
    if (target.files.length) open(target.files[0]);
    target.value = "";
  });
  at("camera").addEventListener("click", () => (camera ? stopCamera() : startCamera()));
  at("assumptions").addEventListener("input", showEnergy);
  document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && open(clipboardData.files[0]));
  document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
}

function describe({ made, measured, size_bytes: size, labels, page_bytes: pageBytes }) {
  const accuracy = measured ? `, accuracy ${measured.accuracy.toFixed(4)} on ${measured.num_images} test images` : "";
  at("about").textContent = `Model ${made.candidate ?? "unnamed"} of ${labels.length} labels, ${bytes(size)}${accuracy}. `
    + `Whole page ${bytes(pageBytes)}, kept on this device. By lowtide; inference by ONNX Runtime Web (MIT).`;
  const energy = measured?.inference_energy_j;
  at("server-said").textContent = energy
    ? `Server: ${joules(energy)} an image, ${measured.provenance} when the model was evaluated, in batches of ${measured.batch_size} on ${measured.machine}.`
    : "Server: the model's files do not say what an image takes there. Left empty, it counts as nothing.";
  at("watts").value = DEVICE_W;
  at("joules-per-mb").value = NETWORK_J_PER_MB;
  at("server-joules").value = energy ? Number(energy.toPrecision(3)) : "";
}

async function keepForOffline() {
  if (!navigator.serviceWorker) return "ready";
  await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
  await navigator.serviceWorker.ready;
  return "ready, also offline";
}

async function start() {
  try {
    classifier = await openModel();
  } catch (error) {
    at("status").textContent = "not ready";
    complain(`The model cannot be loaded: ${error.message.split("\n")[0]}`);
    return;
  }
  describe(classifier.about);
  listen();
  for (const id of ["file", "camera"]) at(id).disabled = false;
  at("camera").hidden = !navigator.mediaDevices;
  at("status").textContent = "ready";
  at("status").classList.add("ready");
  at("status").textContent = await keepForOffline().catch(() => "ready, while online");
}

await start();
