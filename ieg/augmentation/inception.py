"""From a JPEG to network input: the random crops of training and the central crop of evaluation, in TensorFlow.

Everything random comes in as a number, so that an image depends on seed, purpose, step and example alone.
"""

from __future__ import annotations

import tensorflow as tf

CROP_SHARE = 224 / 256  # of the shorter side, in evaluation
SMALLEST_COVER = 0.1
AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10


def training_image(encoded, seed, flip, size: int):
    """A random crop, scaled to size×size, perhaps flipped.

    Args: encoded: string scalar, JPEG or PNG; seed: int32 [2]; flip: bool scalar. Returns: float32 [size,size,3] in
    0…255. Where no crop of the wanted area and aspect is found, the central crop of evaluation is used.
    """
    shape = image_shape(encoded)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),  # no box: the whole image is the object to be covered
        seed,
        min_object_covered=SMALLEST_COVER,
        aspect_ratio_range=ASPECT,
        area_range=AREA,
        max_attempts=ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    missed = tf.reduce_all(extent[:2] == shape[:2])  # the whole image is what the sampler gives when it fails
    window = tf.where(missed, central_window(shape), tf.concat([begin[:2], extent[:2]], 0))
    image = scaled(encoded, window, size)
    return tf.cond(flip, lambda: tf.image.flip_left_right(image), lambda: image)


def evaluation_image(encoded, size: int):
    """The central square of 224/256 of the shorter side, scaled: float32 [size,size,3] in 0…255."""
    return scaled(encoded, central_window(image_shape(encoded)), size)


def central_window(shape):
    """Row, column, height and width of the central square: int32 [4]."""
    side = tf.cast(CROP_SHARE * tf.cast(tf.minimum(shape[0], shape[1]), tf.float32), tf.int32)
    return tf.stack([(shape[0] - side + 1) // 2, (shape[1] - side + 1) // 2, side, side])


def scaled(encoded, window, size: int):
    """The window of an image, scaled bilinearly: float32 [size,size,3] in 0…255."""
    crop = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.image.decode_and_crop_jpeg(encoded, window, channels=3),
        lambda: tf.slice(decoded(encoded), [window[0], window[1], 0], [window[2], window[3], 3]),
    )
    return tf.ensure_shape(tf.image.resize(crop, [size, size], tf.image.ResizeMethod.BILINEAR), [size, size, 3])


def image_shape(encoded):
    """Height, width and 3: int32 [3]; a JPEG tells them before it is decoded."""
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.stack([*tf.unstack(tf.image.extract_jpeg_shape(encoded))[:2], 3]),
        lambda: tf.shape(decoded(encoded)),
    )


def decoded(encoded):
    """uint8 [H,W,3] of a PNG."""
    return tf.image.decode_png(encoded, channels=3)


def to_input(image):
    """2(v/255 − ½): values 0…255 to [-1,1], float32."""
    return 2 * (tf.cast(image, tf.float32) / 255 - 0.5)
