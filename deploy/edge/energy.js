// What an answer takes here, and what it would take with a round trip to the server: estimates.
// The sources of the figures are told on the page, under "What this rests on".
export const DEVICE_W = 5;
export const NETWORK_J_PER_MB = 6.75;
const OVERHEAD_BYTES = 2000; // headers of request and response, and the answer

/** Joules; `serverJ` is NaN where it is not known, and so is left out of `roundTrip`. */
export function estimate({ seconds, bytes, watts, joulesPerMb, serverJ }) {
  const here = watts * seconds;
  const network = ((bytes + OVERHEAD_BYTES) / 1e6) * joulesPerMb;
  const server = Number.isFinite(serverJ) ? serverJ : 0;
  return { here, network, server, roundTrip: network + server };
}

/** How many images it takes until what this page has loaded is paid back; null if it never is. */
function imagesToPayBack({ here, roundTrip }, pageBytes, joulesPerMb) {
  const saved = roundTrip - here;
  return saved > 0 ? Math.ceil(((pageBytes / 1e6) * joulesPerMb) / saved) : null;
}

/** In words: here against sending `bytes`, and whether it pays back what the page has loaded. */
export function compared(found, { bytes: sentBytes, pageBytes, joulesPerMb, serverJ }) {
  const server = Number.isFinite(serverJ) ? "the server" : "a server, whose own energy is not known";
  const sent = `sending ${bytes(sentBytes)} to ${server}`;
  const loaded = `Loading this page took ${bytes(pageBytes)}, about ${joules((pageBytes / 1e6) * joulesPerMb)}`;
  const images = imagesToPayBack(found, pageBytes, joulesPerMb);
  if (images === null) return `Here it takes ${threeDigits(found.here / found.roundTrip)} times as much as ${sent}. ${loaded}.`;
  const times = threeDigits(found.roundTrip / found.here);
  return `Here it takes ${times} times less than ${sent}. ${loaded}: paid back after ${images.toLocaleString("en")} such images.`;
}

/** With three digits and a unit that suits: 0.0123 is "12.3 mJ". */
export function joules(value) {
  return inUnits(value, [["J", 1], ["mJ", 1e-3], ["µJ", 1e-6], ["nJ", 1e-9]]);
}

export function bytes(value) {
  return inUnits(value, [["MB", 1e6], ["kB", 1e3], ["B", 1]]);
}

function inUnits(value, units) {
  const [unit, size] = units.find(([, least]) => value >= least) ?? units.at(-1);
  return `${threeDigits(value / size)} ${unit}`;
}

export function threeDigits(value) {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}
