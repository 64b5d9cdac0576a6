"use strict";
// Plays segments of 32-bit floats on one AudioContext clock. Source, repair and difference of a segment start at the
// same instant, each behind a gain of its own, so a flip is a crossfade of gains and never moves anything in time.
// The room on the other side of the line says what is played; this page has the clock, and says where it is.

const STREAMS = ["source", "repair", "difference"];
const CHOICES = [...STREAMS, "x"]; // in a blind test
const SPEEDS = [-8, -4, -2, -1, 1, 2, 4, 8];
const FLIP_S = 0.005; // of a flip, a jump, a stop, and of either side of a loop's joint
const EDIT_S = 0.02;
const LEAD_S = 0.1; // from a decision to the first sample, so that all three streams are scheduled in time
const SILENT_S = 0.5; // from the end of a fade to the end of what it faded, however late the fade came
const READY_S = 0.5; // of sound that must be here before it starts
const AHEAD_S = 12; // of sound that is scheduled before it is due
const RETRY_S = 1; // after a segment could not be had
const PIECE_S = 0.25; // of what the shuttle schedules at a time
const SHUTTLE_AHEAD_S = 0.75;
const NUDGE_S = 0.02;
const SHORTEST_JOINED_S = 0.1; // a loop under it is a tone: its joints are left alone
const WHOLE_LOOP_S = 60; // a loop up to this is fetched as a whole while nothing plays
const KEPT_BYTES = 192 * 2 ** 20;

const $ = (id) => document.getElementById(id);
const state = {
  role: "follows", order: 0, stream: "repair", match: true, gainsDb: [0, 0], lufs: [null, null], peaks: [],
  clip: null, loops: false, lastLoop: null, playing: false, speed: 1, frame: 0, // where it is while nothing sounds
  x: null, said: "", trial: 0, choiceOrder: 0, marks: [], // of a blind test, what X is
};

// ---- segments

class Stale extends Error {} // of a clip that is not shown any more: a newer one is on its way

const segments = new Map(); // "clip/number" -> {clip, number, buffers (null until here), here, stop}, oldest use first

function segmentOf(clip, number) {
  const key = `${clip.id}/${number}`;
  let found = segments.get(key);
  if (!found) {
    found = { clip, number, buffers: null, bytes: 0, columns: {}, stop: new AbortController() };
    found.here = fetchBuffers(found).catch((error) => { segments.delete(key); throw error; });
    found.here.then(show, () => {}); // an error is told by who waits for it
  }
  segments.delete(key);
  segments.set(key, found);
  return found;
}

async function fetchBuffers(segment) {
  const { clip, number, stop } = segment;
  const fetched = await Promise.all(STREAMS.map(async (stream) => {
    const answer = await fetch(`clip/${clip.id}/${number}/${stream}`, { signal: stop.signal });
    if (answer.status === 404) throw new Stale();
    if (!answer.ok) throw new Error(answer.status === 409 ? await answer.text() : `the line says ${answer.status}`);
    return new Float32Array(await answer.arrayBuffer());
  }));
  segment.buffers = Object.fromEntries(STREAMS.map((stream, place) => [stream, bufferOf(clip, fetched[place])]));
  segment.bytes = fetched.reduce((sum, samples) => sum + samples.byteLength, 0);
  let kept = 0;
  for (const each of segments.values()) kept += each.bytes;
  for (const [key, each] of segments) {
    if (kept <= KEPT_BYTES || each === segment) break;
    if (each.buffers) { segments.delete(key); kept -= each.bytes; }
  }
}

function bufferOf(clip, samples) {
  const length = samples.length / clip.channels;
  const buffer = new AudioBuffer({ numberOfChannels: clip.channels, length, sampleRate: clip.sample_rate });
  for (let channel = 0; channel < clip.channels; channel++) {
    buffer.copyToChannel(samples.subarray(channel * length, (channel + 1) * length), channel);
  }
  return buffer;
}

