// What lies beside the page: numbers, and states as safetensors.

export const KINDS = { uint8: Uint8Array, float32: Float32Array, int32: Int32Array };

async function bytes(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.arrayBuffer();
}

export const json = async (url) => JSON.parse(new TextDecoder().decode(await bytes(url)));
export const binary = bytes;

// {name: {type, dims, data}} of a safetensors file.
export async function tensors(url) {
  const content = await bytes(url);
  const length = Number(new DataView(content).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 8, length)));
  const found = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = entry.data_offsets.map((n) => 8 + length + n);
    const own = content.slice(start, end); // aligned, whatever comes before it
    const data = entry.dtype === "I64" ? new BigInt64Array(own) : new Float32Array(own);
    found[name] = { type: entry.dtype === "I64" ? "int64" : "float32", dims: entry.shape, data };
  }
  return found;
}

// {field: {shape, kind, scale, data}} of one part of the data.
export async function fields(folder, about) {
  const found = {};
  for (const [name, entry] of Object.entries(about)) {
    found[name] = { ...entry, data: new KINDS[entry.kind](await bytes(`${folder}/${entry.file}`)) };
  }
  return found;
}
