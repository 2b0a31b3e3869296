"""How plugins say what they offer, and how offers are found. Only `registry` knows pluggy."""
