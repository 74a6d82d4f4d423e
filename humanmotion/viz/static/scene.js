"use strict";
// The 3D stage: people, floor and cameras of one GLB (metres, y up) at a time t of its own clock.

const BESIDE_METRES = 1.4;
const COMPANY_METRES = 2.5;
const PATH_SAMPLES = 240;
const FRUSTUM_METRES = 0.45;
const FLOOR_METRES = 60;

// One line a metre, as wide as a pixel however far away, gone where it would shimmer.
const GRID_VERTEX = `
  varying vec3 world;
  void main() {
    world = (modelMatrix * vec4(position, 1.0)).xyz;
    gl_Position = projectionMatrix * viewMatrix * vec4(world, 1.0);
  }`;
const GRID_FRAGMENT = `
  uniform vec3 colour; varying vec3 world;
  void main() {
    vec2 wide = fwidth(world.xz), off = abs(fract(world.xz - 0.5) - 0.5) / wide;
    float line = 1.0 - min(min(off.x, off.y) / 1.2, 1.0);
    float far = smoothstep(5.0, 26.0, distance(world, cameraPosition));
    float dense = smoothstep(0.2, 0.7, max(wide.x, wide.y));
    gl_FragColor = vec4(colour, line * (1.0 - far) * (1.0 - dense));
    #include <colorspace_fragment>
  }`;

