from img.events import *  # noqa: F403
