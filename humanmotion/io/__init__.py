"""Files in and out, one module per format. Video is in humanmotion.io.video, which needs PyAV."""

from __future__ import annotations

from humanmotion.io.amass import read_amass as read_amass
from humanmotion.io.amass import write_amass as write_amass
from humanmotion.io.bvh import read_bvh as read_bvh
from humanmotion.io.bvh import write_bvh as write_bvh
from humanmotion.io.cameras_json import read_cameras_json as read_cameras_json
from humanmotion.io.cameras_json import write_cameras_json as write_cameras_json
from humanmotion.io.colmap import read_colmap as read_colmap
from humanmotion.io.colmap import write_colmap as write_colmap
from humanmotion.io.convert import convert_file as convert_file
from humanmotion.io.convert import read_any as read_any
from humanmotion.io.convert import write_any as write_any
from humanmotion.io.describe import describe as describe
from humanmotion.io.gltf import glb_bytes as glb_bytes
from humanmotion.io.gltf import write_glb as write_glb
from humanmotion.io.joint_track import JointTrack as JointTrack
from humanmotion.io.joints_csv import read_joints_csv as read_joints_csv
from humanmotion.io.joints_csv import write_joints_csv as write_joints_csv
from humanmotion.io.keypoints_json import read_coco_wholebody as read_coco_wholebody
from humanmotion.io.keypoints_json import read_openpose as read_openpose
from humanmotion.io.keypoints_json import write_coco_wholebody as write_coco_wholebody
from humanmotion.io.keypoints_json import write_openpose as write_openpose
from humanmotion.io.keypoints_npz import read_keypoints_npz as read_keypoints_npz
from humanmotion.io.keypoints_npz import write_keypoints_npz as write_keypoints_npz
from humanmotion.io.npz import read_camera as read_camera
from humanmotion.io.npz import read_motion as read_motion
from humanmotion.io.npz import write_motion as write_motion
from humanmotion.io.smplx_params import read_smplx_params as read_smplx_params
from humanmotion.io.smplx_params import write_smplx_params as write_smplx_params
from humanmotion.io.sniff import EXTENSIONS as EXTENSIONS
from humanmotion.io.sniff import sniff as sniff
from humanmotion.io.trc import read_trc as read_trc
from humanmotion.io.trc import write_trc as write_trc
