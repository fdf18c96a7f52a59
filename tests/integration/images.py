"""What schemathesis sends where the schema asks for an image: PNG files of any size and mode."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


@st.composite
def png_files(draw: st.DrawFn) -> bytes:
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    mode = draw(st.sampled_from(["L", "RGB", "RGBA", "P", "1"]))
    file = io.BytesIO()
    Image.new(mode, size, draw(st.integers(0, 1))).save(file, "PNG")
    return file.getvalue()


schemathesis.openapi.media_type("image/png", png_files())
