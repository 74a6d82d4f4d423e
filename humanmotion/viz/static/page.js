"use strict";
// Joins the stage, the plots and the controls. Tests and scripts use window.humanmotion.

(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const $ = (id) => document.getElementById(id);
  const charts = [];
  let stage = null, playing = false, time = 0, duration = 0, clockBefore = 0;
  let finish, fail;
  const ready = new Promise((resolve, reject) => { finish = resolve; fail = reject; });

  const first = report.times.length ? report.times[0] : 0;
  const toVideo = (t) => t + first;

  function setTime(t) {
    time = Math.min(Math.max(t, 0), duration);
    if (stage) { stage.setTime(time, frameAt(report.times, toVideo(time))); stage.draw(); }
    $("scrub").value = time;
    const width = toVideo(duration).toFixed(2).length;
    const shot = report.shots.findIndex((one) => toVideo(time) < one.end - 1e-9);
    const name = report.shots.length > 1 ? `  shot ${(shot < 0 ? report.shots.length - 1 : shot) + 1}` : "";
    $("clock").textContent =
      `${toVideo(time).toFixed(2).padStart(width)} / ${toVideo(duration).toFixed(2)} s${name}`;
    for (const chart of charts) chart.moveTo(toVideo(time));
  }

  function setPlaying(on) {
    playing = on && duration > 0;
    if (playing && time >= duration) setTime(0);
    clockBefore = performance.now();
    $("play").textContent = playing ? "Pause" : "Play";
  }

  function tick(now) {
    if (playing) {
      const next = time + (now - clockBefore) / 1000 * Number($("speed").value);
      setTime(next > duration ? 0 : next);
    } else if (stage && (stage.orbit.update() || stage.dirty)) stage.draw();
    clockBefore = now;
    requestAnimationFrame(tick);
  }

  function step(frames) {
    setPlaying(false);
    const times = report.times, at = frameAt(times, toVideo(time)) + frames;
    if (times.length) setTime(times[Math.min(Math.max(at, 0), times.length - 1)] - first);
  }

  function applyTheme(name) {
    document.documentElement.dataset.theme = name;
    const style = getComputedStyle(document.documentElement);
    const colour = (key) => style.getPropertyValue(key).trim();
    stage?.setTheme(colour("--sky"), colour("--grid"));
  }

  function showParts() {
    const on = (id) => $(id).checked;
    stage?.setShown({ mesh: on("mesh"), skeleton: on("skeleton"), path: on("path"), frusta: on("frusta") });
  }

  function fillSide() {
    const list = $("warnings").querySelector("ul");
    for (const text of report.warnings) element(list, "li", { text });
    $("warnings").hidden = !report.warnings.length;
    const facts = $("facts").querySelector("tbody");
    for (const [name, value] of report.facts) {
      const row = element(facts, "tr");
      element(row, "td", { text: name });
      element(row, "td", { text: value });
    }
    $("facts").hidden = !report.facts.length;
    const cuts = $("cuts").querySelector("tbody");
    for (const cut of report.cuts) {
      const row = element(cuts, "tr", { onclick: () => setTime(cut.time - first) });
      const cells = [`${cut.time.toFixed(2)} s`, `${cut.yaw.toFixed(1)}°`, `${cut.sigma.toFixed(1)}°`, cut.notes];
      for (const text of cells) element(row, "td", { text });
    }
    $("cuts").hidden = !report.cuts.length;
  }

  function fillTimeline() {
    const length = duration || 1;
    report.shots.forEach((shot, i) => {
      const title = `shot ${i + 1}: ${shot.start.toFixed(2)}–${shot.end.toFixed(2)} s ${shot.label}`;
      const bar = element($("shots"), "span", { title });
      const share = (t) => `${Math.min(Math.max((t - first) / length, 0), 1) * 100}%`;
      bar.style.left = share(shot.start);
      bar.style.right = `calc(100% - ${share(shot.end)})`;
      bar.style.background = SHOT_COLOURS[i % SHOT_COLOURS.length];
    });
    $("shots").hidden = !report.shots.length;
    $("scrub").max = duration;
    $("scrub").addEventListener("input", () => setTime(Number($("scrub").value)));
  }

  function colourOf(name, index) {
    const motion = stage?.motions.find((one) => one.name === name);
    return motion ? `#${motion.colour.getHexString()}` : SERIES_COLOURS[index % SERIES_COLOURS.length];
  }

  function fillPlots() {
    const end = Math.max(toVideo(duration), report.times.at(-1) ?? 0, first + 1e-3);
    const axis = { times: report.times, start: first, end, shots: report.shots };
    const seek = (t) => setTime(t - first);
    for (const plot of report.plots) {
      plot.series.forEach((one, i) => { one.colour = colourOf(one.name, i); });
      charts.push(new Chart($("plots"), { ...plot, axis, seek }));
    }
    if (report.cuts.length) {
      const series = [{ name: "yaw ± 1 sigma", cuts: report.cuts, colour: SERIES_COLOURS[0] }];
      charts.push(new Chart($("plots"), { title: "Yaw at each cut", unit: "°", kind: "cut", series, axis, seek }));
    }
  }

  function fillLegend() {
    for (const motion of stage.motions) {
      motion.seen = report.seen[motion.name] || null;
      const button = element($("legend"), "button", { type: "button", title: "Show or hide" });
      element(button, "i", { className: "swatch" }).style.background = `#${motion.colour.getHexString()}`;
      element(button, "span", { text: motion.name });
      button.setAttribute("aria-pressed", "true");
      button.onclick = () => {
        motion.wanted = !motion.wanted;
        button.setAttribute("aria-pressed", String(motion.wanted));
        setTime(time);
      };
    }
    $("beside-label").hidden = stage.motions.length < 2;
    $("frusta-label").hidden = !stage.cameras.length;
    if (stage.cameras.length) element($("view"), "option", { value: "camera", text: "camera" });
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const flip = (id) => () => $(id).click();
    const hop = event.shiftKey ? 1 : 0;
    const actions = {
      " ": () => setPlaying(!playing), Home: () => setTime(0), End: () => setTime(duration),
      ArrowLeft: () => (hop ? setTime(time - 1) : step(-1)),
      ArrowRight: () => (hop ? setTime(time + 1) : step(1)),
      m: flip("mesh"), s: flip("skeleton"), p: flip("path"), c: flip("frusta"), b: flip("beside"),
    };
    const action = actions[event.key] || actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function wireControls() {
    $("play").onclick = () => setPlaying(!playing);
    for (const id of ["mesh", "skeleton", "path", "frusta"]) $(id).onchange = showParts;
    $("beside").onchange = () => stage?.setBeside($("beside").checked);
    $("view").onchange = () => { if (stage) stage.view = $("view").value; setTime(time); };
    $("theme").onclick = () =>
      applyTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    document.addEventListener("keydown", onKey);
  }

  // Without WebGL the page still plays its plots.
  async function openStage() {
    try {
      const opened = new Stage($("viewport"));
      await opened.load(decodeBase64($("glb").textContent));
      stage = opened;
      duration = stage.duration;
      $("message").remove();
      fillLegend();
    } catch (error) {
      duration = report.times.length ? report.times.at(-1) - first : 0;
      $("message").textContent = `The 3D view cannot be shown: ${error.message}`;
      console.error(error);
      return error;
    }
    return null;
  }

  async function start() {
    const darkened = matchMedia("(prefers-color-scheme: dark)");
    applyTheme(darkened.matches ? "dark" : "light");
    darkened.addEventListener("change", () => applyTheme(darkened.matches ? "dark" : "light"));
    fillSide();
    const problem = await openStage();
    $("glb").remove();
    fillTimeline();
    fillPlots();
    wireControls();
    applyTheme(document.documentElement.dataset.theme);
    if (report.side_by_side) { $("beside").checked = true; stage?.setBeside(true); }
    showParts();
    setTime(0);
    setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
    requestAnimationFrame(tick);
    if (problem) throw problem;
  }

  const pointOf = (vector) => [vector.x, vector.y, vector.z];
  window.humanmotion = {
    ready, setTime,
    play: () => setPlaying(true),
    pause: () => setPlaying(false),
    get duration() { return duration; },
    get playing() { return playing; },
    get time() { return time; },
    get motions() { return stage.motions.map((motion) => motion.name); },
    // Whether a person is in the picture at the present time.
    shown: (motion) => stage.motions[motion].group.visible,
    // World position in metres, y up, of a joint (by the file's name for it) of one motion.
    jointPosition(name, motion = 0) {
      const own = `${stage.motions[motion].name}:${name}`;
      const bone = stage.motions[motion].bones.find((one) => [name, own].includes(givenName(one)));
      if (!bone) throw new Error(`no joint ${name}`);
      return pointOf(bone.getWorldPosition(new THREE.Vector3()));
    },
    // World position in metres, y up, of a skinned vertex of one motion.
    vertexPosition(index, motion = 0) {
      const mesh = stage.motions[motion].meshes[0];
      const local = mesh.getVertexPosition(index, new THREE.Vector3());
      return pointOf(local.applyMatrix4(mesh.matrixWorld));
    },
  };

  ready.catch(() => {});  // The failure is on the page already.
  start().then(finish, fail);
})();