const numberAt = (clip, frame) => Math.floor((frame - clip.first) / clip.segment_frames);
const within = (frame, clip) => (frame < clip.first || frame >= clip.last ? clip.first : Math.floor(frame));

const held = (frame, clip) => Math.max(clip.first, Math.min(clip.last, Math.floor(frame)));

// The segments without which nothing can start at a frame.
function neededAt(clip, loops, frame) {
  if (state.speed < 0) return [segmentOf(clip, numberAt(clip, Math.max(clip.first, held(frame, clip) - 1)))];
  const first = within(frame, clip);
  if (state.speed > 1) return [segmentOf(clip, numberAt(clip, first))];
  const soon = first + Math.ceil(READY_S * clip.sample_rate);
  const next = soon < clip.last ? soon : loops ? clip.first : clip.last - 1;
  return [...new Set([numberAt(clip, first), numberAt(clip, next)])].map((number) => segmentOf(clip, number));
}

// Has here what would be played next, and a short loop as a whole.
async function prepare() {
  const { clip, loops } = state;
  if (!clip || clip.last <= clip.first) return;
  try {
    await Promise.all(neededAt(clip, loops, here()).map((segment) => segment.here));
    const whole = loops && clip.last - clip.first <= WHOLE_LOOP_S * clip.sample_rate;
    const count = whole ? Math.ceil((clip.last - clip.first) / clip.segment_frames) : 0;
    for (let number = 0; number < count && clip === state.clip; number++) await segmentOf(clip, number).here;
  } catch (error) { complain(error); }
}

// ---- the clock

let context = null;
let bus = null; // what is heard: all decks together
let analysers = [];
let deviceRate = 0;
let deck = null; // what sounds now

function ensureContext(clip) {
  if (context && context.wanted === clip.sample_rate && bus.channelCount === clip.channels) return;
  if (context) context.close();
  deck = null;
  const probe = new AudioContext(); // in the rate that the device itself runs at
  deviceRate = probe.sampleRate;
  probe.close();
  try {
    context = new AudioContext({ sampleRate: clip.sample_rate, latencyHint: "interactive" });
  } catch {
    context = new AudioContext({ latencyHint: "interactive" }); // a rate that this browser has no context for
  }
  context.wanted = clip.sample_rate;
  context.onstatechange = () => { report(); show(); };
  const { destination } = context;
  destination.channelCount = Math.min(Math.max(2, clip.channels), destination.maxChannelCount);
  bus = new GainNode(context, { channelCount: clip.channels, channelCountMode: "explicit" });
  bus.connect(destination);
  const splitter = new ChannelSplitterNode(context, { numberOfOutputs: clip.channels });
  bus.connect(splitter);
  const fftSize = 2 ** Math.ceil(Math.log2(context.sampleRate / 20)); // at least 50 ms: no sample escapes the meter
  analysers = Array.from({ length: clip.channels }, (_, channel) => {
    const analyser = new AnalyserNode(context, { fftSize: Math.min(32768, fftSize) });
    splitter.connect(analyser, channel);
    return analyser;
  });
}

const suspended = () => Boolean(state.playing && context && context.state !== "running");
function wake() { if (suspended()) context.resume().catch(complain); }
// Gains that move in straight lines. A step is a ramp in a buffer, added to what the gains are and held at its end:
// the audio thread begins it where it is itself, so a step is whole however late it is asked for, and all gains of a
// bank move in the same instant. Steps are multiples of 2^-20, whose sums are exact: a gain comes back to 0 or 1.
const STEP = 2 ** -20;
const MOST_STEPS = 32;
class Gains {
  constructor(values, to) {
    this.values = values.map((value) => Math.round(value / STEP));
    this.nodes = this.values.map((value) => new GainNode(context, { gain: value * STEP }));
    this.splitter = new ChannelSplitterNode(context, { numberOfOutputs: values.length });
    this.nodes.forEach((node, place) => {
      node.connect(to);
      this.splitter.connect(node.gain, place);
    });
    this.steps = [];
  }

