"""Numbers that say how good a motion is; joints in, numbers out."""

from humanmotion.metrics.bootstrap import block_bootstrap as block_bootstrap
from humanmotion.metrics.contact import contact_scores as contact_scores
from humanmotion.metrics.contact import floor_float as floor_float
from humanmotion.metrics.contact import floor_penetration as floor_penetration
from humanmotion.metrics.contact import foot_contact as foot_contact
from humanmotion.metrics.contact import foot_sliding as foot_sliding
from humanmotion.metrics.contact import foot_speed as foot_speed
from humanmotion.metrics.contact import sole_height as sole_height
from humanmotion.metrics.contact import stance_sole_height as stance_sole_height
from humanmotion.metrics.pose import Similarity as Similarity
from humanmotion.metrics.pose import mpjpe as mpjpe
from humanmotion.metrics.pose import pa_mpjpe as pa_mpjpe
from humanmotion.metrics.pose import procrustes as procrustes
from humanmotion.metrics.pose import pve as pve
from humanmotion.metrics.smoothness import acceleration as acceleration
from humanmotion.metrics.smoothness import acceleration_error as acceleration_error
from humanmotion.metrics.smoothness import jitter as jitter
from humanmotion.metrics.world import cut_yaw_error as cut_yaw_error
from humanmotion.metrics.world import heading as heading
from humanmotion.metrics.world import roe as roe
from humanmotion.metrics.world import roe_yaw as roe_yaw
from humanmotion.metrics.world import rte as rte
from humanmotion.metrics.world import rte_share as rte_share
from humanmotion.metrics.world import seam_error as seam_error
from humanmotion.metrics.world import w_mpjpe as w_mpjpe
from humanmotion.metrics.world import wa_mpjpe as wa_mpjpe
