// A training: its step as one ONNX model, whose outputs are the inputs of the next.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { binary, fields, json, tensors } from "./files.js";

ort.env.wasm.wasmPaths = new URL("./vendor/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

const session = (url) => ort.InferenceSession.create(url, { executionProviders: ["wasm"] });
const feeds = (model, values) => Object.fromEntries(model.inputNames.map((name) => [name, values[name]]));

export class Training {
  static async load(folder) {
    const about = await json(`${folder}/step.json`);
    const [stage] = about.stages;
    const data = await json(`${folder}/data.json`);
    const { begin: start, step: each, schedule: after } = stage.models;
    const files = [start, each, after, about.predict.file].map((file) => session(`${folder}/${file}`));
    const [begin, step, schedule, predict] = await Promise.all(files);
    const [train, test] = await Promise.all([fields(folder, data.train), fields(folder, data.test)]);
    const order = Array.from(new Uint32Array(await binary(`${folder}/order.bin`)));
    const begun = await tensors(`${folder}/${about.state}`), count = Object.values(train)[0].shape[0];
    const counts = await begin.run(feeds(begin, { ...begun, "schedule:examples": new ort.Tensor("float64", [count], []) }));
    return new Training({ about, stage, step, schedule, predict, train, test, count, first: order, begun, counts });
  }

  constructor(parts) {
    Object.assign(this, parts);
    this.anEpoch = this.counts["next:schedule:an_epoch"].data[0];
    this.steps = this.counts["next:schedule:left"].data[0];
    this.factor = 1;
    this.reset();
  }

  reset() {
    this.state = {};
    for (const [name, t] of Object.entries(this.begun)) this.state[name] = new ort.Tensor(t.type, t.data.slice(), t.dims);
    this.state["schedule:examples"] = new ort.Tensor("float64", [this.count], []);
    this.keep(this.counts);
    this.done = 0;
    this.order = this.first;
  }

  get rate() { return this.factor * this.state[this.stage.lr.input].data[0]; }

  get finished() { return this.done >= this.steps; }

  // One step; its loss.
  async run() {
    const at = this.done % this.anEpoch;
    if (at === 0 && this.done) this.order = shuffled(this.count);
    const rows = this.order.slice(at * this.stage.batch, (at + 1) * this.stage.batch);
    const rate = new ort.Tensor("float32", [this.rate], []);
    const values = { ...this.state, ...this.batch(this.train, rows), [this.stage.lr.input]: rate };
    const outputs = await this.step.run(feeds(this.step, values));
    const loss = outputs[this.stage.loss].data[0];
    if (!outputs[this.stage.loss_is_finite].data[0]) throw new Error(`the loss became ${loss} in step ${this.done + 1}`);
    this.keep(outputs);
    this.keep(await this.schedule.run(feeds(this.schedule, { ...this.state, ...outputs })));
    this.done += 1;
    return loss;
  }

  // An output `next:NAME` is what the value NAME becomes.
  keep(outputs) {
    for (const [name, value] of Object.entries(outputs)) if (name.startsWith("next:")) this.state[name.slice(5)] = value;
  }

  // Rows of the data as the tensors that a model takes.
  batch(part, rows) {
    const tensor = (name, entry) => {
      const [, ...shape] = entry.shape, size = shape.reduce((a, b) => a * b, 1), whole = this.about.fields[name].dtype === "int64";
      const data = whole ? new BigInt64Array(rows.length * size) : new Float32Array(rows.length * size);
      rows.forEach((row, i) => {
        for (let k = 0; k < size; k++) {
          const value = entry.data[row * size + k];
          data[i * size + k] = whole ? BigInt(value) : value / entry.scale;
        }
      });
      return new ort.Tensor(whole ? "int64" : "float32", data, [rows.length, ...shape]);
    };
    return Object.fromEntries(Object.entries(part).map(([name, entry]) => [name, tensor(name, entry)]));
  }

  // The first output of the network in use.
  async outputs(inputs) {
    const found = await this.predict.run(feeds(this.predict, { ...this.state, ...inputs }));
    return Object.values(found)[0];
  }

  points(numbers) { return new ort.Tensor("float32", numbers, [numbers.length / 2, 2]); }
}

function shuffled(count) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
