"use strict";
// Waveform and meters on their canvases. What they show is page.js's: the clip, its segments, the deck.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

function penFor(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.font = `${11 * ratio}px ui-monospace, monospace`;
  return { pen, width, height, ratio };
}

function drawWave() {
  const { clip } = state;
  const { pen, width, height, ratio } = penFor($("wave"));
  if (!clip || clip.last <= clip.first) return;
  const length = clip.last - clip.first;
  const ruler = 20 * ratio;
  const middle = ruler + (height - ruler) / 2;
  const bar = (column, peak) => {
    const high = Math.max(0.5 * ratio, Math.min(1, peak) * (height - ruler) / 2 * 0.96);
    pen.fillRect(column, middle - high, 1, 2 * high);
  };
  pen.fillStyle = colour("line");
  for (let column = 0; column < width && state.peaks.length; column++) {
    const frame = clip.first + column / width * length;
    bar(column, state.peaks[Math.min(state.peaks.length - 1, Math.floor(frame / clip.frames * state.peaks.length))]);
  }
  const seen = state.x === null ? state.stream : "source"; // X must not look like what it is
  for (const each of segments.values()) {
    if (!each.buffers || each.clip.id !== clip.id) continue;
    const from = Math.floor(each.number * clip.segment_frames / length * width);
    const buffer = each.buffers[seen];
    const to = Math.ceil((each.number * clip.segment_frames + buffer.length) / length * width);
    const key = `${seen}/${to - from}`;
    const peaks = each.columns[key] ?? (each.columns[key] = peaksOf(buffer, to - from));
    pen.clearRect(from, ruler, to - from, height - ruler);
    pen.fillStyle = colour(state.stream);
    peaks.forEach((peak, column) => bar(from + column, peak));
  }
  drawRuler(pen, width, ruler, ratio);
}

function drawRuler(pen, width, height, ratio) {
  const { clip } = state;
  const seconds = (clip.last - clip.first) / clip.sample_rate;
  const most = width / (90 * ratio);
  const step = [0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1800].find((each) => seconds / each <= most) ?? 3600;
  pen.fillStyle = colour("dim");
  const start = clip.first / clip.sample_rate;
  for (let place = Math.ceil(start / step); place * step < start + seconds && seconds / step > 0.5; place++) {
    const column = (place * step - start) / seconds * width;
    pen.fillRect(column, 0, ratio, height * 0.3);
    const text = clock(Math.round(place * step * 1000), 1000);
    pen.fillText(step < 1 ? text : text.slice(0, -4), column + 4 * ratio, height * 0.75);
  }
}

function peaksOf(buffer, columns) {
  const peaks = new Float32Array(columns);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let column = 0; column < columns; column++) {
      const begin = Math.min(samples.length - 1, Math.floor(column * samples.length / columns));
      const end = Math.max(begin + 1, Math.floor((column + 1) * samples.length / columns));
      for (let place = begin; place < end; place++) peaks[column] = Math.max(peaks[column], Math.abs(samples[place]));
    }
  }
  return peaks;
}

const METER_DB = 60; // from the left edge to full scale
let bars = [];
let highest = { peak: 0, until: 0 };
function drawMeter(now) {
  const { pen, width, height, ratio } = penFor($("meter"));
  const right = (db) => Math.max(0, 1 + db / METER_DB) * width * 0.96;
  const inDb = (peak) => 20 * Math.log10(Math.max(1e-9, peak));
  const scale = 14 * ratio;
  pen.fillStyle = colour("dim");
  for (const db of [-48, -36, -24, -12, -6, 0]) {
    pen.fillText(String(db), right(db) - (db ? 22 : 4) * ratio, 10 * ratio);
    pen.fillRect(right(db), 0, ratio, height);
  }
  if (now > highest.until) highest = { peak: 0, until: now + 2000 };
  const row = (height - scale) / Math.max(1, analysers.length);
  analysers.forEach((analyser, channel) => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const peak = deck ? samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) : 0;
    bars[channel] = Math.max(peak, (bars[channel] ?? 0) * 0.93);
    if (peak > highest.peak) highest = { peak, until: now + 2000 };
    pen.fillStyle = colour(bars[channel] > 1 ? "bad" : state.stream);
    pen.fillRect(0, scale + channel * row, right(inDb(bars[channel])), Math.max(1, row - 2 * ratio));
  });
  $("peak").textContent = highest.peak > 0 ? `peak ${inDb(highest.peak).toFixed(1)} dBFS` : "silent";
}