  go(values, seconds, time = 0) {
    const wanted = values.map((value) => Math.round(value / STEP));
    const by = wanted.map((value, place) => value - this.values[place]);
    if (by.every((each) => each === 0)) return;
    this.values = wanted;
    this.step(by, seconds, time);
    if (this.steps.length > MOST_STEPS) this.merge();
  }

  step(by, seconds, time) {
    const { sampleRate } = context;
    const ramp = Math.max(1, Math.round(seconds * sampleRate));
    const length = ramp + 128;
    const buffer = new AudioBuffer({ numberOfChannels: by.length, length, sampleRate });
    by.forEach((steps, place) => {
      buffer.copyToChannel(Float32Array.from({ length }, (_, frame) => steps * STEP * Math.min(1, (frame + 1) / ramp)), place);
    });
    const source = new AudioBufferSourceNode(context, { buffer, loop: true, loopStart: ramp / sampleRate, loopEnd: length / sampleRate });
    source.connect(this.splitter);
    source.onended = () => source.disconnect();
    source.start(time);
    this.steps.push({ source, by, settled: Math.max(time, context.currentTime) + seconds + 0.5 });
  }

  // What has long arrived becomes one step, which takes the others' place half a second from now.
  merge() {
    const settled = this.steps.filter((each) => each.settled < context.currentTime);
    if (settled.length < 2) return;
    this.steps = this.steps.filter((each) => !settled.includes(each));
    const by = this.values.map((_, place) => settled.reduce((sum, each) => sum + each.by[place], 0));
    const time = context.currentTime + 0.5;
    if (by.some((each) => each !== 0)) this.step(by, 0, time);
    for (const { source } of settled) source.stop(time);
  }

  stop(time) { for (const { source } of this.steps) source.stop(time); }
}

const gainOf = (stream) => (stream === "difference" ? 1 : 10 ** (state.gainsDb[stream === "repair" ? 1 : 0] / 20));
const weightOf = (stream) => (stream === (state.stream === "x" ? state.x : state.stream) ? gainOf(stream) : 0);

// One stretch of scheduled sound: segments of three streams behind their weights, behind the fades of a loop's
// joint, of the beginning and of the end.
// A tick is a frame of the context's clock at the clip's rate; counted in whole ticks, segments meet to the sample.
class Deck {
  constructor(clip, loops, frame, tick, fade) {
    Object.assign(this, { clip, loops, fade, startFrame: frame, nextFrame: frame, startTick: tick, nextTick: tick });
    this.repeats = loops && clip.last - clip.first <= clip.segment_frames;
    this.joins = loops && clip.last - clip.first >= SHORTEST_JOINED_S * clip.sample_rate;
    this.nextJoint = tick + clip.last - frame;
    this.ended = this.waiting = false;
    this.retryAt = 0;
    this.sources = new Set();
    this.end = new Gains([1], bus);
    this.begin = new Gains([0], this.end.nodes[0]);
    this.joint = new GainNode(context, { gain: 1 });
    this.joint.connect(this.begin.nodes[0]);
    this.joint.gain.setValueAtTime(1, 0);
    this.weights = new Gains(STREAMS.map(weightOf), this.joint);
  }

  time(tick) { return tick / this.clip.sample_rate; }

  frameAt(time) {
    const { clip, startFrame, startTick } = this;
    const ticks = Math.min(this.nextTick, time * clip.sample_rate) - startTick; // it waits where nothing is here yet
    const frame = startFrame + Math.max(0, Math.round(ticks));
    return this.loops ? clip.first + (frame - clip.first) % (clip.last - clip.first) : Math.min(frame, clip.last);
  }

