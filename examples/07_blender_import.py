"""A head in Blender: imported, lit, moved to the expression of its record, rendered and saved.

blender --background --python examples/07_blender_import.py -- faces/photo/head.glb out/head.blend

Runs inside Blender 4 or newer (or in a Python with `pip install bpy`), which has no facegpt: all it
reads is head.glb and the face.json beside it.
"""

import json
import sys
from pathlib import Path

import bpy
from mathutils import Vector

FRAMES = 24  # to the expression, and as many back
LIGHTS = {  # name: watts, metres to the side, to the front and above the middle of the head
    "key": (9, (-0.5, 0.6, 0.4)),
    "fill": (4, (0.6, 0.5, 0.0)),
    "rim": (8, (0.4, -0.6, 0.5)),
}


def main(glb: Path, blend: Path) -> None:
    """Write BLEND, and the expression as a picture beside it."""
    weights = arkit_weights(glb.with_name("face.json"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(glb))
    [head] = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    animate(head.data.shape_keys, weights)
    corners = [head.matrix_world @ Vector(corner) for corner in head.bound_box]
    middle = sum(corners, Vector()) / len(corners)
    for name, (watts, place) in LIGHTS.items():
        light = bpy.data.lights.new(name, "AREA")
        light.energy, light.size = watts, 0.4
        put(light, middle, place)
    camera = bpy.data.cameras.new("camera")
    camera.lens = 85  # millimetres: a portrait
    bpy.context.scene.camera = put(camera, middle, (-0.15, 0.75, 0.02))
    render(bpy.context.scene, blend.resolve())


def arkit_weights(record: Path) -> dict[str, float]:
    """Shape key -> value of a facegpt.face/1 record."""
    face = json.loads(record.read_text(encoding="utf-8"))
    if face.get("schema") != "facegpt.face/1":
        sys.exit(f"{record} is no record of facegpt: its schema is {face.get('schema')!r}")
    return face["arkit"]


def animate(keys: bpy.types.Key, weights: dict[str, float]) -> None:
    """Neutral, the expression, neutral again."""
    keys.name = "ARKit"  # its keys have ARKit's names already: the GLB brings them
    for name, weight in weights.items():
        key = keys.key_blocks[name]
        for frame, value in ((1, 0.0), (1 + FRAMES, weight), (1 + 2 * FRAMES, 0.0)):
            key.value = value
            key.keyframe_insert("value", frame=frame)


def put(data: bpy.types.ID, middle: Vector, place: tuple[float, float, float]) -> bpy.types.Object:
    """A light or a camera that looks at the head, whose face looks along -y."""
    side, front, above = place
    thing = bpy.data.objects.new(data.name, data)
    thing.location = middle + Vector((side, -front, above))
    thing.rotation_euler = (middle - thing.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(thing)
    return thing


def render(scene: bpy.types.Scene, blend: Path) -> None:
    """Save the scene, and its middle frame as a PNG."""
    scene.world = bpy.data.worlds.new("dark grey")
    scene.frame_end = 1 + 2 * FRAMES
    scene.frame_set(1 + FRAMES)
    scene.render.engine = "CYCLES"  # needs neither a display nor a GPU
    scene.cycles.samples = 32
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 720
    scene.render.filepath = str(blend.with_suffix(".png"))
    blend.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []  # the rest is Blender's
    if len(own) != 2:
        sys.exit(__doc__)
    main(Path(own[0]), Path(own[1]))
