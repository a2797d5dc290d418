"""Places where a converted model runs: each is opened once, describes itself, and is closed."""

from tinyedge.places.devices import place_line
from tinyedge.places.journalled import Journalled
from tinyedge.places.opening import OpenPlace, open_place
from tinyedge.places.spec import PlaceSpec
from tinyedge.places.tflm import open_tflm
from tinyedge.places.watched import WatchedPlace, open_watched

__all__ = (
    "Journalled",
    "OpenPlace",
    "PlaceSpec",
    "WatchedPlace",
    "open_place",
    "open_tflm",
    "open_watched",
    "place_line",
)