  // Schedules what is due before a time, as far as it is here, and fetches the rest.
  pump(until) {
    while (!this.ended && this.time(this.nextTick) < until) {
      const segment = segmentOf(this.clip, numberAt(this.clip, this.nextFrame));
      if (!segment.buffers) { this.fetch(segment); break; }
      this.add(segment.buffers);
    }
    if (this.joins && this.repeats) {
      for (; this.time(this.nextJoint) < until; this.nextJoint += this.clip.last - this.clip.first) this.join(this.nextJoint);
    }
  }

  fetch(segment) {
    if (this.waiting || performance.now() < this.retryAt) return;
    this.waiting = true;
    segment.here.catch((error) => {
      this.retryAt = performance.now() + 1000 * RETRY_S;
      complain(error);
    }).finally(() => {
      this.waiting = false;
      if (deck === this) pump();
    });
  }

  add(buffers) {
    const { clip } = this;
    const begin = clip.first + numberAt(clip, this.nextFrame) * clip.segment_frames;
    this.place(buffers, (this.nextFrame - begin) / clip.sample_rate);
    const end = Math.min(clip.last, begin + clip.segment_frames);
    this.nextTick = this.repeats ? Infinity : this.nextTick + end - this.nextFrame;
    this.nextFrame = end < clip.last ? end : clip.first;
    if (end < clip.last || this.repeats) return;
    if (!this.loops) this.ended = true;
    else if (this.joins) this.join(this.nextTick);
  }

  // Has buffers sound from `nextTick` on.
  place(buffers, offset) {
    const { clip } = this;
    let sources = this.startSources(buffers, offset);
    while (this.late() > 0) { // whether the line was too slow or this page: all three go on from here, no place is lost
      for (const source of sources) source.disconnect();
      const late = this.late() + Math.ceil(LEAD_S * clip.sample_rate);
      notice(`the line is too slow: a gap of ${(late / clip.sample_rate).toFixed(1)} s`);
      this.startTick += late;
      this.nextTick += late;
      this.nextJoint += late;
      sources = this.startSources(buffers, offset);
    }
    for (const source of sources) {
      source.onended = () => { this.sources.delete(source); source.disconnect(); };
      this.sources.add(source);
    }
    this.begin.go([1], this.fade, this.time(this.startTick));
  }

  late() { return Math.ceil(context.currentTime * this.clip.sample_rate) - this.nextTick; }

  startSources(buffers, offset) {
    return STREAMS.map((stream, place) => {
      const source = new AudioBufferSourceNode(context, { buffer: buffers[stream], loop: this.repeats });
      source.connect(this.weights.nodes[place]);
      source.start(this.time(this.nextTick), offset);
      return source;
    });
  }

  // The joint of a loop is no place of the music: it fades out before it and in behind it.
  join(tick) {
    const { gain } = this.joint;
    gain.linearRampToValueAtTime(1, Math.max(0, this.time(tick) - FLIP_S));
    gain.linearRampToValueAtTime(0, this.time(tick));
    gain.linearRampToValueAtTime(1, this.time(tick) + FLIP_S);
  }

  weigh(seconds) { this.weights.go(STREAMS.map(weightOf), seconds); }

  stop(fade, time = 0) {
    this.end.go([0], fade, time);
    const silent = Math.max(time, context.currentTime) + fade + SILENT_S;
    for (const source of this.sources) source.stop(silent);
    for (const gains of [this.begin, this.end, this.weights]) gains.stop(silent + 1);
  }
}

// The shuttle: means of so many frames each, as on a tape that runs faster, forwards or backwards, to the clip's end.
class Shuttle extends Deck {
  constructor(clip, frame, tick, fade, speed) {
    super(clip, false, frame, tick, fade);
    this.repeats = false;
    this.speed = speed;
  }

  frameAt(time) {
    const { clip, startFrame, startTick, speed } = this;
    const ticks = Math.max(0, Math.min(this.nextTick, time * clip.sample_rate) - startTick);
    return Math.max(clip.first, Math.min(clip.last, startFrame + Math.round(ticks) * speed));
  }

