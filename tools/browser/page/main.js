// A card for each training. `?report=N` trains N steps of each and sends their losses to the server, for the test of this page.

import { drawCurve, drawImages, drawPlane } from "./draw.js";
import { json } from "./files.js";

const report = Number(new URLSearchParams(location.search).get("report"));
const TITLES = { spirals: "Two spirals", mnist: "Handwritten digits" };
const CAPTIONS = { spirals: "what the network makes of the plane, and its data", mnist: "images it was not trained on, and its guesses (in percent)" };

for (const name of await json("trainings.json")) card(name);

function card(name) {
  const part = document.getElementById("card").content.cloneNode(true).firstElementChild;
  document.getElementById("trainings").append(part);
  const find = (selector) => part.querySelector(selector);
  find("h2").textContent = TITLES[name];
  find(".caption").textContent = CAPTIONS[name];
  const worker = new Worker("worker.js", { type: "module" });
  const now = { losses: [], running: false, steps: 0, anEpoch: 1, accuracy: null, done: 0 };

  const tell = (message) => worker.postMessage(message);
  find(".run").onclick = () => tell({ kind: now.running ? "pause" : "run" });
  find(".reset").onclick = () => { now.losses = []; tell({ kind: "reset" }); };
  find(".rate").oninput = ({ target }) => {
    const factor = 2 ** Number(target.value);
    find(".factor").textContent = +factor.toFixed(2);
    tell({ kind: "rate", factor });
  };

  const heard = {
    ready({ steps, anEpoch }) {
      Object.assign(now, { steps, anEpoch });
      find(".reset").disabled = false;
      if (report) tell({ kind: "run", stopAfter: report });
    },
    steps({ losses, done, ms, rate, running }) {
      now.losses.push(...losses);
      Object.assign(now, { done, running }, ms && { ms, rate });
      drawCurve(find(".curve"), now.losses, now.steps);
      if (report && !running && done >= report) send({ name, losses: now.losses, accuracy: now.accuracy });
    },
    picture({ plane, images, accuracy }) {
      now.accuracy = accuracy;
      if (plane) drawPlane(find(".picture"), plane);
      else drawImages(find(".picture"), images);
    },
    wrong({ message }) {
      now.running = false;
      now.wrong = message;
      if (report) send({ name, wrong: message });
    },
  };
  worker.onerror = (event) => heard.wrong({ message: event.message ?? "the worker could not be loaded" });
  worker.onmessage = ({ data }) => {
    heard[data.kind](data);
    find(".run").textContent = now.running ? "Pause" : now.done ? "Go on" : "Train";
    find(".run").disabled = now.steps === 0 || now.done === now.steps;
    find(".state").textContent = now.wrong ?? state(now);
    find(".state").classList.toggle("wrong", Boolean(now.wrong));
  };
  tell({ kind: "load", folder: name });
}

function state({ done, anEpoch, accuracy, ms, rate }) {
  const parts = [`epoch ${Math.floor(Math.max(0, done - 1) / anEpoch) + 1}`, `step ${done}`];
  if (accuracy !== null) parts.push(`test accuracy ${(100 * accuracy).toFixed(1)} %`);
  if (ms) parts.push(`${ms.toFixed(2)} ms a step`, `learning rate ${rate.toPrecision(2)}`);
  return parts.join("  ·  ");
}

const send = (found) => fetch("report", { method: "POST", body: JSON.stringify(found) });
