"""Sparse attention for video and motion transformers: layouts, predictors, executors, one call.

Lay the tokens out (`TokenLayout.of`), choose a method (`RainFusion2`, `RainFusion`, `TokenMerge`,
`SnapReuse`), and call `sparse_attention`, or `AttentionPlan.attend` in a model's layers and steps.
"""

from humanmotion.attention.api import sparse_attention as sparse_attention
from humanmotion.attention.blocks import BlockMask as BlockMask
from humanmotion.attention.blocks import Blocks as Blocks
from humanmotion.attention.diffusers_processor import SparseProcessor as SparseProcessor
from humanmotion.attention.layout import LooseTokens as LooseTokens
from humanmotion.attention.layout import MotionGrid as MotionGrid
from humanmotion.attention.layout import TokenLayout as TokenLayout
from humanmotion.attention.layout import VideoGrid as VideoGrid
from humanmotion.attention.plan import AttentionPlan as AttentionPlan
from humanmotion.attention.plan import AttentionReport as AttentionReport
from humanmotion.attention.rainfusion import RainFusion as RainFusion
from humanmotion.attention.rainfusion2 import RainFusion2 as RainFusion2
from humanmotion.attention.reuse import SnapReuse as SnapReuse
from humanmotion.attention.reuse import TokenMerge as TokenMerge
from humanmotion.attention.ripple import ThetaSchedule as ThetaSchedule
from humanmotion.attention.rope import Rotary as Rotary
from humanmotion.attention.rope import grid_positions as grid_positions
from humanmotion.attention.schedule import BreakEven as BreakEven
from humanmotion.attention.schedule import Schedule as Schedule
