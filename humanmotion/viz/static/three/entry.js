// What the page uses of three.js, and nothing else.
export {
  AnimationMixer, Box3, BufferGeometry, Color, DirectionalLight, Float32BufferAttribute, Fog,
  GridHelper, Group, HemisphereLight, Line, LineBasicMaterial, LineSegments, LoopOnce, Mesh,
  PerspectiveCamera, PlaneGeometry, Scene, ShadowMaterial, SkeletonHelper, Vector3, WebGLRenderer,
} from "three";
export { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