  pump(until) {
    const { clip, speed } = this;
    const soon = Math.min(until, context.currentTime + SHUTTLE_AHEAD_S);
    while (!this.ended && this.time(this.nextTick) < soon) {
      if (speed > 0 ? this.nextFrame >= clip.last : this.nextFrame <= clip.first) { this.ended = true; break; }
      const segment = segmentOf(clip, numberAt(clip, speed > 0 ? this.nextFrame : this.nextFrame - 1));
      if (!segment.buffers) { this.fetch(segment); break; }
      this.addPiece(segment);
    }
  }

  addPiece({ number, buffers }) {
    const { clip, speed } = this;
    const of = Math.abs(speed);
    const begin = clip.first + number * clip.segment_frames;
    const most = of * Math.ceil(PIECE_S * clip.sample_rate);
    const from = speed > 0 ? this.nextFrame : Math.max(begin, this.nextFrame - most);
    const to = speed > 0 ? Math.min(clip.last, begin + clip.segment_frames, from + most) : this.nextFrame;
    const pieces = Object.fromEntries(STREAMS.map((stream) => [stream, faster(buffers[stream], from - begin, to - begin, speed)]));
    this.place(pieces, 0);
    this.nextTick += pieces.source.length;
    this.nextFrame = speed > 0 ? to : from;
  }
}

function faster(buffer, from, to, speed) {
  const of = Math.abs(speed);
  const length = Math.ceil((to - from) / of);
  const out = new AudioBuffer({ numberOfChannels: buffer.numberOfChannels, length, sampleRate: buffer.sampleRate });
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel).slice(from, to);
    if (speed < 0) samples.reverse();
    const means = Float32Array.from({ length }, (_, place) => {
      const few = samples.subarray(place * of, (place + 1) * of);
      return few.reduce((sum, sample) => sum + sample, 0) / few.length;
    });
    out.copyToChannel(means, channel);
  }
  return out;
}

// Plays the present clip from a frame (null: from where the sound is). What sounds goes on until enough is here.
let turn = 0;
async function start(frame, fade) {
  const { clip, loops } = state;
  if (!clip || clip.last <= clip.first) return;
  const mine = ++turn;
  ensureContext(clip);
  wake();
  for (;;) {
    const missing = neededAt(clip, loops, frame ?? here()).filter((segment) => !segment.buffers);
    if (!missing.length) break;
    try {
      await Promise.all(missing.map((segment) => segment.here));
    } catch (error) {
      complain(error);
      return;
    }
    if (mine !== turn) return;
  }
  const tick = Math.ceil((context.currentTime + LEAD_S) * clip.sample_rate);
  const time = tick / clip.sample_rate;
  const place = frame ?? (deck ? deck.frameAt(time) : state.frame);
  const from = state.speed < 0 ? held(place, clip) : within(place, clip);
  if (deck) deck.stop(fade, time);
  deck = state.speed === 1 ? new Deck(clip, loops, from, tick, fade) : new Shuttle(clip, from, tick, fade, state.speed);
  pump();
  report();
  show();
}

function pump() { if (deck) deck.pump(context.currentTime + AHEAD_S); }

function stop() {
  turn += 1;
  state.playing = false;
  state.speed = 1;
  if (!deck) return;
  state.frame = here();
  deck.stop(FLIP_S);
  deck = null;
}

function here() { return deck ? deck.frameAt(context.currentTime) : state.frame; }

// ---- what is asked for: by keys and clicks here (then the room is told), by the terminal over the line

function play(playing, frame, tell, speed = 1) {
  const { clip } = state;
  if (tell) say({ type: "play", playing, frame: frame ?? here(), speed });
  if (!playing) {
    stop();
    state.frame = frame ?? state.frame;
  } else if (!state.playing || frame !== null || speed !== state.speed) {
    const from = frame ?? here();
    state.playing = true;
    state.speed = speed;
    state.frame = clip && from >= clip.last && speed > 0 ? clip.first : from;
    start(state.frame, FLIP_S);
  }
  report();
  show();
}

