"""What can go wrong in a demonstration, by idea: timing, movement, objects, and going back."""
