"""How long gestures take, what they cost, and how long the server stands still for them."""