function shuttle(steps) {
  const place = state.playing ? SPEEDS.indexOf(state.speed) + steps : SPEEDS.indexOf(Math.sign(steps));
  play(true, null, true, SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, place))]);
}

function choose(stream, tell) {
  if (tell && stream === "x" && !state.x) return;
  if (tell && stream === "difference" && state.x) { notice("a blind test has A, B and X only"); return; }
  state.stream = stream;
  if (deck) deck.weigh(FLIP_S);
  if (tell) say({ type: "choose", stream, order: state.choiceOrder });
  show();
}

function seek(frame) {
  const { clip } = state;
  if (clip) play(state.playing, Math.round(Math.max(clip.first, Math.min(frame, clip.last))), true);
}

function toMark(direction) {
  const marks = state.marks.filter((frame) => (frame - here()) * direction > 0);
  if (marks.length) seek(direction > 0 ? Math.min(...marks) : Math.max(...marks));
}

function loop(first, last) {
  if (first === null || first < last) say({ type: "loop", first, last });
}

function say(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  else if (message.type !== "at" && message.type !== "play" && message.type !== "choose") notice("the line is gone: not done");
}

function report() {
  if (state.role !== "controls") return;
  const rate = context ? (context.sampleRate === context.wanted ? deviceRate : context.sampleRate) : 0;
  say({ type: "at", frame: here(), playing: state.playing, speed: state.speed, order: state.order, suspended: suspended(), context_rate: rate });
}

const hears = {
  hello(message) {
    Object.assign(state, { role: message.role, order: message.order, choiceOrder: message.choice_order, title: message.title });
    Object.assign(state, { x: message.state.x, trial: message.state.trial });
    choose(message.state.stream, false);
    if (message.state.playing && !state.playing) play(true, message.state.frame, false, message.state.speed);
    else if (!message.state.playing && state.role === "follows") play(false, message.state.frame, false);
    else if (!deck) state.frame = message.state.frame;
  },
  clip(message) {
    const { clip, loops } = message;
    const playsIt = deck && deck.clip.id === clip.id && deck.loops === loops;
    Object.assign(state, { clip, loops });
    if (loops) state.lastLoop = [clip.first, clip.last];
    if (!deck) state.frame = message.frame;
    for (const each of segments.values()) if (!each.buffers && each.clip.id !== clip.id) each.stop.abort();
    if (state.playing && !playsIt) start(null, EDIT_S);
    prepare();
  },
  gains(message) {
    Object.assign(state, { match: message.match, gainsDb: message.gains_db, lufs: message.lufs });
    if (deck) deck.weigh(EDIT_S);
  },
  overview(message) { state.peaks = message.peaks; },
  play(message) {
    state.order = message.order;
    play(message.playing, message.frame, false, message.speed);
  },
  blind(message) {
    Object.assign(state, { x: message.x, said: message.said, trial: message.trial, choiceOrder: message.order });
    choose(message.stream, false);
    if (message.x === null && message.said) notice(message.said); // how it went
  },
  marks(message) { state.marks = message.marks; },
  choose(message) {
    state.choiceOrder = message.order;
    choose(message.stream, false);
  },
  refused(message) { notice(message.why); },
};

let socket = null;
let retryMs = 500;
function connect() {
  const address = new URL("ws", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.onopen = () => { retryMs = 500; line("open", "connected"); };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    hears[message.type](message);
    show();
  };
  socket.onclose = () => {
    line("lost", "the line is gone; what is here plays on");
    setTimeout(connect, retryMs);
    retryMs = Math.min(8000, 2 * retryMs);
  };
}

