// What the page uses of three.js, and nothing else.
export {
  AnimationMixer, BufferGeometry, Color, DirectionalLight, DoubleSide, Float32BufferAttribute,
  Group, HemisphereLight, Line, LineBasicMaterial, LineSegments, LoopOnce, Mesh,
  PerspectiveCamera, PlaneGeometry, SRGBColorSpace, Scene, ShaderMaterial, ShadowMaterial,
  SkeletonHelper, Vector3, WebGLRenderer,
} from "three";
export { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