function decodeBase64(text) {
  const binary = atob(text.trim()), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

function givenName(node) {
  // The loader keeps a node's name from the file here when it had to change it.
  return node.userData.name || node.name;
}

// A person's colour, dark and strong enough for a thin line on either theme.
function inkOf(colour) {
  const { h, s, l } = colour.getHSL({}, THREE.SRGBColorSpace);
  return new THREE.Color().setHSL(h, Math.max(s, 0.55), Math.min(l, 0.55), THREE.SRGBColorSpace);
}

class Stage {
  constructor(host) {
    this.host = host;
    this.renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.shadowMap.enabled = true;
    host.appendChild(this.renderer.domElement);
    this.scene = new THREE.Scene();
    this.eye = new THREE.PerspectiveCamera(40, 1, 0.05, 400);
    this.orbit = new THREE.OrbitControls(this.eye, this.renderer.domElement);
    this.orbit.enableDamping = true;
    this.orbit.addEventListener("change", () => { this.dirty = true; });
    this.motions = [];
    this.cameras = [];
    this.view = "follow";
    this.time = 0;
    this.frame = 0;
    this.parts = { skeleton: false };
    this.addSurroundings();
    new ResizeObserver(() => this.resize()).observe(host);
    this.resize();
  }

  addSurroundings() {
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8a8f98, 1.9));
    this.sun = new THREE.DirectionalLight(0xffffff, 2.2);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    Object.assign(this.sun.shadow.camera, { left: -3, right: 3, top: 3, bottom: -3, near: 0.5, far: 14 });
    this.sun.shadow.normalBias = 0.02;
    this.scene.add(this.sun, this.sun.target);
    const square = new THREE.PlaneGeometry(FLOOR_METRES, FLOOR_METRES).rotateX(-Math.PI / 2);
    // Shadow and grid lie in one plane: with depth written, each would hide the other in patches.
    this.floor = new THREE.Mesh(square, new THREE.ShadowMaterial({ opacity: 0.28, depthWrite: false }));
    this.floor.receiveShadow = true;
    this.grid = new THREE.Mesh(square, new THREE.ShaderMaterial({
      uniforms: { colour: { value: new THREE.Color() } }, vertexShader: GRID_VERTEX,
      fragmentShader: GRID_FRAGMENT, transparent: true, depthWrite: false, side: THREE.DoubleSide,
    }));
    this.scene.add(this.floor, this.grid);
    this.setTheme("#e6eaf0", "#b4bcc8");
  }

  setTheme(sky, lines) {
    this.scene.background = new THREE.Color(sky);
    this.grid.material.uniforms.colour.value.set(lines);
    this.dirty = true;
  }

  async load(buffer) {
    const gltf = await new THREE.GLTFLoader().parseAsync(buffer, "");
    this.root = gltf.scene;
    this.scene.add(this.root);
    const skins = [];
    this.root.traverse((node) => { if (node.isSkinnedMesh) skins.push(node); });
    this.motions = this.groupBySkeleton(skins);
    this.cameras = gltf.cameras;
    this.mixer = new THREE.AnimationMixer(this.root);
    this.actions = gltf.animations.map((clip) => {
      const action = this.mixer.clipAction(clip);
      action.setLoop(THREE.LoopOnce);
      action.clampWhenFinished = true;
      return action.play();
    });
    this.duration = gltf.animations.reduce((end, clip) => Math.max(end, clip.duration), 0);
    this.cameras.forEach((camera) => this.addFrustum(camera));
    this.addPaths();
    this.findCompany();
    this.placeEye();
    this.setTime(0, 0);
  }

  groupBySkeleton(skins) {
    const groups = new Map();
    for (const mesh of skins) {
      mesh.frustumCulled = false;
      mesh.castShadow = true;
      const bones = mesh.skeleton.bones, top = bones[0];
      let motion = groups.get(top);
      if (!motion) {
        const group = new THREE.Group(), colour = inkOf(mesh.material.color);
        motion = {
          name: givenName(mesh), group, bones, meshes: [], root: top, colour, wanted: true, seen: null,
        };
        groups.set(top, motion);
        this.root.add(group);
        group.add(this.topOf(top));
        motion.skeleton = new THREE.SkeletonHelper(group);
        motion.skeleton.setColors(colour, colour);
        motion.skeleton.visible = false;
        this.scene.add(motion.skeleton);
      }
      motion.meshes.push(mesh);
      const holder = this.topOf(mesh);
      if (holder !== motion.group) motion.group.add(holder);
    }
    return [...groups.values()];
  }

  topOf(node) {
    while (node.parent !== this.root) node = node.parent;
    return node;
  }

  addFrustum(camera) {
    const h = Math.tan(camera.fov * Math.PI / 360) * FRUSTUM_METRES, w = h * camera.aspect;
    const z = -FRUSTUM_METRES, corners = [[-w, -h, z], [w, -h, z], [w, h, z], [-w, h, z]];
    const points = [];
    corners.forEach((corner, i) => points.push(0, 0, 0, ...corner, ...corner, ...corners[(i + 1) % 4]));
    points.push(-w * 0.4, h * 1.1, z, 0, h * 1.6, z, 0, h * 1.6, z, w * 0.4, h * 1.1, z);
    camera.add(this.lines(points, "#e08a2e", THREE.LineSegments));
  }

  lines(points, colour, Kind) {
    const shape = new THREE.BufferGeometry();
    shape.setAttribute("position", new THREE.Float32BufferAttribute(points, 3));
    return new Kind(shape, new THREE.LineBasicMaterial({ color: colour }));
  }

  addPaths() {
    const place = new THREE.Vector3(), tracks = this.motions.map(() => []);
    for (let i = 0; i <= PATH_SAMPLES; i++) {
      this.pose(this.duration * i / PATH_SAMPLES);
      this.motions.forEach((motion, m) => {
        motion.root.getWorldPosition(place);
        tracks[m].push(place.x, 0.006, place.z);
      });
    }
    this.motions.forEach((motion, m) => {
      motion.path = this.lines(tracks[m], motion.colour, THREE.Line);
      motion.group.add(motion.path);
    });
  }

  // The view follows the first person and who starts beside them, not somebody far off.
  findCompany() {
    this.pose(0);
    const first = new THREE.Vector3(), place = new THREE.Vector3();
    this.motions.forEach((motion, i) => {
      motion.root.getWorldPosition(i ? place : first);
      motion.company = i === 0 || place.distanceTo(first) < COMPANY_METRES;
    });
  }

  // Look from the first frame's camera side when there is one, else from in front of the person.
  placeEye() {
    this.pose(0);
    const target = this.focus(), away = new THREE.Vector3(0.45, 0, 1);
    if (this.cameras.length) {
      this.cameras[0].getWorldPosition(away).sub(target);
    } else if (this.motions.length) {
      const at = this.motions[0].root.matrixWorld.elements;
      away.set(at[8] + 0.45 * at[0], 0, at[10] + 0.45 * at[2]);
    }
    away.y = 0;
    if (away.lengthSq() < 1e-6) away.set(0.45, 0, 1);
    away.normalize().multiplyScalar(Math.min(3.3 + 0.9 * this.spread(target), 9));
    this.orbit.target.copy(target);
    this.eye.position.copy(target).add(away);
    this.eye.position.y = target.y + 0.55;
    this.orbit.update();
  }

  focus() {
    const mean = new THREE.Vector3(), place = new THREE.Vector3();
    const visible = this.motions.filter((motion) => motion.group.visible);
    const near = visible.filter((motion) => motion.company || this.beside);
    const shown = near.length ? near : visible;
    for (const motion of shown) mean.add(motion.root.getWorldPosition(place));
    return shown.length ? mean.divideScalar(shown.length) : this.orbit.target.clone();
  }

  // How far the people stand from a point, at most, in metres.
  spread(point) {
    const place = new THREE.Vector3();
    const near = this.motions.filter((motion) => motion.company);
    return Math.max(0, ...near.map((one) => one.root.getWorldPosition(place).distanceTo(point)));
  }

  pose(t) {
    for (const action of this.actions) {
      action.paused = false;
      action.enabled = true;
      action.time = Math.min(Math.max(t, 0), action.getClip().duration);
    }
    this.mixer.update(0);
    this.root.updateMatrixWorld(true);
  }

  // `frame` is the report's frame at that time: who is absent in it is not shown.
  setTime(t, frame) {
    this.time = t;
    this.frame = frame;
    this.pose(t);
    for (const motion of this.motions) {
      motion.group.visible = motion.wanted && (!motion.seen || motion.seen[frame] !== 0);
      motion.skeleton.visible = motion.group.visible && this.parts.skeleton;
    }
    const target = this.focus();
    if (this.view === "follow" && this.motions.length) {
      const step = target.clone().sub(this.orbit.target);
      step.y = 0;
      this.orbit.target.add(step);
      this.eye.position.add(step);
    }
    this.sun.target.position.copy(target).setY(0.8);
    this.sun.position.copy(target).add(new THREE.Vector3(2.2, 5.5, 3));
    this.floor.position.set(Math.round(target.x), 0, Math.round(target.z));
    this.grid.position.set(this.floor.position.x, 0.001, this.floor.position.z);
    this.dirty = true;
  }

  // The people move apart along the line across the present view.
  setBeside(on) {
    const away = this.eye.position.clone().sub(this.orbit.target).setY(0).normalize();
    this.beside = on;
    this.motions.forEach((motion, i) => {
      const shift = on ? (i - (this.motions.length - 1) / 2) * BESIDE_METRES : 0;
      motion.group.position.set(away.z * shift, 0, -away.x * shift);
    });
    this.setTime(this.time, this.frame);
  }

  setShown(parts) {
    this.parts = parts;
    for (const motion of this.motions) {
      for (const mesh of motion.meshes) mesh.visible = parts.mesh;
      motion.path.visible = parts.path;
    }
    for (const camera of this.cameras) for (const part of camera.children) part.visible = parts.frusta;
    this.setTime(this.time, this.frame);
  }

  resize() {
    const width = this.host.clientWidth, height = this.host.clientHeight;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.eye.aspect = width / height;
    this.eye.updateProjectionMatrix();
    this.draw();
  }

  // A view through a recovered camera keeps its whole picture inside the window.
  throughCamera() {
    const camera = this.cameras[0], lens = this.lens || (this.lens = new THREE.PerspectiveCamera());
    camera.matrixWorld.decompose(lens.position, lens.quaternion, lens.scale);
    const aspect = this.eye.aspect, tall = Math.tan(camera.fov * Math.PI / 360);
    const fitted = tall * Math.max(1, camera.aspect / aspect);
    Object.assign(lens, { fov: Math.atan(fitted) * 360 / Math.PI, aspect, near: 0.05, far: 400 });
    lens.updateProjectionMatrix();
    return lens;
  }

  draw() {
    const through = this.view === "camera" && this.cameras.length > 0;
    if (!through) this.orbit.update();
    this.renderer.render(this.scene, through ? this.throughCamera() : this.eye);
    this.dirty = false;
  }
}