setInterval(() => { // and not with the pictures, which stop while the page is behind another window
  if (!deck) return;
  pump();
  if (deck.ended && context.currentTime >= deck.time(deck.nextTick)) {
    stop();
    show();
  }
  report();
}, 100);

// ---- what is seen

function line(kind, text) { $("line").dataset.state = kind; $("line").textContent = text; }

let silence = 0;
function notice(text) {
  $("notice").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { $("notice").textContent = ""; }, 6000);
}

// A clip that is gone is followed by a newer one, and a line that is gone is shown as such.
function complain(error) {
  const expected = error instanceof Stale || error instanceof TypeError || error.name === "AbortError";
  if (!expected) notice(error.message);
}

function clock(frame, rate) {
  const thousandths = Math.floor(frame / rate * 1000);
  const seconds = String(Math.floor(thousandths / 1000) % 60).padStart(2, "0");
  return `${Math.floor(thousandths / 60000)}:${seconds}.${String(thousandths % 1000).padStart(3, "0")}`;
}

function soundWords(clip) {
  const words = [`${clip.sample_rate} Hz`, clip.channels === 1 ? "mono" : `${clip.channels} channels`, "32-bit float"];
  if (context) {
    const rate = context.sampleRate === clip.sample_rate ? deviceRate : context.sampleRate;
    if (rate !== clip.sample_rate) words.push(`resampled by the browser to ${rate} Hz`);
    const out = context.destination.channelCount;
    if (clip.channels > out) words.push([4, 6].includes(clip.channels) ? `mixed down to ${out} by the browser` : `only the first ${out} are heard`);
  }
  return words.join(", ");
}

function show() {
  const { clip } = state;
  document.title = state.title ? `${state.title} - unbake` : "unbake";
  $("title").textContent = state.title ?? "unbake";
  document.body.dataset.role = state.role;
  $("role").textContent = state.role === "controls" ? "" : "follows: another page has the controls";
  for (const stream of CHOICES) $(stream).setAttribute("aria-pressed", String(stream === state.stream));
  document.body.dataset.blind = String(state.x !== null);
  $("said").textContent = state.said;
  $("play-word").textContent = state.playing ? (state.speed === 1 ? "stop" : `stop, ${state.speed}x`) : "play";
  $("play").setAttribute("aria-pressed", String(state.playing));
  $("match").setAttribute("aria-pressed", String(state.match));
  const db = (value) => `${value === 0 ? "0.0" : value.toFixed(1)} dB`;
  const measured = state.lufs.every((each) => each !== null);
  $("match-word").textContent = state.match ? (measured ? "matched" : "matched once it is measured") : "not matched";
  $("gains").textContent = `source ${db(state.gainsDb[0])}, repair ${db(state.gainsDb[1])}`;
  const lufs = (value) => (value === null ? "not measured" : `${value.toFixed(1)} LUFS`);
  $("lufs").textContent = `source ${lufs(state.lufs[0])}, repair ${lufs(state.lufs[1])}`;
  if (clip) {
    $("sound").textContent = soundWords(clip);
    $("range").textContent = state.loops ? `${clock(clip.first, clip.sample_rate)} to ${clock(clip.last, clip.sample_rate)}` : "off";
    const present = [...segments.values()].filter((each) => each.buffers && each.clip.id === clip.id);
    const frames = present.reduce((sum, each) => sum + each.buffers.source.length, 0);
    $("buffered").textContent = `${(frames / clip.sample_rate).toFixed(1)} of ${((clip.last - clip.first) / clip.sample_rate).toFixed(1)} s`;
  }
  const marks = clip ? state.marks.filter((frame) => frame >= clip.first && frame <= clip.last) : [];
  $("marks").replaceChildren(...marks.map((frame) => {
    const mark = document.createElement("i");
    mark.style.left = `${100 * (frame - clip.first) / (clip.last - clip.first)}%`;
    return mark;
  }));
  $("wake").hidden = !suspended();
  drawWave();
}

