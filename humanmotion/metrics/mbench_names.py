"""Names of the metrics that stand in for MBench's on a mesh, of poses and of prompts.

They are other networks, another body or other questions than the published ones, so none of them has
a published name.
"""

from __future__ import annotations

MESH_PENETRATION = "Mesh_Penetration"
"""What `body_penetration` measures on the body at hand, beside MBench's Body_Penetration on SMPL's."""
MESH_INSIDE = "Mesh_Inside"
"""What `body_inside` measures: ours, as triangles that cross tell little of what is wholly inside."""
POSE_FIELD = "PoseField_Distance"
"""What `pose_field_distance` measures, beside MBench's Pose_Quality."""
DPOSERX = "DPoserX_Distance"
"""What `dposerx_distance` measures, beside MBench's Pose_Quality."""
CHOICE = "MCC-retrieval"
"""The 10-way task by the evaluator, beside MBench's Motion_Condition_Consistency."""
MATCH = "MG-retrieval"
"""The yes/no task by the evaluator, beside MBench's Motion_Generalizability."""
JUDGED_CHOICE = "MCC-judge"
"""The 10-way task by a vision-language model of the user's, on our pictures and questions."""
JUDGED_MATCH = "MG-judge"
"""The yes/no task by a vision-language model of the user's, on our pictures and questions."""
