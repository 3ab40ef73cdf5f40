// The two canvases of a training.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const MEAN_OVER = 30;

export function drawCurve(canvas, losses, steps) {
  const pen = begin(canvas), { width, height } = canvas, left = 46, bottom = 26, top = 10, right = 10;
  const shown = losses.filter((l) => l > 0);
  if (!shown.length) return;
  const [low, high] = decades(shown), across = Math.max(100, losses.length);
  const x = (i) => left + (width - left - right) * i / across;
  const y = (l) => top + (height - top - bottom) * (high - Math.log10(Math.max(l, 10 ** low))) / (high - low);
  pen.font = "12px system-ui";
  for (let d = Math.ceil(low); d <= high; d++) {
    pen.strokeStyle = css("--line");
    line(pen, [[left, y(10 ** d)], [width - right, y(10 ** d)]]);
    pen.fillStyle = css("--soft");
    pen.fillText(d >= -2 && d <= 2 ? String(+(10 ** d).toFixed(2)) : `1e${d}`, 6, y(10 ** d) + 4);
  }
  pen.fillStyle = css("--soft");
  pen.fillText(`step ${losses.length} of ${steps}`, left, height - 8);
  const every = Math.max(1, Math.floor(losses.length / 1000));
  pen.globalAlpha = 0.35;
  pen.strokeStyle = css("--accent");
  line(pen, losses.flatMap((l, i) => (i % every ? [] : [[x(i), y(l)]])));
  pen.globalAlpha = 1;
  pen.lineWidth = 2;
  line(pen, means(losses).flatMap((l, i) => (i % every ? [] : [[x(i), y(l)]])));
}

function decades(losses) {
  const logs = losses.map(Math.log10), low = Math.min(...logs.slice(-3000)), high = Math.max(...logs.slice(0, 3000));
  return [low - 0.1, Math.max(high, low + 0.5) + 0.1];
}

function means(losses) {
  let mean = losses[0];
  return losses.map((l, i) => (mean += (l - mean) / Math.min(i + 1, MEAN_OVER)));
}

function line(pen, points) {
  pen.beginPath();
  points.forEach(([a, b], i) => (i ? pen.lineTo(a, b) : pen.moveTo(a, b)));
  pen.stroke();
}

function begin(canvas) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineWidth = 1;
  return pen;
}

const BLUE = [70, 110, 230], ORANGE = [240, 140, 50];

export function drawPlane(canvas, { side, reach, values, points, labels }) {
  const pen = begin(canvas), image = new ImageData(side, side);
  values.forEach((p, i) => {
    const mixed = BLUE.map((b, c) => 255 - 0.75 * (255 - (b + (ORANGE[c] - b) * p)));
    image.data.set([...mixed, 255], 4 * i);
  });
  const small = new OffscreenCanvas(side, side);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  const at = (v) => (v / reach + 1) / 2 * canvas.width;
  labels.forEach((label, i) => {
    pen.fillStyle = `rgb(${label ? ORANGE : BLUE})`;
    pen.strokeStyle = "#fff";
    pen.lineWidth = 0.7;
    pen.beginPath();
    pen.arc(at(points[2 * i]), canvas.width - at(points[2 * i + 1]), 2.4, 0, 7);
    pen.fill();
    pen.stroke();
  });
}

export function drawImages(canvas, { width, drawn }) {
  const pen = begin(canvas), across = Math.round(Math.sqrt(drawn.length)), cell = canvas.width / across, edge = cell - 20;
  drawn.forEach(({ pixels, guess, sure, right }, i) => {
    const image = new ImageData(width, pixels.length / width);
    pixels.forEach((p, k) => image.data.set([255 - p, 255 - p, 255 - p, 255], 4 * k));
    const small = new OffscreenCanvas(image.width, image.height), x = (i % across) * cell, y = Math.floor(i / across) * cell;
    small.getContext("2d").putImageData(image, 0, 0);
    pen.drawImage(small, x + 10, y + 2, edge, edge);
    pen.fillStyle = right ? "#1a8f4a" : "#d33";
    pen.font = "bold 12px system-ui";
    pen.textAlign = "center";
    pen.fillText(`${guess} (${Math.round(100 * sure)})`, x + cell / 2, y + cell - 5);
  });
}
