"""Pictures, pages and viewers of motion.

The live viewer is `humanmotion.viz.viewer`; it is not loaded here because viser is slow to import.
"""

from __future__ import annotations

from humanmotion.viz.backdrop import Backdrop as Backdrop
from humanmotion.viz.backdrop import Box as Box
from humanmotion.viz.mesh import PERSON_COLORS as PERSON_COLORS
from humanmotion.viz.mesh import Mesh as Mesh
from humanmotion.viz.mesh import Picture as Picture
from humanmotion.viz.outfit import Outfit as Outfit
from humanmotion.viz.outfit import outfit_colors as outfit_colors
from humanmotion.viz.overlay import overlay as overlay
from humanmotion.viz.overlay import overlay_frames as overlay_frames
from humanmotion.viz.page import CutMark as CutMark
from humanmotion.viz.page import PageReport as PageReport
from humanmotion.viz.page import Series as Series
from humanmotion.viz.page import ShotSpan as ShotSpan
from humanmotion.viz.page import page_text as page_text
from humanmotion.viz.page import write_page as write_page
from humanmotion.viz.painter import Painter as Painter
from humanmotion.viz.plots import Line as Line
from humanmotion.viz.plots import line_plot as line_plot
from humanmotion.viz.render import GlRenderer as GlRenderer
from humanmotion.viz.render import Renderer as Renderer
from humanmotion.viz.render import open_renderer as open_renderer
from humanmotion.viz.scene import open_floor as open_floor
from humanmotion.viz.scene import render_scene as render_scene
from humanmotion.viz.scene import side_view as side_view
from humanmotion.viz.scene import textured_room as textured_room
from humanmotion.viz.scene import world_picture as world_picture
