"""Names and order of the joints and landmarks in each set the package speaks.

A name shared by two sets means the same place on the body, so maps between sets go by name.
SMPL-X joints sit inside the body (`left_hip`); detector landmarks of the same limb end are close to
them but not equal, so those sets prefix nothing and the body's landmark table makes the difference.
Sources: smplx joint_names, MediaPipe Pose/Hands/Face Mesh topologies, COCO-WholeBody
data_format.md, OpenPose doc/02_output.md (BODY_25, face 70, hands 21).
"""

from __future__ import annotations

_BODY_22 = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist"
).split()
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def _smplx_hand(side: str) -> list[str]:
    return [f"{side}_{finger}{i}" for finger in _FINGERS for i in (1, 2, 3)]


SMPLX_JOINTS: tuple[str, ...] = (
    *_BODY_22,
    "jaw",
    "left_eye_smplhf",
    "right_eye_smplhf",
    *_smplx_hand("left"),
    *_smplx_hand("right"),
)
"""The 55 joints of SMPL-X in order."""

SMPLX_PARENTS: tuple[int, ...] = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19),
    *(15, 15, 15),
    *(20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38),
    *(21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53),
)
"""Parent of each of the 55 joints; -1 for the pelvis."""

_HAND_21 = (
    "wrist",
    *(f"{f}{i}" for f in ("thumb", "index", "middle", "ring", "pinky") for i in (1, 2, 3, 4)),
)


def _hand_21(side: str) -> list[str]:
    return [f"{side}_hand_{name}" for name in _HAND_21]


_COCO_17 = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
).split()
_FEET_6 = ("left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel").split()
_FACE_68 = [f"face_{i}" for i in range(68)]
_MEDIAPIPE_33 = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    "left_ear right_ear left_mouth right_mouth left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb "
    "right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel "
    "right_heel left_big_toe right_big_toe"
).split()
_OPENPOSE_25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()

IBUG_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63,
    105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158,
    133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84,
    181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""MediaPipe face-mesh index of each of the 68 iBUG points, which are all that bodies are fitted to."""

JOINT_SETS: dict[str, tuple[str, ...]] = {
    "smplx_55": SMPLX_JOINTS,
    "coco_17": tuple(_COCO_17),
    "coco_wholebody_133": (
        *_COCO_17,
        *_FEET_6,
        *_FACE_68,
        *_hand_21("left"),
        *_hand_21("right"),
    ),
    "openpose_25": tuple(_OPENPOSE_25),
    "openpose_135": (
        # BODY_25, both hands without their wrist root (it is the body's wrist), face 70.
        *_OPENPOSE_25,
        *_hand_21("left")[1:],
        *_hand_21("right")[1:],
        *_FACE_68,
        "left_pupil",
        "right_pupil",
    ),
    "mediapipe_33": tuple(_MEDIAPIPE_33),
    "mediapipe_543": (
        # Holistic: pose, left hand, right hand, face mesh.
        *_MEDIAPIPE_33,
        *_hand_21("left"),
        *_hand_21("right"),
        *(f"mesh_{i}" for i in range(468)),
    ),
    "mediapipe_143": (
        # The same without the points of the face mesh that nothing is fitted to.
        *_MEDIAPIPE_33,
        *_hand_21("left"),
        *_hand_21("right"),
        *(f"mesh_{i}" for i in IBUG_MESH),
    ),
}
"""Set name to joint names in order."""
