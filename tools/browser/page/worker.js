// Trains away from the page, which stays at hand. Told: load, run, pause, reset, rate. Tells: ready, steps, picture, wrong.

import { Training } from "./training.js";

const SLICE = 40, PICTURE_EVERY = 200, SIDE = 64, EXAMPLES = 25;
let training, running = false, lastPicture = 0;

addEventListener("message", async ({ data: { kind, folder, factor, stopAfter } }) => {
  try {
    if (kind === "load") {
      training = await Training.load(folder);
      postMessage({ kind: "ready", title: training.about.model, steps: training.steps, anEpoch: training.anEpoch });
      await picture();
    } else if (kind === "run") {
      running = true;
      await work(stopAfter ?? training.steps);
    } else if (kind === "pause") {
      running = false;
    } else if (kind === "reset") {
      training.reset();
      postMessage({ kind: "steps", losses: [], done: 0, running });
      await picture();
    } else if (kind === "rate") {
      training.factor = factor;
    }
  } catch (error) {
    running = false;
    postMessage({ kind: "wrong", message: error.message });
  }
});

// Steps for a moment at a time, so that messages are heard in between.
async function work(until) {
  while (running && !training.finished && training.done < until) {
    const losses = [], started = performance.now();
    while (performance.now() - started < SLICE && !training.finished && training.done < until) losses.push(await training.run());
    const ms = (performance.now() - started) / losses.length;
    postMessage({ kind: "steps", losses, done: training.done, ms, rate: training.rate, running: true });
    if (performance.now() - lastPicture > PICTURE_EVERY) await picture();
    await new Promise((resolve) => setTimeout(resolve));
  }
  running = false;
  await picture();
  postMessage({ kind: "steps", losses: [], done: training.done, running });
}

// What the network makes of the plane, or of images it was not trained on.
async function picture() {
  lastPicture = performance.now();
  const [input] = Object.keys(training.test), shape = training.test[input].shape;
  if (shape.length === 2) {
    const { data: points } = training.train[input], { data: labels } = Object.values(training.train)[1];
    const grid = new Float32Array(2 * SIDE * SIDE), reach = 1.05 * points.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    for (let i = 0; i < SIDE * SIDE; i++) {
      grid[2 * i] = reach * (2 * ((i % SIDE) + 0.5) / SIDE - 1);
      grid[2 * i + 1] = -reach * (2 * (Math.floor(i / SIDE) + 0.5) / SIDE - 1);
    }
    const values = (await training.outputs({ [input]: training.points(grid) })).data;
    postMessage({ kind: "picture", plane: { side: SIDE, reach, values, points, labels }, accuracy: await accuracy() });
  } else {
    postMessage({ kind: "picture", images: await images(input, shape), accuracy: await accuracy() });
  }
}

async function images(input, shape) {
  const size = shape[2] * shape[3], { data } = training.test[input];
  const probs = await training.outputs(training.batch({ [input]: training.test[input] }, range(EXAMPLES)));
  const classes = probs.dims[1], labels = Object.values(training.test)[1].data;
  const drawn = range(EXAMPLES).map((i) => {
    const row = Array.from(probs.data.slice(i * classes, (i + 1) * classes)), best = row.indexOf(Math.max(...row));
    return { pixels: data.slice(i * size, (i + 1) * size), guess: best, sure: row[best], right: best === labels[i] };
  });
  return { width: shape[3], drawn };
}

// The share of the test examples that is right.
async function accuracy() {
  const [input, target] = Object.keys(training.test), labels = training.test[target].data, count = labels.length;
  const out = await training.outputs(training.batch({ [input]: training.test[input] }, range(count)));
  const classes = out.data.length / count;
  const right = range(count).filter((i) => {
    if (classes === 1) return (out.data[i] > 0.5) === (labels[i] === 1);
    const row = out.data.slice(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row)) === labels[i];
  });
  return right.length / count;
}

const range = (n) => Array.from({ length: n }, (_, i) => i);