function drawFrame(now) {
  const { clip } = state;
  if (clip && clip.last > clip.first) {
    const share = (here() - clip.first) / (clip.last - clip.first);
    $("head").style.transform = `translateX(${Math.max(0, Math.min(1, share)) * ($("stage").clientWidth - 2)}px)`;
    $("place").textContent = clock(here(), clip.sample_rate);
  }
  drawMeter(now);
  requestAnimationFrame(drawFrame);
}

// ---- hands

const seconds = (count) => count * (state.clip ? state.clip.sample_rate : 0);
const does = {
  " ": () => play(!state.playing, null, true),
  a: () => choose("source", true),
  b: () => choose("repair", true),
  n: () => choose("difference", true),
  x: () => choose(state.x ? "x" : state.stream === "source" ? "repair" : "source", true),
  1: () => judge("source"),
  2: () => judge("repair"),
  g: () => (state.x ? notice("a blind test is matched in loudness") : say({ type: "match", on: !state.match })),
  J: () => shuttle(-1),
  K: () => play(false, null, true),
  L: () => shuttle(1),
  h: () => seek(here() - seconds(NUDGE_S)),
  l: () => seek(here() + seconds(NUDGE_S)),
  "'": () => say({ type: "mark", frame: here() }),
  "{": () => toMark(-1),
  "}": () => toMark(1),
  ArrowLeft: () => seek(here() - seconds(1)),
  ArrowRight: () => seek(here() + seconds(1)),
  "<": () => seek(here() - seconds(5)),
  ">": () => seek(here() + seconds(5)),
  Home: () => seek(0),
  End: () => seek(Infinity),
  "[": () => { if (state.clip) loop(here(), state.clip.last); },
  "]": () => { if (state.clip) loop(state.clip.first, here()); },
  "\\": () => (state.loops ? loop(null, null) : state.lastLoop && loop(...state.lastLoop)),
};

const REPEATS = ["ArrowLeft", "ArrowRight", "<", ">", "h", "l"]; // of what is held down; the rest is done once

function judge(answer) { if (state.x) say({ type: "judge", answer, trial: state.trial }); }

function hand(key) {
  if (state.role === "controls") does[key]();
  else notice("another page has the controls");
}

document.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  wake();
  if (!Object.hasOwn(does, event.key)) return;
  event.preventDefault();
  if (!event.repeat || REPEATS.includes(event.key)) hand(event.key);
};
document.onkeyup = (event) => { if (event.key === " ") event.preventDefault(); }; // or it would press the button in focus
document.onclick = wake;
for (const button of document.querySelectorAll("[data-key]")) button.onclick = () => hand(button.dataset.key);

let pressed = null; // frame and place of a drag
function frameUnder(event) {
  const { clip } = state;
  const box = $("stage").getBoundingClientRect();
  const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  return clip.first + Math.round(share * (clip.last - clip.first));
}
$("stage").onpointerdown = (event) => {
  if (!state.clip) return;
  if (state.role !== "controls") { notice("another page has the controls"); return; }
  $("stage").setPointerCapture(event.pointerId);
  pressed = { frame: frameUnder(event), x: event.clientX };
};
$("stage").onpointermove = (event) => {
  if (!pressed) return;
  const left = Math.min(event.clientX, pressed.x) - $("stage").getBoundingClientRect().left;
  $("drag").style.transform = `translateX(${left}px)`;
  $("drag").style.width = `${Math.abs(event.clientX - pressed.x)}px`;
};
$("stage").onpointerup = (event) => {
  if (!pressed) return;
  const frames = [pressed.frame, frameUnder(event)].sort((one, other) => one - other);
  if (Math.abs(event.clientX - pressed.x) < 4) seek(frames[0]);
  else loop(...frames);
  pressed = null;
  $("drag").style.width = "0";
};
window.onresize = drawWave;

connect();
requestAnimationFrame(drawFrame);
show();
